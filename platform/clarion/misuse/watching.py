"""The watch: counters in, a score with its parts out, a hold before harm; by the clock.

It judges as `clarion_watch`, a role that can read counters and outcomes and no text, name,
number or address (MIS-01). Counting is done inside each account (`counting`, `facts`),
holding too (`holds`). Every job here may run twice, late, and beside itself.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import and_, case, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased

from clarion.base import db
from clarion.base.settings import settings
from clarion.base.telemetry import counter, logger
from clarion.messaging import holds, ledger
from clarion.messaging.models import Breaker, Campaign, Sender
from clarion.misuse import counting, rules, telling
from clarion.misuse.models import (
    MisuseCount,
    MisuseFlag,
    MisuseLink,
    MisuseList,
    MisuseStanding,
)
from clarion.misuse.rules import Facts, ListFacts, Norms, Part
from clarion.tenancy import audit
from clarion.tenancy.actor import SYSTEM_JOB
from clarion.tenancy.models import Account
from clarion.tenancy.scope import account_scope, current_account
from clarion.work import outbox
from clarion.work.jobs import job

log = logger(__name__)
WATCH = db.Entry("clarion_watch", None, "job:misuse")
DAY, LATELY = dt.timedelta(days=1), dt.timedelta(days=7)
SHOWN_AFTER = dt.timedelta(days=14)
FEWEST = 5
"""From so many accounts on, what is usual is their median."""
WORSE = 10
"""By so many points it must be worse than what was decided within seven days."""
FIELDS = ("score", "parts", "rules")
audit.label("misuse.flag.shown", "What was noticed about the account can be read")
flagged = counter("misuse_flags_total", "Cases opened by the watch", ("held",))


@job(queue="default", idempotent=True, alone=True, system=True)
def look() -> None:
    """Count and judge every account that does something; show owners what is due."""
    with db.apart(outbox.SYSTEM) as orm:
        busy = (
            select(Campaign.account_id)
            .where(Campaign.started_at > func.clarion_now() - LATELY)
            .distinct()
        )
        accounts = list(orm.scalars(busy))
    for account_id in accounts:
        with account_scope(account_id, SYSTEM_JOB), db.transaction():
            counting.count()
    _hold(judge())
    show_due()


@job(queue="default", idempotent=True, alone=True, system=True)
def look_at(account_id: UUID) -> None:
    """Count and judge one account now: something happened in it."""
    _look_at(account_id)


def _look_at(account_id: UUID) -> None:
    with account_scope(account_id, SYSTEM_JOB), db.transaction():
        counting.count()
    _hold(judge([account_id]))


@job(queue="default", idempotent=True, alone=True)
def note_started(campaign_id: UUID) -> None:  # noqa: ARG001 -- a field of the event
    """Look at an account whose order begins. Twice or late: it looks at what is true now."""
    _look_at(current_account())


@job(queue="default", idempotent=True, alone=True)
def note_stopped(kind: str, subject: str, reason: str) -> None:  # noqa: ARG001 -- of the event
    """Look at an account of which something was stopped. Twice or late: the same."""
    _look_at(current_account())


def judge(only: Sequence[UUID] | None = None) -> list[tuple[UUID, UUID]]:
    """Score accounts and open or renew their cases, as the role that reads counters only.

    As many statements for a hundred accounts as for one.

    Returns:
        (account, case) of what has to be held.
    """
    with db.apart(WATCH) as orm:
        facts = _facts(orm, only)
        if not facts:
            return []
        norms = _norms(orm)
        found = {key: rules.judge(one, norms) for key, one in facts.items()}
        _keep_scores(orm, found)
        _open(orm, found)
        return _renew(orm, found)


def show_due() -> int:
    """Let owners read what is open for fourteen days; returns how many cases."""
    due = (
        update(MisuseFlag)
        .where(
            MisuseFlag.shown_at.is_(None),
            MisuseFlag.opened_at <= func.clarion_now() - SHOWN_AFTER,
        )
        .values(shown_at=func.clarion_now())
        .returning(MisuseFlag.account_id, MisuseFlag.id)
        .execution_options(synchronize_session=False, audited=True)  # each says it below
    )
    with db.apart(WATCH) as orm:
        shown = orm.execute(due).tuples().all()
    for account_id, flag_id in shown:
        with account_scope(account_id, SYSTEM_JOB), db.transaction():
            audit.record("misuse.flag.shown", None, flag=flag_id)
            telling.owners("misuse_shown", flag_id)
    return len(shown)


def _hold(cases: Iterable[tuple[UUID, UUID]]) -> None:
    for account_id, flag_id in cases:
        with account_scope(account_id, SYSTEM_JOB), db.transaction():
            ledger.lock_account(account_id)  # who decides meanwhile lifts after us
            if _is_open(flag_id) and holds.place(flag_id):
                telling.owners("misuse_held", flag_id)
                log.warning("misuse.held", account=str(account_id), flag=str(flag_id))


def _is_open(flag_id: UUID) -> bool:
    query = select(MisuseFlag.state).where(
        MisuseFlag.account_id == current_account(), MisuseFlag.id == flag_id
    )
    return db.session().scalar(query) == "open"


# --- what is read


def _facts(orm: Session, only: Sequence[UUID] | None) -> dict[UUID, Facts]:
    """Read everything about the accounts that did something lately, in six statements."""
    now = func.clarion_now()
    numbers = _of(only, MisuseCount.account_id)
    sums = (
        select(
            MisuseCount.account_id,
            func.sum(
                case((MisuseCount.started_at > now - DAY, MisuseCount.people), else_=0)
            ),
            *(func.sum(getattr(MisuseCount, name)) for name in SUMS),
        )
        .where(MisuseCount.started_at > now - LATELY, *numbers)
        .group_by(MisuseCount.account_id)
    )
    facts: dict[UUID, dict[str, Any]] = defaultdict(dict)
    for account_id, asked, *rest in orm.execute(sums):
        facts[account_id] |= {"asked": int(asked), **_ints(SUMS, rest)}
    for account_id, one in _lists(orm, only):
        facts[account_id].setdefault("lists", []).append(one)
    links = select(MisuseLink.account_id, func.max(MisuseLink.odd)).where(
        MisuseLink.seen_at > now - LATELY, *_of(only, MisuseLink.account_id)
    )
    for account_id, odd in orm.execute(links.group_by(MisuseLink.account_id)):
        facts[account_id]["odd_links"] = odd
    stops = select(Breaker.account_id, Breaker.reason).where(
        Breaker.opened_at > now - LATELY, *_of(only, Breaker.account_id)
    )
    for account_id, reason in orm.execute(stops):
        facts[account_id].setdefault("stops", []).append(reason)
    graded = select(Sender.account_id, Sender.quality).where(
        Sender.quality.in_(tuple(rules.QUALITY)), *_of(only, Sender.account_id)
    )
    for account_id, quality in orm.execute(graded):
        if facts[account_id].get("quality") != "red":
            facts[account_id]["quality"] = quality
    return _aged(orm, facts)


SUMS = ("left", "delivered", "failed", "stopped", "blocked")


def _ints(names: Sequence[str], values: Sequence[Any]) -> dict[str, int]:
    return {name: int(value) for name, value in zip(names, values, strict=True)}


def _lists(orm: Session, only: Sequence[UUID] | None) -> list[tuple[UUID, ListFacts]]:
    """Read the lists of the last days, each with how many others have the same one."""
    other = aliased(MisuseList)
    twins = (
        select(func.count(other.account_id.distinct()))
        .where(
            other.likeness == MisuseList.likeness, other.account_id != MisuseList.account_id
        )
        .scalar_subquery()
    )
    query = select(
        MisuseList.account_id,
        MisuseList.rows,
        MisuseList.invalid,
        MisuseList.in_row,
        MisuseList.countries,
        MisuseList.attested,
        twins,
    ).where(
        MisuseList.created_at > func.clarion_now() - LATELY,
        *_of(only, MisuseList.account_id),
    )
    return [(row[0], ListFacts(*row[1:])) for row in orm.execute(query)]


def _aged(orm: Session, facts: dict[UUID, dict[str, Any]]) -> dict[UUID, Facts]:
    """Add how old the accounts are; those that may not send any more are left alone."""
    age = func.extract("epoch", func.clarion_now() - Account.created_at) / 86_400
    query = select(Account.id, age).where(
        Account.id.in_(list(facts)), Account.state == "active"
    )
    return {
        account_id: replace(Facts(**facts[account_id]), age_days=float(days))
        for account_id, days in orm.execute(query)
    }


def _norms(orm: Session) -> Norms:
    """Say what is usual: the median of the accounts that sent enough lately."""
    conf = settings()
    sums = (
        select(
            *(func.sum(getattr(MisuseCount, name)).label(name) for name in SUMS),
        )
        .where(MisuseCount.started_at > func.clarion_now() - LATELY)
        .group_by(MisuseCount.account_id)
        .having(func.sum(MisuseCount.delivered) >= conf.misuse_least)
        .subquery()
    )
    shares = (
        sums.c.stopped * 1.0 / sums.c.delivered,
        sums.c.blocked * 1.0 / sums.c.delivered,
        sums.c.failed * 1.0 / sums.c.left,
    )
    median = [func.percentile_cont(0.5).within_group(one) for one in shares]
    count, *found = orm.execute(select(func.count(), *median)).one()
    usual = (conf.misuse_opt_outs, conf.misuse_blocks, conf.misuse_failures)
    if count < FEWEST:
        return Norms(*usual)
    # a median of nearly nothing would make everybody unusual: never below a quarter
    return Norms(*(max(float(m), u / 4) for m, u in zip(found, usual, strict=True)))


def _of(only: Sequence[UUID] | None, column: Any) -> list[Any]:
    return [] if only is None else [column.in_(only)]


# --- what is written


def _keep_scores(orm: Session, found: dict[UUID, list[Part]]) -> None:
    rows = [
        {"id": db.new_id(), "account_id": key, **_scored(p)} for key, p in found.items()
    ]
    statement = insert(db.table_of(MisuseStanding))
    new = {name: statement.excluded[name] for name in FIELDS}
    orm.execute(
        statement.on_conflict_do_update(
            index_elements=["account_id"], set_={**new, "judged_at": func.clarion_now()}
        ),
        rows,
    )


def _scored(parts: Sequence[Part]) -> dict[str, Any]:
    return {
        "score": rules.score(parts),
        "parts": [part.to_json() for part in parts],
        "rules": rules.VERSION,
    }


def _open(orm: Session, found: dict[UUID, list[Part]]) -> None:
    """Open a case for who has the points, unless one is open or was just decided."""
    worst = {
        key: parts
        for key, parts in found.items()
        if rules.score(parts) >= settings().misuse_flag_score
    }
    if not worst:
        return
    decided = (
        select(MisuseFlag.account_id, func.max(MisuseFlag.score))
        .where(
            MisuseFlag.account_id.in_(list(worst)),
            MisuseFlag.decided_at > func.clarion_now() - LATELY,
        )
        .group_by(MisuseFlag.account_id)
    )
    known = dict(orm.execute(decided).tuples().all())
    rows = [
        {"id": db.new_id(), "account_id": key, **_scored(parts)}
        for key, parts in worst.items()
        if key not in known or rules.score(parts) >= known[key] + WORSE
    ]
    if rows:
        statement = insert(MisuseFlag).values(rows).on_conflict_do_nothing()
        statement = statement.execution_options(audited=True)  # told when it is shown
        new = orm.execute(statement.returning(MisuseFlag.score)).scalars().all()
        for score in new:
            flagged.labels(str(score >= settings().misuse_hold_score).lower()).inc()


def _renew(orm: Session, found: dict[UUID, list[Part]]) -> list[tuple[UUID, UUID]]:
    """Bring open cases up to date: a score rises, it does not fall; note what is held."""
    query = select(
        MisuseFlag.id, MisuseFlag.account_id, MisuseFlag.score, MisuseFlag.parts
    ).where(MisuseFlag.account_id.in_(list(found)), MisuseFlag.state == "open")
    hold, changed = [], []
    for flag in orm.execute(query.order_by(MisuseFlag.id).with_for_update()):
        parts = _merged(flag.parts, [p.to_json() for p in found[flag.account_id]])
        score = min(rules.MOST, sum(part["points"] for part in parts))
        if score != flag.score or parts != flag.parts:
            new = {"id": flag.id, "score": score, "parts": parts, "rules": rules.VERSION}
            changed.append(new)
        if score >= settings().misuse_hold_score:
            hold.append((flag.account_id, flag.id))
    if changed:
        orm.execute(update(MisuseFlag), changed)  # one statement for all of them
    if hold:
        mine = and_(
            MisuseFlag.id.in_([flag_id for _account, flag_id in hold]),
            or_(MisuseFlag.held_at.is_(None), MisuseFlag.shown_at.is_(None)),
        )
        now = func.clarion_now()
        orm.execute(
            update(MisuseFlag)
            .where(mine)
            .values(
                held_at=func.coalesce(MisuseFlag.held_at, now),
                shown_at=func.coalesce(MisuseFlag.shown_at, now),
            )
            .execution_options(synchronize_session=False, audited=True)  # by `holds`
        )
    return hold


def _merged(before: list[Any], now: list[Any]) -> list[Any]:
    """Keep each rule once, by its worst measure since the case was opened."""
    worst = {part["rule"]: part for part in before}
    for part in now:
        if part["rule"] not in worst or part["points"] > worst[part["rule"]]["points"]:
            worst[part["rule"]] = part
    return sorted(worst.values(), key=lambda p: (-p["points"], p["rule"]))
