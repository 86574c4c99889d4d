"""`clarion demo --check`: the whole job once, in a scratch place, judged by the receipts."""

import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import select

from clarion.base import db, services
from clarion.base.children import Children, asked_to_stop
from clarion.base.errors import ClarionError, NotFound, Unavailable
from clarion.base.servers import tail
from clarion.base.settings import PREFIX, checkout, settings
from clarion.demo import verdict
from clarion.demo.journey import APP_SECRET, NUMBER_ID, VERIFY_TOKEN, Customer
from clarion.demo.stage import Ports, Simulated, Stage, Stopped, free_port, prepare
from clarion.tenancy.actor import COMMAND
from clarion.tenancy.models import Account
from clarion.tenancy.scope import account_scope, system_scope

Answer = TypeVar("Answer")

WHATSAPP = Simulated(
    token="check-access-token",  # noqa: S106 -- of a simulator
    waba="990010002000",
    sent_ms=30,
    delivered_ms=90,
    read_ms=250,
    read_share=0.62,
    approve_ms=200,
)
# by the last digits of a number: refused at once, or accepted and failed later
FATES = [
    {"match": {"suffix": "26"}, "fate": {"answer": "refuse", "code": 131026}},
    {"match": {"suffix": "49"}, "fate": {"statuses": {"fail": 131049}}},
]
FIRST, SECOND = "Spring early access", "Last days of spring"
EARLY_STOPS = 2
WAYS_TO_STOP = ({"text": "STOP"}, {"text": " sair. "}, {"text": "Stop!"})
FAULTS = ("duplicates", "lost", "strangers", "unfounded", "differing", "open")
LOOK_SECONDS, PATIENCE_SECONDS = 0.1, 120.0
BEGAN = time.monotonic()


def run(csv: Path | None = None) -> int:
    """Do everything, print the figures as one line of JSON, return the exit code."""
    stop = asked_to_stop()
    csv = (csv or _bundled()).absolute()
    with _scratch() as home:
        web = free_port()
        ports = Ports(web, free_port(besides=web))
        prepare(home, ports)
        try:
            with _servers(home), Children(_say) as children:
                done = _do(Stage(ports, children, stop), csv)
            if not done["ok"]:
                _show_logs(home)
        except Stopped:
            return 130
        except ClarionError as error:
            _show_logs(home)
            _say(f"\n{error.text}")
            return 1
    done["seconds"] = round(time.monotonic() - BEGAN, 1)
    print(json.dumps(done), flush=True)
    return 0 if done["ok"] else 1


def _do(stage: Stage, csv: Path) -> dict[str, Any]:
    _say("starting simulator, web and worker")
    from clarion import release
    from clarion.boot import boot

    release.upgrade()
    boot()
    stage.raise_clarion()
    stage.raise_simulator(WHATSAPP)
    stage.ready()
    stage.tell("rules", rules=FATES, replace=True)

    marina = Customer(stage, _say)
    marina.sign_up(settings().mail_folder)
    _subscribe(stage, marina.connect(WHATSAPP.token, WHATSAPP.waba))
    marina.take_in(csv)
    marina.write_template()
    marina.allow_more()
    with _account():
        early = _ask(lambda: verdict.consenting(EARLY_STOPS))
        _stop(stage, [(number, {"text": "STOP"}) for number in early])
        first = _sent(stage, marina, FIRST, after=0)
        late = _ask(lambda: verdict.numbers(verdict.order_of(FIRST), "read", 3))
        _stop(stage, list(zip(late, WAYS_TO_STOP, strict=False)))
        seen = int(stage.look("stats")["receipts"])
        second = _sent(stage, marina, SECOND, after=seen)
        again = {_digits(one["to"]) for one in _receipts(stage, after=seen)}
        answers = Counter(_digits(one["to"]) for one in _answers(stage))
        return _summary(first, second, [*early, *late], again, answers)


# --- steps


def _subscribe(stage: Stage, callback: str) -> None:
    """Tell the simulator where to report back, as one does at the provider."""
    answer = stage.tell(
        "callback",
        url=f"{stage.ports.portal}{callback}",
        app_secret=APP_SECRET,
        verify_token=VERIFY_TOKEN,
        **{"for": WHATSAPP.waba},
    )
    if not answer["verified"]:
        raise Unavailable(
            "callback_refused", "The portal refused the provider's handshake."
        )
    stage.tell("phones", id=NUMBER_ID, waba=WHATSAPP.waba)


