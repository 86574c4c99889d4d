"""Received webhooks as staff see them: when, what became of them, and applied again.

What a webhook says is a customer's content: it is read under a grant of the account, and
so is its shape. Without one, staff see its facts.
"""

import datetime as dt
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import and_, func, select
from sqlalchemy.orm import load_only

from clarion.base import crypto, db, keyset
from clarion.base.errors import Conflict, Invalid, NotFound, TooMany
from clarion.base.telemetry import logger
from clarion.base.words import _
from clarion.console import machine
from clarion.messaging import channels
from clarion.messaging.models import Channel
from clarion.support import entries, grants
from clarion.tenancy import access, audit
from clarion.work import masking, replaying, stops
from clarion.work.models import WebhookInbox
from clarion.work.webhooks import TRIES

log = logger(__name__)
PAGE: Final = 50
STATES: Final = ("waiting", "failing", "failed", "applied")
KINDS: Final = ("inbound", "status", "other")
_FACTS = (
    WebhookInbox.id, WebhookInbox.account_id, WebhookInbox.endpoint_id,
    WebhookInbox.key, WebhookInbox.kind, WebhookInbox.events,
    WebhookInbox.tries, WebhookInbox.result, WebhookInbox.applied_at,
    WebhookInbox.created_at,
)  # fmt: skip

audit.label("console.webhook.replayed", "Had a webhook applied again")


@dataclass(frozen=True, slots=True)
class Asked:
    """Which webhooks are listed."""

    state: str = ""
    kind: str = ""
    transport: str = ""
    account_id: UUID | None = None
    after: UUID | None = None
    before: UUID | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """A webhook's facts; `mark` tells two of them apart without saying whom they are about."""

    id: UUID
    account_id: UUID
    account_name: str
    kind: str
    events: int
    way: str
    mark: str
    came_at: dt.datetime
    applied_at: dt.datetime | None
    tries: int
    result: str
    state: str

    @property
    def replayable(self) -> bool:
        """Whether applying it (again) can only do good."""
        return self.state != "applied" or self.kind == replaying.TWICE


@dataclass(frozen=True, slots=True)
class Leaf:
    """One page of the list."""

    rows: list[Letter]
    count: int
    after: UUID | None
    before: UUID | None


@dataclass(frozen=True, slots=True)
class Body:
    """What a webhook says: its shape, or all of it; `size` in bytes."""

    text: str
    size: int
    clear: bool


def page(asked: Asked) -> Leaf:
    """List webhooks by key, the latest first: as many statements for fifty as for one."""
    access.require("console.webhooks")
    m = WebhookInbox
    query = select(m)
    if asked.state:
        query = query.where(_is(asked.state))
    if asked.kind:
        if asked.kind not in KINDS:
            raise _unfilterable()
        query = query.where(m.kind == asked.kind)
    if asked.account_id:
        query = query.where(m.account_id == asked.account_id)
    if asked.transport:
        ours = select(Channel.id).where(Channel.transport == asked.transport)
        query = query.where(m.endpoint_id.in_(ours))
    where = keyset.Asked(m.id, True, asked.after, asked.before)
    with db.apart(stops.SYSTEM) as orm:
        leaf = keyset.read(orm, query, m.id, where, size=PAGE, options=[load_only(*_FACTS)])
    return Leaf(_letters(leaf.rows), leaf.count, leaf.after, leaf.before)


def _is(state: str) -> Any:  # Any: a condition
    m = WebhookInbox
    waits = m.applied_at.is_(None)
    found = {
        "waiting": and_(waits, m.tries == 0),
        "failing": and_(waits, m.tries > 0, m.tries < TRIES),
        "failed": and_(waits, m.tries >= TRIES),
        "applied": m.applied_at.is_not(None),
    }
    if state not in found:
        raise _unfilterable()
    return found[state]


def _unfilterable() -> Invalid:
    return Invalid("filter_unknown", _("This list cannot be filtered like that."))


def _letters(rows: Sequence[WebhookInbox]) -> list[Letter]:
    names = machine.account_names([row.account_id for row in rows])
    query = select(Channel.id, Channel.transport)
    query = query.where(Channel.id.in_({row.endpoint_id for row in rows}))
    ways = dict(db.session().execute(query).tuples().all()) if rows else {}
    titles = ways_there_are()
    out = []
    for row in rows:
        way = ways.get(row.endpoint_id, "")
        state = (
            "applied"
            if row.applied_at
            else "failed" if row.tries >= TRIES
            else "failing" if row.tries else "waiting"
        )  # fmt: skip
        letter = Letter(
            id=row.id,
            account_id=row.account_id,
            account_name=names.get(row.account_id, ""),
            kind=row.kind,
            events=row.events,
            way=titles.get(way, way),
            mark=masking.identifier(row.key),
            came_at=row.created_at,
            applied_at=row.applied_at,
            tries=row.tries,
            result=masking.result(row.result),
            state=state,
        )
        out.append(letter)
    return out


