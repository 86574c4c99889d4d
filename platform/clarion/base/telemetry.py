"""Logs, metrics and context: for us, today. Addresses, names, texts and secrets are masked.

A log line is an event name and fields: `log.info("message.sent", message_id=…, ms=31)`.
Lines of libraries go the same way out. What is bound with `bound` (request, account,
actor, job) appears by itself.
"""

import datetime as dt
import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO
from uuid import UUID

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.process_collector import ProcessCollector

from clarion.base import lean

with lean.without("rich"):  # it draws traces; ours are plain
    import structlog

Event = MutableMapping[str, Any]

LONGEST, LONGEST_TRACE = 2_000, 16_000
SECRET, PERSONAL = "[secret]", "[personal]"

_SECRET_KEY = re.compile(
    r"passw|secret|token|bearer|api_?key|authori[sz]ation|cookie|credential|private_?key"
    r"|signature|csrf|otp$|session_?key",
    re.IGNORECASE,
)
_PERSONAL_KEYS = re.compile(
    r"(wa_id|msisdn|(phone|email)(_number|_address|_masked)?|number|address(es)?|recipients?|to"
    r"|(full|first|last|person|contact|profile)_name|text|body|subject|caption)",
    re.IGNORECASE,
)
_PATTERNS = re.compile(
    r"""
    (?P<keep> \b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b            # a UUID
      | (?<!\d)\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)?(?!\d) )  # a moment
  | (?P<secret> (?<=://)[^\s/:@]*:[^\s/@]+(?=@)                          # in an address
      | (?i:(?<=bearer\s)|(?<=basic\s))[\w.~+/=-]{8,}
      | \bclk_(?:live|test)_\w+ | \bEAA\w{20,} | \beyJ[\w-]+\.[\w-]+\.[\w-]+
      | (?i:(?<=token=)|(?<=secret=)|(?<=key=)|(?<=password=))[^\s&"']+ )
  | (?P<values> (?<=\[parameters:)[^\n]+ | (?<=DETAIL:)[^\n]+ )          # SQL and its values
  | (?P<email> [\w.+%-]+@[\w-]+(?:\.[\w-]+)+ )
  | (?P<phone> (?<![0-9A-Za-z])(?:%2B|\+|00)?\d(?:[ ().-]{0,2}\d){8,14}(?![0-9A-Za-z]) )
    """,
    re.VERBOSE,
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


# --- logs


def logger(name: str = "clarion") -> structlog.stdlib.BoundLogger:
    """Return a logger; modules keep theirs as `log`."""
    log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return log


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Add fields (request, account, actor, job) to every line written inside the block."""
    with structlog.contextvars.bound_contextvars(**fields):
        yield


def configure(
    *, level: str = "info", json_lines: bool = False, stream: TextIO | None = None
) -> None:
    """Send what this process logs to a stream (standard error), masked, one line each."""
    handler = logging.StreamHandler(stream or sys.stderr)
    last = structlog.processors.JSONRenderer() if json_lines else _console
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_STEPS,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(least)


_QUIET = {
    "flask_appbuilder": logging.ERROR,  # "Filter type not supported" for each UUID column
    "flask_limiter": logging.ERROR,
    "rq": logging.WARNING,
    "werkzeug": logging.WARNING,
    "aiohttp.access": logging.WARNING,
    "alembic": logging.WARNING,
}


def mask(value: Any) -> Any:
    """Return a value as it may be logged: nothing of a person, nothing secret, not endless.

    Understands text, mappings and sequences at any depth; other objects become their
    masked `repr`.
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {_text(str(k), 200): _field(str(k), v) for k, v in list(value.items())[:100]}
    if isinstance(value, list | tuple | set | frozenset):
        return [mask(one) for one in list(value)[:100]]
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    plain = isinstance(value, str | UUID | dt.date)
    return _text(str(value) if plain else repr(value), LONGEST)


def _field(key: str, value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if _SECRET_KEY.search(key):
        return SECRET
    if _PERSONAL_KEYS.fullmatch(key):
        return PERSONAL
    if key == "exception":
        return _text(str(value), LONGEST_TRACE)
    return mask(value)


def _text(text: str, longest: int) -> str:
    if len(text) > longest:
        text = f"{text[:longest]}… ({len(text)} characters)"
    text = _PATTERNS.sub(_shadow, text)
    return _CONTROL.sub(lambda m: f"\\x{ord(m[0]):02x}", text)


def _shadow(match: re.Match[str]) -> str:
    kind = match.lastgroup or ""
    return match[0] if kind == "keep" else f"[{kind}]"


def _masked(_logger: Any, _method: str, event: Event) -> Event:
    """The step that every line passes; a line it cannot read is replaced, never let out."""
    try:
        return {k: v if k in _OURS else _field(k, v) for k, v in event.items()}
    except Exception as e:
        return {"event": "log.unreadable", "error": type(e).__name__, "level": "error"}


_OURS = frozenset({"_record", "_from_structlog", "exc_info", "level", "logger", "at"})
_STEPS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    structlog.processors.format_exc_info,
    _masked,
]


def _console(_logger: Any, _method: str, event: Event) -> str:
    """Draw a line for a person: time, level, event, fields; a trace below it."""
    trace = event.pop("exception", None)
    at, level = str(event.pop("at", ""))[11:19], event.pop("level", "")
    event.pop("logger", None)
    name = _word(event.pop("event", ""), spaces=True)
    fields = "".join(f" {k}={_word(v)}" for k, v in event.items())
    return f"{at} {level:<8}{name}{fields}" + (f"\n{trace}" if trace else "")


def _word(value: Any, *, spaces: bool = False) -> str:
    plain = isinstance(value, str) and value and "\n" not in value and '"' not in value
    if plain and (spaces or " " not in value):
        return str(value)
    return json.dumps(value, ensure_ascii=False, default=str)


structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        *_STEPS,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    wrapper_class=structlog.stdlib.BoundLogger,
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=False,  # tests read what was logged
)


# --- metrics: for graphs; never an account or a person as a label

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
_metrics: dict[str, Any] = {}


def counter(name: str, doc: str, labels: Sequence[str] = ()) -> Counter:
    """Return the counter of a name; the first caller declares it."""
    made: Counter = _metric(Counter, name, doc, labels)
    return made


def gauge(name: str, doc: str, labels: Sequence[str] = ()) -> Gauge:
    """Return the gauge of a name; the first caller declares it."""
    made: Gauge = _metric(Gauge, name, doc, labels)
    return made


def histogram(
    name: str,
    doc: str,
    labels: Sequence[str] = (),
    buckets: Sequence[float] = Histogram.DEFAULT_BUCKETS,
) -> Histogram:
    """Return the histogram of a name (seconds, unless it says otherwise)."""
    made: Histogram = _metric(Histogram, name, doc, labels, buckets=buckets)
    return made


def exposition() -> tuple[bytes, str]:
    """Return this process's metrics as Prometheus reads them, and their content type."""
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST


def _metric(
    kind: type[Any], name: str, doc: str, labels: Sequence[str], **more: Any
) -> Any:
    if name not in _metrics:
        _metrics[name] = kind(name, doc, tuple(labels), registry=REGISTRY, **more)
    return _metrics[name]
