"""What owners see of cases about their account, answer, and appeal against."""

import datetime as dt
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, insert, select
from sqlalchemy.exc import IntegrityError

from clarion.base import db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.words import _
from clarion.messaging import holds
from clarion.misuse.cases import words_of
from clarion.misuse.models import MisuseAppeal, MisuseFlag, MisuseWord
from clarion.tenancy import access, audit
from clarion.tenancy.models import Account
from clarion.tenancy.scope import current_account, current_actor

PAGE, LONGEST, MOST_WORDS = 50, 2_000, 50
audit.label("misuse.appeal.made", "Asked for another look at a decision")
audit.label("misuse.word.written", "Answered in a review")


@dataclass(frozen=True, slots=True)
class Shown:
    """A case as its owners see it: what was measured, what was decided and why."""

    id: UUID
    state: str
    parts: list[dict[str, Any]]
    rules: str
    opened_at: dt.datetime
    held_at: dt.datetime | None
    decided_at: dt.datetime | None
    said: str
    appeal: str
    may_appeal: bool


@dataclass(frozen=True, slots=True)
class Review:
    """How the account stands: whether it may send, what is held, and its cases."""

    state: str
    reason: str
    held: bool
    cases: list[Shown]


def review(before: UUID | None = None) -> Review:
    """Read how the account stands, and the cases its owners may see, newest first."""
    access.require("portal.review")
    row = (
        db.session()
        .execute(
            select(Account.state, Account.state_reason).where(
                Account.id == current_account()
            )
        )
        .one()
    )
    query = _visible().order_by(MisuseFlag.id.desc()).limit(PAGE)
    if before is not None:
        query = query.where(MisuseFlag.id < before)
    return Review(
        row.state,
        row.state_reason,
        holds.standing() is not None,
        [_shown(*one) for one in db.session().execute(query)],
    )


def case(flag_id: UUID) -> tuple[Shown, list[MisuseWord]]:
    """Read one case and what was written about it; raises `NotFound` until it is shown."""
    access.require("portal.review")
    row = db.session().execute(_visible().where(MisuseFlag.id == flag_id)).one_or_none()
    if row is None:
        raise NotFound("case_unknown", _("There is no such case."))
    return _shown(*row), words_of(current_account(), flag_id)


def write(flag_id: UUID, text: str) -> None:
    """Answer in a case, decided or not."""
    access.require("portal.review")
    case(flag_id)
    _write(flag_id, text)
    audit.record("misuse.word.written", None, flag=flag_id)


def appeal(flag_id: UUID, text: str) -> None:
    """Ask for another look at what was decided, by somebody who has not decided it."""
    access.require("portal.review")
    shown, _words = case(flag_id)
    if not shown.may_appeal:
        raise Conflict("appeal_impossible", _("There is nothing to appeal against now."))
    flag = db.session().scalar(
        select(MisuseFlag).where(
            MisuseFlag.account_id == current_account(), MisuseFlag.id == flag_id
        )
    )  # as `case` has just read it
    assert flag is not None  # noqa: S101 -- it was shown
    row = insert(MisuseAppeal).values(
        id=db.new_id(),
        account_id=current_account(),
        flag_id=flag_id,
        against=flag.decided_by,
        against_too=flag.asked_by,
    )
    try:
        with db.session().begin_nested():
            db.session().execute(row)
    except IntegrityError as error:  # two clicks
        raise Conflict("appeal_open", _("You have asked for another look.")) from error
    _write(flag_id, text)
    audit.record("misuse.appeal.made", flag)


def _write(flag_id: UUID, text: str) -> None:
    words = text.strip()
    if not words:
        raise Invalid("words_missing", _("Write something."), field="text")
    if len(words) > LONGEST:
        raise Invalid("words_long", _("Use at most 2,000 letters."), field="text")
    theirs = select(func.count()).where(
        MisuseWord.account_id == current_account(),
        MisuseWord.flag_id == flag_id,
        MisuseWord.side == "customer",
    )
    if (db.session().scalar(theirs) or 0) >= MOST_WORDS:
        raise Conflict("words_many", _("Please wait for our answer first."))
    who = current_actor()
    db.session().add(
        MisuseWord(flag_id=flag_id, side="customer", text=words, by=who.name[:120])
    )
    db.session().flush()


def _visible() -> Select[tuple[MisuseFlag, str | None]]:
    last = (
        select(MisuseAppeal.state)
        .where(
            MisuseAppeal.account_id == MisuseFlag.account_id,
            MisuseAppeal.flag_id == MisuseFlag.id,
        )
        .order_by(MisuseAppeal.created_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = select(MisuseFlag, last).where(
        MisuseFlag.account_id == current_account(), MisuseFlag.shown_at.is_not(None)
    )
    return query.execution_options(populate_existing=True)


def _shown(flag: MisuseFlag, appeal: str | None) -> Shown:
    return Shown(
        flag.id,
        flag.state,
        flag.parts,
        flag.rules,
        flag.opened_at,
        flag.held_at,
        flag.decided_at,
        flag.said,
        appeal or "",
        flag.state in ("limited", "suspended") and not appeal,
    )
