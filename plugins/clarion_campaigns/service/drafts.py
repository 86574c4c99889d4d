"""Write a campaign: choose the message, the people and what fills the variables."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, func, select
from sqlalchemy.exc import IntegrityError

from clarion.base import db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.words import _
from clarion.messaging import channels, hours
from clarion.messaging.prices import Quote
from clarion.tenancy import access, audit
from clarion.tenancy.scope import current_account
from clarion.work import outbox
from clarion_campaigns.events import ListForgotten
from clarion_campaigns.models import Check, Draft, Listed
from clarion_campaigns.service.schedule import Schedule
from clarion_contacts import contract as contacts
from clarion_contacts.contract import Filling
from clarion_templates import service as templates

audit.label("campaigns.campaign.created", "Began a campaign")
audit.label("campaigns.campaign.deleted", "Deleted a draft")

FIXED = "text"  # the source of a variable that says the same to everybody
NAME_MAX, TEXT_MAX = 120, 200
Names = Iterable[UUID | str]


@dataclass(frozen=True, slots=True)
class DraftView:
    """A campaign as it was written; nothing lazy. What was sent: `results`."""

    id: UUID
    name: str
    template_id: UUID | None
    sender_id: UUID | None
    segment: Mapping[str, Any]
    variables: Mapping[str, Mapping[str, str]]
    purpose: str
    state: str
    state_reason: str
    people: int | None
    campaign_id: UUID | None
    launched_at: dt.datetime | None
    launched_by: str
    vouched_at: dt.datetime | None
    schedule: Schedule
    starts_at: dt.datetime | None
    ceiling: Quote | None
    follow_up: str
    follow_up_people: int
    control_percent: int
    budget_micros: int | None
    check_id: UUID | None
    revision: int
    created_at: dt.datetime
    updated_at: dt.datetime

    @property
    def editable(self) -> bool:
        """Say whether anything can still be changed."""
        return self.state == "draft"

    @property
    def listed(self) -> Select[Any] | None:
        """The people it was launched with, and why others of them were left out."""
        return listed(None if self.editable else self.check_id)

    @property
    def fillings(self) -> dict[str, Filling]:
        """Where each variable's value comes from, as the audience takes it."""
        return fillings(self.variables)


def fillings(variables: Mapping[str, Mapping[str, str]]) -> dict[str, Filling]:
    """Translate the draft's JSON into what `contacts.audience` takes."""
    return {
        name: Filling(
            "" if given.get("source") == FIXED else given.get("source", ""),
            given.get("fallback", ""),
        )
        for name, given in variables.items()
    }


def listed(check_id: UUID | None) -> Select[Any] | None:
    """Choose the people of a dry run, with the reason for each who was left out."""
    if check_id is None:
        return None
    return select(Listed.contact_id, Listed.reason).where(
        Listed.account_id == current_account(), Listed.check_id == check_id
    )


def get(draft_id: UUID) -> DraftView:
    """Look one campaign up."""
    access.require("campaigns.view")
    return view(found(draft_id))


def create(name: str, key: str) -> DraftView:
    """Begin a campaign. The same key finds the one that was begun before.

    Raises:
        Invalid: no name, or one that is too long.
    """
    access.require("campaigns.edit")
    return begin(_named(name), key, {})


def rename(draft_id: UUID, name: str) -> DraftView:
    """Give a draft another name."""
    access.require("campaigns.edit")
    row = open_draft(draft_id)
    row.name = _named(name)
    return changed(row)


def choose_message(
    draft_id: UUID, template_id: UUID | None, sender_id: UUID | None
) -> DraftView:
    """Choose what is sent and from which number.

    Variables that have the name of something contacts have are filled from it; what was
    mapped before is kept where the new template has the variable too.
    """
    access.require("campaigns.edit")
    row = open_draft(draft_id)
    row.template_id = templates.get(template_id).id if template_id else None
    if sender_id and sender_id not in {s.id for s in channels.senders()}:
        raise Invalid("sender_unknown", _("There is no such number."), field="sender")
    row.sender_id = sender_id
    row.variables = _mapped(row)
    return changed(row)


