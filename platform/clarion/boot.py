"""What every process does once: load the plugins, and register what they add.

Web, worker, relay and command line call `boot()` before anything else. Nothing in it
touches the database or the network.
"""

from functools import cache
from pathlib import Path

from sqlalchemy.orm import configure_mappers

from clarion.announcing import spreading
from clarion.base import db, limits, telemetry, words
from clarion.base.settings import settings
from clarion.messaging import incoming, journal, reconcile, restored
from clarion.messaging.events import BreakerOpened, CampaignStarted
from clarion.misuse import watching
from clarion.plugging.manager import Plugins, plugins
from clarion.support import settling
from clarion.tenancy import (
    chain,
    devices,
    factors,
    guards,
    hooktimes,
    mail_change,
    recovery,
    resting,
    sessions,
    switches,
)
from clarion.work import events, heads, purging, recovering, schedule, webhooks
from clarion.work.jobs import job

HERE = Path(__file__).parent


@cache
def boot() -> Plugins:
    """Make this process know its plugins, events, periodic jobs and webhooks; once."""
    conf = settings()
    telemetry.configure(level=conf.log_level, json_lines=conf.log_json)
    found = plugins()
    found.guarded_by(guards.read)
    found.switched_by(switches.read)
    found.rested_by(resting.read)
    webhooks.handle("messaging", incoming.apply)
    events.subscribe(CampaignStarted, watching.note_started)
    events.subscribe(BreakerOpened, watching.note_stopped)
    for _plugin, pairs in found.register("subscriptions"):
        for event, one in pairs:
            events.check(event)
            events.subscribe(event, one)
    for name, cron, one in OURS:
        schedule.every(name, cron, one)
    for plugin, rows in found.register("schedule"):
        for name, cron, one in rows:
            schedule.every(f"{plugin}.{name}", cron, one)
    for folder in translations():
        words.add_folder(folder)
    configure_mappers()
    return found


def translations() -> list[Path]:
    """List the folders with catalogues: the core's, then each plugin's."""
    core = HERE / "web" / "translations"
    return [*([core] if core.is_dir() else []), *plugin_folders("translations")]


def plugin_folders(name: str) -> list[Path]:
    """List the folders of this name that loaded plugins bring."""
    files = (one.module.__file__ for one in plugins().loaded() if one.module)
    return [f for file in files if file and (f := Path(file).parent / name).is_dir()]


# --- by the clock


@job(queue="default", idempotent=True, alone=True, system=True)
def seal() -> None:
    """Append new entries of the log to their account's chain, a part at a time."""
    if chain.seal_some() == chain.SEALED_AT_ONCE:
        with db.transaction():
            seal.later()


@job(queue="default", idempotent=True, alone=True, system=True)
def tidy() -> None:
    """Forget what nobody needs: old limits and slots, dead sessions; seal what was late."""
    journal.compact()
    limits.purge()
    schedule.purge()
    sessions.purge()
    devices.purge()
    factors.purge()
    recovery.purge()
    mail_change.purge()
    hooktimes.purge()
    resting.purge()
    chain.seal(window=None)


OURS = (
    ("messaging.reconcile", "* * * * * */5", reconcile.look),
    ("messaging.close_books", "* * * * *", reconcile.close_books),
    ("messaging.restored", "* * * * *", restored.tend),
    ("misuse.watch", "*/5 * * * *", watching.look),
    ("support.settle", "* * * * *", settling.settle),
    ("recovery.settle", "*/5 * * * *", recovering.settle),
    ("announcing.catch_up", "*/5 * * * *", spreading.catch_up),
    ("audit.seal", "* * * * * */10", seal),
    ("audit.heads", "53 3 * * *", heads.sign_all),
    ("tidy", "17 3 * * *", tidy),
    ("webhooks.forget", "41 3 * * *", purging.forget_webhooks),
    ("jobs.forget", "47 3 * * *", purging.forget_dead_jobs),
)
