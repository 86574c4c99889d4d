"""Events: what happened, in the past tense, ids and numbers only."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events. `name` is `plugin.noun.verbed`; `public` promises it to others.

    Fields are ids, numbers and short words; adding one is fine, changing one is a new
    version. Subscribers may be called twice and out of order.
    """

    name: ClassVar[str] = ""
    version: ClassVar[int] = 1
    public: ClassVar[bool] = False

    def to_json(self) -> dict[str, Any]:
        """Write the fields fit for a job's payload."""
        return {k: str(v) if isinstance(v, UUID) else v for k, v in asdict(self).items()}


_subscribers: dict[str, list[Any]] = {}
_handlers: set[str] = set()


def subscribe(event: type[Event], job: Any) -> None:
    """Let a job run for each event of a class. Called once per subscription at boot."""
    jobs = _subscribers.setdefault(event.name, [])
    if job not in jobs:
        jobs.append(job)
    _handlers.add(getattr(job, "path", ""))


def subscribers(event: type[Event]) -> Iterable[Any]:
    """List the jobs that want an event."""
    return _subscribers.get(event.name, ())


def handles(path: str) -> bool:
    """Say whether a job is one that reacts to events."""
    return path in _handlers


def check(event: type[Event]) -> None:
    """Refuse an event class without a name or with fields that are not plain."""
    if event.name.count(".") != 2:
        raise TypeError(f"{event.__name__}: name it plugin.noun.verbed")
    for one in fields(event):
        if one.type not in (
            UUID,
            str,
            int,
            UUID | None,
            "UUID",
            "str",
            "int",
            "UUID | None",
        ):
            raise TypeError(f"{event.__name__}.{one.name}: ids, words and numbers only")
