"""Why did they get it, or not? One person and one campaign, even if they were never in it."""

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import and_, select

from clarion.base import db
from clarion.base.errors import NotFound
from clarion.base.words import _
from clarion.messaging import outcomes
from clarion.messaging.models import Message
from clarion.tenancy import access
from clarion.tenancy.scope import current_account
from clarion_campaigns.models import Check, Draft, Listed
from clarion_campaigns.service import dry_run
from clarion_campaigns.service.drafts import found
from clarion_contacts import contract as contacts

SHOWN = 10
BEGUN = ("submitted", "scheduled", "starting", "launched")


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing an answer rests on, and when it happened."""

    icon: str
    text: str
    at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Why:
    """The answer for one person and one campaign, in words.

    Attributes:
        message_id: their message, whose own page says everything; None: there is none.
        got: `no`, `later`, or `never`: they were not in the audience.
    """

    draft_id: UUID
    contact_id: UUID
    message_id: UUID | None
    campaign: str
    name: str
    phone: str
    got: str
    title: str
    why: str
    todo: str
    evidence: list[Evidence]


@dataclass(frozen=True, slots=True)
class WhyLine:
    """The short answer for one of the last campaigns."""

    draft_id: UUID
    contact_id: UUID
    campaign: str
    state: str
    title: str
    at: dt.datetime | None


def why(draft_id: UUID, contact_id: UUID) -> Why:
    """Answer why a person did, or did not, get a campaign.

    By their message if there is one, else by the list the campaign was launched with, else
    by which rule of the audience leaves them out; for a draft by what would happen now.

    Raises:
        NotFound: no such campaign, or nobody of this account.
    """
    access.require("campaigns.view")
    row = found(draft_id)
    name, phone = contacts.labels([contact_id]).get(contact_id, ("", ""))
    message_id = _message_of(row, contact_id)
    if message_id is None and (told := _told(row, contact_id)) is not None:
        said, got, evidence = told
    elif message_id is None:
        said, got, evidence = _never(row, contact_id)
    else:
        said, got, evidence = outcomes.Words("", "", ""), "", []
    return Why(
        draft_id=row.id,
        contact_id=contact_id,
        message_id=message_id,
        campaign=row.name,
        name=name,
        phone=phone,
        got=got,
        title=said.title,
        why=said.why,
        todo=said.todo,
        evidence=evidence,
    )


def whys_of(contact_id: UUID) -> list[WhyLine]:
    """Answer for the last campaigns whether a person got them; one query for any number."""
    access.require("campaigns.view")
    query = (
        select(
            Draft.id, Draft.name, Draft.launched_at, Message.state, Message.reason,
            Message.state_since, Listed.reason.label("listed"), Listed.note,
        )
        .outerjoin(
            Message,
            and_(
                Message.account_id == Draft.account_id,
                Message.campaign_id == Draft.campaign_id,
                Message.contact_id == contact_id,
            ),
        )
        .outerjoin(
            Listed,
            and_(
                Listed.account_id == Draft.account_id,
                Listed.check_id == Draft.check_id,
                Listed.contact_id == contact_id,
            ),
        )
        .where(Draft.account_id == current_account(), Draft.state.in_(BEGUN))
        .order_by(Draft.launched_at.desc().nulls_first(), Draft.id.desc())
        .limit(SHOWN)
    )  # fmt: skip
    lines = []
    for row in db.session().execute(query):
        state, at = row.state or "", row.state_since or row.launched_at
        if state:
            title = outcomes.explain(state, row.reason).title
        elif row.listed is not None:
            title = dry_run.words(row.listed, row.note).title
            state = "suppressed" if row.listed else "queued"
        else:
            title = _("Not in the audience")
        lines.append(WhyLine(row.id, contact_id, row.name, state, title, at))
    return lines


# --- private


_Told = tuple[outcomes.Words, str, list[Evidence]]


def _message_of(row: Draft, contact_id: UUID) -> UUID | None:
    if row.campaign_id is None:
        return None
    query = select(Message.id).where(
        Message.account_id == current_account(),
        Message.contact_id == contact_id,
        Message.campaign_id == row.campaign_id,
    )
    return db.session().scalar(query)


def _told(row: Draft, contact_id: UUID) -> _Told | None:
    """Answer by the list of the campaign, or for a draft by what would happen now."""
    if row.state == "draft":
        now = dry_run.foreseen_for(row, contact_id)
        if now is None:
            return None
        return _in_words(
            *now, Evidence("search", _("Looked at now; nothing was sent yet."))
        )
    check = _check_of(row)
    if check is None:
        return None
    query = select(Listed.reason, Listed.note).where(
        Listed.account_id == current_account(),
        Listed.contact_id == contact_id,
        Listed.check_id == check.id,
    )
    there = db.session().execute(query).one_or_none()
    if there is None:
        return None
    made = Evidence("list", _("The list it was launched with was made."), check.made_at)
    return _in_words(there.reason, there.note, made)


def _in_words(reason: str, note: str, evidence: Evidence) -> _Told:
    return dry_run.words(reason, note), "no" if reason else "later", [evidence]


def _never(row: Draft, contact_id: UUID) -> _Told:
    """Say which rule leaves somebody out who is not in the audience at all."""
    check = None if row.state == "draft" else _check_of(row)
    made = check.made_at if check else row.launched_at
    evidence = []
    if made is not None:
        evidence.append(Evidence("list", _("Who gets it was fixed."), made))
    missed = contacts.missed(row.segment, contact_id)
    if missed is None:
        raise NotFound("contact_unknown", _("There is no such contact."))
    evidence.append(Evidence("user", _("The contact was added."), missed.added_at))
    if made is not None and missed.added_at > made:
        said = _("They were added after it was fixed who gets it.")
        todo = _("Send a new campaign if they should get it.")
        return outcomes.Words("", said, todo), "never", evidence
    if not missed.rules:
        said = _(
            "They belong to the audience as it is now, but did not when it was fixed who"
            " gets it: their tags or details have changed since."
        )
        return outcomes.Words("", said, ""), "never", evidence
    evidence += [Evidence("filter", one) for one in missed.rules]
    said = _("A rule of the audience leaves them out, as they are now.")
    return outcomes.Words("", said, ""), "never", evidence


def _check_of(row: Draft) -> Check | None:
    query = select(Check).where(
        Check.account_id == current_account(), Check.id == row.check_id
    )
    return db.session().scalar(query)
