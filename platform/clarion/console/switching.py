"""Plugins as staff run them: switched off and on, for everybody or one account; set up.

Who guards something (a `before_…` hook) is switched off by two: what it guards would
happen unasked.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert

from clarion.base import clock, db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.words import _
from clarion.plugging.manager import Found, plugins
from clarion.tenancy import access, audit, preferences, resting, switches
from clarion.tenancy.models import Account
from clarion.tenancy.plugins import PluginSwitch
from clarion.tenancy.scope import account_scope, current_actor

LONGEST = 300
TRANSPORTS = "register_transports"
audit.label("console.plugin.asked", "Asked to switch a plugin off")
audit.label("console.plugin.kept", "Took back that a plugin be switched off")
audit.label("console.plugin.off", "Switched a plugin off for the installation")
audit.label("console.plugin.on", "Switched a plugin on for the installation")
audit.label("console.plugin.set_up", "Changed settings of a plugin for the installation")


def guards(one: Found) -> list[str]:
    """Name the hooks with which a plugin may stop an act, also while it cannot be loaded."""
    now = [hook for hook in one.hooks if hook.startswith("before_")]
    return now or sorted(plugins().shut.get(one.name, ()))


def unswitchable(one: Found) -> str:
    """Say why a plugin cannot be switched off here; "" when it can."""
    if one.name in plugins().off:
        return _(
            "It is switched off by CLARION_PLUGINS_OFF; a restart is due to change that."
        )
    if one.plugin and one.plugin.always:
        return _("It belongs to the platform and is always on.")
    if TRANSPORTS in one.hooks:
        return _("Messages leave through it; pause the connections instead.")
    return ""


def switch_off(name: str, reason: str) -> str:
    """Switch a plugin off for everybody, or ask a second person to; answers its state.

    Raises:
        Conflict: it cannot be switched off, or others that are on build upon it.
    """
    access.require("console.plugins_edit")
    words, one = _reason(reason), _found(name)
    row = _locked(name)
    if why := unswitchable(one):
        raise Conflict("plugin_always", why)
    if row.state != "on":
        raise Conflict("plugin_not_on", _("This plugin is not on."))
    if users := _users(name):
        names = ", ".join(users)
        raise Conflict("plugin_needed", _("%(names)s cannot work without it.", names=names))
    me = current_actor().label
    asks = bool(guards(one))
    row.state, row.reason = ("asked" if asks else "off"), words
    row.asked_by, row.decided_by = (me, None) if asks else (None, me)
    row.changed_at = clock.now()
    audit.record(f"console.plugin.{row.state}", plugin=name, reason=words)
    plugins().look_again()
    return row.state


def confirm_off(name: str) -> None:
    """Switch off, as the second person, what another one asked for."""
    access.require("console.plugins_edit")
    row = _locked(name)
    if row.state != "asked":
        raise Conflict("plugin_not_asked", _("Nobody asks for that any more."))
    if row.asked_by == current_actor().label:
        raise Conflict("two_needed", _("Somebody else has to confirm it."))
    row.state, row.decided_by, row.changed_at = "off", current_actor().label, clock.now()
    audit.record(
        "console.plugin.off", plugin=name, reason=row.reason, asked_by=row.asked_by
    )
    plugins().look_again()


def keep_on(name: str) -> None:
    """Take back that a plugin be switched off, one's own wish or another's."""
    access.require("console.plugins_edit")
    row = _locked(name)
    if row.state != "asked":
        raise Conflict("plugin_not_asked", _("Nobody asks for that any more."))
    row.state, row.reason, row.asked_by, row.changed_at = "on", "", None, clock.now()
    audit.record("console.plugin.kept", plugin=name)


def switch_on(name: str) -> None:
    """Switch a plugin on again for everybody who has it on."""
    access.require("console.plugins_edit")
    row = _locked(name)
    if row.state != "off":
        raise Conflict("plugin_not_off", _("This plugin is not off."))
    one = _found(name)
    needs = one.plugin.requires if one.plugin else ()
    if missing := [need for need in needs if not plugins().running(need)]:
        names = ", ".join(missing)
        raise Conflict("plugin_needs", _("Switch on %(names)s first.", names=names))
    row.state, row.reason, row.asked_by = "on", "", None
    row.decided_by, row.changed_at = current_actor().label, clock.now()
    audit.record("console.plugin.on", plugin=name)
    plugins().look_again()


def wake(name: str, hook: str) -> None:
    """Let a hook that failed too often be called again before its rest is over."""
    access.require("console.plugins_edit")
    _found(name)
    resting.wake(name, hook[:120])


def set_up(name: str, given: Mapping[str, Any]) -> None:
    """Keep a plugin's settings of the installation; the log never holds a secret."""
    access.require("console.plugins_edit")
    declared = {one.name: one for one in switches.of_instance(name)}
    for setting in switches.store(name, given):
        shown = "…" if declared[setting].secret else str(given[setting])[:80]
        audit.record("console.plugin.set_up", setting=f"{name}.{setting}", to=shown)


def bar(account_id: UUID, name: str, reason: str) -> None:
    """Switch a plugin off for one account; its owner reads why and cannot switch it on."""
    access.require("console.plugins_edit")
    words = _reason(reason)
    with _inside(account_id):
        preferences.bar(name, words)


def unbar(account_id: UUID, name: str) -> None:
    """Leave it to the account again whether it has a plugin on."""
    access.require("console.plugins_edit")
    with _inside(account_id):
        preferences.unbar(name)


@contextmanager
def _inside(account_id: UUID) -> Iterator[None]:
    """Act in the account as a job staff caused: the same verb, the account's own log."""
    if db.session().get(Account, account_id) is None:
        raise NotFound("account_unknown", _("There is no such account."))
    acting = replace(current_actor().as_job(), role="", email="")
    with account_scope(account_id, acting), db.transaction():
        yield


def _users(name: str) -> list[str]:
    return [
        one.plugin.title
        for one in plugins().loaded()
        if one.plugin and name in one.plugin.requires and plugins().running(one.name)
    ]


def _found(name: str) -> Found:
    one = plugins().found.get(name)
    if one is None:
        raise NotFound("plugin_unknown", _("There is no such plugin."))
    return one


def _locked(name: str) -> PluginSwitch:
    _found(name)
    new = insert(PluginSwitch).values(plugin=name, state="on").on_conflict_do_nothing()
    db.session().execute(new.execution_options(audited=True))  # its callers record it
    return db.session().get_one(PluginSwitch, name, with_for_update=True)


def _reason(text: str) -> str:
    words = " ".join(text.split())
    if not words or len(words) > LONGEST:
        raise Invalid(
            "reason_missing", _("Say why, in at most 300 letters."), field="reason"
        )
    return words
