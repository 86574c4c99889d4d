"""The access log as the account reads it: who, why, from when to when, and each thing seen."""

import datetime as dt
import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, and_, func, or_, select

from clarion.base import clock, db
from clarion.base.errors import Conflict, Invalid, NotFound, TooMany
from clarion.base.words import _
from clarion.support import settling
from clarion.support.events import QuestionAsked
from clarion.support.models import AccessEntry, AccessGrant, AccessQuestion
from clarion.tenancy import access, audit, deeds
from clarion.tenancy.models import Account, AuditEntry
from clarion.tenancy.scope import current_account, current_actor
from clarion.work import outbox

PAGE: Final = 50
SETTLED: Final = dt.timedelta(minutes=1)
"""What is younger is not in a file yet: it might be joined by something older."""

VERIFIER: Final = Path(__file__).with_name("verify_access_log.py")
OPEN_QUESTIONS: Final = 20

audit.label("support.log.downloaded", "Downloaded the log of support access")
audit.label("support.question.asked", "Asked about an access of support")
audit.label("support.question.answered", "Answered a question about an access")


@dataclass(frozen=True, slots=True)
class Visit:
    """One access as the log lists it."""

    grant: AccessGrant
    screens: int
    reveals: int
    changes: int
    denied: int
    questions: int


@dataclass(frozen=True, slots=True)
class Seen:
    """One entry, with what it changed."""

    entry: AccessEntry
    changes: list[tuple[str, str, list[tuple[str, str, str]]]]


def visits(after: str = "") -> tuple[list[Visit], str]:
    """List accesses, newest first, by key: two statements for however many."""
    access.require("portal.access_log")
    g, orm = AccessGrant, db.session()
    query = select(g).where(g.account_id == current_account(), g.starts_at.is_not(None))
    if place := _place(after):
        at, key = place
        query = query.where(or_(g.told_at < at, and_(g.told_at == at, g.id < key)))
    order = (g.told_at.desc(), g.id.desc())
    found = orm.scalars(query.order_by(*order).limit(PAGE + 1)).all()
    page = found[:PAGE]
    ids = [one.id for one in page]
    counts, asked = _counts(ids), _asked(ids)
    rows = [_visit(one, counts.get(one.id, {}), asked.get(one.id, 0)) for one in page]
    last = page[-1] if len(found) > PAGE else None
    return rows, f"{last.told_at.isoformat()}_{last.id}" if last else ""


def visit(grant_id: UUID) -> Visit:
    """Find one access."""
    access.require("portal.access_log")
    query = select(AccessGrant).where(
        AccessGrant.id == grant_id, AccessGrant.account_id == current_account()
    )
    grant = db.session().scalar(query)
    if grant is None:
        raise NotFound("grant_unknown", _("There is no such access."))
    asked = _asked([grant.id])
    return _visit(grant, _counts([grant.id]).get(grant.id, {}), asked.get(grant.id, 0))


def seen(grant_id: UUID, after: str = "") -> tuple[list[Seen], str]:
    """List what was seen and done in one access, latest first, with what it changed."""
    access.require("portal.access_log")
    e = AccessEntry
    query = select(e).where(e.account_id == current_account(), e.grant_id == grant_id)
    if place := _place(after):
        at, key = place
        query = query.where(or_(e.created_at < at, and_(e.created_at == at, e.id < key)))
    order = (e.created_at.desc(), e.id.desc())
    found = db.session().scalars(query.order_by(*order).limit(PAGE + 1)).all()
    page = found[:PAGE]
    changed = _changed([one for one in page if one.deed == "change"])
    rows = [Seen(one, changed.get(one.request_id, [])) for one in page]
    last = page[-1] if len(found) > PAGE else None
    return rows, f"{last.created_at.isoformat()}_{last.id}" if last else ""


# --- questions


def questions(grant_id: UUID) -> list[AccessQuestion]:
    """List what was asked about an access, and what was answered."""
    access.require("portal.access_log")
    q = AccessQuestion
    query = select(q).where(q.account_id == current_account(), q.grant_id == grant_id)
    return list(db.session().scalars(query.order_by(q.created_at)))


def question(grant_id: UUID, text: str) -> None:
    """Ask staff about an access; the answer stands beside the question."""
    access.require("portal.access_log")
    words = text.strip()
    if not words or len(words) > 1000:
        raise Invalid("question_empty", _("Write your question."), field="text")
    grant = visit(grant_id).grant
    q = AccessQuestion
    unanswered = select(func.count(q.id)).where(
        q.account_id == current_account(), q.answered_at.is_(None)
    )
    if (db.session().scalar(unanswered) or 0) >= OPEN_QUESTIONS:
        raise TooMany("questions_open", _("Wait for our answers first."))
    asked = q(grant_id=grant.id, text=words, asked_by=current_actor().name[:120])
    db.session().add(asked)
    audit.record("support.question.asked", asked)
    outbox.publish(QuestionAsked(asked.id, grant.id))


def to_answer() -> list[tuple[AccessQuestion, AccessGrant, str]]:
    """List the questions staff have not answered, oldest first."""
    access.require("console.support")
    q = AccessQuestion
    query = (
        select(q, AccessGrant, Account.name)
        .join(AccessGrant, AccessGrant.id == q.grant_id)
        .join(Account, Account.id == q.account_id)
        .where(q.answered_at.is_(None))
        .order_by(q.created_at)
        .limit(PAGE)
    )
    return [(row[0], row[1], row[2]) for row in db.session().execute(query)]


