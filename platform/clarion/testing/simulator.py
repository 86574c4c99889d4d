"""The WhatsApp simulator as a process of its own: the truth of every test of sending."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any


class Simulator:
    """A running simulator; start it with `Simulator.start(folder)`, then `stop()` it."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", port: int, receipts: Path
    ) -> None:
        self.process, self.port, self.path = process, port, receipts
        self.url = f"http://127.0.0.1:{port}"

    @classmethod
    def start(cls, folder: Path, *words: str, port: int = 0) -> "Simulator":
        """Start a simulator with its receipt log in `folder`; returns when it listens.

        Args:
            folder: where its port file and receipts go.
            words: further words of its command line.
            port: a port to listen on; any free one when 0.
        """
        port_file, receipts = folder / "simulator.port", folder / "receipts.ndjson"
        port_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "clarion_whatsapp_cloud.simulator"]
        command += ["--port", str(port), "--port-file", str(port_file)]
        command += ["--receipts", str(receipts), *words]
        process = subprocess.Popen(command, env=dict(os.environ), stdout=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while not port_file.exists():
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("the simulator did not start")
            time.sleep(0.02)
        return cls(process, int(port_file.read_text()), receipts)

    def post(self, name: str, /, **body: Any) -> Any:
        """Call a control endpoint: rules, inbound, preference, templates, reset and more."""
        request = urllib.request.Request(
            f"{self.url}/_sim/{name}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.loads(reply.read() or b"null")

    def get(self, name: str) -> Any:
        """Read a control endpoint: stats, health."""
        with urllib.request.urlopen(f"{self.url}/_sim/{name}", timeout=30) as reply:
            return json.loads(reply.read())

    def receipts(self) -> list[dict[str, Any]]:
        """Return what people really received, in order."""
        with urllib.request.urlopen(f"{self.url}/_sim/receipts", timeout=60) as reply:
            return [json.loads(line) for line in reply.read().splitlines() if line]

    def twice(self) -> list[str]:
        """Return the callback tokens' messages that reached a person more than once."""
        counts = Counter(r["reference"].rsplit(".", 1)[0] for r in self.receipts())
        return [reference for reference, n in counts.items() if n > 1]

    def stop(self) -> None:
        """End the process and wait for it."""
        self.process.terminate()
        self.process.wait(timeout=20)
