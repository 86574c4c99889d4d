"""Is it up, is it ready, how is it doing: /healthz, /readyz, /metrics. No Flask, no session.

Strangers learn ok or not ok. What is wrong, and the numbers, are for the machine itself.
"""

import datetime as dt
import ipaddress
import json
from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.wrappers import Request, Response

from clarion.base import broker, clock, db, telemetry
from clarion.base.errors import Misconfigured
from clarion.plugging.manager import histories
from clarion.work import outbox

if TYPE_CHECKING:
    from clarion.base.migrate import Histories

PATHS: Final = frozenset({"/healthz", "/readyz", "/metrics"})
SYSTEM: Final = db.Entry("clarion_system", None, "web:health")
STALLED: Final = dt.timedelta(minutes=2)


def health(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    """Answer one of the three addresses, as WSGI."""
    request = Request(environ)
    answers = {"/healthz": _alive, "/readyz": _ready, "/metrics": _metrics}
    if request.method not in ("GET", "HEAD"):
        return Response(status=405)(environ, start)
    response = answers[request.path](request)
    response.headers["Cache-Control"] = "no-store"
    return response(environ, start)


def findings() -> dict[str, str]:
    """Say what keeps this process from doing its work: part → what is wrong."""
    wrong = {}
    try:
        if behind := _behind():
            wrong["migrations"] = f"pending for {', '.join(behind)}; run clarion db upgrade"
            return wrong
        oldest = outbox.overdue()
        if oldest and clock.now() - oldest > STALLED:
            wrong["relay"] = "jobs wait in the outbox; is the relay running?"
    except (SQLAlchemyError, OSError) as e:
        wrong["database"] = type(e).__name__
    try:
        if not broker.reachable():
            wrong["broker"] = "does not answer"
    except Misconfigured as e:
        wrong["broker"] = e.text
    return wrong


def _behind() -> list[str]:
    """List whose tables are not of this release; asks the database, so it must answer."""
    with db.apart(SYSTEM) as orm:
        orm.execute(select(1))
        return list(_known().pending(orm.connection()))


@cache
def _known() -> "Histories":
    from clarion.base.migrate import Histories

    return Histories(histories())


def _alive(_request: Request) -> Response:
    return Response("ok\n", mimetype="text/plain")


def _ready(request: Request) -> Response:
    """Ready while the database answers and has this release's tables.

    Without the broker, pages work and messages wait.
    """
    wrong = findings()
    status = 503 if wrong.keys() & {"database", "migrations"} else 200
    if _from_here(request):
        body = json.dumps({"ok": status == 200, "findings": wrong}) + "\n"
        return Response(body, status, mimetype="application/json")
    return Response("ok\n" if status == 200 else "not ok\n", status, mimetype="text/plain")


def _metrics(request: Request) -> Response:
    if not _from_here(request):
        return Response("", 404)
    body, kind = telemetry.exposition()
    return Response(body, content_type=kind)


def _from_here(request: Request) -> bool:
    """Believe the peer's address only when nobody forwarded the request."""
    if any(
        name in request.headers for name in ("X-Forwarded-For", "Forwarded", "X-Real-Ip")
    ):
        return False
    try:
        return ipaddress.ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        return False
