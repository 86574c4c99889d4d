"""Jobs on RQ: rows are the work, the broker is the bell. The only door to RQ."""

import copy
import datetime as dt
import functools
import importlib
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec
from uuid import UUID

from sqlalchemy import func, insert
from sqlalchemy.exc import InterfaceError, OperationalError

from clarion.base import broker, db, telemetry
from clarion.base.errors import ClarionError
from clarion.base.telemetry import counter, logger
from clarion.plugging.manager import plugins
from clarion.tenancy import hooktimes, preferences
from clarion.tenancy.actor import Actor
from clarion.tenancy.scope import account_scope, current_actor, system_scope
from clarion.work import events, masking, outbox
from clarion.work.models import DeadJob, Outbox

if TYPE_CHECKING:
    from rq import Queue

log = logger(__name__)
P = ParamSpec("P")
QueueName = Literal[
    "code", "reply", "utility", "fresh", "dispatch", "intake", "mail", "default", "bulk"
]
SENDING: tuple[QueueName, ...] = ("code", "reply", "utility", "fresh", "dispatch")
"""Lanes of sending, highest first; what has just started goes before what goes on."""
OTHERS: tuple[QueueName, ...] = ("intake", "mail", "default", "bulk")
QUEUES: tuple[QueueName, ...] = (*SENDING, *OTHERS)
TRIES = 5
SLOW_SECONDS = 15.0
LATE_SECONDS = 60.0  # a handler of events that takes longer has overrun
NO_ERROR: Mapping[str, str] = {}
ASK_AGAIN_SECONDS = 60.0  # what waits for a handler that rests, looks so often
done = counter("jobs_total", "Jobs that ended", ("job", "result"))
_stopping: Callable[[], bool] = lambda: False  # noqa: E731 -- replaced by the worker


