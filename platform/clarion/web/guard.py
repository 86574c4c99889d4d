"""What every answer of both applications carries, and what every request must.

Headers are added around everything, static files and errors included. Unsafe requests
need a token bound to the session and must come from our own pages.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from flask import Flask, Request, Response, current_app, request, session
from flask.sessions import SessionInterface
from flask_wtf.csrf import CSRFProtect, generate_csrf
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.utils import host_is_trusted

from clarion.base import telemetry
from clarion.base.errors import Forbidden, Invalid
from clarion.base.settings import settings
from clarion.base.words import _
from clarion.tenancy.scope import current_actor
from clarion.web import login, pages

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:;"
    " media-src 'self' blob:; font-src 'self'; connect-src 'self'; form-action 'self';"
    " frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": POLICY,
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": (
        "camera=(), geolocation=(), microphone=(), payment=(), usb=(), browsing-topics=()"
    ),
}
LONGEST: Final = 26 * 1024 * 1024  # bytes: a file of 25 MB and its form
BESIDE: Final = 1024 * 1024  # the form around a page's own largest file
LONGEST_FIELD: Final = 512 * 1024
LONGEST_FORM: Final = 1024 * 1024  # without files
PARTS: Final = 2_000
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
REQUEST_ID: Final = "clarion.request_id"
AWAY: Final = "clarion.sessions_away"

# Any: WSGI's own environment and start_response
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Guarded:
    """Around both applications: a name for the request, and the headers of every answer."""

    def __init__(self, inner: Wsgi) -> None:
        self.inner = inner

    def __call__(
        self, environ: dict[str, Any], start: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer one request."""
        name = environ[REQUEST_ID] = f"req_{secrets.token_hex(8)}"

        def begin(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            there = {key.lower() for key, _value in headers}
            added = [(k, v) for k, v in HEADERS.items() if k.lower() not in there]
            return start(status, [*headers, *added, ("X-Request-Id", name)], *more)

        with telemetry.bound(request=name):
            if environ.get("REQUEST_METHOD") != "HEAD":
                return self.inner(environ, begin)
            # a view that asks "is it GET?" must not take a HEAD for a form that was sent
            answer = self.inner({**environ, "REQUEST_METHOD": "GET"}, begin)
            if close := getattr(answer, "close", None):
                close()
            return []


class Patient(SessionInterface):
    """Sessions whose rows cannot be read now: the request goes on, to an error page."""

    def __init__(self, inner: SessionInterface, nothing: Callable[[], Any]) -> None:
        self.inner, self.nothing = inner, nothing

    def open_session(self, app: Flask, request: Request) -> Any:
        """Open the session, or remember why that was not possible."""
        try:
            return self.inner.open_session(app, request)
        except SQLAlchemyError as error:
            request.environ[AWAY] = error
            return self.nothing()

    def save_session(self, app: Flask, session: Any, response: Response) -> None:
        """Save it, unless it could not even be read."""
        if AWAY not in request.environ:
            self.inner.save_session(app, session, response)


def request_id() -> str:
    """Name the present request: in the log, in the audit, on the error page."""
    return str(request.environ.get(REQUEST_ID, ""))


def init_guard(app: Flask) -> CSRFProtect:
    """Give one application its limits, its known hosts and its check of unsafe requests."""
    conf = settings()
    app.config.update(
        SECRET_KEY=conf.secret_key.get_secret_value(),
        SECRET_KEY_FALLBACKS=[k.get_secret_value() for k in conf.secret_key_fallbacks],
        MAX_CONTENT_LENGTH=LONGEST,
        MAX_FORM_MEMORY_SIZE=LONGEST_FIELD,
        MAX_FORM_PARTS=PARTS,
        TRUSTED_HOSTS=known_hosts(),
        WTF_CSRF_TIME_LIMIT=None,  # as long as the session it is bound to
        WTF_CSRF_SSL_STRICT=False,  # `_from_us` looks at more than the referrer
    )
    app.session_interface = Patient(app.session_interface, lambda: login.Stored(None, {}))
    app.before_request(_possible)
    app.before_request(_from_us)
    app.config["WTF_CSRF_CHECK_DEFAULT"] = False  # `_signed` asks for it, where one is due
    csrf = CSRFProtect(app)
    app.before_request(lambda: _signed(csrf))
    app.before_request(_once)
    app.after_request(_private)
    app.jinja_env.globals["csrf_token"] = token
    app.context_processor(lambda: {"csrf_token": token})
    return csrf


def known_host(environ: Mapping[str, Any]) -> bool:
    """Say whether a request names a host of ours."""
    return host_is_trusted(environ.get("HTTP_HOST", ""), known_hosts())


def known_hosts() -> list[str]:
    """List the host names that are answered; without them a link could lead elsewhere."""
    conf = settings()
    urls = (urlsplit(url).hostname for url in (conf.public_url, conf.callback_base_url))
    hosts = {host for host in urls if host} | set(conf.trusted_hosts)
    if conf.console_host:
        hosts.add(conf.console_host)
    if not conf.production:
        hosts |= {"localhost", "127.0.0.1", "[::1]"}
    return sorted(hosts)


def token() -> str:
    """Return the token for forms. Pages without forms start no session for strangers."""
    guard = pages.guard_of(request.endpoint)
    if guard == pages.WITHOUT_SESSION:
        return ""
    if not session and guard in ("", "public_without_forms"):
        return ""
    return str(generate_csrf())


def _possible() -> None:
    """Go no further without sessions; read no form that is larger than any of ours."""
    if AWAY in request.environ:
        raise request.environ[AWAY]
    if request.mimetype == "application/x-www-form-urlencoded":
        request.max_content_length = LONGEST_FORM
        # a megabyte of `&` is half a million fields; of files' forms Werkzeug counts the parts
        if request.get_data(parse_form_data=False).count(b"&") >= PARTS:
            raise RequestEntityTooLarge
    elif largest := _largest():
        request.max_content_length = largest + BESIDE


def _largest() -> int:
    """Say how large a file this page takes, when it takes larger ones than the others.

    A body is read before the view runs, so strangers get no more than the usual.
    """
    own = getattr(current_app.blueprints.get(request.blueprint or ""), "largest", {})
    return own.get(request.endpoint, 0) if current_actor().kind == "person" else 0


def _from_us() -> None:
    """Refuse an unsafe request that another site made a browser send.

    Browsers say where a request comes from; what says nothing is no browser, and its
    token is still checked.
    """
    if request.method in SAFE or _without_session():
        return
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is not None:
        good = site in ("same-origin", "none")
    elif origin is not None:
        good = urlsplit(origin).netloc == request.host
    else:
        referrer = request.headers.get("Referer")
        good = referrer is None or urlsplit(referrer).netloc == request.host
    if not good:
        raise Forbidden(
            "cross_site", _("This came from another site, so nothing was done.")
        )


def _signed(csrf: CSRFProtect) -> None:
    """Ask for the token that is bound to the session, where there is one."""
    if request.endpoint and not _without_session():
        csrf.protect()


def _without_session() -> bool:
    """Say whether a page rests on its address alone: nobody's session can be misused."""
    return pages.guard_of(request.endpoint) == pages.WITHOUT_SESSION


def _once() -> None:
    """Refuse what no form of ours sends: NUL, and fields twice where one is expected."""
    if any("\x00" in value for value in (request.path, *_typed())):
        raise Invalid("text_unreadable", _("This text cannot be read."))
    if request.method in SAFE or not request.form:
        return
    pages_of = current_app.blueprints.get(request.blueprint or "")
    lists = getattr(pages_of, "lists", {}).get(request.endpoint)
    if lists is None:
        return
    for name, values in request.form.lists():
        if len(values) > 1 and name not in lists:
            raise Invalid(
                "field_repeated", _("The field %(name)s came twice.", name=name), field=name
            )


def _typed() -> Iterator[str]:
    """List everything a person could have typed into this request, files aside."""
    given = (request.args,) if request.method in SAFE else (request.args, request.form)
    for values in given:
        for name, value in values.items(multi=True):
            yield name
            yield value


def _private(response: Response) -> Response:
    """Keep pages of people out of every cache."""
    if _without_session():  # the address is a key: it goes nowhere, and nothing is kept
        response.headers["Cache-Control"] = "no-store"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Robots-Tag"] = "noindex"
    if "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store" if session else "no-cache"
    return response
