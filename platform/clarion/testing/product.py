"""The whole product as processes: web, worker with relay, simulator; for tests that click."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

from clarion.base import services
from clarion.base.children import Child, Children
from clarion.base.services import Running
from clarion.demo.stage import HOST, free_port
from clarion.demo.visitor import link_in
from clarion.testing.simulator import Simulator

TOKEN = "browser-access-token"
APP_SECRET, VERIFY_TOKEN = "browser-app-secret", "browser-verify-token"
PACE = ("--sent-ms", "30", "--delivered-ms", "120", "--read-ms", "400")
FATES = [
    {"match": {"suffix": "26"}, "fate": {"answer": "refuse", "code": 131026}},
    {"match": {"suffix": "49"}, "fate": {"statuses": {"fail": 131049}}},
]
PATIENCE_SECONDS, LOOK_SECONDS = 60.0, 0.05


@dataclass(frozen=True, slots=True)
class Line:
    """A number at the simulated provider: its ids there and what people dial."""

    name: str
    id: str
    number: str
    waba: str


class Product:
    """Clarion as it is deployed, on free ports, with a database and a home of its own."""

    def __init__(self, folder: Path, running: Running, name: str) -> None:
        self.home, self._running, self._name = folder / "home", running, name
        self._children = Children(lambda _text: None)
        urls = services.fresh_database(running, name)
        words = (*PACE, "--approve-ms", "200", "--token", TOKEN)
        self.simulator = Simulator.start(folder, *words)
        self.simulator.post("rules", rules=FATES, replace=True)
        port = free_port(besides=self.simulator.port)
        self.url = f"http://{HOST}:{port}"
        own = {k: v for k, v in os.environ.items() if not k.startswith("CLARION_")}
        self.env = own | {
            "CLARION_HOME": str(self.home),
            "CLARION_DATABASE_URL": urls.database_url,
            "CLARION_DATABASE_OWNER_URL": urls.owner_url,
            "CLARION_REDIS_URL": f"{running.redis_url}?db=7",  # others use the first
            "CLARION_PUBLIC_URL": self.url,
            "CLARION_CALLBACK_BASE_URL": self.url,
            "CLARION_TRUSTED_HOSTS": HOST,
            "CLARION_MARKETING_HOURS": "00:00-24:00",  # builds run at night too
            "CLARION_MISUSE_RAMP": "30:1000000",  # new accounts, many people
            "CLARION_HTTP_ALLOW": f"{HOST}:{self.simulator.port}",
            "PYTHONUNBUFFERED": "1",
        }
        self._port = port

    def start(self) -> None:
        """Migrate, start web and worker, wait until the portal can do its work."""
        self.command("db", "upgrade")
        for name, words in (
            ("web", ["--host", HOST, "--port", str(self._port)]),
            ("worker", ["--relay"]),
        ):
            log = self.home / "logs" / f"{name}.log"
            line = [sys.executable, "-m", "clarion.cli", name, *words]
            self._children.add(Child(name, line, env=self.env, log=log))
        end = time.monotonic() + PATIENCE_SECONDS
        while not self._answers():
            if time.monotonic() > end:
                raise RuntimeError(f"web does not answer:\n{self.logs()}")
            time.sleep(LOOK_SECONDS)

    def stop(self) -> None:
        """Stop everything and forget the database."""
        self._children.stop()
        self.simulator.stop()
        services.drop_database(self._running, self._name)

    def command(self, *words: str) -> str:
        """Run a command of `clarion`; returns what it printed."""
        line = [sys.executable, "-m", "clarion.cli", *words]
        done = subprocess.run(
            line, env=self.env, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"clarion {' '.join(words)}:\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    def mailed(self, to: str, part: str) -> str:
        """Wait for a mail to somebody with a link that has this part; returns the link."""
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            for path in sorted((self.home / "mail").glob("*.eml")):
                mail = message_from_bytes(path.read_bytes(), policy=default)
                text = mail.get_content() if isinstance(mail, EmailMessage) else ""
                if to in str(mail["To"]) and part in text:
                    return link_in(text, part)
            time.sleep(LOOK_SECONDS)
        raise RuntimeError(f"no mail to {to} with {part}:\n{self.logs()}")

    def code(self, to: str, *, besides: str = "") -> str:
        """Wait for a mail to somebody with a code for their browser; returns the code."""
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            for path in sorted((self.home / "mail").glob("*.eml")):
                mail = message_from_bytes(path.read_bytes(), policy=default)
                words = str(mail["Subject"])
                code = words.removeprefix("Your code: ")
                if to in str(mail["To"]) and code not in (words, besides):
                    return code
            time.sleep(LOOK_SECONDS)
        raise RuntimeError(f"no mail to {to} with a code:\n{self.logs()}")

    def line(self, name: str, at: int) -> Line:
        """Make a number at the provider, of a business of its own."""
        one = Line(name, f"10990011{at:04}", f"+55119555{at:05}", f"99001000{at:04}")
        self.simulator.post(
            "phones", id=one.id, display=one.number, waba=one.waba, name=one.name
        )
        return one

    def subscribe(self, line: Line, path: str) -> None:
        """Tell the provider where to report back, as one does on its pages."""
        told = self.simulator.post(
            "callback",
            url=f"{self.url}{path}",
            app_secret=APP_SECRET,
            verify_token=VERIFY_TOKEN,
            **{"for": line.waba},
        )
        if not told["verified"]:
            raise RuntimeError("the portal refused the provider's handshake")

    def logs(self) -> str:
        """Return the ends of the logs, for whoever wonders."""
        found = sorted((self.home / "logs").glob("*.log"))
        return "\n".join(f"--- {p.name}\n{p.read_text()[-3000:]}" for p in found)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as reply:
                return bool(reply.status == 200)
        except (urllib.error.URLError, OSError):
            return False
