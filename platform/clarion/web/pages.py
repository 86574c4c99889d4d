"""Customer pages: `Pages` refuses a route that does not say who may open it; forms; fragments.

pages = Pages("campaigns", __name__)

@pages.post("/<uuid:campaign_id>/launch")
@needs("campaigns.launch")
def launch(campaign_id: UUID) -> Response: ...
"""

import functools
import json
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, Literal
from urllib.parse import urlsplit

from flask import (
    Blueprint,
    Response,
    current_app,
    g,
    make_response,
    redirect,
    request,
    url_for,
)
from flask_wtf import FlaskForm
from werkzeug.http import generate_etag
from wtforms import Field

from clarion.base import db
from clarion.base.errors import ClarionError, Forbidden, NotSignedIn
from clarion.base.words import _
from clarion.tenancy import access
from clarion.tenancy.scope import current_actor
from clarion.web import login

# Any: a view takes what its address holds and returns what Flask can answer with
View = Callable[..., Any]
CHOOSE = "portal.choose"  # where a person without a chosen account goes
WITHOUT_SESSION = "public_without_session"
_ROWS = frozenset({"rowid"})  # what a list's ticked rows are called; always several


class Unguarded(TypeError):
    """A route does not say who may open it."""


class Pages(Blueprint):
    """A plugin's pages under `/<plugin>`; its endpoints are `<plugin>.<view>`."""

    def __init__(self, plugin: str, module: str, *, prefix: str | None = None) -> None:
        super().__init__(
            plugin, module, url_prefix=f"/{plugin}" if prefix is None else prefix
        )
        self.lists: dict[str, frozenset[str]] = {}
        self.largest: dict[str, int] = {}

    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: View | None = None,
        provide_automatic_options: bool | None = None,
        *,
        lists: Collection[str] = (),
        largest: int = 0,
        **options: Any,  # Any: what werkzeug's Rule takes
    ) -> None:
        """Register a route.

        Args:
            rule: the address below the plugin's own.
            endpoint: its name; the view's when left out.
            view_func: the view, which must be guarded.
            provide_automatic_options: as Flask has it.
            lists: form fields that may come several times; others are refused.
            largest: bytes of the file that who is signed in may send here; usual when 0.
            options: what Flask's own `add_url_rule` takes.

        Raises:
            Unguarded: the view has neither `@needs`, `@signed_in` nor `@public`.
        """
        if view_func is None or not hasattr(view_func, "guard"):
            name = getattr(view_func, "__name__", endpoint)
            raise Unguarded(
                f"{self.name}: {rule} ({name}) needs @needs, @signed_in or @public below its route"
            )
        name = endpoint or view_func.__name__
        self.lists[f"{self.name}.{name}"] = frozenset(lists) | _ROWS
        if largest:
            self.largest[f"{self.name}.{name}"] = largest
        super().add_url_rule(
            rule, endpoint, view_func, provide_automatic_options, **options
        )


# --- who may


def needs(permission: str, *, fresh: bool | None = None) -> Callable[[View], View]:
    """Let in whose role has a permission, named `plugin.verb`.

    Args:
        permission: one of a manifest.
        fresh: whether the last proof of who acts must be young. Left out, the manifest
            decides: what is sensitive there asks again.
    """

    def wrap(view: View) -> View:
        @functools.wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if answer := _without_account():
                return answer
            access.require(permission)
            if access.sensitive(permission) if fresh is None else fresh:
                login.require_fresh()
            return view(*args, **kwargs)

        guarded.fresh = fresh  # type: ignore[attr-defined]  # what a test looks for

        return _marked(guarded, permission)

    return wrap


def signed_in(view: View) -> View:
    """Let in every member of the account."""

    @functools.wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        return _without_account() or view(*args, **kwargs)

    return _marked(guarded, "signed_in")


def person(view: View) -> View:
    """Let in who is signed in, with or without an account: for what is their own."""

    @functools.wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        _refuse_strangers()
        return view(*args, **kwargs)

    return _marked(guarded, "person")


def fresh(view: View) -> View:
    """Let in only with a young proof of who acts; stands below the guard."""

    @functools.wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        login.require_fresh()
        return view(*args, **kwargs)

    guarded.fresh = True  # type: ignore[attr-defined]  # what a test looks for
    return guarded


