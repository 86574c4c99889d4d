"""Plugins and themes as their pages show them: what each declares, does and costs."""

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import Text, cast, func, select

from clarion.base import clock, db, walls
from clarion.base.settings import settings
from clarion.base.words import _
from clarion.console import switching
from clarion.console.staffing import names_of
from clarion.plugging.manager import Found, plugins
from clarion.plugging.manifest import about
from clarion.tenancy import access, hooktimes, preferences, resting
from clarion.tenancy.models import Account, Preference
from clarion.tenancy.plugins import PluginSwitch
from clarion.tenancy.resting import Rest
from clarion.tenancy.scope import current_actor
from clarion.web.themes import Theme, chain, themes
from clarion.work.models import DeadJob

SHOWN = 50
ORDER = ("failed", "asked", "switched_off", "loaded", "off")


@dataclass(frozen=True, slots=True)
class Line:
    """A plugin in the list.

    Attributes:
        state: `failed`, `off` (by a setting), `switched_off`, `asked` or `loaded`.
        calls: of its hooks in 24 hours; failures among them; milliseconds they took.
        resting: how many of its hooks failed or overran too often.
    """

    one: Found
    state: str
    what: str
    tables: int
    calls: int
    failures: int
    ms: float
    resting: int = 0


@dataclass(frozen=True, slots=True)
class ThemeLine:
    """A theme there is, and whether pages are drawn with it."""

    theme: Theme
    used: bool
    templates: bool


@dataclass(frozen=True, slots=True)
class TableLine:
    """A table of a plugin: whose rows, and what it holds about people."""

    name: str
    kind: str
    personal: list[str]
    kept: list[str]


@dataclass(frozen=True, slots=True)
class Switch:
    """How a plugin's switch stands, and who moved it last."""

    state: str
    reason: str
    asked_by: str
    decided_by: str
    mine: bool
    at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class View:
    """A plugin's page."""

    line: Line
    switch: Switch
    fixed: str
    guards: list[str]
    shut: list[str]
    tables: list[TableLine]
    named: list[str]
    hooks: list[hooktimes.HookLine]
    dead: int
    barred: list[tuple[UUID, str, str]]
    off_for: int
    resting: list[Rest]


@dataclass(frozen=True, slots=True)
class AccountLine:
    """A plugin in one account: `on`, `off` by its owner, `barred` or `switched_off` by staff.

    `chosen` is what its owner chose, by the titles of the manifest.
    """

    one: Found
    state: str
    reason: str
    chosen: list[tuple[str, Any]]


def listing() -> list[Line]:
    """List every plugin that was found, what needs a look first."""
    access.require("console.plugins")
    spent: dict[str, list[hooktimes.HookLine]] = {}
    for hook in hooktimes.listing():
        spent.setdefault(hook.plugin, []).append(hook)
    switched = _states()
    rests = Counter(rest.plugin for rest in resting.listing())
    lines = [
        replace(
            _line(one, switched.get(one.name, "on"), spent.get(one.name, ())),
            resting=rests[one.name],
        )
        for one in plugins().found.values()
    ]
    return sorted(lines, key=lambda line: (ORDER.index(line.state), line.one.name))


def theme_list() -> list[ThemeLine]:
    """List the themes there are; the one in use and its parents are marked."""
    used = {one.key for one in chain(settings().theme)}
    return [
        ThemeLine(one, one.key in used, (one.folder / "templates").is_dir())
        for one in themes().values()
    ]


