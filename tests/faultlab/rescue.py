"""A backup, the loss of the whole machine, the restore, and what people do about it.

What the provider knows and the restored database does not is the point: who got a message
after the backup must not get it again, and who said STOP after it gets nothing.
"""

import time
from collections import Counter

from sqlalchemy import text
from stage import PATIENCE, Stage

from clarion.base import db
from clarion.base.errors import Conflict
from clarion.tenancy.actor import Actor
from clarion.tenancy.scope import account_scope

SENDER = "5550147"


class Rescue:
    """One backup and its restore.

    Attributes:
        waiting: messages of an order a person had paused: nothing of it ever left before.
        stopped: numbers of people who said STOP after the backup.
        lost: the order that was started after the backup, and is gone with the database.
        over: whether the backup was restored.
        found: what came of it, in numbers.
    """

    def __init__(self, stage: Stage) -> None:
        self.stage, self.lab = stage, stage.lab
        self.file = stage.folder / "backup.dump"
        self.waiting, self.stopped = 0, set[str]()
        self.found: dict[str, object] = {}
        self.over, self._mark = False, 0

    # --- before

    def pause_some(self, size: int) -> None:
        """Start an order and pause it in the same breath: it waits when the backup is made."""
        from clarion.messaging import orders

        with db.transaction():
            orders.pause(self.lab.order(size))
        self.waiting = size

    def keep(self) -> None:
        """Make a backup while everything goes on."""
        from clarion import backup

        began = time.monotonic()
        backup.dump(self.file)
        self.found["backup_s"] = round(time.monotonic() - began, 1)

    def move_on(self, size: int, stops: int) -> None:
        """Do what the backup cannot know: start an order, and have people say STOP."""
        from clarion.messaging import suppression

        paused = self._people("state = 'queued' AND campaign_id = :order", stops // 2)
        others = self._people("state = 'queued' AND campaign_id <> :order", stops // 2)
        self.stopped = {*paused, *others}
        self.lost = self.lab.order(size)
        self.lab.people -= size
        for number in sorted(self.stopped):
            self.stage.simulator.post(
                "inbound", **{"from": number, "to": SENDER, "text": "STOP"}
            )

        def heard() -> bool:
            self.stage.wake()
            with db.transaction():
                return suppression.count() == len(self.stopped)

        self.lab.until(heard, what="the opt-outs", seconds=PATIENCE)

    def _people(self, which: str, count: int) -> list[str]:
        query = text(
            f"SELECT address FROM message WHERE account_id = :account AND {which}"
            " ORDER BY id LIMIT :count"
        )
        given = {"account": self.lab.account.id, "order": self.lab.orders[0]}
        with db.transaction() as orm:
            return list(orm.scalars(query, {**given, "count": count}))

    # --- the loss

    def lose_everything(self) -> None:
        """Kill all that runs, put the backup back, and start again."""
        from clarion import backup
        from clarion.messaging import restored

        self.stage.kill_workers()
        self.stage.kill_web()
        self.stage.to_provider.cut()
        began = time.monotonic()
        db.session.remove()
        db.reset_engine()
        standing = self.lab.until(lambda: _loaded(backup, self.file), what="the restore")
        self.found["restore_s"] = round(time.monotonic() - began, 1)
        assert (standing.shut, standing.why, standing.held) == (True, "older", True)
        assert standing.replayed == len(self.stopped)
        self.lab.orders.remove(self.lost)
        with db.transaction():
            doubts = [restored.doubt(one) for one in self.lab.orders]
        self.found["held"] = sum(one.held for one in doubts)
        self.found["on_the_wire"] = sum(one.unknown for one in doubts)
        self._mark, self.over = self._receipts(), True
        self.stage.start_web()

    def still_shut(self) -> None:
        """See that nothing has left since, though workers run and an order was rung."""
        from clarion.work import outbox

        self.lab.until(lambda: outbox.waiting()[0] == 0, what="the bells")
        assert self._receipts() == self._mark, "a restored database sent something"

    def let_late_events_come(self, told) -> None:
        """Let the provider say what it had kept to itself: that settles what it can."""
        self.stage.simulator.post("release")
        self.lab.until(told, what="late events", seconds=PATIENCE)
        self.found["settled_late"] = self.found["held"] - self.lab.tally()["held"]
        assert self._receipts() == self._mark, "a restored database sent something"

    def open_again(self) -> None:
        """Have two of the staff let messages leave again; a day passes, and people are asked."""
        from clarion.messaging import epoch, restored

        epoch.ask_to_open("staff:1")
        epoch.open_again("staff:2")
        self.stage.sql(
            "UPDATE instance_epoch SET restored_at = restored_at - interval '25 h'"
        )
        restored.tend()
        assert not self.lab.tally()["held"]

    def decide(self) -> None:
        """Have two people of the account decide order by order, by what is known of it.

        An order nobody got anything of is sent again; one that some people got is left.
        """
        from clarion.messaging import restored

        receipts, done = self.lab.receipts(), Counter()
        asked_about = [row for row in self.lab.rows() if row.state == "needs_decision"]
        reached = {row.campaign_id for row in asked_about if receipts[row.id.hex]}
        for order in self.lab.orders:
            with db.transaction():
                asked = restored.doubt(order).to_decide
            if not asked:
                continue
            choice = "leave" if order in reached else "resend"
            with self._person(), db.transaction():
                restored.propose(order, choice)
            with self._person(), db.transaction():
                done[choice] += restored.confirm(order, choice)
        self.found |= {"left": done["leave"], "resent": done["resend"]}

    def _person(self):
        account = self.lab.account.id
        someone = Actor("person", id=str(db.new_id()), account_id=account, role="owner")
        return account_scope(account, someone)

    def _receipts(self) -> int:
        return self.stage.simulator.get("stats")["receipts"]

    # --- afterwards

    def disregarded(self) -> int:
        """Count messages that reached people who had said STOP, after the restore."""
        later = self.stage.simulator.receipts()[self._mark :]
        wishes = {one.lstrip("+") for one in self.stopped}
        return sum(one["to"].lstrip("+") in wishes for one in later)


def _loaded(backup, file):
    """Restore; not yet while sessions of the killed are still ending."""
    try:
        return backup.load(file)
    except Conflict as error:
        if error.code != "database_in_use":
            raise
        return None
