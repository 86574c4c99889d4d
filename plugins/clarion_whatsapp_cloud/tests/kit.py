"""What the tests share: a simulator process, a receiver of webhooks, some messages."""

import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

from clarion.messaging.contract import (
    Channel,
    Message,
    Part,
    RawWebhook,
    TemplateUse,
)
from clarion_whatsapp_cloud.transport import WhatsAppCloud

SECRETS = {
    "access_token": "EAAtoken",
    "app_secret": "app-secret",
    "verify_token": "verify-me",
}
WABA = "100000000000001"
SENDER = "109999999999999"
OFFER = {
    "name": "offer",
    "language": "en",
    "category": "MARKETING",
    "parameter_format": "NAMED",
    "components": [
        {"type": "HEADER", "format": "TEXT", "text": "For {{who}}"},
        {"type": "BODY", "text": "Hello {{first_name}}, {{percent}} less today!"},
        {"type": "FOOTER", "text": "Reply STOP to end this"},
        {
            "type": "BUTTONS",
            "buttons": [
                {"type": "URL", "text": "Shop", "url": "https://shop.example/{{1}}"},
                {"type": "QUICK_REPLY", "text": "Stop promotions"},
            ],
        },
    ],
}
REMINDER = {
    "name": "reminder",
    "language": "en_US",
    "category": "UTILITY",
    "components": [{"type": "BODY", "text": "Dear {{1}}, see you on {{2}} at noon."}],
}


class Receiver(ThreadingHTTPServer):
    """Keeps every webhook it is sent; `refuse` of them are answered 503."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taker)
        self.url = f"http://127.0.0.1:{self.server_port}/webhooks/whatsapp?channel=1"
        self.channel = channel("http://unused")
        self.got: list[RawWebhook] = []
        self.refused: list[RawWebhook] = []
        self.refuse = 0
        self.news = threading.Condition()

    def wait(self, enough, seconds: float = 15):
        """Wait until `enough(webhooks)` and return what it returned."""
        with self.news:
            self.news.wait_for(lambda: enough(self.got), seconds)
            found = enough(self.got)
        assert found, f"only {len(self.got)} webhooks"
        return found

    def updates(self, kind=None) -> list:
        transport = WhatsAppCloud()
        found = []
        for raw in list(self.got):
            transport.verify(self.channel, raw)
            for piece in transport.split(raw):
                # What is stored between the two is JSON.
                stored = json.loads(json.dumps(piece.payload))
                found += transport.parse(stored, piece.kind)
        return [each for each in found if kind is None or isinstance(each, kind)]

    def expect(self, kind, count: int) -> list:
        def enough(_):
            found = self.updates(kind)
            return found if len(found) >= count else None

        return self.wait(enough)


class _Taker(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_GET(self) -> None:
        query = dict(parse_qsl(urlsplit(self.path).query))
        said = WhatsAppCloud().challenge(self.server.channel, query)
        self.say(200, said.encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        raw = RawWebhook(body, headers)
        with self.server.news:
            if self.server.refuse:
                self.server.refuse -= 1
                self.server.refused.append(raw)
                self.say(503, b"")
                return
            self.server.got.append(raw)
            self.server.news.notify_all()
        self.say(200, b"")

    def say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Simulator:
    """A simulator in its own process."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.options = folder, options
        self.receipts_file = folder / "receipts.ndjson"
        self.start()

    def start(self) -> None:
        port_file = self.folder / f"port-{uuid4().hex}"
        arguments = [
            *("--port-file", str(port_file), "--receipts", str(self.receipts_file)),
            *("--token", SECRETS["access_token"], "--app-secret", SECRETS["app_secret"]),
            *("--verify-token", SECRETS["verify_token"], "--waba", WABA, "--seed", "7"),
            *("--sent-ms", "10", "--delivered-ms", "60", "--read-ms", "120"),
            *("--approve-ms", "20", *self.options),
        ]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "clarion_whatsapp_cloud.simulator", *arguments],
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 20
        while not port_file.exists():
            assert self.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        self.port = int(port_file.read_text())
        self.url = f"http://127.0.0.1:{self.port}"
        self.ask("/_sim/templates", {"templates": [OFFER, REMINDER]})

    def stop(self, *, kill: bool = False) -> None:
        self.process.kill() if kill else self.process.terminate()
        self.process.wait(10)

    def ask(self, path: str, body=None, method=None, headers=None):
        """Ask anything; returns decoded JSON, or text. Errors are answers too."""
        request = urllib.request.Request(
            self.url + path,
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json", **(headers or {})},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            text = error.read().decode()
        try:
            return json.loads(text)
        except ValueError:
            return text

    def graph(self, path: str, body=None, method=None):
        """Ask the Cloud API with the right token."""
        headers = {"Authorization": f"Bearer {SECRETS['access_token']}"}
        return self.ask("/v23.0" + path, body, method, headers)

    def rule(self, fate, **match) -> None:
        times = match.pop("times", -1)
        rule = {"match": match, "fate": fate, "times": times}
        assert self.ask("/_sim/rules", {"rules": [rule]}) == {"rules": 1}

    def receipts(self, **query) -> list[dict]:
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        return self.ask(f"/_sim/receipts?format=json&{asked}".replace("+", "%2B"))


@contextmanager
def receiving():
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def channel(base_url: str, **secrets) -> Channel:
    config = {"base_url": base_url, "api_version": "v23.0", "waba_id": WABA}
    return Channel(uuid4(), config, SECRETS | secrets)


def offer(to: str, reference: str = "i.m.1", to_kind="phone") -> Message:
    """A marketing message with everything a template can have."""
    parts = (
        Part("header", {"who": "friends"}),
        Part("body", {"first_name": "Asha", "percent": "20 %"}),
        Part("button", {"1": "spring"}, index=0, button="url"),
        Part("button", {"payload": "stop-promotions"}, index=1, button="quick_reply"),
    )
    template = TemplateUse("offer", "en", parts)
    return Message(uuid4(), reference, SENDER, to, to_kind, template)


def text(to: str, words: str = "Hello", reference: str = "i.m.1") -> Message:
    return Message(uuid4(), reference, SENDER, to, text=words)