def unanswered() -> Select[tuple[int]]:
    """Count, in a statement of the caller's, the questions that wait for an answer."""
    q = AccessQuestion
    return select(func.count(q.id)).where(q.answered_at.is_(None))


def answer(question_id: UUID, text: str) -> None:
    """Answer a customer's question, once."""
    access.require("console.support_answer")
    words = text.strip()
    if not words or len(words) > 1000:
        raise Invalid("answer_empty", _("Write an answer."), field="answer")
    query = select(AccessQuestion).where(AccessQuestion.id == question_id)
    asked = db.session().scalar(query.with_for_update())
    if asked is None:
        raise NotFound("question_unknown", _("There is no such question."))
    if asked.answered_at:
        raise Conflict("question_answered", _("This is answered already."))
    asked.answer, asked.answered_by = words, current_actor().name[:120]
    asked.answered_at = clock.now()
    audit.record("support.question.answered", asked)
    settling.answered.later(asked.account_id, asked.grant_id)


# --- the file


def download() -> bytes:
    """Make the file: the log, a program that verifies it without Clarion, and how."""
    access.require("portal.access_log")
    lines = _lines()
    head = "0" * 64
    for line in lines:
        said = json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        head = hashlib.sha256((head + said).encode()).hexdigest()
        line["chain"] = head
    whole = {"account": str(current_account()), "entries": lines, "head": head}
    audit.record("support.log.downloaded", entries=len(lines), head=head)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("access-log.json", json.dumps(whole, indent=1))
        packed.writestr(VERIFIER.name, VERIFIER.read_text())
        packed.writestr("README.txt", _README)
    return out.getvalue()


_README: Final = """\
access-log.json holds every access of support to your account, oldest first, except for the
last minute. verify_access_log.py needs Python 3.8 or newer and nothing else:

    python3 verify_access_log.py access-log.json
    python3 verify_access_log.py access-log.json EARLIER-access-log.json

The first says whether each entry follows from the one before it. The second also says whether
everything you downloaded earlier still stands there, unchanged and in its place: keep a file
now and then. The "head" it prints is also in your account's own log, which nobody can change.
"""


def _lines() -> list[dict[str, Any]]:
    e, g = AccessEntry, AccessGrant
    names = {
        "id": e.id, "told_at": e.told_at, "at": e.created_at, "deed": e.deed, "what": e.what,
        "record": e.row, "request": e.request_id, "grant": g.id, "who": g.staff_name,
        "role": g.staff_role, "purpose": g.purpose, "reason": g.reason, "ticket": g.ticket,
        "kind": g.kind, "scope": g.scope, "minutes": g.minutes,
    }  # fmt: skip
    query = (
        select(*(column.label(name) for name, column in names.items()))
        .join(g, and_(g.account_id == e.account_id, g.id == e.grant_id))
        .where(e.account_id == current_account())
        .where(e.told_at < func.clarion_now() - SETTLED)
        .order_by(e.told_at, e.id)
    )
    return [
        {name: _plain(value) for name, value in row.items()}
        for row in db.session().execute(query).mappings()
    ]


def _plain(value: object) -> object:
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat(timespec="microseconds")
    return value if isinstance(value, int) else str(value)


# --- reading


def _counts(ids: list[UUID]) -> dict[UUID, dict[str, int]]:
    e = AccessEntry
    query = (
        select(e.grant_id, e.deed, func.count(e.id))
        .where(e.account_id == current_account(), e.grant_id.in_(ids))
        .group_by(e.grant_id, e.deed)
    )
    found: dict[UUID, dict[str, int]] = {}
    for grant_id, deed, count in db.session().execute(query).tuples():
        found.setdefault(grant_id, {})[deed] = count
    return found


def _asked(ids: list[UUID]) -> dict[UUID, int]:
    q = AccessQuestion
    query = select(q.grant_id, func.count(q.id)).where(q.grant_id.in_(ids))
    return dict(db.session().execute(query.group_by(q.grant_id)).tuples().all())


def _visit(grant: AccessGrant, counts: dict[str, int], asked: int) -> Visit:
    of = counts.get
    return Visit(
        grant, of("screen", 0), of("reveal", 0), of("change", 0), of("denied", 0), asked
    )


def _changed(
    entries: list[AccessEntry],
) -> dict[str, list[tuple[str, str, list[tuple[str, str, str]]]]]:
    """Read what requests changed, before and after, from the account's log of deeds."""
    if not entries:
        return {}
    a = AuditEntry
    begin = min(one.created_at for one in entries)
    end = max(one.created_at for one in entries) + dt.timedelta(minutes=5)
    query = (
        select(a)
        .where(a.account_id == current_account(), a.at.between(begin, end))
        .where(a.request_id.in_([one.request_id for one in entries]))
        .where(a.name != "row.seen")
        .order_by(a.at)
        .limit(10 * PAGE)
    )
    found: dict[str, list[tuple[str, str, list[tuple[str, str, str]]]]] = {}
    for deed in db.session().scalars(query):
        values = [
            (name, _short(before), _short(now))
            for name, (before, now) in sorted(deed.changes.items())
        ]
        of_row = deed.name.startswith("row.")  # whose words name it already
        thing = "" if of_row else audit.noun((deed.row or "").partition(":")[0])
        found.setdefault(deed.request_id, []).append(
            (deeds.said(deed.name, deed.row or ""), thing, values)
        )
    return found


def _short(value: object) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _place(after: str) -> tuple[dt.datetime, UUID] | None:
    at, _underscore, key = after.partition("_")
    try:
        moment = dt.datetime.fromisoformat(at)
        return (moment, UUID(key)) if moment.tzinfo else None
    except ValueError:
        return None