def public(view: View) -> View:
    """Let everybody in."""

    @functools.wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        return view(*args, **kwargs)

    return _marked(guarded, "public")


def public_without_forms(view: View) -> View:
    """Let everybody in, and start no session for it: the page has no form."""
    return _marked(public(view), "public_without_forms")


def public_without_session(view: View) -> View:
    """Let everybody in by what the address says, and by nothing else.

    Nothing of a session is read or started, so a form of such a page needs no token and
    works with cookies refused; a mail provider's one-click POST comes in as well.
    """
    return _marked(public(view), WITHOUT_SESSION)


def guard_of(endpoint: str | None) -> str:
    """Say who may open an endpoint of the present application; "" for unknown ones."""
    view = current_app.view_functions.get(endpoint or "")
    return getattr(view, "guard", "")


def _marked(view: View, guard: str) -> View:
    view.guard = guard  # type: ignore[attr-defined]  # what `Pages` looks for
    return view


def _refuse_strangers() -> None:
    if current_actor().kind != "person":
        raise NotSignedIn("not_signed_in", _("Please sign in."))


def _without_account() -> Any:
    _refuse_strangers()
    if current_actor().account_id is None:
        if request.method not in ("GET", "HEAD"):
            raise Forbidden("no_account", _("Choose an account first."))
        return redirect(url_for(CHOOSE))
    return None


# --- forms


class Form(FlaskForm):
    """Base of all forms of the portal. The token is checked for the whole application."""

    class Meta(FlaskForm.Meta):
        """Texts lose the blanks around them; the token is not a field."""

        csrf = False

        def bind_field(self, form: Any, unbound: Any, options: Any) -> Field:
            filters = unbound.kwargs.get("filters", [])
            kind = unbound.field_class.__name__
            if kind in ("StringField", "EmailField", "TextAreaField", "SearchField"):
                filters = [_stripped, *filters]
            return unbound.bind(form=form, filters=filters, **options)

    def refuse(self, error: ClarionError) -> None:
        """Show a refusal at the field it names, else above the form."""
        if error.field and error.field in self:
            field = self[error.field]
            field.errors = [*field.errors, error.text]
        else:
            self.form_errors.append(error.text)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Try a verb; a refusal undoes what it did and is shown in the form.

        Answer with `redirect` inside the block; what comes after it shows the form again,
        with status 422.
        """
        orm = db.session()
        # nothing is under way yet: no connection is held while a password is checked
        undo = orm.begin_nested() if orm.in_transaction() else None
        try:
            yield
            orm.flush()
        except ClarionError as error:
            # what is read for long lets the connection go, and the savepoint with it
            (undo if undo and undo.is_active else orm).rollback()
            if error.status >= 500 or error.status in (401, 403):
                raise
            self.refuse(error)


def _stripped(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


# --- answers


def is_fragment() -> bool:
    """Say whether htmx or a live region asks, which want a piece of the page."""
    return request.headers.get("HX-Request") == "true"


def fragment(markup: str, *, done: bool = False) -> Response:
    """Answer a piece of a page; 304 when it is what the asker has.

    Args:
        markup: rendered by a template.
        done: nothing will change any more: the live region stops asking.
    """
    response = make_response(markup)
    # the token of forms is signed anew every second, though the old one stays as good
    same = markup.replace(g.get("csrf_token") or "\0", "")
    response.set_etag(generate_etag(same.encode()))
    if done:
        response.headers["X-Live"] = "done"
    response.make_conditional(request)  # changes it in place
    return response


def toast(
    response: Response,
    text: str,
    level: Literal["success", "info", "warning", "danger"] = "success",
    undo: str = "",
) -> Response:
    """Let the page show a short notice, with a way to take the act back if there is one."""
    notice = {"text": str(text), "level": level} | ({"undo": undo} if undo else {})
    response.headers["HX-Trigger"] = json.dumps({"toast": notice})
    return response


def local(target: str | None, otherwise: str) -> str:
    """Return a redirect target if it is a path of ours, else another one.

    Never trust `next=`: only a path that begins with one slash, without control
    characters or backslashes, is one.
    """
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")):
        return otherwise
    parts = urlsplit(target)
    odd = any(ord(c) < 33 or c == "\\" for c in target)
    return otherwise if odd or parts.netloc or parts.scheme else target