def ways_there_are() -> dict[str, str]:
    """Name the transports there are."""
    return {name: str(one.title) for name, one in channels.transports().items()}


def failed() -> dict[str, int]:
    """Count what was given up, by kind."""
    access.require("console.webhooks")
    m = WebhookInbox
    query = select(m.kind, func.count(m.id)).where(replaying.given_up()).group_by(m.kind)
    with db.apart(stops.SYSTEM) as orm:
        return dict(orm.execute(query).tuples().all())


def one(webhook_id: UUID) -> Letter:
    """Find one webhook's facts."""
    access.require("console.webhooks")
    query = select(WebhookInbox).where(WebhookInbox.id == webhook_id)
    with db.apart(stops.SYSTEM) as orm:
        row = orm.scalar(query.options(load_only(*_FACTS)))
    if row is None:
        raise NotFound(
            "webhook_unknown", _("There is no such webhook: it was forgotten, perhaps.")
        )
    return _letters([row])[0]


# --- what it says


def granted(letter: Letter) -> bool:
    """Say whether this staff member may read content of the account now."""
    return entries.held(letter.account_id) is not None


def shape(letter: Letter) -> Body | None:
    """Show what a webhook looks like: its fields and ids, none of its words.

    None: it does not open any more.

    Raises:
        GrantNeeded: this staff member has no live grant for the account.
    """
    access.require("console.webhooks")
    opened = _opened(letter, "screen")
    if opened is None:
        return None
    found, size = opened
    return Body(_written(masking.payload(found)), size, clear=False)


def reveal(letter: Letter) -> Body | None:
    """Show what a webhook says, in the clear; the log says so before it is read.

    None: it does not open any more.

    Raises:
        GrantNeeded: this staff member has no live grant for the account.
        TooMany: this access has revealed too many records already.
    """
    access.require("console.webhooks_reveal")
    held = entries.held(letter.account_id)
    if held and grants.reveals([held.id]).get(held.id, 0) >= 2 * grants.MANY_REVEALS:
        text = _("This access has shown too many records in the clear. Ask for a new one.")
        raise TooMany("reveals_many", text)
    opened = _opened(letter, "reveal")
    if opened is None:
        return None
    found, size = opened
    return Body(_written(found), size, clear=True)


def _opened(letter: Letter, deed: str) -> tuple[Any, int] | None:
    m = WebhookInbox
    query = select(m.key, m.payload).where(
        m.account_id == letter.account_id, m.id == letter.id
    )
    row_name = f"webhook_id:{letter.id}"
    where = "/console/webhooks/…"
    with entries.looking(letter.account_id, where, deed=deed, row=row_name):
        row = db.session().execute(query).first()
    if row is None:
        raise NotFound("webhook_unknown", _("There is no such webhook."))
    try:
        plain = crypto.unseal(
            row.payload, place=f"webhook_inbox:{row.key}", account_id=letter.account_id
        )
    except crypto.Unreadable:  # the account's key is gone, or another one has come
        log.warning("webhook.unreadable", webhook_id=letter.id)
        return None
    text = zlib.decompress(plain)
    return json.loads(text), len(text)


def _written(what: Any) -> str:
    return json.dumps(what, indent=2, ensure_ascii=False)


# --- again


def replay(webhook_id: UUID) -> None:
    """Have one webhook applied (again) by its lane."""
    access.require("console.webhooks_replay")
    letter = one(webhook_id)
    if not letter.replayable:
        said = _(
            "It was applied. What a person wrote, and news of a provider, are applied once."
        )
        raise Conflict("webhook_applied", said)
    audit.record(
        "console.webhook.replayed", webhook=letter.id, kind=letter.kind,
        account=letter.account_id,
    )  # fmt: skip
    replaying.replay.later(letter.account_id, letter.id)


def replay_failed(kind: str) -> int:
    """Have every webhook of a kind that was given up applied; how many there are."""
    access.require("console.webhooks_replay")
    if kind not in KINDS:
        raise Invalid("kind_unknown", _("There is no such kind."), field="kind")
    until, count = replaying.newest(kind), replaying.left(kind)
    if until is None:
        raise Conflict("webhook_none_left", _("None of this kind was given up."))
    audit.record("console.webhook.replayed", kind=kind, count=count)
    replaying.replay_failed.later(kind, until)
    return count
