"""Connections to providers and the numbers messages leave from."""

import asyncio
import json
import secrets as random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from clarion.base import crypto, db
from clarion.base.errors import Conflict, Invalid, NotFound, NotSent
from clarion.base.settings import settings
from clarion.base.telemetry import logger
from clarion.base.words import _
from clarion.messaging import address, contract, grades, limits, quotas
from clarion.messaging.models import Channel, Sender, SenderBucket
from clarion.plugging.manager import plugins
from clarion.tenancy import access, audit
from clarion.tenancy.scope import current_account
from clarion.work.jobs import job

if TYPE_CHECKING:
    from clarion.base.http import Client

log = logger(__name__)
audit.label("messaging.channel.connected", "Connected a provider")
audit.label("messaging.channel.rotated", "Changed a provider's secrets")
audit.label("messaging.channel.paused", "A provider connection was paused")
audit.label("messaging.channel.resumed", "A provider connection works again")
audit.label("messaging.sender.paused", "Paused a sender")
audit.label("messaging.sender.resumed", "Resumed a sender")


DEFAULT_RATE = 80
"""Messages a second of a number, until its provider says otherwise."""


@dataclass(frozen=True, slots=True)
class SenderIn:
    """A number as the provider knows it, to be connected."""

    provider_id: str
    number: str
    name: str
    rate_per_s: int = DEFAULT_RATE


@dataclass(frozen=True, slots=True)
class SenderView:
    """A number as pages show it."""

    id: UUID
    channel_id: UUID
    number: str
    name: str
    provider_id: str
    quality: str
    state: str
    state_reason: str
    rate_per_s: int
    own_rate_per_s: int | None = None
    transport: str = ""

    @property
    def rate(self) -> int:
        """Messages a second: the provider's, or the lower one that was chosen."""
        return min(self.rate_per_s, self.own_rate_per_s or self.rate_per_s)


@dataclass(frozen=True, slots=True)
class ChannelView:
    """A connection as pages show it; never its secrets."""

    id: UUID
    transport: str
    transport_title: str
    name: str
    config: Mapping[str, str]
    state: str
    state_reason: str
    endpoint_url: str
    senders: list[SenderView] = field(default_factory=list)


@cache
def transports() -> dict[str, contract.Transport]:
    """Return the transports of the loaded plugins by name; one instance per process."""
    made = [cls() for _name, classes in plugins().register("transports") for cls in classes]
    return {one.name: one for one in made}


def connect(
    transport: str,
    name: str,
    config: Mapping[str, str],
    secrets: Mapping[str, str],
    senders: Sequence[SenderIn],
) -> Channel:
    """Connect a provider and the numbers it sends from.

    Raises:
        Invalid: an unknown transport, a missing secret, or a number that is none.
        Conflict: a number is connected already, or a connection has this name.
    """
    access.require("portal.senders")
    one = transports().get(transport)
    if one is None:
        raise Invalid("transport_unknown", _("There is no such kind of connection."))
    given = {k: v.strip() for k, v in secrets.items() if v.strip()}
    if "verify_token" in one.secret_fields:
        given.setdefault("verify_token", random.token_urlsafe(24))
    for wanted in one.secret_fields:
        if wanted not in given:
            raise Invalid(
                "secret_missing", _("This connection needs every secret."), field=wanted
            )
    if not senders:
        raise Invalid("sender_missing", _("Add at least one number."), field="provider_id")
    numbers = [address.parse_phone(s.number).e164 for s in senders]
    _refuse_known(transport, senders)
    quotas.require_senders(len(senders))

    row = Channel(id=db.new_id(), transport=transport, name=name, config=dict(config))
    row.secrets = _sealed(row.id, given)
    try:
        with db.session().begin_nested():
            db.session().add(row)
    except IntegrityError as error:  # two forms at once meet here too
        said = _("There is a connection of this name. Choose another one.")
        raise Conflict("channel_name_taken", said, field="name") from error
    for sender, number in zip(senders, numbers, strict=True):
        _add_sender(row.id, sender, number)
    audit.record("messaging.channel.connected", row, senders=len(senders))
    return row


