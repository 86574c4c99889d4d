"""Every refusal and failure becomes a page, a toast or JSON here, in one place."""

import json
from typing import Any

from flask import (
    Flask,
    Response,
    flash,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DataError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from clarion.base.errors import ClarionError, Invalid, NotSignedIn, TooMany, Unavailable
from clarion.base.telemetry import counter, logger
from clarion.base.words import _
from clarion.web import traces
from clarion.web.guard import SAFE, request_id
from clarion.web.login import Unproven
from clarion.web.pages import is_fragment

log = logger(__name__)
failed = counter("requests_failed_total", "Answers with status 500 and above", ("status",))


def init_errors(app: Flask, *, sign_in: str, again: str = "") -> None:
    """Answer every error of one application.

    Args:
        app: which.
        sign_in: the endpoint of its door.
        again: the endpoint that asks who is signed in to prove it once more.
    """

    def refused(error: ClarionError) -> Response:
        if isinstance(error, Unproven) and again and _wants_page():
            return _to_the_proof(again)
        if isinstance(error, NotSignedIn) and _wants_page() and request.method in SAFE:
            return _to_the_door(sign_in)
        if error.status >= 500:
            return unexpected(error)
        traces.refused(error)
        return answer(error.status, error.text, code=error.code, error=error)

    def http(error: HTTPException) -> Response:
        if error.response is not None:
            return make_response(error.response)
        if isinstance(error, CSRFError):
            text = _("This page was open for too long. Reload it and try again.")
            return answer(403, text, code="csrf_failed")
        status = error.code or 500
        out = answer(status, _sentence(status), code=error.name.lower().replace(" ", "_"))
        for name, value in error.get_headers():
            if name.lower() in ("allow", "retry-after"):
                out.headers[name] = value
        return out

    def unexpected(error: Exception) -> Response:
        known = _known(error)
        if known is not None:
            log.warning("request.not_done", code=known.code, endpoint=request.endpoint)
            return answer(known.status, known.text, code=known.code, error=known)
        log.error("request.failed", endpoint=request.endpoint, exc_info=error)
        return answer(500, "", code="internal_error")

    app.register_error_handler(ClarionError, refused)
    app.register_error_handler(HTTPException, http)
    app.register_error_handler(Exception, unexpected)


def _known(error: Exception) -> ClarionError | None:
    """Give what the database and our own room refuse its name; None for surprises."""
    if isinstance(error, OperationalError | PoolTimeout) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    ):
        text = _("The database does not answer right now. Nothing was changed.")
        return Unavailable("database_away", text)
    if isinstance(error, DataError | OverflowError):  # a value it, or a number, cannot hold
        return Invalid("value_invalid", _("One of the values cannot be used."))
    return error if isinstance(error, Unavailable) else None


def answer(
    status: int, text: str, *, code: str, error: ClarionError | None = None
) -> Response:
    """Say what went wrong in the form the asker understands."""
    if status >= 500:
        failed.labels(str(status)).inc()
    if is_fragment():
        response = make_response("", status)
        shown = text or _("That did not work. The id %(id)s names it.", id=request_id())
        notice = {"text": shown, "level": "danger"}
        response.headers["HX-Trigger"] = json.dumps({"toast": notice})
    elif not _wants_page():
        body = {"code": code, "detail": text, "status": status, "request": request_id()}
        response = make_response(body, status)
        response.mimetype = "application/problem+json"
    else:
        response = make_response(_page(status, text, error), status)
    wait = getattr(error, "retry_after_seconds", None)
    if wait:
        response.headers["Retry-After"] = str(wait)
    return response


def _page(status: int, text: str, error: ClarionError | None) -> str:
    return render_template(
        "ui/error.html",
        status=status,
        text=text,
        incident=request_id() if status >= 500 else "",
        sent=None if request.method in SAFE else False,
        retry=bool(error and error.retry and not isinstance(error, TooMany)),
        back=_back(),
    )


def _back() -> str:
    """Go on where the person came from, if that was another page of ours."""
    if request.headers.get("Referer") != request.url and (page := _came_from()):
        return page
    return "/console/" if request.path.startswith("/console") else "/"


def _came_from() -> str:
    referrer, base = request.headers.get("Referer", ""), request.host_url
    return "/" + referrer[len(base) :] if referrer.startswith(base) else ""


def _wants_page() -> bool:
    best: Any = request.accept_mimetypes.best_match(["text/html", "application/json"])
    return bool(best != "application/json") and not is_fragment()


def _to_the_door(endpoint: str) -> Response:
    here = request.full_path.rstrip("?")
    return make_response(redirect(url_for(endpoint, next=here)))


def _to_the_proof(endpoint: str) -> Response:
    """Ask who it is, then show the page again. A form is not sent twice: they press again."""
    if request.method in SAFE:
        onward = request.full_path.rstrip("?")
    else:
        onward = _came_from() or _back()
        flash(
            _("Nothing was done yet. Confirm that it is you, then press it again."), "info"
        )
    return make_response(redirect(url_for(endpoint, next=onward), 303))


def _sentence(status: int) -> str:
    """Say it in our words; the page has sentences of its own for the usual ones."""
    return {
        400: _("The request could not be understood."),
        413: _(
            "This is larger than the %(size)s MB we accept here. Nothing of it was kept.",
            size=(request.max_content_length or 0) >> 20,
        ),
        415: _("This kind of file or data is not accepted here."),
    }.get(status, "")
