"""Writing an announcement: keep a draft, throw it away, begin a correction; and read them."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from sqlalchemy import and_, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from clarion.announcing import audience, wording
from clarion.announcing.models import (
    AUDIENCES,
    KINDS,
    SEVERITIES,
    Announcement,
    AnnouncementDismissal,
    AnnouncementLetter,
    AnnouncementNotice,
    AnnouncementTarget,
    AnnouncementText,
)
from clarion.base import clock, db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.words import _, languages
from clarion.tenancy import access, audit
from clarion.tenancy.models import Account
from clarion.tenancy.scope import current_actor

PAGE: Final = 50
NAMED: Final = 500
"""So many accounts may be named by hand."""

FIRST: Final = "en"
"""The language that each announcement is written in; others may be added."""

LONGEST: Final = dt.timedelta(days=92)
"""For so long a banner may stand."""

audit.label("console.announcement.written", "Wrote an announcement")
audit.label("console.announcement.changed", "Changed an announcement")
audit.label("console.announcement.discarded", "Threw an announcement away")

Texts = Mapping[str, tuple[str, str]]
"""Title and text by language."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a staff member has filled in.

    Attributes:
        kind: one of `models.KINDS`.
        texts: by language; one without title and text is left out.
        severity: one of `models.SEVERITIES`.
        audience: one of `models.AUDIENCES`.
        value: of the audience: a plugin, or a kind of connection.
        named: ids or names of accounts, a line each.
        banner: whether it stands over each page from `starts_at` to `ends_at`.
        mail: whether it is mailed.
        starts_at: aware.
        ends_at: aware; a banner needs one.
    """

    kind: str
    texts: Texts
    severity: str = "info"
    audience: str = "all"
    value: str = ""
    named: str = ""
    banner: bool = True
    mail: bool = False
    starts_at: dt.datetime | None = None
    ends_at: dt.datetime | None = None


def write(said: Written, corrects_id: UUID | None = None) -> UUID:
    """Keep a new draft; nobody but staff sees it. Returns its id."""
    access.require("console.announcements_edit")
    one = Announcement(
        id=db.new_id(), corrects_id=corrects_id, written_by=current_actor().name[:120]
    )
    texts, accounts = _checked(one, said)
    db.session().add(one)
    db.session().flush()
    _keep(one, texts, accounts)
    audit.record("console.announcement.written", one, kind=one.kind)
    return one.id


def change(announcement_id: UUID, said: Written) -> None:
    """Change a draft; what waits for a colleague or was sent stays as it was read."""
    access.require("console.announcements_edit")
    one = draft(announcement_id)
    texts, accounts = _checked(one, said)
    _keep(one, texts, accounts)
    audit.record("console.announcement.changed", one, kind=one.kind)


def discard(announcement_id: UUID) -> None:
    """Throw a draft away."""
    access.require("console.announcements_edit")
    one = draft(announcement_id)
    audit.record("console.announcement.discarded", one, kind=one.kind)
    orm = db.session()
    try:
        with orm.begin_nested():
            for model in (AnnouncementText, AnnouncementTarget):
                orm.execute(delete(model).where(model.announcement_id == one.id))
            orm.delete(one)
    except IntegrityError as error:  # an account has it: then it is nobody's to throw away
        raise Conflict(
            "announcement_used", _("Something refers to this; it stays.")
        ) from error


def correct(announcement_id: UUID) -> UUID:
    """Begin the correction of what was sent, for those it reached. Returns the draft's id.

    Once the correction is sent, what it corrects is taken back.
    """
    access.require("console.announcements_edit")
    one = locked(announcement_id)
    if one.sent_at is None:
        raise Conflict("announcement_not_sent", _("This was not sent: change it instead."))
    again = Written(
        one.kind, texts_of(one.id), one.severity, "reached", banner=one.banner,
        mail=one.mail, ends_at=one.ends_at,
    )  # fmt: skip
    return write(again, one.id)


# --- reading


@dataclass(frozen=True, slots=True)
class Reach:
    """What came of an announcement: accounts that have it, mails, people who put it away."""

    accounts: int = 0
    mails: int = 0
    dismissed: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """An announcement as the list shows it."""

    one: Announcement
    title: str
    reach: Reach

    @property
    def state(self) -> str:
        """Say in a word where it stands: what was sent is over when its banner is."""
        one = self.one
        if one.state == "sent" and one.ends_at and one.ends_at <= clock.now():
            return "over"
        return one.state


@dataclass(frozen=True, slots=True)
class Whole:
    """An announcement with everything its page shows."""

    row: Row
    texts: Texts
    named: list[tuple[UUID, str]]
    counts: tuple[int, int]
    mine: bool
    corrects: str = ""
    corrected_by: list[UUID] = field(default_factory=list)


def page(after: UUID | None = None) -> list[Row]:
    """List announcements, newest first, by key; a full page may have another after it."""
    access.require("console.announcements")
    m = Announcement
    query = select(m).order_by(m.created_at.desc(), m.id.desc()).limit(PAGE)
    if after:
        last = select(m.created_at).where(m.id == after).scalar_subquery()
        query = query.where(
            or_(m.created_at < last, and_(m.created_at == last, m.id < after))
        )
    found = list(db.session().scalars(query))
    ids = [one.id for one in found]
    titles, reach = _titles(ids), reached(ids)
    return [Row(one, titles.get(one.id, ""), reach[one.id]) for one in found]


def read(announcement_id: UUID) -> Whole:
    """Read one with its words, whom it names, and whom it would reach or has reached."""
    access.require("console.announcements")
    one = db.session().get(Announcement, announcement_id)
    if one is None:
        raise _unknown()
    texts, m = texts_of(one.id), AnnouncementTarget
    named = (
        select(Account.id, Account.name)
        .join(m, m.account_id == Account.id)
        .where(m.announcement_id == one.id)
        .order_by(Account.name, Account.id)
    )
    undecided = one.state in ("draft", "waiting")
    corrections = select(Announcement.id).where(Announcement.corrects_id == one.id)
    return Whole(
        Row(one, texts[FIRST][0], reached([one.id])[one.id]),
        texts,
        [(row.id, row.name) for row in db.session().execute(named)],
        audience.counts(one) if undecided else (one.accounts, one.mails),
        one.asked_by == current_actor().label,
        _titles([one.corrects_id]).get(one.corrects_id, "") if one.corrects_id else "",
        list(db.session().scalars(corrections.order_by(Announcement.created_at))),
    )


def texts_of(announcement_id: UUID) -> dict[str, tuple[str, str]]:
    """Read the words of an announcement by language, English first."""
    m = AnnouncementText
    query = select(m.language, m.title, m.text).where(m.announcement_id == announcement_id)
    rows = db.session().execute(query.order_by(m.language != FIRST, m.language))
    return {language: (title, text) for language, title, text in rows.tuples()}


def reached(ids: list[UUID]) -> dict[UUID, Reach]:
    """Count what came of several announcements, in three statements."""
    found: list[dict[UUID, int]] = []
    for model, what in (
        (AnnouncementNotice, AnnouncementNotice.account_id),
        (AnnouncementLetter, AnnouncementLetter.person_id),
        (AnnouncementDismissal, AnnouncementDismissal.person_id),
    ):
        query = select(model.announcement_id, func.count(what.distinct()))
        query = query.where(model.announcement_id.in_(ids)).group_by(model.announcement_id)
        found.append(dict(db.session().execute(query).tuples().all()))
    return {key: Reach(*(counted.get(key, 0) for counted in found)) for key in ids}


# --- rows


def locked(announcement_id: UUID) -> Announcement:
    """Read and lock one; raises `NotFound`."""
    query = select(Announcement).where(Announcement.id == announcement_id)
    found = db.session().scalar(
        query.with_for_update().execution_options(populate_existing=True)
    )
    if found is None:
        raise _unknown()
    return found


def draft(announcement_id: UUID) -> Announcement:
    """Read and lock a draft; raises `Conflict` for what is none any more."""
    one = locked(announcement_id)
    if one.state != "draft":
        raise Conflict("announcement_not_draft", _("This is not a draft any more."))
    return one


def _unknown() -> NotFound:
    return NotFound("announcement_unknown", _("There is no such announcement."))


def _titles(ids: list[UUID]) -> dict[UUID, str]:
    m = AnnouncementText
    query = select(m.announcement_id, m.title).where(
        m.announcement_id.in_(ids), m.language == FIRST
    )
    return dict(db.session().execute(query).tuples().all())


# --- what may be said


def _checked(one: Announcement, said: Written) -> tuple[Texts, list[UUID]]:
    """Take in what was filled in, or refuse; answers the words, and who is named."""
    if said.kind not in KINDS:
        raise Invalid("kind_unknown", _("Choose what kind it is."), field="kind")
    if said.severity not in SEVERITIES:
        raise Invalid("severity_unknown", _("Choose how urgent it is."), field="severity")
    # a correction goes to those it corrects something for, and nothing else does
    chosen = "reached" if one.corrects_id else said.audience
    if chosen not in AUDIENCES or (chosen == "reached") != bool(one.corrects_id):
        raise Invalid("audience_unknown", _("Choose who reads it."), field="audience")
    if not (said.banner or said.mail):
        raise Invalid(
            "way_missing", _("Choose the banner, the mail, or both."), field="mail"
        )
    value = said.value if chosen in ("plugin", "transport") else ""
    if chosen in ("plugin", "transport") and value not in audience.offered()[chosen]:
        raise Invalid("audience_value", _("Choose which one."), field=chosen)
    starts_at, ends_at = _times(said)
    named = _named(said.named) if chosen == "accounts" else []
    one.kind, one.severity, one.audience, one.value = (
        said.kind,
        said.severity,
        chosen,
        value,
    )
    one.banner, one.mail = said.banner, said.mail
    one.starts_at, one.ends_at = starts_at, ends_at
    return _texts(said), named


def _times(said: Written) -> tuple[dt.datetime, dt.datetime | None]:
    starts_at, ends_at = said.starts_at or clock.now(), said.ends_at
    if said.banner and ends_at is None:
        raise Invalid(
            "end_missing", _("Say until when the banner stands."), field="ends_at"
        )
    if ends_at is not None and ends_at <= max(starts_at, clock.now()):
        raise Invalid(
            "end_early", _("The end must lie ahead, and after the start."), field="ends_at"
        )
    if ends_at is not None and ends_at - starts_at > LONGEST:
        text = _("A banner may stand for %(days)s days at most.", days=LONGEST.days)
        raise Invalid("end_late", text, field="ends_at")
    return starts_at, ends_at


def _texts(said: Written) -> Texts:
    kept: dict[str, tuple[str, str]] = {}
    for language, (title, text) in said.texts.items():
        one, body = " ".join(title.split()), "\n".join(text.strip().splitlines())
        if language not in languages() or (not one and not body and language != FIRST):
            continue
        for words, most, name in (
            (one, wording.TITLE, "title"),
            (body, wording.TEXT, "text"),
        ):
            where = f"{name}_{language}"
            if not words:
                raise Invalid("text_missing", _("This is needed."), field=where)
            if len(words) > most:
                text_long = _("Use at most %(most)s letters.", most=most)
                raise Invalid("text_long", text_long, field=where)
            wording.require_sober(said.kind, words, where)
        kept[language] = (one, body)
    if FIRST not in kept:
        raise Invalid("text_missing", _("This is needed."), field=f"title_{FIRST}")
    return kept


def _named(lines: str) -> list[UUID]:
    """Find the accounts of a list, each by id or by its exact name."""
    wanted = list(
        dict.fromkeys(line.strip() for line in lines.splitlines() if line.strip())
    )
    if not wanted:
        raise Invalid("accounts_missing", _("Name an account in each line."), field="named")
    if len(wanted) > NAMED:
        text = _("Name at most %(most)s accounts.", most=NAMED)
        raise Invalid("accounts_many", text, field="named")
    ids = {line: UUID(line) for line in wanted if _is_id(line)}
    query = select(Account.id, Account.name).where(
        or_(Account.id.in_(ids.values()), Account.name.in_(wanted))
    )
    by_name: dict[str, list[UUID]] = {}
    there = set()
    for key, name in db.session().execute(query).tuples():
        there.add(key)
        by_name.setdefault(name, []).append(key)
    found = []
    for line in wanted:
        keys = [ids[line]] if ids.get(line) in there else by_name.get(line, [])
        if len(keys) != 1:
            text = (
                _("There are several accounts “%(name)s”: give the id.", name=line[:60])
                if keys
                else _("There is no account “%(name)s”.", name=line[:60])
            )
            raise Invalid("account_unknown", text, field="named")
        found.append(keys[0])
    return list(dict.fromkeys(found))


def _is_id(line: str) -> bool:
    try:
        UUID(line)
    except ValueError:
        return False
    return True


def _keep(one: Announcement, texts: Texts, accounts: list[UUID]) -> None:
    orm = db.session()
    for model in (AnnouncementText, AnnouncementTarget):
        orm.execute(delete(model).where(model.announcement_id == one.id))
    rows = [
        {"announcement_id": one.id, "language": language, "title": title, "text": text}
        for language, (title, text) in texts.items()
    ]
    orm.execute(insert(AnnouncementText), rows)
    if accounts:
        targets = [
            {"id": db.new_id(), "announcement_id": one.id, "account_id": key}
            for key in accounts
        ]
        orm.execute(insert(AnnouncementTarget), targets)
