"""Is this the database we left; and two staff let it send again after a restore."""

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

from flask_appbuilder.security.sqla.models import User
from sqlalchemy import func, select

from clarion.base import db, epochs
from clarion.base.epochs import BROKER
from clarion.base.words import _
from clarion.messaging import epoch
from clarion.messaging.doubts import RESTORED
from clarion.messaging.models import Campaign, Message, Orphan
from clarion.tenancy import access, audit
from clarion.tenancy.models import Account
from clarion.tenancy.scope import current_actor

SYSTEM = db.Entry("clarion_system", None, "web:console")
audit.label("console.restore.asked", "Asked to let messages be sent after a restore")
audit.label("console.restore.refused", "Took back that messages be sent after a restore")
audit.label("console.restore.released", "Let messages be sent again after a restore")


@dataclass(frozen=True, slots=True)
class HeldOrder:
    """A campaign that paused for the restore: how many people are in doubt."""

    account_id: UUID
    account_name: str
    name: str
    held: int
    unknown: int
    to_decide: int


@dataclass(frozen=True, slots=True)
class Backups:
    """How the database stands to its copies, and what a restore left.

    Attributes:
        standing: the database itself.
        copies: place and the epoch of each copy that can be read.
        words: why it counts as restored; empty when it does not.
        asked_by: the name of who wants messages to be sent again.
        mine: that is the present staff member.
        orders: campaigns with people in doubt.
        orphans: reports about messages the database does not know: sent after the backup.
    """

    standing: epoch.Standing
    copies: list[tuple[str, int]]
    words: str
    asked_by: str
    mine: bool
    orders: list[HeldOrder]
    orphans: int


def look() -> Backups:
    """Read everything the page shows."""
    access.require("console.backups")
    found = epoch.standing()
    copies = epochs.read(str(found.instance))
    orphans = 0
    if found.restored_at is not None:
        orphans = _orphans(found.restored_at)
    return Backups(
        standing=found,
        copies=[
            (_("the broker") if place == BROKER else place, one.epoch)
            for place, one in sorted(copies.items())
        ],
        words=_why(found.why) if found.shut else "",
        asked_by=_name(found.asked_by) if found.asked_by else "",
        mine=found.asked_by == current_actor().label,
        orders=_orders() if found.restored_at else [],
        orphans=orphans,
    )


def ask() -> None:
    """Want messages to be sent again; somebody else has to confirm."""
    access.require("console.backups_release")
    epoch.ask_to_open(current_actor().label)
    audit.record("console.restore.asked")


def refuse() -> None:
    """Take that back, one's own or another's."""
    access.require("console.backups_release")
    epoch.take_back(current_actor().label)
    audit.record("console.restore.refused")


def release() -> None:
    """Confirm what another staff member asked for; messages are sent again.

    Raises `Conflict` for one's own wish.
    """
    access.require("console.backups_release")
    epoch.open_again(current_actor().label)
    audit.record("console.restore.released")


def _why(word: str) -> str:
    return {
        "older": _("It has counted less than a copy of its epoch: it is an older one."),
        "no_copy": _("It has sent before, but no copy of its epoch can be found."),
        "promoted": _("It was promoted, or recovered to a point in time."),
        "other_server": _("It runs on another server than it did."),
        "other_database": _("It is a copy of the database that sent before."),
    }.get(word, word)


def _name(label: str) -> str:
    kind, _colon, key = label.partition(":")
    if kind != "staff" or not key.isdigit():
        return label
    query = select(User.first_name, User.last_name).where(User.id == int(key))
    row = db.session().execute(query).first()
    return f"{row[0]} {row[1]}".strip() if row else label


def _orders() -> list[HeldOrder]:
    paused = (
        select(Campaign.id, Campaign.account_id, Account.name, Campaign.name)
        .join(Account, Account.id == Campaign.account_id)
        .where(Campaign.state == "paused", Campaign.state_reason == RESTORED)
        .order_by(Campaign.created_at.desc())
        .limit(50)
    )
    rows = db.session().execute(paused).all()
    counts = (
        select(Message.campaign_id, Message.state, func.count())
        .where(
            Message.campaign_id.in_([row[0] for row in rows]),
            Message.state.in_(("held", "unknown", "needs_decision")),
        )
        .group_by(Message.campaign_id, Message.state)
    )
    with db.apart(SYSTEM) as orm:
        found = {(order, state): n for order, state, n in orm.execute(counts)}
    return [
        HeldOrder(
            account_id,
            account,
            name,
            found.get((key, "held"), 0),
            found.get((key, "unknown"), 0),
            found.get((key, "needs_decision"), 0),
        )
        for key, account_id, account, name in rows
    ]


def _orphans(since: dt.datetime) -> int:
    query = select(func.count()).select_from(Orphan).where(Orphan.created_at >= since)
    return db.session().scalar(query) or 0
