"""Launch a campaign once, start it, and pause, resume or stop what runs."""

import datetime as dt
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from clarion.base import db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.words import _
from clarion.messaging import breakers, launches, orders, snapshot, timing
from clarion.messaging.models import Campaign
from clarion.tenancy import access, audit
from clarion.tenancy.scope import current_account, current_actor
from clarion.work import outbox
from clarion_campaigns.events import CampaignLaunched, CampaignNotStarted
from clarion_campaigns.models import Draft, Occurrence
from clarion_campaigns.service import (
    approval,
    dry_run,
    planning,
    pricing,
    restoring,
    review,
    telling,
)
from clarion_campaigns.service.drafts import (
    DraftView,
    changed,
    fillings,
    found,
    listed,
    locked,
    view,
)
from clarion_contacts import contract as contacts
from clarion_templates import service as templates

audit.label("campaigns.campaign.launched", "Launched the campaign")
audit.label("campaigns.campaign.withdrawn", "Took the campaign back")
audit.label("campaigns.campaign.not_started", "The campaign could not start")
audit.label("campaigns.campaign.finished", "The campaign finished")
audit.label("campaigns.campaign.cancelled", "Cancelled before it started")

TYPE_ABOVE = 10_000  # people: from here on the number is typed


def launch(
    draft_id: UUID,
    key: str,
    people: int | None = None,
    typed: str = "",
    *,
    soft: bool = False,
    check_id: UUID | None = None,
) -> DraftView:
    """Commit a draft campaign to being sent.

    From here on nothing about it can be edited. The list that was looked at is the list
    that is sent to, however long its beginning is planned ahead: nobody is added. Who may
    not be written to any more when it begins, or when their turn comes, gets nothing.
    With more people than the account's rules allow one person to
    send to, it waits for a second person first.

    Args:
        draft_id: which draft.
        key: of the form it was launched with; a second click with it changes nothing.
        people: how many people the page said; refused when it is another number now.
        typed: above 10,000 people, the number as the person typed it.
        soft: first to 100 people, to the others by how these receive it.
        check_id: the dry run that was looked at; one is made now when left out.

    Raises:
        Conflict: launched before, or the audience changed since it was looked at.
        Invalid: something stands in the way; the first problem.
    """
    access.require("campaigns.launch")
    row = locked(draft_id)
    if row.state != "draft":
        if key and row.launch_key == key[:60]:
            return view(row)
        raise Conflict(
            "campaign_already_launched", _("This campaign was launched already.")
        )
    check = dry_run.agreed(row, check_id)
    rail = review.rail(draft_id, seen=dry_run.seen(check, row), patience_ms=0)
    _refuse_blocked(rail)
    _refuse_other_count(rail.reached, people, typed)

    assert rail.template is not None  # noqa: S101 -- a problem otherwise
    row.state_reason, row.launch_key = "", key[:60]
    row.purpose, row.people = rail.template.category, rail.reached
    row.check_id = check.id
    row.soft = soft
    row.launched_by = current_actor().name[:120]
    row.starts_at = planning.first_instant(rail.draft, row.purpose)
    if approval.needed(rail.reached, pricing.note(row)):
        row.state, row.updated_at = "submitted", func.clarion_now()
        db.session().flush()
        approval.ask(row)
        db.session().refresh(row)
        return view(row)
    return _committed(row)


def approve(draft_id: UUID) -> DraftView:
    """Let a campaign that somebody else submitted go: now, or at its planned time.

    Raises:
        Conflict: nobody asked, the one who asked approves, or it is not the same any more.
    """
    access.require("campaigns.approve")
    row = locked(draft_id)
    if row.state != "submitted":
        raise Conflict("not_submitted", _("Nobody asked for an approval of this."))
    approval.sign(row)
    return _committed(row)


def take_back(draft_id: UUID) -> DraftView:
    """Make a campaign that has not begun a draft again; an approval of it is void."""
    access.require("campaigns.stop")
    row = locked(draft_id)
    if row.state not in ("submitted", "scheduled"):
        raise Conflict(
            "campaign_not_waiting", _("This campaign does not wait for its beginning.")
        )
    audit.record("campaigns.campaign.withdrawn", row)
    return _back_to_draft(row, "")


