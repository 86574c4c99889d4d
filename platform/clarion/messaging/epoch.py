"""The epoch guard: is this database the one we left, or an older one, or a copy of it?

While anything is dispatched the relay counts up in the database, commits, and writes the
count outside it. A database that has counted less than a copy, or runs elsewhere than it
says, was restored, promoted or cloned; what it holds as queued may have been sent. Then
nothing is dispatched until two people say so. What happens to its rows: `restored`.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from clarion.base import catalogue, crash, db, epochs
from clarion.base.catalogue import Identity
from clarion.base.epochs import Copy
from clarion.base.errors import Conflict, Unavailable
from clarion.base.settings import settings
from clarion.base.telemetry import gauge, logger
from clarion.base.words import _
from clarion.messaging.instance import InstanceEpoch
from clarion.messaging.models import Campaign, Message

log = logger(__name__)
SYSTEM = db.Entry("clarion_system", None, "job:epoch")
EVERY = dt.timedelta(seconds=10)
_CHECKED = "clarion_epoch_checked"  # of a connection: it leads to a database we know
closed = gauge("dispatch_closed", "1 while nothing is sent: the database was restored")


@dataclass(frozen=True, slots=True)
class Standing:
    """How this database stands to its copies.

    Attributes:
        instance: its id.
        epoch: how far it has counted.
        identity: where it ran when it was last trusted.
        restored_at: when it was last found restored; None when it never was.
        why: older, no_copy, promoted, other_server or other_database; empty without.
        shut: nothing is dispatched.
        held: what waited in it is held, and the journal of suppressions replayed.
        replayed: how many suppressions that put back.
        asked_by: who wants messages to leave again, as an actor's label.
        raised_at: when it counted last.
    """

    instance: UUID
    epoch: int
    identity: Identity
    restored_at: dt.datetime | None
    why: str
    shut: bool
    held: bool
    replayed: int = 0
    asked_by: str | None = None
    raised_at: dt.datetime | None = None


def check() -> Standing:
    """Compare the database with its copies; shut dispatch where they disagree.

    Copies are read before the count: they are written after it is committed, so a count
    read later is never less, unless the database is older than they are.
    """
    while True:
        with db.apart(SYSTEM) as orm:
            instance = _row(orm).instance
        copies = list(epochs.read(str(instance)).values())
        with db.apart(SYSTEM) as orm:
            row, here = _row(orm), catalogue.identity(orm.connection())
            if row.instance != instance:
                continue  # released as another instance a moment ago
            why = _doubt(row, here, copies)
            if why and not _shut(row):
                _close(orm, why)
            elif not why and not _shut(row) and _identity(row) != here:
                _adopt(orm, here)
            found = _standing(_row(orm))
        closed.set(found.shut)
        if not copies and found.epoch == 0 and not found.shut:
            epochs.write(_copy(found))  # before the first count: none is ever without
        return found


def standing() -> Standing:
    """Read how the database stood when it was last compared; any role may ask."""
    row = db.session().scalar(select(InstanceEpoch))
    if row is None:
        return Standing(UUID(int=0), 0, Identity("", 0, 0), None, "", shut=False, held=True)
    return _standing(row)


def shut() -> bool:
    """Say whether nothing may be dispatched; one small query, for who begins to send."""
    query = select(InstanceEpoch.name).where(is_shut())
    return db.session().scalar(select(query.exists())) or False


def restored_at() -> dt.datetime | None:
    """Say when the database was last found restored; what people began before is doubtful."""
    return db.session().scalar(select(InstanceEpoch.restored_at))


def is_shut() -> Any:  # Any: a column expression
    """Return the condition under which the one row says that nothing may leave."""
    return and_(InstanceEpoch.restored_at.is_not(None), InstanceEpoch.released_at.is_(None))


def require() -> None:
    """Refuse to send over a connection to a database nobody has compared yet; the gate.

    Called in every intent transaction. Asks once per connection: behind the next one may
    be another database. Raises `Unavailable` while nothing may leave.
    """
    info = db.session().connection().info
    if info.get(_CHECKED):
        return
    if check().shut:
        raise Unavailable(
            "database_restored",
            _("The database was restored. Nothing is sent until two people say so."),
        )
    info[_CHECKED] = True


# --- counting


def count() -> bool:
    """Count up if anything was dispatched since the last time.

    What the relay calls every second; it counts at most every ten. False when the
    database turns out to be restored, and what is in it is not held yet.
    """
    with db.apart(SYSTEM) as orm:
        row = _row(orm)
        if _shut(row):
            return row.held_at is not None
        if not orm.scalar(select(_due(row))):
            return True
    if check().shut:
        return False
    raise_epoch()
    return True


def raise_epoch() -> int | None:
    """Count up now, commit, and write the copies; None while dispatch is shut.

    `clarion backup` calls it right after its snapshot: each backup is older than its
    copies from birth.
    """
    with db.apart(SYSTEM) as orm:
        statement = (
            update(InstanceEpoch)
            .where(~is_shut())
            .values(epoch=InstanceEpoch.epoch + 1, raised_at=func.clarion_now())
            .execution_options(synchronize_session=False)
        )
        if not orm.execute(statement.returning(InstanceEpoch.name)).first():
            return None
        found = _standing(_row(orm))
    crash.here("after_epoch_commit")
    epochs.write(_copy(found))
    return found.epoch


def outgrow() -> None:
    """Count above every copy: what people have decided is newer than all of them.

    While dispatch is shut nothing is counted; opening it does.
    """
    with db.apart(SYSTEM) as orm:
        row = _row(orm, lock=True)
        if _shut(row):
            return
        row.epoch, row.raised_at = _above(row), func.clarion_now()
        orm.flush()
        orm.refresh(row)
        found = _standing(row)
    epochs.write(_copy(found))


def ask_to_open(who: str) -> None:
    """Note who wants messages to leave again; raises `Conflict` while they may anyway."""
    with db.apart(SYSTEM) as orm:
        row = _shut_row(orm)
        row.asked_by, row.asked_at = who, func.clarion_now()


def take_back(who: str) -> None:
    """Forget that somebody wants messages to leave again."""
    with db.apart(SYSTEM) as orm:
        row = _shut_row(orm)
        row.asked_by = row.asked_at = None
    log.info("epoch.not_opened", by=who)


def open_again(who: str) -> None:
    """Let messages leave again, because a second person says so too.

    The database is trusted where it runs now. A copy of another database gets an id of
    its own, so that the one it was copied from goes on undisturbed.

    Raises `Conflict` when nobody asked, when the same person did, or when it is open.
    """
    with db.apart(SYSTEM) as orm:
        row, here = _shut_row(orm), catalogue.identity(orm.connection())
        if row.asked_by is None or row.held_at is None:
            raise Conflict("opening_not_asked", _("Nobody has asked for that yet."))
        if row.asked_by == who:
            raise Conflict(
                "second_person_needed", _("A second person has to confirm this.")
            )
        row.epoch, row.raised_at = _above(row), func.clarion_now()
        if (row.server, row.database) != (here.server, here.database):
            row.instance = uuid4()
        row.server, row.database, row.timeline = here.server, here.database, here.timeline
        row.released_by, row.released_at = who, func.clarion_now()
        # before the commit: an id without a copy would pass for a restored one
        epochs.write(
            Copy(str(row.instance), row.epoch, here.server, here.database, here.timeline)
        )
    closed.set(0)


def _above(row: InstanceEpoch) -> int:
    copies = epochs.read(str(row.instance)).values()
    return max([row.epoch, *(one.epoch for one in copies)]) + 1


# --- the row


def _row(orm: Session, *, lock: bool = False) -> InstanceEpoch:
    """Read the one row anew; the first who asks makes it."""
    query = select(InstanceEpoch).execution_options(populate_existing=True)
    row = orm.scalar(query.with_for_update() if lock else query)
    if row is not None:
        return row
    orm.execute(insert(InstanceEpoch).values(name="this").on_conflict_do_nothing())
    return orm.scalars(query).one()


def _shut_row(orm: Session) -> InstanceEpoch:
    row = _row(orm, lock=True)
    if not _shut(row):
        raise Conflict("dispatch_open", _("Messages are being sent already."))
    return row


def _doubt(row: InstanceEpoch, here: Identity, copies: list[Copy]) -> str:
    """Say in one word why the database is not the one we left; empty when it is."""
    highest = max((one.epoch for one in copies), default=None)
    if row.server and row.server != here.server:
        return "other_server"
    if row.database and row.database != here.database:
        return "other_database"
    if highest is not None and row.epoch < highest:
        return "older"
    if row.timeline and row.timeline != here.timeline:
        kept = settings().failover == "synchronous" and row.epoch == highest
        return "" if kept else "promoted"
    if highest is None and row.epoch > 0:
        return "no_copy"
    return ""


def _close(orm: Session, why: str) -> None:
    """Shut dispatch from this commit on; once, whoever finds it first."""
    statement = (
        update(InstanceEpoch)
        .where(~is_shut())
        .values(
            restored_at=func.clarion_now(),
            restored_why=why,
            held_at=None,
            replayed=0,
            people_asked_at=None,
            asked_by=None,
            asked_at=None,
            released_by=None,
            released_at=None,
        )
        .execution_options(synchronize_session=False)
    )
    if orm.execute(statement.returning(InstanceEpoch.name)).first():
        log.critical("epoch.restored", why=why)


def _adopt(orm: Session, here: Identity) -> None:
    """Note where the database runs: at its first start, or after a synchronous failover."""
    statement = update(InstanceEpoch).values(
        server=here.server, database=here.database, timeline=here.timeline
    )
    orm.execute(statement.execution_options(synchronize_session=False))
    log.info("epoch.adopted", database=here.database, timeline=here.timeline)


def _due(row: InstanceEpoch) -> Any:  # Any: a column expression
    """Return the condition that something was dispatched, and the last count is old."""
    since = row.raised_at
    # columns are named: clarion_system may read these and no others
    calling = select(Message.id).where(Message.state == "dispatching").exists()
    if since is None:
        drained = select(Campaign.id).where(Campaign.drained_at.is_not(None)).exists()
        return or_(calling, drained)
    drained = select(Campaign.id).where(Campaign.drained_at > since).exists()
    return and_(func.clarion_now() > since + EVERY, or_(calling, drained))


def _shut(row: InstanceEpoch) -> bool:
    return row.restored_at is not None and row.released_at is None


def _identity(row: InstanceEpoch) -> Identity:
    return Identity(row.server, row.database, row.timeline)


def _standing(row: InstanceEpoch) -> Standing:
    return Standing(
        instance=row.instance,
        epoch=row.epoch,
        identity=_identity(row),
        restored_at=row.restored_at,
        why=row.restored_why,
        shut=_shut(row),
        held=row.held_at is not None,
        replayed=row.replayed,
        asked_by=row.asked_by,
        raised_at=row.raised_at,
    )


def _copy(found: Standing) -> Copy:
    here = found.identity
    return Copy(str(found.instance), found.epoch, here.server, here.database, here.timeline)