def choose_people(
    draft_id: UUID, include: Names, exclude: Names, base: str = ""
) -> DraftView:
    """Choose who gets it: a segment, a snapshot or everybody, by tags and lists.

    Args:
        draft_id: which draft.
        include: `tag:<id>` and `list:<id>`; a bare id is a tag's. Without any, everybody.
        exclude: the same; nobody with one of these gets it.
        base: `segment:<id>` or `snapshot:<id>`; empty for all contacts.

    Raises:
        Invalid: something is both wanted and unwanted, or does not exist.
    """
    access.require("campaigns.edit")
    row = open_draft(draft_id)
    pick = contacts.Pick(base, _tidy(include), _tidy(exclude))
    if contacts.pick_in(row.segment or contacts.everyone()) is None:
        return changed(row)  # the people of a follow-up are who they are
    if set(pick.include) & set(pick.exclude):
        said = _("It cannot be wanted and left out at once.")
        raise Invalid("segment_contradiction", said, field="exclude")
    tags, lists, _segments, _snapshots = contacts.offered()
    known = {one.name for one in (*tags, *lists)}
    if not {*pick.include, *pick.exclude} <= known:
        raise Invalid("tag_unknown", _("There is no such tag or list."), field="include")
    rule = contacts.by_pick(pick)
    contacts.keep_used(rule)
    row.segment = dict(rule)
    return changed(row)


def fill_variables(draft_id: UUID, given: Mapping[str, Mapping[str, str]]) -> DraftView:
    """Say where each variable's value comes from, and what stands in for a missing one.

    Args:
        draft_id: which draft.
        given: variable → `source` (a placeholder of contacts, or `text`) and `fallback`.

    Raises:
        Invalid: a source that contacts do not have, or a text that is no short line.
    """
    access.require("campaigns.edit")
    row = open_draft(draft_id)
    sources = {p.source for p in contacts.placeholders()} | {"", FIXED}
    kept: dict[str, dict[str, str]] = {}
    for name in _variables_of(row):
        one = given.get(name, {})
        source, fallback = one.get("source", ""), one.get("fallback", "").strip()
        stays = source == row.variables.get(name, {}).get("source")
        if source not in sources and not stays:
            said = _("“%(name)s” is nothing a contact has.", name=source)
            raise Invalid("variable_source_unknown", said, field=f"source-{name}")
        if len(fallback) > TEXT_MAX or "\n" in fallback or "\t" in fallback:
            said = _("The text for “%(name)s” must be one short line.", name=name)
            raise Invalid("variable_text_invalid", said, field=f"fallback-{name}")
        kept[name] = {"source": source, "fallback": fallback}
    row.variables = kept
    return changed(row)


def duplicate(draft_id: UUID, key: str) -> DraftView:
    """Begin a new campaign with the same message, people and variables."""
    access.require("campaigns.edit")
    row = found(draft_id)
    name = _("%(name)s (copy)", name=row.name[: NAME_MAX - 10])
    same = {
        "template_id": row.template_id,
        "sender_id": row.sender_id,
        "segment": dict(row.segment),
        "variables": dict(row.variables),
        "control_percent": row.control_percent,
        "budget_micros": row.budget_micros,
    }
    return begin(name, key, same)


def delete(draft_id: UUID) -> None:
    """Delete a draft; what was launched stays."""
    access.require("campaigns.edit")
    row = open_draft(draft_id)
    audit.record("campaigns.campaign.deleted", row)
    lists = select(Check.id).where(
        Check.account_id == current_account(), Check.draft_id == draft_id
    )
    for check_id in db.session().scalars(lists):
        outbox.publish(ListForgotten(check_id=check_id))
    db.session().delete(row)


def waiting_for_approval(limit: int = 5) -> list[DraftView]:
    """List campaigns that wait for a second person, the longest waiting first."""
    mine = and_(Draft.account_id == current_account(), Draft.state == "submitted")
    query = select(Draft).where(mine).order_by(Draft.updated_at).limit(limit)
    return [view(row) for row in db.session().scalars(query)]


def not_begun(limit: int = 5) -> list[DraftView]:
    """List launched campaigns that did not begin and wait for somebody to look at them."""
    mine = and_(
        Draft.account_id == current_account(),
        Draft.state == "draft",
        Draft.state_reason != "",
    )
    query = select(Draft).where(mine).order_by(Draft.updated_at.desc()).limit(limit)
    return [view(row) for row in db.session().scalars(query)]


def draft_of(campaign_id: UUID) -> UUID:
    """Return the campaign that became a send order, or refuse."""
    query = select(Draft.id).where(Draft.campaign_id == campaign_id)
    draft_id = db.session().scalar(query)
    if draft_id is None:
        raise NotFound("campaign_unknown", _("There is no such campaign."))
    return draft_id


# --- for the other modules of this service