def start(draft_id: UUID) -> dt.timedelta | None:
    """Freeze the audience and hand over to the engine; harmless when repeated.

    Returns how long it is until the planned beginning, None when there is nothing to wait
    for. The plan is a time on a clock, and becomes an instant again each time: the rules
    of a zone may have changed. What is too late, stopped being sendable or is not what
    was approved makes the campaign a draft again, and says why.
    """
    row = locked(draft_id)
    if row.state not in ("starting", "scheduled", "submitted"):
        return None
    draft, now = view(row), timing.now()
    planned = planning.first_instant(draft, row.purpose)
    if row.state == "submitted":
        _lapse(row, draft, planned, now)
        return None
    if planned is not None and planned > now:
        row.starts_at = planned
        return planned - now
    planned = planned or row.launched_at or now
    if not _mine(row, planned):
        return None
    if draft.schedule.start_by(planned) < now:
        _refuse_start(row, planned, "start_missed", "missed")
        return None
    why = _begun(row, draft, planned)
    if why:
        _refuse_start(row, planned, why, "refused")
    return None


def pause(draft_id: UUID) -> str:
    """Stop sending for now; answer `pausing` while messages are on the wire."""
    access.require("campaigns.stop")
    return orders.pause(_order(draft_id))


def prioritise(draft_id: UUID, priority: int) -> None:
    """Say how early a campaign gets places of the daily limit: 1 first, 3 last."""
    access.require("campaigns.launch")
    orders.prioritise(_order(draft_id), priority)


def resume(draft_id: UUID) -> None:
    """Let a paused campaign go on, and end whatever had stopped it; then at half rate.

    One click: a template, number or connection that was stopped goes on with it.
    """
    access.require("campaigns.launch")
    order_id = _order(draft_id)
    orders.refuse_held(orders.locked(order_id))
    if breakers.resume(order_id):
        orders.go_on(order_id)
    else:
        orders.resume(order_id)


def release(draft_id: UUID) -> int:
    """Send to the next wave now, before its time; return how many people it has."""
    access.require("campaigns.launch")
    return launches.release(_order(draft_id))


def cancel(draft_id: UUID) -> int:
    """Stop for good; return how many people will not be messaged."""
    access.require("campaigns.stop")
    row = locked(draft_id)
    if row.state == "starting":
        row.state, row.updated_at = "cancelled", func.clarion_now()
        audit.record("campaigns.campaign.cancelled", row)
        return row.people or 0
    return orders.cancel(_order_of(row))


def close(campaign_id: UUID) -> None:
    """Write the result of a finished order into the log, once."""
    query = select(Draft.id).where(
        Draft.account_id == current_account(), Draft.campaign_id == campaign_id
    )
    draft_id = db.session().scalar(query)
    if draft_id is None:
        return  # an order of somebody else
    row = locked(draft_id)
    if row.finished_at is not None:
        return
    done = orders.progress(campaign_id)
    row.finished_at = row.updated_at = func.clarion_now()
    audit.record(
        "campaigns.campaign.finished",
        row,
        people=done.audience,
        sent=done.sent,
        failed=done.failed,
        unknown=done.unknown,
        left_out=done.suppressed,
    )


# --- private


def _committed(row: Draft) -> DraftView:
    """Let a launched draft begin by itself: the clock knows when."""
    row.launched_at = row.updated_at = func.clarion_now()
    ahead = row.starts_at is not None and row.starts_at > timing.now()
    row.state = "scheduled" if ahead else "starting"
    db.session().flush()
    db.session().refresh(row)
    audit.record("campaigns.campaign.launched", row, people=row.people)
    outbox.publish(CampaignLaunched(draft_id=row.id))
    return view(row)


def _mine(row: Draft, planned: dt.datetime) -> bool:
    """Say whether this beginning is ours to make: each happens once, whoever calls."""
    entry = insert(Occurrence).values(
        id=db.new_id(), draft_id=row.id, planned_at=planned, outcome="started"
    )
    mine = entry.on_conflict_do_nothing().returning(Occurrence.id)
    return db.session().execute(mine).first() is not None


