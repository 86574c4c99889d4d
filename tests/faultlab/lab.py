"""The fault lab: real workers that are killed, a provider whose receipts are the truth."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import deeds
from sqlalchemy import text, update

from clarion.base import db
from clarion.messaging.models import Sender
from clarion.tenancy.models import Preference
from clarion.tenancy.preferences import SWITCH
from clarion.testing.factories import make_sender

SENT = ("accepted", "sent", "delivered", "read")


class Lab:
    """One account with a number, its simulator, and workers to kill."""

    def __init__(self, account, simulator, nursery, folder, seed=None):
        self.account, self.simulator, self.nursery = account, simulator, nursery
        self.folder = folder
        self.seed = seed or int(os.environ.get("FAULTLAB_SEED") or random.randrange(2**32))
        self.chance = random.Random(self.seed)
        self.workers: list[int] = []
        self.orders = []
        self.people = self.numbers = 0  # who is in the orders; how many numbers were used
        print(f"faultlab seed {self.seed}", file=sys.stderr)
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
        self.orders.append(deeds.order(self.sender_id, self.numbers, size))
        self.people += size
        self.numbers += size
        return self.orders[-1]

    def tally(self):
        """Count all rows of all orders by state."""
        query = text(
            "SELECT state, count(*) FROM message WHERE account_id = :account GROUP BY state"
        )
        with db.transaction() as orm:
            return Counter(dict(orm.execute(query, {"account": self.account.id}).all()))

    def rows(self):
        """Every row with its number of attempts: (id, state, reason, attempts)."""
        query = text(
            "SELECT m.id, m.campaign_id, m.state, m.reason, m.contact_id, m.address,"
            " (SELECT count(*) FROM attempt a"
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

    def start(self, deed=None, **env):
        """Start a worker with its relay, or a deed that is one; returns its process id."""
        env = {f"CLARION_{name.upper()}": str(value) for name, value in env.items()}
        what = {"deed": deed} if deed else {}
        pid = self.nursery.fork(env, self.folder / "workers.log", **what)
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

    def until(self, true, seconds=60, what="that", look=0.05):
        """Look until something is true."""
        end = time.monotonic() + seconds
        while not (found := true()):
            assert time.monotonic() < end, self.story(what)
            time.sleep(look)
        return found

    def story(self, what):
        """Say what is missing, and what the workers said last."""
        log = self.folder / "workers.log"
        said = log.read_text()[-6_000:] if log.exists() else ""
        return f"{what} did not come: {self.tally()}\n{said}"

    def settled(self):
        """Whether nothing is waiting, held by a worker, or on the wire."""
        tally = self.tally()  # once: rows move between two looks
        return not any(tally[state] for state in ("queued", "claimed", "dispatching"))

    def leases_over(self):
        """Whether no row is held by a worker whose time is not over."""
        query = text(
            "SELECT count(*) FROM message WHERE account_id = :account"
            " AND state IN ('claimed', 'dispatching') AND lease_until > clarion_now()"
        )
        with db.transaction() as orm:
            return not orm.scalar(query, {"account": self.account.id})

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
    if row.state in SENT or (row.state, row.reason) == ("held", "provider_quality"):
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