def found(draft_id: UUID) -> Draft:
    """Read a row of this account, or refuse."""
    row = db.session().scalar(_one(draft_id))
    if row is None:
        raise NotFound("campaign_unknown", _("There is no such campaign."))
    return row


def locked(draft_id: UUID) -> Draft:
    """Read and lock a row of this account: two clicks meet here."""
    query = _one(draft_id).with_for_update().execution_options(populate_existing=True)
    row = db.session().scalar(query)
    if row is None:
        raise NotFound("campaign_unknown", _("There is no such campaign."))
    return row


def open_draft(draft_id: UUID) -> Draft:
    """Lock a row that can still be changed, or refuse."""
    row = locked(draft_id)
    if row.state != "draft":
        raise Conflict(
            "campaign_not_draft",
            _("This campaign was launched and cannot be changed. Make a copy instead."),
        )
    return row


def view(row: Draft) -> DraftView:
    """Show a row without anything lazy."""
    return DraftView(
        id=row.id,
        name=row.name,
        template_id=row.template_id,
        sender_id=row.sender_id,
        segment=row.segment or contacts.everyone(),
        variables=row.variables,
        purpose=row.purpose,
        state=row.state,
        state_reason=row.state_reason,
        people=row.people,
        campaign_id=row.campaign_id,
        launched_at=row.launched_at,
        launched_by=row.launched_by,
        vouched_at=row.vouched_at,
        schedule=Schedule(
            row.starts_local,
            row.zone,
            row.own_time,
            row.finish_local,
            row.spread_local,
            row.late_minutes,
        ),
        starts_at=row.starts_at,
        ceiling=None
        if row.ceiling_micros is None
        else Quote(row.currency, row.ceiling_micros),
        follow_up=row.follow_up,
        follow_up_people=row.follow_up_people,
        control_percent=row.control_percent,
        budget_micros=row.budget_micros,
        check_id=row.check_id,
        revision=row.revision,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def about(draft: Draft | DraftView) -> str:
    """Name a draft's template as its provider knows it: topics go by that name."""
    if draft.template_id is None:
        return ""
    try:
        return templates.get(draft.template_id).provider_name
    except NotFound:
        return ""


def changed(row: Draft) -> DraftView:
    """Count a change of a draft, and show it."""
    row.revision += 1
    row.check_id = None
    row.state_reason = ""
    row.ceiling_micros, row.currency = None, ""
    row.updated_at = func.clarion_now()
    db.session().flush()
    db.session().refresh(row)
    return view(row)


def begin(name: str, key: str, same: Mapping[str, Any]) -> DraftView:
    """Begin a draft with some of its values; the same key finds the one that was begun."""
    orm = db.session()
    key = key[:60] or str(db.new_id())
    query = select(Draft).where(
        Draft.account_id == current_account(), Draft.request_key == key
    )
    if (row := orm.scalar(query)) is not None:
        return view(row)
    row = Draft(id=db.new_id(), name=name, request_key=key, zone=hours.rules().zone, **same)
    if not same:
        row.segment, row.variables = dict(contacts.everyone()), {}
    try:
        with orm.begin_nested():
            orm.add(row)
    except IntegrityError:
        return view(orm.scalars(query).one())  # the other click of the same form
    orm.refresh(row)
    audit.record("campaigns.campaign.created", row)
    return view(row)


# --- private


def _one(draft_id: UUID) -> Select[tuple[Draft]]:
    return select(Draft).where(Draft.account_id == current_account(), Draft.id == draft_id)


def _named(name: str) -> str:
    name = " ".join(name.split())
    if not name:
        raise Invalid("campaign_name_missing", _("Give the campaign a name."), field="name")
    if len(name) > NAME_MAX:
        said = _("The name may have %(max)s letters.", max=NAME_MAX)
        raise Invalid("campaign_name_too_long", said, field="name")
    return name


def _variables_of(row: Draft) -> tuple[str, ...]:
    if row.template_id is None:
        return ()
    try:
        return templates.get(row.template_id).variables
    except NotFound:
        return ()


def _tidy(names: Names) -> tuple[str, ...]:
    return tuple(str(one) if ":" in str(one) else f"tag:{one}" for one in names)


def _mapped(row: Draft) -> dict[str, dict[str, str]]:
    sources = {p.source for p in contacts.placeholders()}
    out: dict[str, dict[str, str]] = {}
    for name in _variables_of(row):
        guesses = (name, f"attributes.{name}")
        guess = next((g for g in guesses if g in sources), "")
        out[name] = dict(row.variables.get(name) or {"source": guess, "fallback": ""})
    return out
