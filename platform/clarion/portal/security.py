"""One's own security: second factors and devices; and the door to sensitive acts."""

from uuid import UUID

from flask import Response, request, url_for

from clarion.tenancy import people
from clarion.tenancy.scope import current_actor
from clarion.web import login, security, steps
from clarion.web.pages import Pages, fresh, local, person

pages = Pages("security", __name__)


@pages.get("/")
@person
def index() -> Response:
    """Show how one signs in, and where one is signed in."""
    return security.page(desk())


@pages.route("/again", methods=["GET", "POST"])
@person
def again() -> Response:
    """Ask who it is, once more, before something sensitive."""
    onward = local(request.args.get("next"), "/")
    who = login.current()
    return security.prove_again(
        url_for(".again", next=onward),
        onward,
        url_for("portal.home"),
        lambda typed: people.confirm_password(who.id, typed, steps.current_network()),
    )


@pages.post("/app/new")
@person
@fresh
def begin_app() -> Response:
    """Begin to connect an authenticator app."""
    return security.begin_app(desk())


@pages.route("/app", methods=["GET", "POST"])
@person
@fresh
def app() -> Response:
    """Connect an authenticator app."""
    return security.app(desk())


@pages.route("/passkey", methods=["GET", "POST"])
@person
@fresh
def passkey() -> Response:
    """Make a passkey."""
    return security.new_passkey(desk())


@pages.post("/factors/<uuid:factor_id>/name")
@person
@fresh
def rename(factor_id: UUID) -> Response:
    """Call a passkey something else."""
    return security.rename(desk(), factor_id)


@pages.post("/factors/<uuid:factor_id>/remove")
@person
@fresh
def remove(factor_id: UUID) -> Response:
    """Remove a passkey or the app."""
    return security.remove(desk(), factor_id)


@pages.post("/codes")
@person
@fresh
def codes() -> Response:
    """Make new recovery codes."""
    return security.new_codes(desk())


@pages.post("/devices/<uuid:session_id>/end")
@person
def end(session_id: UUID) -> Response:
    """Sign one device out."""
    return security.end(desk(), session_id)


@pages.post("/devices/end-others")
@person
def end_others() -> Response:
    """Sign every other device out."""
    return security.end_others(desk())


def desk() -> security.Desk:
    """Say whose page of security it is: of who is signed in."""
    who: people.SignedIn = login.current()
    inside = bool(current_actor().account_name)
    return security.Desk(
        who=who,
        subject=steps.subject(),
        url=lambda name, **more: url_for(f"security.{name}", **more),
        extends="ui/portal.html" if inside else "ui/public.html",
        must=any(seat.wants_second_factor for seat in who.seats),
        password=url_for("portal.profile", _anchor="password"),
        address=url_for("lost.move"),
    )