def view(one: Found) -> View:
    """Read everything a plugin's page shows."""
    access.require("console.plugins")
    orm, hooks = db.session(), hooktimes.listing(one.name)
    row = orm.get(PluginSwitch, one.name)
    who = names_of([row.asked_by, row.decided_by]) if row else {}
    switch = Switch(
        row.state if row else "on",
        row.reason if row else "",
        who.get(row.asked_by or "", "") if row else "",
        who.get(row.decided_by or "", "") if row else "",
        mine=row is not None and row.asked_by == current_actor().label,
        at=row.changed_at if row else None,
    )
    barred = (
        select(Account.id, Account.name, Preference.value)
        .join(Account, Account.id == Preference.account_id)
        .where(Preference.plugin == one.name, Preference.name == preferences.BARRED)
        .order_by(Account.name)
        .limit(SHOWN)
    )
    off = select(func.count(Preference.id)).where(
        Preference.plugin == one.name,
        Preference.name == preferences.SWITCH,
        cast(Preference.value, Text) == "false",
    )
    return View(
        line=_line(one, switch.state, hooks),
        switch=switch,
        fixed=switching.unswitchable(one),
        guards=switching.guards(one),
        shut=sorted(plugins().shut.get(one.name, ())),
        tables=_tables(one),
        named=_named(one),
        hooks=hooks,
        dead=_dead(one),
        barred=[tuple(found) for found in orm.execute(barred)],
        off_for=orm.scalar(off) or 0,
        resting=resting.listing(one.name),
    )


def of_account(account_id: UUID) -> list[AccountLine]:
    """Say of each plugin an account can have, whether it has it, in one statement."""
    access.require("console.plugins")
    query = select(Preference.plugin, Preference.name, Preference.value).where(
        Preference.account_id == account_id
    )
    found = {(plugin, name): value for plugin, name, value in db.session().execute(query)}
    lines = []
    for one in plugins().loaded():
        if one.plugin is None or one.plugin.always:
            continue
        reason = found.get((one.name, preferences.BARRED))
        chosen = found.get((one.name, preferences.SWITCH), True)
        state = "on" if chosen else "off"
        if not plugins().running(one.name):
            state = "switched_off"
        elif reason is not None:
            state = "barred"
        mine = [
            (setting.title, found.get((one.name, setting.name), setting.default))
            for setting in one.plugin.settings
            if setting.scope == "account"
        ]
        lines.append(AccountLine(one, state, str(reason or ""), mine))
    return lines


def _states() -> dict[str, str]:
    query = select(PluginSwitch.plugin, PluginSwitch.state)
    return dict(db.session().execute(query).tuples().all())


def _line(one: Found, switch: str, hooks: Sequence[hooktimes.HookLine]) -> Line:
    state = one.state
    if switch != "on" and state in ("loaded", "failed"):
        state = {"asked": "asked", "off": "switched_off"}[switch]
    said = about(one.about)
    return Line(
        one,
        state,
        _(said) if said else "",  # of nothing, gettext says the catalogue's own header
        len(_models(one)),
        sum(hook.calls for hook in hooks),
        sum(hook.failures for hook in hooks),
        sum(hook.calls * hook.mean_us for hook in hooks) / 1000,
    )


def _models(one: Found) -> list[type[db.Base]]:
    return [
        model
        for _name, model in sorted(walls.models().items())
        if plugins().owner_of(model.__module__) == one.name
    ]


def _tables(one: Found) -> list[TableLine]:
    lines = []
    for model in _models(one):
        held = [c.info for c in db.table_of(model).columns if c.info.get("pd")]
        lines.append(
            TableLine(
                str(model.__tablename__),
                model.wall.kind,
                sorted({info["pd"] for info in held}),
                sorted({info["retention"] for info in held if info["retention"]}),
            )
        )
    return lines


def _named(one: Found) -> list[str]:
    """Name the tables in which a plugin says a person stands, beyond classified columns."""
    for name, found in plugins().register("personal_data"):
        if name == one.name:
            return sorted(found.tables())
    return []


def _dead(one: Found) -> int:
    """Count the jobs of a plugin that were given up in the last week."""
    package = one.target.partition(":")[0].partition(".")[0]
    query = select(func.count(DeadJob.id)).where(
        DeadJob.job.startswith(f"{package}.", autoescape=True),
        DeadJob.at > clock.now() - dt.timedelta(days=7),
    )
    return db.session().scalar(query) or 0
