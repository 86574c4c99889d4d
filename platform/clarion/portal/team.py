"""The team: who is in it, roles, invitations."""

from typing import Any
from uuid import UUID

from flask import (
    Response,
    flash,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_babel import gettext as _
from flask_babel import lazy_gettext as lazy
from wtforms import EmailField, RadioField
from wtforms.validators import InputRequired, Length

from clarion.portal import places, service
from clarion.tenancy import team
from clarion.tenancy.access import ROLES
from clarion.tenancy.scope import current_actor
from clarion.web.pages import Form, Pages, needs
from clarion.web.states import state_of

pages = Pages("team", __name__)


def _roles() -> list[tuple[str, str]]:
    mine = current_actor().role
    return [(r, _(state_of(r)[1])) for r in ROLES if r != "owner" or mine == "owner"]


class InviteForm(Form):
    """Who to invite, and what they may do."""

    email = EmailField(
        lazy("E-mail"), [InputRequired(lazy("This is needed.")), Length(max=254)]
    )
    role = RadioField(lazy("Role"), choices=_roles, default="member")


def _hints() -> dict[str, str]:
    return {
        "owner": _("Everything, the team and the settings included."),
        "manager": _("Campaigns, contacts, templates, numbers; not the team."),
        "member": _("Prepares campaigns and contacts, and sees results."),
    }


@pages.get("/")
@needs("portal.view")
def index() -> Response:
    """Show who is in the team and who is invited."""
    return _shown(InviteForm())


@pages.post("/invite")
@needs("portal.team")
def invite() -> Any:
    """Offer a place by mail."""
    form = InviteForm()
    if form.validate_on_submit():
        with form.attempt():
            service.invite(form.email.data, form.role.data, places.spoken())
            flash(
                _("The invitation is on its way to %(email)s.", email=form.email.data),
                "success",
            )
            return redirect(url_for(".index"))
    return _shown(form)


@pages.post("/invitations/<uuid:invitation_id>/withdraw")
@needs("portal.team")
def withdraw(invitation_id: UUID) -> Response:
    """Take an invitation back."""
    team.withdraw(invitation_id)
    flash(_("The invitation is withdrawn."), "success")
    return make_response(redirect(url_for(".index")))


@pages.post("/<uuid:membership_id>/role")
@needs("portal.team")
def role(membership_id: UUID) -> Response:
    """Give a member another role."""
    team.change_role(membership_id, request.form.get("role", ""))
    flash(_("The role is changed."), "success")
    return make_response(redirect(url_for(".index")))


@pages.post("/<uuid:membership_id>/remove")
@needs("portal.team")
def remove(membership_id: UUID) -> Response:
    """Take somebody out of the team."""
    team.remove(membership_id)
    flash(_("They are no longer part of the team."), "success")
    return make_response(redirect(url_for(".index")))


def _shown(form: InviteForm) -> Response:
    members, invited = team.listing()
    page = render_template(
        "portal/team.html",
        members=members,
        invited=invited,
        form=form,
        roles=_roles(),
        hints=_hints(),
        me=UUID(current_actor().id),
        owners=sum(one.role == "owner" for one in members),
    )
    return make_response(page, 422 if form.errors else 200)
