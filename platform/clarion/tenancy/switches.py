"""Plugins switched off for the whole installation, and what they are set to there."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from clarion.base import clock, crypto, db
from clarion.base.errors import Invalid, NotFound
from clarion.base.words import _
from clarion.plugging.manifest import Setting
from clarion.tenancy.plugins import PluginSetting, PluginSwitch
from clarion.tenancy.preferences import fits, manifest

SYSTEM = db.Entry("clarion_system", None, "switches")
_CACHE = "plugin settings"  # in the session's info: as old as the scope, never older


def read() -> frozenset[str]:
    """Return the plugins that are switched off; what `Plugins.switched_by` asks."""
    with db.apart(SYSTEM) as orm:
        query = select(PluginSwitch.plugin).where(PluginSwitch.state == "off")
        return frozenset(orm.scalars(query))


def value(plugin: str, name: str) -> Any:
    """Return a setting of the installation, else its default; a secret is opened."""
    setting = _setting(plugin, name)
    info = db.session().info
    if _CACHE not in info:
        query = select(
            PluginSetting.plugin,
            PluginSetting.name,
            PluginSetting.value,
            PluginSetting.sealed,
        )
        info[_CACHE] = {(p, n): (v, s) for p, n, v, s in db.session().execute(query)}
    stored, sealed = info[_CACHE].get((plugin, name), (None, None))
    if setting.secret:
        place = _place(plugin, name)
        return crypto.unseal(sealed, place=place).decode() if sealed else setting.default
    return stored if stored is not None and fits(setting, stored) else setting.default


def chosen(plugin: str) -> dict[str, Any]:
    """Return the settings of the installation as a form shows them; secrets stay shut."""
    declared = of_instance(plugin)
    return {one.name: "" if one.secret else value(plugin, one.name) for one in declared}


def secrets_set(plugin: str) -> set[str]:
    """Name the secrets that there are."""
    query = select(PluginSetting.name).where(
        PluginSetting.plugin == plugin, PluginSetting.sealed.is_not(None)
    )
    return set(db.session().scalars(query))


def of_instance(plugin: str) -> list[Setting]:
    """List what a plugin lets the installation choose."""
    return [one for one in manifest(plugin).settings if one.scope == "instance"]


def store(plugin: str, given: Mapping[str, Any]) -> list[str]:
    """Keep settings of the installation; an empty secret stays as it was.

    Returns:
        the names of those that changed.

    Raises:
        Invalid: a value is not of the kind the manifest declares.
    """
    changed = []
    for name, new in given.items():
        setting = _setting(plugin, name)
        if not fits(setting, new):
            raise Invalid("setting_invalid", _("This value does not fit."), field=name)
        if setting.secret and not new:
            continue
        if not setting.secret and new == value(plugin, name):
            continue
        sealed = crypto.seal(new, place=_place(plugin, name)) if setting.secret else None
        values = {
            "value": None if setting.secret else new,
            "sealed": sealed,
            "changed_at": clock.now(),
        }
        row = insert(PluginSetting).values(plugin=plugin, name=name, **values)
        row = row.on_conflict_do_update(index_elements=["plugin", "name"], set_=values)
        db.session().execute(row.execution_options(audited=True))  # its caller records it
        db.session().info.pop(_CACHE, None)
        changed.append(name)
    return changed


def _setting(plugin: str, name: str) -> Setting:
    for one in of_instance(plugin):
        if one.name == name:
            return one
    raise NotFound("setting_unknown", _("There is no such setting."))


def _place(plugin: str, name: str) -> str:
    return f"plugin_setting.sealed:{plugin}.{name}"
