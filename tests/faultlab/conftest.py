"""The fault lab: real workers that are killed, a provider whose receipts are the truth."""

import contextlib
import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from sqlalchemy import create_engine, select, text, update

from clarion.base import db
from clarion.messaging import channels, counts
from clarion.messaging.models import Channel, Sender
from clarion.tenancy import audit
from clarion.tenancy.models import Preference
from clarion.tenancy.preferences import SWITCH
from clarion.testing.factories import make_sender
from clarion.testing.simulator import Simulator

LEASE = 3
_spec = importlib.util.spec_from_file_location(
    "deeds", Path(__file__).with_name("deeds.py")
)
deeds = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(deeds)
SENT = ("accepted", "sent", "delivered", "read")


class Lab:
    """One account with a number, its simulator, and workers to kill."""

    def __init__(self, account, simulator, nursery, folder):
        self.account, self.simulator, self.nursery = account, simulator, nursery
        self.folder = folder
        self.seed = int(os.environ.get("FAULTLAB_SEED") or random.randrange(2**32))
        self.chance = random.Random(self.seed)
        self.workers: list[int] = []
        self.orders = []
        self.people = 0
        print(f"faultlab seed {self.seed}")
        with db.transaction() as orm:  # the people here are numbers, nobody's contacts
            orm.add(Preference(plugin="contacts", name=SWITCH, value=False))
        self.sender_id = make_sender(account, simulator.url)

    def pace(self, rate_per_s):
        """Give the number a rate."""
        with db.transaction() as orm:
            orm.execute(
                update(Sender)
                .where(Sender.id == self.sender_id)
                .values(rate_per_s=rate_per_s)
            )

    # --- what is sent

    def order(self, size):
        """Start an order for so many new people; returns its id."""
        self.orders.append(deeds.order(self.sender_id, self.people, size))
        self.people += size
        return self.orders[-1]

    def tally(self):
        """Count all rows of all orders by state."""
        found = Counter()
        with db.transaction():
            for order in self.orders:
                found.update(counts.tally(order))
        return found

    def rows(self):
        """Every row with its number of attempts: (id, state, reason, attempts)."""
        query = text(
            "SELECT m.id, m.state, m.reason, m.contact_id, (SELECT count(*) FROM attempt a"
            " WHERE a.account_id = m.account_id AND a.message_id = m.id) AS attempts"
            " FROM message m WHERE m.account_id = :account"
        )
        with db.transaction() as orm:
            return orm.execute(query, {"account": self.account.id}).all()

    def ids(self, state):
        """The ids of all rows in a state."""
        return {row.id for row in self.rows() if row.state == state}

    def receipts(self):
        """Count what people really got, by message id."""
        references = (r["reference"] for r in self.simulator.receipts())
        return Counter(reference.split(".")[1] for reference in references)

    # --- who sends

    def start(self, **env):
        """Start a worker with its relay; returns its process id."""
        env = {f"CLARION_{name.upper()}": str(value) for name, value in env.items()}
        pid = self.nursery.fork(env, self.folder / "workers.log")
        self.workers.append(pid)
        return pid

    def elsewhere(self, deed, *words, **env):
        """Do one of the deeds in a process of its own; returns its exit code."""
        env = {f"CLARION_{name.upper()}": str(value) for name, value in env.items()}
        what = [deed, str(self.account.id), *words]
        pid = self.nursery.fork(env, self.folder / "workers.log", deed=what)
        return self.nursery.wait(pid, 30)

    def kill(self, pid):
        """SIGKILL a worker."""
        os.kill(pid, signal.SIGKILL)
        assert self.ended(pid) == -signal.SIGKILL

    def stop(self, pid=None):
        """Ask workers to stop, as a deployment does; all of them without a pid."""
        for one in [pid] if pid else list(self.workers):
            os.kill(one, signal.SIGTERM)
        for one in [pid] if pid else list(self.workers):
            assert self.ended(one, 30) == 0

    def ended(self, pid, seconds=20):
        """Wait for a worker's end; returns its exit code, None when it goes on."""
        code = self.nursery.wait(pid, seconds)
        if code is not None and pid in self.workers:
            self.workers.remove(pid)
        return code

    # --- waiting and judging

    def until(self, true, seconds=60, what="that"):
        """Look until something is true."""
        end = time.monotonic() + seconds
        while not (found := true()):
            assert time.monotonic() < end, self.story(what)
            time.sleep(0.05)
        return found

    def story(self, what):
        """Say what is missing, and what the workers said last."""
        log = self.folder / "workers.log"
        said = log.read_text()[-6_000:] if log.exists() else ""
        return f"{what} did not come: {self.tally()}\n{said}"

    def settled(self):
        """Whether nothing is waiting, held by a worker, or on the wire."""
        return not any(
            self.tally()[state] for state in ("queued", "claimed", "dispatching")
        )

    def judge(self):
        """Hold the ledger against the receipts: nobody twice, nobody lost."""
        receipts, rows = self.receipts(), self.rows()
        assert len(rows) == self.people
        assert len({row.contact_id for row in rows}) == self.people
        assert [m for m, n in receipts.items() if n > 1] == []
        known = {row.id.hex for row in rows}
        assert set(receipts) <= known
        wrong = [
            (row.state, row.reason, row.attempts, receipts[row.id.hex])
            for row in rows
            if not _agrees(row, receipts[row.id.hex])
        ]
        assert wrong == []
        return Counter(row.state for row in rows)