def _begun(row: Draft, draft: DraftView, planned: dt.datetime) -> str:
    """Begin, or undo all of it and say why not: the list is what is compared."""
    try:
        template = templates.snapshot(row.template_id) if row.template_id else None
    except (Conflict, NotFound):
        template = None
    if row.purpose == "utility" and template is not None and _is_marketing(row):
        return "category_changed"
    if restoring.doubted(row, row.launched_at):
        return "restored"
    if template is None or row.sender_id is None:
        return "template_not_approved"
    try:
        with db.session().begin_nested():
            order = _handed_over(row, draft, template, planned)
            if why := _not_approved(row, order):
                raise _NotTheSame(why)
    except _NotTheSame as refused:
        return str(refused)
    row.state, row.campaign_id = "launched", order.id
    row.updated_at = func.clarion_now()
    return ""


def _is_marketing(row: Draft) -> bool:
    """Say whether the provider treats the template as marketing by now: that asks consent."""
    return (
        row.template_id is not None
        and templates.get(row.template_id).category == "marketing"
    )


class _NotTheSame(Exception):
    """What was frozen is not what was approved; undoes the freezing."""


def _handed_over(
    row: Draft, draft: DraftView, template: dict[str, Any], planned: dt.datetime
) -> Campaign:
    assert row.sender_id is not None  # noqa: S101 -- looked at before
    plan = draft.schedule
    order = orders.create(
        row.name,
        row.purpose,
        row.sender_id,
        template,
        soft=row.soft,
        finish_by=plan.finish_by,
        starts_at=None if plan.own_time else plan.starts_at(),
        local_start=plan.local if plan.own_time else None,
        zone=plan.zone,
        start_by=plan.start_by(planned),
        spread_until=plan.spread_until,
    )
    audience = contacts.audience(
        row.segment,
        fillings(row.variables),
        row.purpose,
        about=template["name"],
        listed=listed(row.check_id),
    )
    orders.start(order.id, audience)
    return order


def _not_approved(row: Draft, order: Campaign) -> str:
    """Compare what is about to leave with what a second person approved."""
    found = approval.open_of(row.id)
    if found is None or found.approved_by is None:
        going = orders.progress(order.id).audience
        return "approval_missing" if approval.needed(going, pricing.of(row)) else ""
    summed = approval.digests(approval.pieces(row, snapshot.digest_frozen(order.id)))
    if approval.changes(found, summed):
        return "changed_since_approved"
    order.fingerprint = found.fingerprint
    return ""


def _lapse(
    row: Draft, draft: DraftView, planned: dt.datetime | None, now: dt.datetime
) -> None:
    """Give back what nobody approved before it was too late to begin."""
    late = planned is not None and draft.schedule.start_by(planned) < now
    if late and planned is not None and _mine(row, planned):
        _refuse_start(row, planned, "approval_late", "missed")


def _refuse_start(row: Draft, planned: dt.datetime, why: str, outcome: str) -> None:
    query = update(Occurrence).where(
        Occurrence.account_id == current_account(),
        Occurrence.draft_id == row.id,
        Occurrence.planned_at == planned,
    )
    db.session().execute(query.values(outcome=outcome))
    audit.record("campaigns.campaign.not_started", row, why=why)
    outbox.publish(CampaignNotStarted(draft_id=row.id, reason=why))
    telling.not_started(row, why)
    _back_to_draft(row, why)


def _back_to_draft(row: Draft, why: str) -> DraftView:
    approval.void(row, why or "withdrawn")
    row.state, row.launch_key, row.starts_at = "draft", "", None
    shown = changed(row)
    row.state_reason = why
    db.session().flush()
    return shown


def _refuse_blocked(rail: review.Rail) -> None:
    for problem in review.problems(rail):
        if problem.level == "bad":
            raise Invalid(problem.code, problem.text, field=problem.step)


def _refuse_other_count(reached: int, people: int | None, typed: str) -> None:
    if people is not None and people != reached:
        said = _(
            "The audience changed meanwhile: it is %(now)s people, not %(then)s. Nothing"
            " was sent. Look at it again.",
            now=reached,
            then=people,
        )
        raise Conflict("audience_changed", said)
    digits = "".join(c for c in typed if c.isdigit())
    if reached > TYPE_ABOVE and digits != str(reached):
        said = _("Type the number of people, %(count)s, to send to so many.", count=reached)
        raise Invalid("count_not_typed", said, field="typed")


def _order(draft_id: UUID) -> UUID:
    return _order_of(found(draft_id))


def _order_of(row: Draft) -> UUID:
    if row.campaign_id is None:
        raise Conflict("campaign_not_running", _("This campaign is not being sent."))
    return row.campaign_id
