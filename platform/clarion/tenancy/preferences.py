"""What an account has chosen: settings of plugins, and which plugins are on."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from clarion.base import db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.words import _
from clarion.plugging.manager import plugins
from clarion.plugging.manifest import Plugin, Setting
from clarion.tenancy import access, audit
from clarion.tenancy.models import Preference
from clarion.tenancy.scope import current_actor

SWITCH, BARRED = "on", "barred"
_CACHE = "preferences"  # in the session's info: as old as the scope, never older
LONGEST = 500

audit.label("portal.settings.changed", "Changed settings")
audit.label("portal.plugin.switched", "Switched a plugin")
audit.label("portal.plugin.barred", "Switched a plugin off for this account")
audit.label("portal.plugin.unbarred", "Let the account choose about a plugin again")


def switched_on(plugin: str) -> bool:
    """Say whether this account has a plugin on. Whether it is loaded, the manager knows.

    A plugin that cannot be loaded stays on for those who had it: what it guards waits.
    """
    found = plugins().found.get(plugin)
    if found and found.plugin and found.plugin.always:
        return True
    if plugin in plugins().switched_off:
        return False
    if current_actor().account_id is None:
        return False
    if (plugin, BARRED) in _chosen():
        return False
    return bool(_chosen().get((plugin, SWITCH), True))


def barred(plugin: str) -> str:
    """Say why staff switched a plugin off for this account; "" when they have not."""
    return str(_chosen().get((plugin, BARRED), ""))


def value(plugin: str, name: str) -> Any:
    """Return a setting as this account has it, else its default.

    Typed as the manifest says: str, int or bool; a choice is one of its words.
    """
    setting = _setting(plugin, name)
    stored = _chosen().get((plugin, name), setting.default)
    return stored if fits(setting, stored) else setting.default


def values(plugin: str) -> dict[str, Any]:
    """Return all settings of a plugin as this account has them."""
    declared = [one for one in manifest(plugin).settings if one.scope == "account"]
    return {setting.name: value(plugin, setting.name) for setting in declared}


def store(plugin: str, given: Mapping[str, Any]) -> None:
    """Keep settings of a plugin for this account.

    Raises:
        Invalid: a value is not of the kind the manifest declares.
    """
    access.require("portal.settings")
    for name, new in given.items():
        setting = _setting(plugin, name)
        if not fits(setting, new):
            raise Invalid("setting_invalid", _("This value does not fit."), field=name)
        if new != value(plugin, name):
            _write(plugin, name, new)
            # str: a value may be a long text, and the log keeps short facts
            audit.record(
                "portal.settings.changed", setting=f"{plugin}.{name}", to=str(new)[:80]
            )


def switch(plugin: str, *, to: bool) -> None:
    """Switch a plugin on or off for this account.

    Raises:
        Conflict: it cannot be switched off, or others that are on build upon it.
    """
    access.require("portal.settings")
    declared = manifest(plugin)
    if not to:
        _refuse_needed(declared)
    elif barred(plugin):
        raise Conflict(
            "plugin_barred",
            _("It is switched off for your account: %(why)s", why=barred(plugin)),
        )
    elif missing := [need for need in declared.requires if not switched_on(need)]:
        raise Conflict(
            "plugin_needs",
            _("Switch on %(names)s first.", names=", ".join(_title(n) for n in missing)),
        )
    if to != switched_on(plugin):
        _write(plugin, SWITCH, to)
        audit.record("portal.plugin.switched", plugin=plugin, on=to)


def bar(plugin: str, reason: str) -> None:
    """Switch a plugin off for this account, as staff: its owner cannot switch it on.

    Raises:
        Conflict: it cannot be switched off, or others that are on build upon it.
    """
    access.require("console.plugins_edit")
    _refuse_needed(manifest(plugin))
    _write(plugin, BARRED, reason)
    audit.record("portal.plugin.barred", plugin=plugin, reason=reason)


def unbar(plugin: str) -> None:
    """Leave it to the account again whether a plugin is on."""
    access.require("console.plugins_edit")
    if not barred(plugin):
        raise Conflict("plugin_not_barred", _("It is not switched off by staff."))
    mine = Preference.plugin == plugin, Preference.name == BARRED
    db.session().execute(delete(Preference).where(*mine).execution_options(audited=True))
    db.session().info.pop(_CACHE, None)
    audit.record("portal.plugin.unbarred", plugin=plugin)


def _refuse_needed(declared: Plugin) -> None:
    if declared.always:
        raise Conflict("plugin_always", _("This plugin cannot be switched off."))
    users = [
        one.plugin.title
        for one in plugins().loaded()
        if one.plugin and declared.name in one.plugin.requires and switched_on(one.name)
    ]
    if users:
        names = ", ".join(users)
        raise Conflict("plugin_needed", _("%(names)s cannot work without it.", names=names))


def _chosen() -> dict[tuple[str, str], Any]:
    """Read what this account chose: one query a scope."""
    info = db.session().info
    if _CACHE not in info:
        query = select(Preference.plugin, Preference.name, Preference.value)
        info[_CACHE] = {(p, n): v for p, n, v in db.session().execute(query)}
    chosen: dict[tuple[str, str], Any] = info[_CACHE]
    return chosen


def _write(plugin: str, name: str, new: Any) -> None:
    row = insert(Preference).values(id=db.new_id(), plugin=plugin, name=name, value=new)
    row = row.on_conflict_do_update(
        index_elements=["account_id", "plugin", "name"], set_={"value": new}
    )
    db.session().execute(row.execution_options(audited=True))  # its callers record it
    db.session().info.pop(_CACHE, None)


def manifest(plugin: str) -> Plugin:
    """Return what a loaded plugin declares; raises `NotFound`."""
    found = plugins().found.get(plugin)
    if found is None or found.plugin is None or not plugins().on(plugin):
        raise NotFound("plugin_unknown", _("There is no such plugin."))
    return found.plugin


def _title(plugin: str) -> str:
    found = plugins().found.get(plugin)
    return found.plugin.title if found and found.plugin else plugin


def _setting(plugin: str, name: str) -> Setting:
    for one in manifest(plugin).settings:
        if one.name == name and one.scope == "account":
            return one
    raise NotFound("setting_unknown", _("There is no such setting."))


def fits(setting: Setting, given: Any) -> bool:
    if isinstance(setting.kind, tuple):
        return given in setting.kind
    if setting.kind is str:
        return isinstance(given, str) and len(given) <= LONGEST
    if setting.kind is int:
        return isinstance(given, int) and not isinstance(given, bool) and abs(given) < 2**31
    return isinstance(given, setting.kind)
