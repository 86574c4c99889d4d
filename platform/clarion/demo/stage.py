"""What a demonstration runs: servers of its own, a simulator, web and worker."""

import http.client
import json
import os
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clarion.base import services
from clarion.base.children import Child, Children
from clarion.base.errors import Conflict, Unavailable
from clarion.base.settings import settings

HOST = "127.0.0.1"
LOOK_SECONDS = 0.05
PATIENCE_SECONDS = 90.0

Said = Callable[[str], None]


class Stopped(Exception):
    """Somebody asked to stop while something was being waited for."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where web and simulator listen, on this machine only."""

    web: int
    simulator: int

    @property
    def portal(self) -> str:
        """Return the portal's address."""
        return f"http://{HOST}:{self.web}"

    @property
    def whatsapp(self) -> str:
        """Return the simulator's address: both the provider's interface and a page."""
        return f"http://{HOST}:{self.simulator}"


@dataclass(frozen=True, slots=True)
class Simulated:
    """How the simulator shall behave: delays in milliseconds, the share that is read."""

    token: str
    waba: str
    sent_ms: int
    delivered_ms: int
    read_ms: int
    read_share: float
    approve_ms: int

    def words(self) -> list[str]:
        """Return them as the simulator's command line."""
        pairs = (
            (f"--{name.replace('_', '-')}", str(getattr(self, name)))
            for name in self.__slots__
        )
        return [word for pair in pairs for word in pair]


def prepare(home: Path, ports: Ports, more: Mapping[str, str] | None = None) -> None:
    """Set this process, and so its children, to a home and to these ports."""
    os.environ |= {
        "CLARION_HOME": str(home),
        "CLARION_PUBLIC_URL": ports.portal,
        "CLARION_CALLBACK_BASE_URL": ports.portal,
        "CLARION_HTTP_ALLOW": f"{HOST}:{ports.simulator}",
        "CLARION_MARKETING_HOURS": "00:00-24:00",  # a simulator does not sleep
        "CLARION_MISUSE_RAMP": "30:1000000",  # a shop of a minute that sends like an old one
        "CLARION_CONFIRM_DEVICES": "0",  # its mails are files on this machine
        "CLARION_TRUSTED_HOSTS": f"localhost,{HOST}",
        "PYTHONUNBUFFERED": "1",
        **(more or {}),
    }
    services.forget()


class Stage:
    """The running parts of one demonstration, as children of this process."""

    def __init__(self, ports: Ports, children: Children, stop: threading.Event) -> None:
        self.ports, self.children, self.stop = ports, children, stop
        self.logs = settings().home / "logs"

    def raise_simulator(self, how: Simulated) -> None:
        """Start the simulator; returns when it answers."""
        folder = settings().home / "simulator"
        folder.mkdir(parents=True, exist_ok=True)
        words = ["--host", HOST, "--port", str(self.ports.simulator)]
        words += ["--receipts", str(folder / "receipts.ndjson"), *how.words()]
        self._begin("simulator", "simulator", *words)
        self.answering(f"{self.ports.whatsapp}/_sim/health", "simulator")

    def raise_clarion(self) -> None:
        """Start web and worker; see `ready`."""
        self._begin("web", "web", "--host", HOST, "--port", str(self.ports.web))
        self._begin("worker", "worker", "--relay")

    def ready(self) -> None:
        """Wait until the portal can do its work."""
        self.answering(f"{self.ports.portal}/readyz", "web")

    def answering(self, url: str, name: str) -> None:
        """Wait until an address answers with 200; raises `Unavailable`, `Stopped`."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not _answers(url):
            if self.stop.wait(LOOK_SECONDS):
                raise Stopped
            self.children.look()
            if time.monotonic() > end:
                where = self.logs / f"{name}.log"
                raise Unavailable("demo_silent", f"{name} does not answer; see {where}.")

    def tell(self, what: str, **given: Any) -> Any:  # Any: JSON either way
        """Call a control of the simulator, `/_sim/<what>`."""
        return post(f"{self.ports.whatsapp}/_sim/{what}", given)

    def look(self, what: str) -> Any:  # Any: its JSON
        """Read what the simulator knows: `stats`, `receipts?format=json`."""
        with urllib.request.urlopen(  # noqa: S310 -- our own
            f"{self.ports.whatsapp}/_sim/{what}", timeout=60
        ) as reply:
            return json.loads(reply.read())

    def _begin(self, name: str, *words: str) -> None:
        command = [sys.executable, "-m", "clarion.cli", *words]
        self.children.add(Child(name, command, log=self.logs / f"{name}.log"))


def post(url: str, given: Any) -> Any:  # Any: JSON either way
    """Post JSON to our own simulator and read its JSON."""
    request = urllib.request.Request(  # noqa: S310 -- an address we made
        url, json.dumps(given).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310 -- see above
        return json.loads(reply.read() or b"null")


def free_port(wanted: int = 0, *, exactly: bool = False, besides: int = 0) -> int:
    """Find a port to listen on: this one, the next free one, or any when it is 0.

    Raises `Conflict` when it must be exactly this one and is taken.
    """
    for port in range(wanted, wanted + 50) if wanted else (0,):
        if port and port == besides:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                if exactly:
                    break
                continue
            return int(probe.getsockname()[1])
    raise Conflict("port_taken", f"Port {wanted} is in use: choose another with --port.")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:  # noqa: S310 -- our own
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError, http.client.HTTPException):
        return False
