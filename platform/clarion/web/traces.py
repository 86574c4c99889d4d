"""What a request leaves in the log if nothing else does: AUD-04.

Verbs say what they did. Where one says nothing, the page that was used is noted; and so is
whatever somebody signed in was refused.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from flask import request
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from clarion.base import db
from clarion.base.errors import ClarionError
from clarion.base.telemetry import logger
from clarion.tenancy import audit
from clarion.tenancy.scope import account_scope, current_actor, system_scope

log = logger(__name__)
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
FOREIGN = "cross_site"  # what another site's page wanted, nobody tried
SENT, REFUSED = "request.sent", "request.refused"
audit.label(SENT, "Used a page")
audit.label(REFUSED, "Tried what is not allowed")


def done(orm: Session, before: int) -> None:
    """Note an unsafe request that went well and left no entry.

    Args:
        orm: the request's session; what it holds back is written first.
        before: what `audit.written` said when the request began.
    """
    if request.method not in UNSAFE or not _somebody():
        return
    orm.flush()
    if audit.written() == before:
        with _scope():
            audit.record(SENT, page=request.endpoint or "")


def refused(error: ClarionError) -> None:
    """Note what somebody signed in was refused: what they may not, or what is not theirs."""
    tried = error.status == 403 or (request.method in UNSAFE and error.status == 404)
    if not _somebody() or not tried or error.code == FOREIGN:
        return
    try:
        with _scope(), db.transaction():
            audit.record(REFUSED, page=request.endpoint or "", code=error.code)
    except SQLAlchemyError as failed:  # the refusal itself holds
        log.exception(
            "refusal.not_noted", endpoint=request.endpoint, error=type(failed).__name__
        )


def _somebody() -> bool:
    return current_actor().kind in ("person", "staff")


@contextmanager
def _scope() -> Iterator[None]:
    """Stay in the present scope; without an account, write into the platform's log.

    Support that may only look cannot write; what it did is written all the same, apart.
    """
    who = current_actor()
    if who.read_only and who.account_id is not None:
        writing = replace(who, grant_id=None, access_id=None, read_only=False)
        with account_scope(who.account_id, writing), db.transaction():
            yield
        return
    if who.kind == "staff" or who.account_id is not None:
        yield
        return
    with system_scope(who), db.transaction():
        yield
