"""`clarion demo`: everything on this machine, with data, until Ctrl-C."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clarion.base import clock, services
from clarion.base.children import LOOK_SECONDS, Children, asked_to_stop
from clarion.base.errors import Conflict, Misconfigured, Unavailable
from clarion.base.settings import Settings, checkout, settings
from clarion.demo.stage import Ports, Simulated, Stage, Stopped, free_port, prepare

WEB, SIMULATOR = 8000, 8400
STATE = "demo.json"
WHATSAPP = Simulated(
    token="demo-access-token",  # noqa: S106 -- of a simulator
    waba="990010002000",
    sent_ms=250,
    delivered_ms=900,
    read_ms=6_000,
    read_share=0.62,
    approve_ms=1_500,
)
OWN = ("keys", "secrets", "mail", "logs", "simulator", "epoch", "journal", STATE)


def run(*, fresh: bool = False, port: int | None = None) -> int:
    """Show Clarion until asked to stop; returns the exit code."""
    conf = Settings()
    if conf.production:
        raise Misconfigured(
            "demo_production", "The demo is for a machine of your own: unset CLARION_ENV."
        )
    stop = asked_to_stop()
    with _alone(conf.home):
        if fresh:
            _forget(conf)
        known = _known(conf.home)
        ports = _ports(known, port)
        prepare(conf.home, ports)
        _keep(conf.home, known | {"web": ports.web, "simulator": ports.simulator})
        running = services.ensure()
        try:
            with Children(_say) as children:
                return _show(Stage(ports, children, stop), stop)
        except Stopped:
            return 0
        finally:
            if running:
                running.stop()
            _say("Everything is stopped.")


def code(home: Path) -> str:
    """Return the present one-time code of the demo's staff member.

    A real one has the secret in an app on their phone; this one's lies in `demo.json`.
    """
    from clarion.tenancy import totp

    secret = _known(home).get("staff_secret", "")
    if not secret:
        raise Conflict(
            "demo_unknown", "There is no demo here yet: run `clarion demo` first."
        )
    return totp.code(bytes.fromhex(secret), totp.step_at(clock.now()))


def _show(stage: Stage, stop: threading.Event) -> int:
    _say("Starting …")
    from clarion import release

    release.upgrade()
    if stop.is_set():
        return 0
    stage.raise_clarion()
    stage.raise_simulator(WHATSAPP)
    stage.ready()
    _seed(stage, stop)
    _print(stage)
    while not stop.wait(LOOK_SECONDS):
        if "simulator" in stage.children.look():  # what it knew is gone
            _seed(stage, stop)
    _say("\nStopping …")
    return 0


def _seed(stage: Stage, stop: threading.Event) -> None:
    """Make what is missing, and acquaint the simulator with it; see dev/seed.py."""
    top = checkout()
    script = top / "dev" / "seed.py" if top else None
    if script is None or not script.is_file():
        _say("No people of the demo here (dev/seed.py is in the source): sign up.")
        return
    words = [sys.executable, str(script), stage.ports.whatsapp, WHATSAPP.token]
    process = subprocess.Popen([*words, WHATSAPP.waba], start_new_session=True)
    while process.poll() is None:
        stage.children.look()
        if stop.wait(LOOK_SECONDS):
            process.terminate()
            process.wait()
            raise Stopped
    if process.returncode:
        raise Unavailable(
            "seed_failed", f"The demo's data is not complete; see {stage.logs}."
        )


def _print(stage: Stage) -> None:
    home, people = settings().home, _known(settings().home).get("people", {})
    portal, console = (people.get(door, "") for door in ("portal", "console"))
    _say(
        f"""
Clarion is up.

  Portal     {stage.ports.portal}/          {portal}
  Console    {stage.ports.portal}/console/  {console}
             the code it asks for: clarion demo --code
  WhatsApp   {stage.ports.whatsapp}/          simulated: who got what; answer as a person
  Mails      {home / "mail"}
  Logs       {stage.logs}

Ctrl-C stops everything and keeps the data.
"""
    )


# --- what is kept between two starts


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Let one demo at a time run on a home."""
    home.mkdir(parents=True, exist_ok=True)
    handle = os.open(home / "demo.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        told = f"A demo runs on {home} already: open it, or stop it first."
        raise Conflict("demo_running", told) from error
    finally:
        os.close(handle)


def _forget(conf: Settings) -> None:
    """Delete the servers' data and everything the demo wrote; nothing of one's own servers."""
    if conf.database_url:
        raise Misconfigured(
            "fresh_refused",
            "FRESH deletes Clarion's own server only, and CLARION_DATABASE_URL names yours.",
        )
    services.remove(conf.home)
    for name in OWN:
        path = conf.home / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    services.forget()


def _ports(known: dict[str, Any], wanted: int | None) -> Ports:
    """Choose the ports: those of last time, because channels remember the simulator's."""
    if wanted:
        web = free_port(wanted, exactly=True)
    else:
        web = free_port(int(known.get("web", WEB)))
    if "simulator" not in known:
        return Ports(web, free_port(SIMULATOR, besides=web))
    port = int(known["simulator"])
    try:
        return Ports(web, free_port(port, exactly=True))
    except Conflict as taken:
        told = (
            f"Port {port}, where the demo's senders expect their simulated WhatsApp, is in"
            " use. Stop what uses it, or begin anew: make demo FRESH=1."
        )
        raise Conflict("simulator_port_taken", told) from taken


def _known(home: Path) -> dict[str, Any]:
    try:
        found = json.loads((home / STATE).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _keep(home: Path, state: dict[str, Any]) -> None:
    part = home / f"{STATE}.part"
    part.write_text(json.dumps(state, indent=1))
    part.replace(home / STATE)


def _say(text: str) -> None:
    print(text, flush=True)
