"""Where providers knock: POST /in/<kind>/<endpoint>. Verify, store, 200; nothing else.

No Flask, no session, no cookie. The raw bytes are verified before anything reads them;
200 is said only when every event is durable, else the provider is told to come again.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import aliased
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from clarion.base import db
from clarion.base.errors import Invalid
from clarion.base.telemetry import counter, logger
from clarion.messaging import channels, contract
from clarion.messaging.contract import Forged, Piece, RawWebhook, Transport
from clarion.messaging.models import Channel, Sender
from clarion.work import webhooks

log = logger(__name__)
LONGEST: Final = 3 * 1024 * 1024  # bytes; what providers send at most
HANDLER: Final = "messaging"
SYSTEM: Final = db.Entry("clarion_system", None, "web:intake")
foreign = counter("intake_foreign_events_total", "Events about others' numbers", ("kind",))
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
    door = _door(transport, endpoint)
    if door is None:
        return _said(kind, 403)  # as for a wrong signature: nobody learns which ids exist
    if request.method == "GET":
        return _handshake(request, transport, door)
    raw = RawWebhook(
        request.get_data(cache=False),
        {name.lower(): value for name, value in request.headers.items()},
        request.args.to_dict(),
    )
    if not door.believes(transport, raw):
        log.warning("intake.forged", kind=kind, endpoint=str(endpoint))
        return _said(kind, 403)
    try:
        pieces = list(transport.split(raw))
    except (Invalid, ValueError):
        log.warning("intake.unreadable", kind=kind, endpoint=str(endpoint))
        return _said(kind, 400)
    shares = _shares(transport, door, raw, pieces)
    if pieces and not shares:
        log.warning("intake.foreign", kind=kind, endpoint=str(endpoint))
        return _said(kind, 403)
    for owner, mine in shares.items():
        webhooks.receive(HANDLER, owner.account_id, owner.channel.id, mine)
    return _said(kind, 200)


@dataclass(frozen=True, slots=True, eq=False)
class _Door:
    """A connection as the intake needs it: its secrets, and whose events are its own."""

    account_id: UUID
    channel: contract.Channel
    business: str
    senders: frozenset[str]

    def believes(self, transport: Transport, raw: RawWebhook) -> bool:
        """Say whether the request is signed with this connection's secret."""
        try:
            transport.verify(self.channel, raw)
        except Forged:
            return False
        return True

    def owns(self, piece: Piece) -> bool:
        """Say whether an event is about one of our numbers, or about all of us."""
        if piece.sender:
            return piece.sender in self.senders
        return piece.business in ("", self.business) or not self.business


def _door(transport: Transport, endpoint: UUID) -> _Door | None:
    return next(iter(_doors(transport, Channel.id == endpoint)), None)


def _doors(transport: Transport, which: ColumnElement[bool]) -> list[_Door]:
    query = (
        select(Channel, Sender.provider_id)
        .join(
            Sender,
            (Sender.account_id == Channel.account_id) & (Sender.channel_id == Channel.id),
        )
        .where(Channel.transport == transport.name, which)
    )
    numbers: dict[UUID, set[str]] = {}
    found: dict[UUID, Channel] = {}
    with db.apart(SYSTEM) as orm:
        for row, sender in orm.execute(query):
            found[row.id] = row
            numbers.setdefault(row.id, set()).add(sender)
    return [
        _Door(
            row.account_id,
            channels.opened(row),
            str(row.config.get(transport.business_field) or ""),
            frozenset(numbers[row.id]),
        )
        for row in found.values()
    ]


def _shares(
    transport: Transport, door: _Door, raw: RawWebhook, pieces: Sequence[Piece]
) -> dict[_Door, list[Piece]]:
    """Give each event to the connection it is about; what is nobody's is dropped.

    A provider's application has one address, and may serve several businesses. An event
    that is not for the connection it came to goes to the one that has the number, if the
    request is signed with that one's secret as well, and if it is the only one.
    """
    shares: dict[_Door, list[Piece]] = {}
    strange: list[Piece] = []
    for piece in pieces:
        if door.owns(piece):
            shares.setdefault(door, []).append(piece)
        else:
            strange.append(piece)
    if strange:
        others = [o for o in _others(transport, strange) if o.believes(transport, raw)]
        for piece in strange:
            owners = [other for other in others if other.owns(piece)]
            if len(owners) == 1:
                shares.setdefault(owners[0], []).append(piece)
            else:
                foreign.labels(transport.name).inc()
    return shares


def _others(transport: Transport, pieces: Sequence[Piece]) -> list[_Door]:
    numbers = {piece.sender for piece in pieces if piece.sender}
    businesses = {piece.business for piece in pieces if not piece.sender}
    number = aliased(Sender)
    having = select(number.channel_id).where(
        number.account_id == Channel.account_id, number.provider_id.in_(numbers)
    )
    config = Channel.config[transport.business_field].astext
    return _doors(transport, or_(Channel.id.in_(having), config.in_(businesses)))


def _handshake(request: Request, transport: Transport, door: _Door) -> Response:
    try:
        challenge = transport.challenge(door.channel, request.args.to_dict())
    except Forged:
        return _said(transport.name, 403)
    return Response(challenge, mimetype="text/plain")


def _said(kind: str, status: int) -> Response:
    answered.labels(kind, str(status)).inc()
    return Response("", status, mimetype="text/plain")
