"""The queue of cases as staff work it: evidence, a decision with its words, appeals.

Staff see numbers and what is usual beside them. What messages say is not here and cannot
be read from here: that takes a grant of its own, and leaves its own trace.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import exists, func, select, tuple_

from clarion.base import db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.words import _
from clarion.messaging.holds import SendingHold
from clarion.misuse import measures, quotas, telling
from clarion.misuse.models import (
    MisuseAppeal,
    MisuseCount,
    MisuseFlag,
    MisuseList,
    MisuseStanding,
    MisuseWord,
)
from clarion.tenancy import access, audit
from clarion.tenancy.models import Account
from clarion.tenancy.scope import current_actor

PAGE, RECENT = 50, 20
LONGEST_WORD = 1_000
audit.label("misuse.flag.decided", "Decided about what was noticed")
audit.label("misuse.flag.asked", "Asked the customer about what was noticed")
audit.label("misuse.appeal.decided", "Decided about an appeal")


@dataclass(frozen=True, slots=True)
class Line:
    """A case as the queue lists it."""

    id: UUID
    account_id: UUID
    account_name: str
    score: int
    state: str
    held: bool
    appeal: bool
    answered: bool
    opened_at: dt.datetime
    parts: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Case:
    """Everything about one case."""

    flag: MisuseFlag
    account: Account
    standing: MisuseStanding | None
    held: bool
    wish: measures.Wish | None
    appeal: MisuseAppeal | None
    may_decide_appeal: bool
    words: list[MisuseWord] = field(default_factory=list)
    orders: list[MisuseCount] = field(default_factory=list)
    lists: list[Any] = field(default_factory=list)


def queue(state: str = "open", after: str = "", limit: int = PAGE) -> list[Line]:
    """List cases, the highest score first, by key; in one statement.

    Args:
        state: `open`, `appeal` (decided, and asked to look again), or `closed`.
        after: `<score>.<id>` of the last one of the page before.
        limit: how many.
    """
    access.require("console.misuse")
    appealed = exists().where(
        MisuseAppeal.account_id == MisuseFlag.account_id,
        MisuseAppeal.flag_id == MisuseFlag.id,
        MisuseAppeal.state == "open",
    )
    last_side = (
        select(MisuseWord.side)
        .where(
            MisuseWord.account_id == MisuseFlag.account_id,
            MisuseWord.flag_id == MisuseFlag.id,
        )
        .order_by(MisuseWord.created_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    held = exists().where(
        SendingHold.account_id == MisuseFlag.account_id, SendingHold.lifted_at.is_(None)
    )
    which = {
        "open": MisuseFlag.state == "open",
        "appeal": appealed,
        "closed": MisuseFlag.state != "open",
    }.get(state)
    if which is None:
        raise NotFound("queue_unknown", _("There is no such page."))
    query = (
        select(
            MisuseFlag.id, MisuseFlag.account_id, Account.name, MisuseFlag.score,
            MisuseFlag.state, held, appealed,
            func.coalesce(last_side == "customer", False),
            MisuseFlag.opened_at, MisuseFlag.parts,
        )
        .join(Account, Account.id == MisuseFlag.account_id)
        .where(which, *_beyond(after))
        .order_by(MisuseFlag.score.desc(), MisuseFlag.id.desc())
        .limit(limit)
    )  # fmt: skip
    return [Line(*row) for row in db.session().execute(query)]


def waiting() -> int:
    """Count what waits for somebody: open cases, and appeals; for today's page."""
    cases = (
        select(func.count(MisuseFlag.id))
        .where(MisuseFlag.state == "open")
        .scalar_subquery()
    )
    appeals = (
        select(func.count(MisuseAppeal.id))
        .where(MisuseAppeal.state == "open")
        .scalar_subquery()
    )
    return db.session().scalar(select(cases + appeals)) or 0


def read(flag_id: UUID) -> Case:
    """Read a case with its evidence; as many statements for much of it as for little."""
    access.require("console.misuse")
    orm = db.session()
    row = orm.execute(
        select(MisuseFlag, Account, MisuseStanding)
        .join(Account, Account.id == MisuseFlag.account_id)
        .outerjoin(MisuseStanding, MisuseStanding.account_id == MisuseFlag.account_id)
        .where(MisuseFlag.id == flag_id)
    ).one_or_none()
    if row is None:
        raise NotFound("case_unknown", _("There is no such case."))
    flag, account, standing = row
    held = select(SendingHold.id).where(
        SendingHold.account_id == account.id, SendingHold.lifted_at.is_(None)
    )
    appeal = orm.scalar(
        select(MisuseAppeal)
        .where(MisuseAppeal.account_id == account.id, MisuseAppeal.flag_id == flag.id)
        .order_by(MisuseAppeal.created_at.desc())
        .limit(1)
    )
    me = current_actor().label
    return Case(
        flag=flag,
        account=account,
        standing=standing,
        held=orm.scalar(held) is not None,
        wish=measures.open_for(account.id),
        appeal=appeal,
        may_decide_appeal=appeal is not None
        and me not in (appeal.against, appeal.against_too),
        words=words_of(account.id, flag.id),
        orders=list(
            orm.scalars(
                select(MisuseCount)
                .where(MisuseCount.account_id == account.id)
                .order_by(MisuseCount.started_at.desc())
                .limit(RECENT)
            )
        ),
        lists=list(
            orm.execute(
                select(MisuseList.rows, MisuseList.invalid, MisuseList.created_at)
                .where(MisuseList.account_id == account.id)
                .order_by(MisuseList.created_at.desc())
                .limit(RECENT)
            )
        ),
    )