def _agrees(row, receipts):
    if row.state in SENT:
        return receipts == 1
    if row.state == "unknown":
        return row.reason == "no_answer" and row.attempts >= 1
    return row.state in ("queued", "failed", "suppressed", "cancelled") and receipts == 0


class Nursery:
    """The process that forks workers."""

    def __init__(self, env):
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("nursery.py"))],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def fork(self, env, log, **more):
        return self._ask(do="fork", env=env, log=str(log), **more)["pid"]

    def wait(self, pid, seconds):
        return self._ask(do="wait", pid=pid, seconds=seconds)["code"]

    def _ask(self, **what):
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self):
        line = self.process.stdout.readline()
        assert line, "the nursery is gone"
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=20)


@pytest.fixture(scope="session")
def lab_simulator(database, tmp_path_factory):
    """A provider of the lab's own: nobody reads, so that every end state is known."""
    words = ("--any-template", "--token", "test-token", "--waba", "9900")
    words += ("--read-share", "0")
    running = Simulator.start(tmp_path_factory.mktemp("provider"), *words)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def nursery(database, lab_simulator):
    env = os.environ | {
        "CLARION_DATABASE_URL": database.database_url,
        "CLARION_REDIS_URL": database.redis_url,
        "CLARION_HTTP_ALLOW": f"127.0.0.1:{lab_simulator.port}",
        "CLARION_LEASE_SECONDS": str(LEASE),
        "CLARION_LOG_LEVEL": "warning",
    }
    running = Nursery(env)
    yield running
    running.close()


@pytest.fixture(scope="session")
def quiet_house(database):
    """Nothing that other tests left running: the lab's workers look after every account."""
    engine = create_engine(database.superuser_url)
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE campaign SET state = 'paused' WHERE state IN ('running', 'pausing')"
            )
        )
        connection.execute(
            text("UPDATE message SET state = 'unknown' WHERE state = 'dispatching'")
        )
    engine.dispose()
    audit.seal(window=None)


@pytest.fixture
def lab(quiet_house, account, lab_simulator, nursery, tmp_path):
    """A lab with nothing sent yet; whatever still runs at the end is killed."""
    lab_simulator.post("rules", rules=[], replace=True)
    lab_simulator.post("reset", receipts=True)
    one = Lab(account, lab_simulator, nursery, tmp_path)
    yield one
    for pid in list(one.workers):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        one.ended(pid)


@pytest.fixture
def intake(lab):
    """The real webhook intake on a port of its own, where the lab's provider calls back."""
    from clarion.web.intake import intake as application

    server = make_server("127.0.0.1", 0, application, handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with db.transaction() as orm:
        channel = orm.scalar(select(Channel))
        secrets = channels.opened(channel).secrets
    url = f"http://127.0.0.1:{server.server_port}/in/whatsapp_cloud/{channel.id}"
    told = lab.simulator.post(
        "callback",
        url=url,
        app_secret=secrets["app_secret"],
        verify_token=secrets["verify_token"],
    )
    assert told["verified"]
    yield url
    server.shutdown()
    thread.join()
    server.server_close()


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_words):
        """Say nothing."""
