"""Hooks that fail or overrun too often rest for a while, and wake by themselves.

Each process counts how calls went and adds what it counted here, beside the figures of
`hooktimes`. The one that finds a budget used up lets the hook rest: every process reads
that with the switches, within three seconds. What may stop an act (`before_…`) never
rests, because it would then happen unasked; it is told of all the same.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import BigInteger, String, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped

from clarion.base import clock, db
from clarion.base.db import Base, Wall, column
from clarion.base.errors import Conflict
from clarion.base.trails import NoTrail
from clarion.base.words import _
from clarion.plugging.manager import FAULTS, Strain, plugins
from clarion.tenancy import audit
from clarion.tenancy.actor import SYSTEM_JOB
from clarion.tenancy.models import Time
from clarion.tenancy.scope import system_scope

SYSTEM = db.Entry("clarion_system", None, "resting")
SHARE = 0.2  # of the calls of those seconds; one in a thousand is no reason to rest
WITHIN = dt.timedelta(minutes=5)
REST = dt.timedelta(minutes=15)
KEPT = dt.timedelta(days=7)
audit.label("plugins.hook.rests", "A plugin’s hook failed too often and rests")
audit.label("plugins.hook.woken", "Let a plugin’s hook be called again")
audit.label("plugins.veto.failing", "A plugin’s veto failed too often; its gate is shut")


class HookRest(Base):
    """A plugin's hook that failed or overran too often, and until when nobody calls it."""

    __tablename__ = "hook_rest"
    wall = Wall(
        kind="platform",
        staff=("SELECT", "UPDATE"),
        system=("SELECT", "INSERT", "UPDATE", "DELETE"),
        why="about the deployment, not about an account",
    )
    trail = NoTrail("counted by the machine")

    plugin: Mapped[str] = column(String(40), pd=None, primary_key=True)
    hook: Mapped[str] = column(String(120), pd=None, primary_key=True)
    began_at: Mapped[dt.datetime] = column(Time, pd=None)
    calls: Mapped[int] = column(BigInteger, pd=None)
    faults: Mapped[int] = column(BigInteger, pd=None)
    why: Mapped[str] = column(String(120), pd=None, server_default="")
    rests_at: Mapped[dt.datetime | None] = column(Time, pd=None)
    rests_until: Mapped[dt.datetime | None] = column(Time, pd=None)
    told_at: Mapped[dt.datetime | None] = column(Time, pd=None)


@dataclass(frozen=True, slots=True)
class Rest:
    """A hook whose budget is used up.

    Attributes:
        hook: as the budget names it; a place behind a colon, `job:` before a handler.
        why: the class of the last error; `late` when calls only took too long.
    """

    plugin: str
    hook: str
    why: str
    since: dt.datetime
    until: dt.datetime

    @property
    def guards(self) -> bool:
        """Say whether it may stop an act; then it is asked all the same."""
        return guards(self.hook)


def guards(hook: str) -> bool:
    """Say whether a hook may stop an act."""
    return hook.startswith("before_")


def read() -> frozenset[tuple[str, str]]:
    """Return the hooks that rest now; what `Plugins.rested_by` asks."""
    with db.apart(SYSTEM) as orm:
        found = orm.execute(
            select(HookRest.plugin, HookRest.hook).where(
                HookRest.rests_until > clock.now(), HookRest.hook.not_like("before\\_%")
            )
        )
        return frozenset(found.tuples())


def settle(found: Mapping[tuple[str, str], Strain]) -> None:
    """Count faults against each hook's budget; whose is used up rests, with an entry."""
    if not found:
        return
    with system_scope(SYSTEM_JOB), db.transaction():
        rests = [_counted(*key, one) for key, one in sorted(found.items())]
    if any(rests):
        plugins().look_again()


def _counted(plugin: str, hook: str, strain: Strain) -> bool:
    now, orm = clock.now(), db.session()
    new = insert(HookRest).values(plugin=plugin, hook=hook, began_at=now, calls=0, faults=0)
    orm.execute(new.on_conflict_do_nothing())
    key = {"plugin": plugin, "hook": hook}
    row = orm.get_one(HookRest, key, with_for_update=True, populate_existing=True)
    if row.rests_until is not None and row.rests_until > now:
        return False  # called before that process knew
    if row.began_at < now - WITHIN:
        row.began_at, row.calls, row.faults = now, 0, 0
    row.calls += strain.calls
    row.faults += strain.faults
    if row.faults < FAULTS or row.faults < SHARE * row.calls:
        return False
    row.why = strain.error if strain.failed else "late"
    row.rests_at, row.rests_until, row.told_at = now, now + REST, None
    audit.record(
        "plugins.veto.failing" if guards(hook) else "plugins.hook.rests",
        plugin=plugin,
        hook=hook,
        faults=row.faults,
        calls=row.calls,
        why=row.why,
        until=row.rests_until,
    )
    row.calls = row.faults = 0
    return True


def listing(plugin: str = "") -> list[Rest]:
    """List the hooks whose budget is used up now, of one plugin or all."""
    query = select(HookRest).where(HookRest.rests_until > clock.now())
    if plugin:
        query = query.where(HookRest.plugin == plugin)
    rows = db.session().scalars(query.order_by(HookRest.plugin, HookRest.hook))
    return [_rest(row) for row in rows]


def wake(plugin: str, hook: str) -> None:
    """Let a hook be called again at once.

    Raises:
        Conflict: it does not rest.
    """
    row = db.session().get(HookRest, {"plugin": plugin, "hook": hook}, with_for_update=True)
    now = clock.now()
    if row is None or row.rests_until is None or row.rests_until <= now:
        raise Conflict("hook_awake", _("This hook is called already."))
    row.rests_until, row.began_at, row.calls, row.faults = now, now, 0, 0
    audit.record("plugins.hook.woken", plugin=plugin, hook=hook)
    plugins().look_again()


def untold() -> list[Rest]:
    """Take the rests that nobody was told of yet; from now on somebody was."""
    query = select(HookRest).where(
        HookRest.rests_at.is_not(None), HookRest.told_at.is_(None)
    )
    rows = db.session().scalars(query.with_for_update(skip_locked=True)).all()
    for row in rows:
        row.told_at = clock.now()
    return [_rest(row) for row in rows]


def purge() -> None:
    """Forget hooks that have been well for a week."""
    with db.apart(SYSTEM) as orm:
        old = func.coalesce(HookRest.rests_until, HookRest.began_at)
        orm.execute(
            delete(HookRest).where(
                old < clock.now() - KEPT,
                or_(HookRest.rests_at.is_(None), HookRest.told_at.is_not(None)),
            )
        )


def _rest(row: HookRest) -> Rest:
    assert row.rests_at is not None  # noqa: S101 -- queries ask for it
    assert row.rests_until is not None  # noqa: S101 -- set together
    return Rest(row.plugin, row.hook, row.why, row.rests_at, row.rests_until)