def words_of(account_id: UUID, flag_id: UUID) -> list[MisuseWord]:
    """List what was written about a case, oldest first."""
    query = select(MisuseWord).where(
        MisuseWord.account_id == account_id, MisuseWord.flag_id == flag_id
    )
    query = query.order_by(MisuseWord.created_at, MisuseWord.id).limit(200)
    return list(db.session().scalars(query))


def allow(flag_id: UUID, reason: str) -> None:
    """Find nothing wrong, or wrong enough: what was held goes on."""
    access.require("console.misuse_decide")
    flag = _open(flag_id)
    _decide(flag, "allowed", reason)
    measures.go_on.later(flag.account_id)


def limit(flag_id: UUID, per_day: int, reason: str) -> None:
    """Let it go on slower: so many messages a day, until somebody changes that."""
    access.require("console.misuse_decide")
    flag = _open(flag_id)
    _decide(flag, "limited", reason)
    quotas.put(flag.account_id, "messages", per_day, measures.said(reason))
    measures.go_on.later(flag.account_id)


def suspend(flag_id: UUID, reason: str) -> None:
    """Want the account suspended for it; another one has to confirm."""
    access.require("console.misuse_decide")
    flag = _open(flag_id)
    measures.ask(flag.account_id, "suspend", reason, flag_id=flag.id)


def ask(flag_id: UUID, text: str) -> None:
    """Ask the customer; from now on they see the case, and answer in their portal."""
    access.require("console.misuse_decide")
    flag = _locked(flag_id)
    who = current_actor()
    flag.shown_at = func.coalesce(MisuseFlag.shown_at, func.clarion_now())
    db.session().add(
        MisuseWord(
            account_id=flag.account_id,
            flag_id=flag.id,
            side="staff",
            text=measures.said(text, LONGEST_WORD),
            by=who.name[:120],
        )
    )
    db.session().flush()
    audit.record("misuse.flag.asked", flag)
    telling.owners("misuse_asked", flag.id, account_id=flag.account_id)


def decide_appeal(appeal_id: UUID, reason: str, *, grant: bool) -> None:
    """Look again at what others decided; granted, it is taken back.

    Raises:
        Conflict: one's own decision (`appeal_own`); the database refuses it too.
    """
    access.require("console.misuse_decide")
    query = select(MisuseAppeal).where(MisuseAppeal.id == appeal_id).with_for_update()
    row = db.session().scalar(query.execution_options(populate_existing=True))
    if row is None:
        raise NotFound("appeal_unknown", _("There is no such appeal."))
    if row.state != "open":
        raise Conflict("appeal_decided", _("This was decided already."))
    who = current_actor()
    if who.label in (row.against, row.against_too):
        raise Conflict("appeal_own", _("Somebody who has not decided before has to."))
    words = measures.said(reason, LONGEST_WORD)
    row.state, row.decided_by = "granted" if grant else "refused", who.label
    row.decided_name, row.decided_at = who.name[:120], func.clarion_now()
    db.session().add(
        MisuseWord(
            account_id=row.account_id,
            flag_id=row.flag_id,
            side="staff",
            text=words,
            by=who.name[:120],
        )
    )
    db.session().flush()
    audit.record("misuse.appeal.decided", row, state=row.state)
    if grant:
        _take_back(_locked(row.flag_id), words[: measures.LONGEST])
    telling.owners("misuse_appeal", row.flag_id, account_id=row.account_id)


def of_appeal(appeal_id: UUID) -> UUID:
    """Say which case an appeal is about; raises `NotFound`."""
    query = select(MisuseAppeal.flag_id).where(MisuseAppeal.id == appeal_id)
    found = db.session().scalar(query)
    if found is None:
        raise NotFound("appeal_unknown", _("There is no such appeal."))
    return found


def _take_back(flag: MisuseFlag, words: str) -> None:
    if flag.state == "limited":
        quotas.lift(flag.account_id, "messages")
    account = measures.locked(flag.account_id)
    if flag.state == "suspended" and account.state == "suspended":
        measures.let_go(account, words)
    else:
        measures.go_on.later(flag.account_id)


def _decide(flag: MisuseFlag, state: str, reason: str) -> None:
    who, now = current_actor(), func.clarion_now()
    flag.said = measures.said(reason, LONGEST_WORD)
    flag.state, flag.decided_by, flag.decided_name = state, who.label, who.name[:120]
    flag.decided_at, flag.shown_at = now, func.coalesce(MisuseFlag.shown_at, now)
    db.session().flush()
    audit.record("misuse.flag.decided", flag, state=state)
    telling.owners("misuse_decided", flag.id, account_id=flag.account_id)


def _open(flag_id: UUID) -> MisuseFlag:
    flag = _locked(flag_id)
    if flag.state != "open":
        raise Conflict("case_decided", _("This was decided already."))
    if measures.open_for(flag.account_id) is not None:
        raise Conflict("measure_asked", _("A suspension waits for a second person."))
    return flag


def _locked(flag_id: UUID) -> MisuseFlag:
    query = select(MisuseFlag).where(MisuseFlag.id == flag_id).with_for_update()
    row = db.session().scalar(query.execution_options(populate_existing=True))
    if row is None:
        raise NotFound("case_unknown", _("There is no such case."))
    return row


def _beyond(after: str) -> Sequence[Any]:
    score, _dot, key = after.partition(".")
    if not after:
        return ()
    try:
        place = int(score), UUID(key)
    except ValueError:
        raise Invalid("page_unknown", _("There is no such page.")) from None
    return (tuple_(MisuseFlag.score, MisuseFlag.id) < place,)