def _stop(stage: Stage, people: list[tuple[str, dict[str, str]]]) -> None:
    """Let people write STOP, and wait until each of them is on the list."""
    _say(f"{len(people)} people write STOP")
    for number, words in people:
        stage.tell("inbound", **{"from": number}, to=NUMBER_ID, **words)
    told = [number for number, _words in people]
    _wait(stage, lambda: verdict.silenced(told), "A STOP was not heard.")
    _wait(stage, lambda: verdict.answered(told), "A STOP was not answered.")
    _wait(stage, verdict.settled, "Not every event of the provider is applied.")


def _sent(stage: Stage, marina: Customer, name: str, *, after: int) -> verdict.Verdict:
    """Send a campaign, wait for the last word on every message, compare.

    Every receipt since `after` must be of this campaign: whatever else arrives is found.
    """
    marina.watch(marina.send(name))
    _say(f"comparing the ledger of “{name}” with what people received")
    quiet = "The simulator's statuses do not come to an end."
    _wait(stage, lambda: not stage.look("stats")["pending"] and verdict.settled(), quiet)
    receipts = _receipts(stage, after=after)
    return _ask(lambda: verdict.compare(verdict.order_of(name), receipts))


def _receipts(stage: Stage, *, after: int) -> list[verdict.Receipt]:
    found: list[verdict.Receipt] = stage.look(f"receipts?format=json&after={after}")
    return _ask(lambda: verdict.apart(found)[0])


def _answers(stage: Stage) -> list[verdict.Receipt]:
    found: list[verdict.Receipt] = stage.look("receipts?format=json&after=0")
    return _ask(lambda: verdict.apart(found)[1])


def _summary(
    first: verdict.Verdict,
    second: verdict.Verdict,
    stopped: list[str],
    again: set[str],
    answers: Counter[str],
) -> dict[str, Any]:
    after_stop = len({_digits(number) for number in stopped} & again)
    opted_out = [one.figures["left_out"].get("opted_out", 0) for one in (first, second)]
    kept_out = opted_out[1] >= opted_out[0] + len(stopped) - EARLY_STOPS
    polite = answers == Counter(map(_digits, stopped))  # one to each, and to nobody else
    return {
        "ok": first.agrees and second.agrees and not after_stop and kept_out and polite,
        **_ask(verdict.imported),
        **_told(first),
        "stops": len(stopped),
        "stops_answered": answers.total(),
        "sent_after_stop": after_stop,
        "second": _told(second),
    }


def _told(one: verdict.Verdict) -> dict[str, Any]:
    return {**one.figures, **{name: getattr(one, name) for name in FAULTS}}


# --- pieces


def _digits(number: object) -> str:
    return "".join(c for c in str(number) if c.isdigit())


def _ask(question: Callable[[], Answer]) -> Answer:
    """Look at the database as it is now."""
    with db.transaction() as orm:
        orm.expire_all()
        return question()


def _wait(stage: Stage, is_so: Callable[[], bool], told: str) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not _ask(is_so):
        stage.children.look()
        if stage.stop.wait(LOOK_SECONDS):
            raise Stopped
        if time.monotonic() > end:
            raise Unavailable("check_slow", told)


@contextmanager
def _account() -> Iterator[None]:
    """Look as the only account there is."""
    with system_scope(COMMAND), db.transaction() as orm:
        account_id = orm.scalars(select(Account.id)).one()
    with account_scope(account_id, COMMAND):
        yield


@contextmanager
def _scratch() -> Iterator[Path]:
    """Make a home that nobody knows, for servers of its own; leave nothing of it."""
    for name in [one for one in os.environ if one.startswith(PREFIX)]:
        del os.environ[name]  # this is not about the deployment that is set up here
    folder = Path(tempfile.mkdtemp(prefix="clarion-check-"))
    folder.chmod(0o755)  # the servers' own user must reach its folder below
    try:
        yield folder / "home"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _servers(home: Path) -> Iterator[None]:
    """Run servers of that home; delete their data too, which may lie elsewhere."""
    _say("starting servers")
    running = services.start(home)
    try:
        yield
    finally:
        db.reset_engine()
        running.remove()


def _bundled() -> Path:
    top = checkout()
    path = top / "dev" / "demo_contacts.csv" if top else None
    if path is None or not path.is_file():
        raise NotFound("list_missing", "Name a list of contacts: --csv FILE.")
    return path


def _show_logs(home: Path) -> None:
    """Show the end of each log: the scratch folder will be gone in a moment."""
    for path in sorted((home / "logs").glob("*.log")):
        _say(f"--- {path.name}\n{tail(path)}")


def _say(text: str) -> None:
    print(f"{time.monotonic() - BEGAN:6.1f} s  {text}", file=sys.stderr, flush=True)
