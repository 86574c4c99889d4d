"""Lost second factors and another e-mail address: pages of a customer's own log-in."""

from typing import Any

from flask import Response, flash, redirect, session, url_for

from clarion.base.errors import Conflict
from clarion.portal import service
from clarion.portal.security import desk
from clarion.tenancy import mail_change, people
from clarion.web import address, login, lost, steps
from clarion.web.pages import Pages, fresh, person, public
from clarion.web.portal_app import ACCOUNT

pages = Pages("lost", __name__, prefix="")


@pages.route("/sign-in/lost", methods=["GET", "POST"])
@public
def ask() -> Any:
    """Let who has given the password say that every second factor is lost."""
    try:
        one = steps.half()
    except Conflict as error:
        flash(error.text, "info")
        return redirect(url_for("auth.sign_in"))
    if steps.next_step(one) != "second":
        return redirect(url_for("auth.second"))
    return lost.ask(one, url_for(".ask"), url_for("auth.second"))


@pages.route("/lost/stop/<token>", methods=["GET", "POST"])
@public
def stop(token: str) -> Response:
    """Stop that second factors are removed. Looking stops nothing."""
    return lost.stop(token, url_for(".stop", token=token), url_for("auth.forgot"))


# --- another address


@pages.route("/security/address", methods=["GET", "POST"])
@person
@fresh
def move() -> Response:
    """Ask for another e-mail address."""
    return address.page(desk(), service.request_address)


@pages.route("/security/address/<token>", methods=["GET", "POST"])
@person
def moved(token: str) -> Response:
    """Confirm it by the link at the new address."""
    return address.confirm(desk(), token, mail_change.move_person, _enter_anew)


@pages.route("/address/undo/<token>", methods=["GET", "POST"])
@public
def undo(token: str) -> Response:
    """Take it back by the link at the old address. Looking changes nothing."""
    return address.undo(
        token,
        mail_change.move_person,
        action=url_for(".undo", token=token),
        door=url_for("auth.sign_in"),
        forgot=url_for("auth.forgot"),
    )


def _enter_anew() -> None:
    """Begin the session anew, with what it has shown: every session is over, this one too."""
    who, account, shown = login.current(), session.get(ACCOUNT), login.proofs()
    login.sign_in(people.find(str(who.id)), who.id, *shown)
    if account:
        session[ACCOUNT] = account