def rotate(channel_id: UUID, secrets: Mapping[str, str]) -> None:
    """Replace secrets that are given and keep the others; a paused connection resumes."""
    from clarion.messaging import breakers

    access.require("portal.senders")
    row = _locked(channel_id)
    new = {k: v.strip() for k, v in secrets.items() if v.strip()}
    row.secrets = _sealed(row.id, {**opened(row).secrets, **new})
    row.state, row.state_reason = "active", ""
    breakers.resumed("channel", str(row.id))
    audit.record("messaging.channel.rotated", row, fields=sorted(new))
    check_channel.later(row.id)


def listing() -> list[ChannelView]:
    """List the account's connections with their numbers, in two queries."""
    rows = db.session().scalars(select(Channel).order_by(Channel.created_at)).all()
    numbers = senders()
    return [
        ChannelView(
            id=row.id,
            transport=row.transport,
            transport_title=getattr(
                transports().get(row.transport), "title", row.transport
            ),
            name=row.name,
            config=row.config,
            state=row.state,
            state_reason=row.state_reason,
            endpoint_url=endpoint_url(row),
            senders=[s for s in numbers if s.channel_id == row.id],
        )
        for row in rows
    ]


def senders() -> list[SenderView]:
    """List the account's numbers; one whose connection is paused shows that reason."""
    query = select(Sender, Channel.state, Channel.state_reason, Channel.transport).join(
        Channel,
        (Channel.account_id == Sender.account_id) & (Channel.id == Sender.channel_id),
    )
    return [
        SenderView(
            id=row.id,
            channel_id=row.channel_id,
            number=row.number,
            name=row.name,
            provider_id=row.provider_id,
            quality=row.quality,
            state=row.state if channel_state == "active" else channel_state,
            state_reason=row.state_reason or channel_reason,
            rate_per_s=row.rate_per_s,
            own_rate_per_s=row.own_rate_per_s,
            transport=transport,
        )
        for row, channel_state, channel_reason, transport in db.session().execute(
            query.order_by(Sender.created_at)
        )
    ]


def channel_of(sender_id: UUID) -> UUID:
    """Return the connection of a number. Raises NotFound."""
    return _sender(sender_id).channel_id


def pause_sender(sender_id: UUID, reason: str = "paused_by_person") -> None:
    """Stop sending from a number; what waits stays queued."""
    access.require("portal.senders")
    row = _sender(sender_id)
    row.state, row.state_reason = "paused", reason
    audit.record("messaging.sender.paused", row, why=reason)


def resume_sender(sender_id: UUID) -> None:
    """Send from a number again, and ring the orders that wait for it."""
    from clarion.messaging import breakers, orders

    access.require("portal.senders")
    row = _sender(sender_id)
    channel = _locked(row.channel_id)
    breakers.resumed("sender", str(sender_id))
    breakers.resumed("channel", str(channel.id))
    if channel.portfolio_id is not None:
        breakers.resumed("portfolio", str(channel.portfolio_id))
    row.state, row.state_reason, row.slow_until = "active", "", None
    if channel.state == "paused":
        channel.state, channel.state_reason = "active", ""
    audit.record("messaging.sender.resumed", row)
    orders.ring_sender(sender_id)


def halt(channel_id: UUID, sender_id: UUID, scope: str, reason: str) -> bool:
    """Pause what the provider says is wrong; say whether that is news.

    Called by the engine inside its transaction; the owner is told once, because the
    second caller finds the row paused already.
    """
    model, key = (Channel, channel_id) if scope == "channel" else (Sender, sender_id)
    query = (
        update(model)
        .where(model.account_id == current_account(), model.id == key)
        .where(model.state == "active")
        .values(state="paused", state_reason=reason[:200])
        .returning(model.id)
    )
    news = db.session().execute(query).first() is not None
    if news:
        audit.record(f"messaging.{scope}.paused", None, id=key, why=reason)
    return news


def endpoint_url(channel: Channel) -> str:
    """Return the address the provider must call with webhooks."""
    base = settings().callback_base_url.rstrip("/")
    return f"{base}/in/{channel.transport}/{channel.id}"


def opened(channel: Channel) -> contract.Channel:
    """Open a connection's secrets for its transport."""
    text = crypto.unseal(
        channel.secrets,
        place=f"channel.secrets:{channel.id}",
        account_id=channel.account_id,
    )
    return contract.Channel(channel.id, dict(channel.config), json.loads(text))