class Job(Generic[P]):
    """A function that runs later, in a worker, with the account and actor of its caller.

    Attributes:
        path: `module:function`, what travels in the payload.
        queue: lane it waits in.
        alone: True when it opens its own transactions; else it runs inside one.
        system: True when it finds across accounts as `clarion_system`.
        when_off: True when it runs although its plugin is switched off.
    """

    def __init__(
        self,
        function: Callable[P, None],
        queue: QueueName,
        *,
        alone: bool,
        system: bool,
        when_off: bool = False,
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.path = f"{function.__module__}:{function.__name__}"
        self.queue, self.alone, self.system = queue, alone, system
        self.when_off = when_off

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        self.function(*args, **kwargs)

    def on(self, queue: QueueName) -> "Job[P]":
        """Return the same job, to be rung in another lane."""
        other = copy.copy(self)
        other.queue = queue
        return other

    def later(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Write the call to the outbox; nothing is rung before this commits."""
        outbox.put(self.queue, self.path, self._named(args, kwargs))

    def after(self, delay: dt.timedelta, *args: P.args, **kwargs: P.kwargs) -> None:
        """Like `later`, but not before `delay` has passed."""
        outbox.put(self.queue, self.path, self._named(args, kwargs), after=delay)

    def bell(self, *args: P.args, **kwargs: P.kwargs) -> "Bell":
        """Make the call without the broker, for somebody who takes it at once."""
        payload = {"actor": current_actor().to_json(), "args": self._named(args, kwargs)}
        return Bell(self.queue, self.path, payload)

    def _named(self, args: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        code = self.function.__code__
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        given = dict(zip(names, args, strict=False)) | dict(kwargs)
        return {k: str(v) if isinstance(v, UUID) else v for k, v in given.items()}


def job(
    *,
    queue: QueueName = "default",
    idempotent: Literal[True],
    alone: bool = False,
    system: bool = False,
    when_off: bool = False,
) -> Callable[[Callable[P, None]], Job[P]]:
    """Declare a job. `idempotent` must be said: every job may run twice, or be cut off.

    Args:
        queue: `dispatch` (sending), `intake` (webhooks), `default`, `bulk` (imports).
        idempotent: always True; there is no other kind.
        alone: the job opens its own transactions (it talks to the network).
        system: the job finds across accounts; what it finds runs per account.
        when_off: the job runs where its plugin is switched off, too: it forgets people, or
            keeps true what the core has decided. Others are dropped there.
    """
    if not idempotent:
        raise TypeError("a job that may not run twice cannot be a job")

    def wrap(function: Callable[P, None]) -> Job[P]:
        return Job(function, queue, alone=alone, system=system, when_off=when_off)

    return wrap


def ring(rows: Iterable[Any]) -> None:
    """Hand outbox rows to the broker, each lane in one round trip."""
    lanes: dict[str, list[Any]] = {}
    for row in rows:
        lanes.setdefault(row.queue, []).append(row)
    for lane, waiting in lanes.items():
        queue = _queue(lane)
        queue.enqueue_many(
            [
                queue.prepare_data(RUN, args=(row.job, row.payload), timeout=900, **KEPT)
                for row in waiting
            ]
        )


@dataclass(frozen=True, slots=True)
class Bell:
    """A job taken from the broker, to be run by somebody else than a worker of RQ."""

    queue: str
    path: str
    payload: Mapping[str, Any]

    @property
    def account_id(self) -> UUID | None:
        """Whose job it is."""
        return Actor.from_json(self.payload["actor"]).account_id


def take_bell(queues: Sequence[str], seconds: int = 0) -> Bell | None:
    """Take the first job of the highest lane that has one; waits so long for it."""
    from rq import Queue  # slow import
    from rq.exceptions import DequeueTimeout

    waiting = [_queue(name) for name in queues]
    try:
        found = Queue.dequeue_any(
            waiting, seconds or None, connection=broker.redis(), serializer="json"
        )
    except DequeueTimeout:
        return None
    if found is None:
        return None
    job, queue = found
    path, payload = job.args
    job.delete(remove_from_queue=False)
    return Bell(queue.name, path, payload)


def give_back(bell: Bell, queue: QueueName | None = None) -> None:
    """Put a job back, at the end of its lane or of another."""
    what = _queue(queue or bell.queue)
    what.enqueue(RUN, args=(bell.path, bell.payload), job_timeout=900, **KEPT)


RUN = "clarion.work.jobs.run"
KEPT = {"result_ttl": 0, "failure_ttl": 86_400}  # seconds


def run(
    path: str, payload: Mapping[str, Any], attempt: int = 1, *, raises: bool = False
) -> None:
    """Run one job in the scope it was published in. What RQ calls; ids in, nothing out.

    `raises` lets an error out instead of trying again later; tests want that.
    """
    one = resolve(path)
    who = Actor.from_json(payload["actor"])
    args = _typed(one, payload["args"])
    scope = (
        system_scope(who)
        if one.system or who.account_id is None
        else account_scope(who.account_id, who)
    )
    began = time.monotonic()
    with scope, telemetry.bound(job=path):
        try:
            if _waits(one, path, payload, attempt):
                return
            if one.alone:
                if _dropped(one, path, who):
                    return
                one.function(**args)
            else:
                with db.transaction():
                    if _dropped(one, path, who):
                        return
                    one.function(**args)
            done.labels(path, "done").inc()
        except Exception as error:
            done.labels(path, "failed").inc()
            if attempt == 1:  # its retries are the same failure
                _note(path, error=error)
            if raises:
                raise
            again(one, path, payload, attempt, error)
        else:
            _note(path, late=time.monotonic() - began > LATE_SECONDS)
        took = time.monotonic() - began
        if took > SLOW_SECONDS:
            log.warning("job.slow", path=path, seconds=round(took, 1))
    hooktimes.keep()


def _dropped(one: Job[Any], path: str, who: Actor) -> bool:
    """Say that a plugin's job does not run, because the plugin is off here."""
    plugin = plugins().owner_of(path)
    if plugin is None or one.when_off:
        return False
    if plugins().running(plugin):
        if one.system or who.account_id is None:
            return False
        with db.transaction():
            if preferences.switched_on(plugin):
                return False
    log.info("job.dropped", path=path, plugin=plugin)
    done.labels(path, "off").inc()
    return True


def _waits(one: Job[Any], path: str, payload: Mapping[str, Any], attempt: int) -> bool:
    """Put off a handler of events that rests; what it was told is kept."""
    plugin = _handled_by(path)
    if plugin is None or one.when_off or not plugins().rests(plugin, _budget(path)):
        return False
    done.labels(path, "waits").inc()
    _put_off(one, path, payload, attempt, ASK_AGAIN_SECONDS)
    return True


def _note(path: str, *, error: Exception | None = None, late: bool = False) -> None:
    """Count a run against the handler's budget; an outage of ours is not its fault."""
    plugin = _handled_by(path)
    if plugin is not None and not isinstance(error, OperationalError | InterfaceError):
        what = type(error).__name__ if error else ""
        plugins().note(plugin, _budget(path), error=what, late=late)


def _handled_by(path: str) -> str | None:
    return plugins().owner_of(path) if events.handles(path) else None


def _budget(path: str) -> str:
    return f"job:{path.rpartition(':')[2]}"


def again(
    one: Job[Any], path: str, payload: Mapping[str, Any], attempt: int, error: Exception
) -> None:
    """Ring once more with back-off, or bury the job where staff can see it."""
    log.error("job.failed", path=path, attempt=attempt, exc_info=error)
    hopeless = isinstance(error, ClarionError) and not error.retry
    if attempt >= TRIES or hopeless:
        account = payload["actor"].get("account_id")
        with db.apart(outbox.SYSTEM) as orm:
            orm.add(
                DeadJob(
                    job=path,
                    account_id=account,
                    error=masking.error(error),
                    queue=one.queue,
                    payload=dict(payload),
                    tries=attempt,
                    trace=masking.trace(error),
                )
            )
        return
    wait = min(300.0, 2.0**attempt) * (0.5 + random.random())  # noqa: S311 -- jitter
    why = {"error": masking.error(error), "trace": masking.trace(error)}
    _put_off(one, path, payload, attempt + 1, wait, why=why)


def _put_off(
    one: Job[Any],
    path: str,
    payload: Mapping[str, Any],
    attempt: int,
    seconds: float,
    *,
    why: Mapping[str, str] = NO_ERROR,
) -> None:
    with db.apart(outbox.SYSTEM) as orm:
        orm.execute(
            insert(db.table_of(Outbox)).values(
                queue="default" if one.queue in SENDING else one.queue,
                job="clarion.work.jobs:retry",
                payload={
                    "actor": payload["actor"],
                    "args": {
                        "path": path,
                        "payload": dict(payload),
                        "attempt": attempt,
                    },
                    **why,
                },
                not_before=func.clarion_now() + dt.timedelta(seconds=seconds),
            )
        )


@job(queue="default", idempotent=True, alone=True, system=True)
def retry(path: str, payload: dict[str, Any], attempt: int) -> None:
    """Run a job that failed before, with its own actor and account."""
    run(path, payload, attempt)


def resolve(path: str) -> Job[Any]:
    """Find a job by `module:function`; refuses anything that is not declared as one."""
    module, _, name = path.partition(":")
    found = getattr(importlib.import_module(module), name, None)
    if not isinstance(found, Job):
        raise TypeError(f"{path} is not a job")
    return found


def _typed(one: Job[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    hints = one.function.__annotations__
    wanted = {"UUID": UUID, UUID: UUID, UUID | None: UUID, "UUID | None": UUID}
    return {
        k: wanted[hints[k]](v) if v is not None and hints.get(k) in wanted else v
        for k, v in given.items()
        if k in hints  # an event may have grown a field
    }


def _queue(name: str) -> "Queue":
    from rq import Queue  # slow import

    return Queue(name, connection=broker.redis(), serializer="json")


# --- what the worker and the console ask


def stopping() -> bool:
    """Say whether this worker was asked to stop: long jobs look, finish and return."""
    return _stopping()


def on_stop(asked: Callable[[], bool]) -> None:
    """Tell `stopping` whom to ask; called once by the worker."""
    global _stopping
    _stopping = asked


def lengths() -> dict[str, int]:
    """Say how many jobs wait in each lane of the broker."""
    return {name: _queue(name).count for name in QUEUES}


@dataclass(frozen=True, slots=True)
class Bells:
    """What waits in one queue of the broker: how many, and since when the first does."""

    count: int
    oldest: dt.datetime | None


def bells() -> dict[str, Bells]:
    """Say for each queue of the broker what waits in it."""
    found = dict[str, Bells]()
    for name in QUEUES:
        count, first = _queue(name).count, listed(name, 1)
        found[name] = Bells(count, first[0].at if first else None)
    return found


@dataclass(frozen=True, slots=True)
class Rung:
    """One job that waits in the broker."""

    id: str
    queue: str
    path: str
    payload: Mapping[str, Any]
    at: dt.datetime | None


def listed(queue: str, limit: int) -> list[Rung]:
    """List the jobs that wait in a queue of the broker, the oldest first."""
    jobs = _queue(queue).get_jobs(0, limit)
    return [_rung(one, queue) for one in jobs]


def found(job_id: str) -> Rung | None:
    """Find a job that waits in the broker by its id."""
    from rq.exceptions import InvalidJobOperation, NoSuchJobError  # slow import
    from rq.job import Job as Kept

    try:
        one = Kept.fetch(job_id, connection=broker.redis(), serializer="json")
        return _rung(one, one.origin)
    except (NoSuchJobError, InvalidJobOperation, ValueError, TypeError):
        return None


def _rung(one: Any, queue: str) -> Rung:  # Any: rq is untyped
    path, payload = one.args
    return Rung(one.id, queue, path, payload, one.enqueued_at)


def queues(names: Sequence[str] = QUEUES) -> "list[Queue]":
    """List lanes, highest first."""
    return [_queue(name) for name in names]


__all__ = [
    "Bell",
    "Bells",
    "Job",
    "Rung",
    "again",
    "bells",
    "found",
    "give_back",
    "job",
    "lengths",
    "listed",
    "on_stop",
    "queues",
    "resolve",
    "run",
    "stopping",
    "take_bell",
]
