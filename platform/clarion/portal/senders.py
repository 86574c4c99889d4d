"""Numbers messages leave from: connect, pause, resume, check, change secrets."""

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
from wtforms import IntegerField, PasswordField, SelectField, StringField
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from clarion.base.errors import NotFound
from clarion.base.words import country as country_name
from clarion.messaging import channels, countries, limits, paces
from clarion.portal import service
from clarion.web.pages import Form, Pages, needs

pages = Pages("senders", __name__)
NEEDED = InputRequired(lazy("This is needed."))


def _transports() -> list[tuple[str, str]]:
    return [(name, one.title) for name, one in channels.transports().items()]


class ConnectForm(Form):
    """What a provider's page shows, to be copied here."""

    transport = SelectField(lazy("Provider"), choices=_transports)
    name = StringField(lazy("Name of the number"), [NEEDED, Length(max=120)])
    number = StringField(lazy("Phone number"), [NEEDED, Length(max=40)])
    provider_id = StringField(lazy("Phone number ID"), [NEEDED, Length(max=60)])
    waba_id = StringField(lazy("WhatsApp Business account ID"), [NEEDED, Length(max=60)])
    access_token = PasswordField(lazy("Access token"), [NEEDED, Length(max=1000)])
    app_secret = PasswordField(lazy("App secret"), [NEEDED, Length(max=200)])
    verify_token = StringField(lazy("Verify token"), [Length(max=200)])
    rate_per_s = IntegerField(
        lazy("Messages per second"), [NumberRange(1, 1000), Optional()], default=80
    )
    base_url = StringField(lazy("Address of the provider"), [Length(max=200)])


class SecretsForm(Form):
    """New secrets; what stays empty stays as it is."""

    access_token = PasswordField(lazy("Access token"), [Length(max=1000)])
    app_secret = PasswordField(lazy("App secret"), [Length(max=200)])
    verify_token = StringField(lazy("Verify token"), [Length(max=200)])


class RateForm(Form):
    """A lower rate than the provider allows."""

    rate_per_s = IntegerField(
        lazy("At most so many a second"), [Optional(), NumberRange(1, 100_000)]
    )


@pages.get("/")
@needs("portal.view")
def index() -> str:
    """List the connections and their numbers."""
    return render_template("portal/senders.html", rows=channels.listing())


@pages.route("/connect", methods=["GET", "POST"])
@needs("portal.senders")
def connect() -> Any:
    """Connect a provider with one number."""
    form = ConnectForm()
    if form.validate_on_submit():
        with form.attempt():
            channel_id = service.connect(
                form.transport.data,
                form.name.data,
                config={"waba_id": form.waba_id.data, "base_url": form.base_url.data},
                secrets={
                    name: form[name].data or ""
                    for name in ("access_token", "app_secret", "verify_token")
                },
                number=channels.SenderIn(
                    form.provider_id.data,
                    form.number.data,
                    form.name.data,
                    form.rate_per_s.data or 80,
                ),
            )
            flash(_("Connected. Now tell the provider where to report back."), "success")
            return redirect(url_for(".show", channel_id=channel_id))
    status = 422 if form.is_submitted() else 200
    return make_response(render_template("portal/connect.html", form=form), status)


@pages.get("/<uuid:channel_id>")
@needs("portal.view")
def show(channel_id: UUID) -> Response:
    """Show one connection: its numbers, its health, where the provider reports back."""
    return _shown(channel_id, SecretsForm())


@pages.post("/<uuid:channel_id>/secrets")
@needs("portal.senders")
def rotate(channel_id: UUID) -> Any:
    """Put in new secrets; a connection that was stopped for a revoked token goes on."""
    form = SecretsForm()
    if form.validate_on_submit():
        with form.attempt():
            given = {name: value for name, value in form.data.items() if value}
            service.rotate(channel_id, given)
            flash(_("The new secrets are kept. We are checking them now."), "success")
            return redirect(url_for(".show", channel_id=channel_id))
    return _shown(channel_id, form)


@pages.post("/<uuid:channel_id>/check")
@needs("portal.senders")
def check(channel_id: UUID) -> Response:
    """Ask the provider how the numbers are; the answer shows a moment later."""
    service.check(channel_id)
    flash(_("We are asking the provider. Reload this page in a moment."), "info")
    return make_response(redirect(url_for(".show", channel_id=channel_id)))


@pages.post("/number/<uuid:sender_id>/rate")
@needs("portal.senders")
def rate(sender_id: UUID) -> Any:
    """Send slower than the provider allows, or as fast as it does again."""
    form = RateForm()
    channel_id = channels.channel_of(sender_id)
    if form.validate_on_submit():
        with form.attempt():
            limits.set_own_rate(sender_id, form.rate_per_s.data)
            flash(_("From now on it sends at this pace."), "success")
            return redirect(url_for(".show", channel_id=channel_id))
    return _shown(channel_id, SecretsForm(), refused=form)


@pages.post("/number/<uuid:sender_id>/pause")
@needs("portal.senders", fresh=False)  # stopping never waits for a password
def pause(sender_id: UUID) -> Response:
    """Stop sending from a number; what waits stays in the queue."""
    channels.pause_sender(sender_id)
    flash(
        _("Nothing leaves from this number any more. What waits stays in the queue."),
        "success",
    )
    return make_response(redirect(url_for(".index")))


@pages.post("/number/<uuid:sender_id>/resume")
@needs("portal.senders")
def resume(sender_id: UUID) -> Response:
    """Send from a number again."""
    channels.resume_sender(sender_id)
    flash(_("This number sends again."), "success")
    return make_response(redirect(url_for(".index")))


@pages.post("/<uuid:channel_id>/country")
@needs("portal.senders")
def lift(channel_id: UUID) -> Response:
    """Write to people of a country again that the provider had refused."""
    code = request.form.get("country", "")
    if countries.lift(channel_id, code):
        said = _(
            "From the next campaign on, people in %(where)s are written to again. If the"
            " provider still refuses, they are left out again.",
            where=country_name(code),
        )
        flash(said, "success")
    return make_response(redirect(url_for(".show", channel_id=channel_id)))


def _shown(
    channel_id: UUID, form: SecretsForm, refused: RateForm | None = None
) -> Response:
    row = next((one for one in channels.listing() if one.id == channel_id), None)
    if row is None:
        raise NotFound("channel_unknown", _("There is no such connection."))
    page = render_template(
        "portal/channel.html",
        row=row,
        form=form,
        refused=refused,
        paces=paces.of_channel(channel_id),
        barred=countries.standing(channel_id),
        country=country_name,
        verify_token=service.verify_token(channel_id),
    )
    return make_response(page, 422 if form.errors or refused else 200)
