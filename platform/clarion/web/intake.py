"""Where providers knock: POST /in/<kind>/<endpoint>. Verify, store, 200; nothing else.

No Flask, no session, no cookie. The raw bytes are verified before anything reads them;
200 is said only when every event is durable, else the provider is told to come again.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from clarion.base import db
from clarion.base.errors import Invalid
from clarion.base.telemetry import counter, logger
from clarion.messaging import channels
from clarion.messaging.contract import Forged, RawWebhook, Transport
from clarion.messaging.models import Channel
from clarion.work import webhooks

log = logger(__name__)
LONGEST: Final = 3 * 1024 * 1024  # bytes; what providers send at most
HANDLER: Final = "messaging"
SYSTEM: Final = db.Entry("clarion_system", None, "web:intake")
answered = counter("intake_answers_total", "Answers to providers", ("kind", "status"))
routes = Map([Rule("/in/<kind>/<uuid:endpoint>", endpoint="in", methods=["GET", "POST"])])


def intake(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    """Answer one knock, as WSGI."""
    request, kind = Request(environ), "none"
    request.max_content_length = LONGEST
    try:
        _name, where = routes.bind_to_environ(environ).match()
        if where["kind"] not in channels.transports():
            return _said("none", 404)(environ, start)
        kind = where["kind"]
        response = _answer(request, kind, where["endpoint"])
    except RequestEntityTooLarge:
        response = _said(kind, 413)
    except HTTPException as error:
        response = _said(kind, error.code or 400)
    except Exception as error:  # whatever it was, the events are not durable
        log.exception("intake.failed", kind=kind, error=type(error).__name__)
        response = _said(kind, 503)
        response.headers["Retry-After"] = "30"
    return response(environ, start)


def _answer(request: Request, kind: str, endpoint: UUID) -> Response:
    transport = channels.transports()[kind]
    channel = _channel(kind, endpoint)
    if channel is None:
        return _said(kind, 403)  # as for a wrong signature: nobody learns which ids exist
    if request.method == "GET":
        return _handshake(request, transport, channel)
    raw = RawWebhook(
        request.get_data(cache=False),
        {name.lower(): value for name, value in request.headers.items()},
        request.args.to_dict(),
    )
    try:
        transport.verify(channels.opened(channel), raw)
    except Forged:
        log.warning("intake.forged", kind=kind, endpoint=str(endpoint))
        return _said(kind, 403)
    try:
        pieces = list(transport.split(raw))
    except (Invalid, ValueError):
        log.warning("intake.unreadable", kind=kind, endpoint=str(endpoint))
        return _said(kind, 400)
    webhooks.receive(HANDLER, channel.account_id, channel.id, pieces)
    return _said(kind, 200)


def _handshake(request: Request, transport: Transport, channel: Channel) -> Response:
    try:
        challenge = transport.challenge(channels.opened(channel), request.args.to_dict())
    except Forged:
        return _said(transport.name, 403)
    return Response(challenge, mimetype="text/plain")


def _channel(kind: str, endpoint: UUID) -> Channel | None:
    query = select(Channel).where(Channel.id == endpoint, Channel.transport == kind)
    with db.apart(SYSTEM) as orm:
        return orm.scalar(query)


def _said(kind: str, status: int) -> Response:
    answered.labels(kind, str(status)).inc()
    return Response("", status, mimetype="text/plain")