@job(queue="default", idempotent=True, alone=True)
def check_channel(channel_id: UUID) -> None:
    """Ask the provider about each number of a connection, and store what it says."""
    with db.transaction():
        channel = _found(channel_id)
        view, transport = opened(channel), transports()[channel.transport]
        wanted = [(s.id, s.provider_id) for s in senders() if s.channel_id == channel_id]
    answers = asyncio.run(_ask(transport, view, [p for _id, p in wanted]))
    with db.transaction():
        for (sender_id, _provider), answer in zip(wanted, answers, strict=True):
            _note(channel_id, sender_id, answer)


async def _ask(
    transport: contract.Transport, channel: contract.Channel, ids: list[str]
) -> list[Any]:
    async with http_for(transport) as http:
        asked = (transport.check(channel, one, http) for one in ids)
        return await asyncio.gather(*asked, return_exceptions=True)


def http_for(transport: contract.Transport) -> "Client":
    """Make the outbound client of one transport: its declared hosts, and nothing else."""
    from clarion.base.http import Client

    return Client(hosts=transport.hosts, allow=settings().http_allow)


def _note(channel_id: UUID, sender_id: UUID, answer: Any) -> None:
    from clarion.messaging import breakers

    row = _sender(sender_id)
    if isinstance(answer, contract.Halted) and answer.scope != "template":
        if answer.scope == "sender":
            breakers.open_("sender", str(sender_id), answer.reason)
        else:
            breakers.open_channel(channel_id, answer.reason)
    elif isinstance(answer, Mapping):
        row.name = str(answer.get("name") or row.name)[:120]
        grades.note(row, str(answer.get("quality") or "")[:12])
        if row.quality == "red":
            breakers.open_("sender", str(sender_id), "number_quality_red")
        elif row.quality in ("green", "yellow"):
            well = frozenset({"number_quality_red"})
            breakers.cleared("sender", str(sender_id), well)
        if isinstance(found := answer.get("limits"), contract.Limits):
            limits.belong(channel_id, found)
            limits.learn(channel_id, found)
        if row.state_reason == "unreachable":
            row.state_reason = ""
    elif isinstance(answer, NotSent):
        row.state_reason = "unreachable"
    else:
        log.warning("channel.check_failed", error=type(answer).__name__)


def _refuse_known(transport: str, senders: Sequence[SenderIn]) -> None:
    query = select(Sender.provider_id).join(
        Channel,
        (Channel.account_id == Sender.account_id) & (Channel.id == Sender.channel_id),
    )
    known = set(db.session().scalars(query.where(Channel.transport == transport)))
    if any(s.provider_id in known for s in senders):
        raise Conflict("sender_known", _("This number is connected already."))


def _add_sender(channel_id: UUID, sender: SenderIn, number: str) -> None:
    row = Sender(
        id=db.new_id(),
        channel_id=channel_id,
        provider_id=sender.provider_id.strip(),
        number=number,
        name=sender.name.strip(),
        rate_per_s=max(sender.rate_per_s, DEFAULT_RATE),
        own_rate_per_s=sender.rate_per_s if sender.rate_per_s < DEFAULT_RATE else None,
    )
    db.session().add(row)
    db.session().flush()
    db.session().add(SenderBucket(sender_id=row.id))


def _sealed(channel_id: UUID, secrets: Mapping[str, str]) -> bytes:
    return crypto.seal(
        json.dumps(dict(secrets)),
        place=f"channel.secrets:{channel_id}",
        account_id=current_account(),
    )


def _found(channel_id: UUID) -> Channel:
    row = db.session().scalar(select(Channel).where(Channel.id == channel_id))
    if row is None:
        raise NotFound("channel_unknown", _("There is no such connection."))
    return row


def _locked(channel_id: UUID) -> Channel:
    query = select(Channel).where(Channel.id == channel_id).with_for_update()
    row = db.session().scalar(query)
    if row is None:
        raise NotFound("channel_unknown", _("There is no such connection."))
    return row


def _sender(sender_id: UUID) -> Sender:
    row = db.session().scalar(
        select(Sender).where(Sender.id == sender_id).with_for_update()
    )
    if row is None:
        raise NotFound("sender_unknown", _("There is no such number."))
    return row
