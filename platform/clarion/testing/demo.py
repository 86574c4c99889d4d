"""`clarion demo` as a person starts it in a terminal, for tests and for taking pictures."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

END_SECONDS = 60.0


class Demo:
    """A running demo on a home of its own, and what it has said so far."""

    def __init__(self, home: Path) -> None:
        """Start it; see `until`."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("CLARION_")}
        self.home, self.said = home, list[str]()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "clarion.cli", "demo"],
            env={**env, "CLARION_HOME": str(home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    @classmethod
    def started(cls, home: Path) -> Self:
        """Start a demo and wait until people can come in."""
        demo = cls(home)
        try:
            demo.until("Ctrl-C stops everything")
        except BaseException:
            demo.end(signal.SIGKILL)
            raise
        return demo

    def until(self, words: str) -> str:
        """Read on until a line has these words; returns it."""
        for line in self.process.stdout or ():
            self.said.append(line.rstrip())
            if words in line:
                return line
        raise AssertionError("\n".join(self.said))

    def end(self, how: signal.Signals = signal.SIGINT) -> int:
        """End it as told; returns the exit code."""
        self.process.send_signal(how)
        if self.process.stdout:
            self.said += self.process.stdout.read().splitlines()
        return self.process.wait(timeout=END_SECONDS)

    def address(self, name: str) -> str:
        """Return the address that it printed beside a name."""
        found = re.search(rf"^  {name}\s+(\S+)", "\n".join(self.said), re.MULTILINE)
        if found is None:
            raise AssertionError("\n".join(self.said))
        return found[1]

    def doors(self) -> dict[str, str]:
        """Return every address it printed, by name."""
        return {name: self.address(name) for name in ("Portal", "Console", "WhatsApp")}

    def code(self) -> str:
        """Return the code that the console asks for, as `clarion demo --code` prints it."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("CLARION_")}
        done = subprocess.run(
            [sys.executable, "-m", "clarion.cli", "demo", "--code"],
            env={**env, "CLARION_HOME": str(self.home)},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def people(self) -> dict[str, tuple[str, str]]:
        """Return who can sign in, by door: e-mail and password."""
        known = json.loads((self.home / "demo.json").read_text())["people"]
        return {door: tuple(said.split(" · ")) for door, said in known.items()}
