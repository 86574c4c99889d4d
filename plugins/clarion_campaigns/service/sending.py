"""Launch a campaign once, start it, and pause, resume or stop what runs."""

from uuid import UUID

from sqlalchemy import func, select

from clarion.base import db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.words import _
from clarion.messaging import breakers, launches, orders
from clarion.tenancy import access, audit
from clarion.tenancy.scope import current_account, current_actor
from clarion.work import outbox
from clarion_campaigns.events import CampaignLaunched
from clarion_campaigns.models import Draft
from clarion_campaigns.service import restoring, review
from clarion_campaigns.service.drafts import DraftView, fillings, found, locked, view
from clarion_contacts import service as contacts
from clarion_templates import service as templates

audit.label("campaigns.campaign.launched", "Launched the campaign")
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
) -> DraftView:
    """Commit a draft campaign to being sent.

    From here on nothing about it can be edited. The job that starts it freezes the
    audience in one transaction: the list that is counted is the list that is sent to.

    Args:
        draft_id: which draft.
        key: of the form it was launched with; a second click with it changes nothing.
        people: how many people the page said; refused when it is another number now.
        typed: above 10,000 people, the number as the person typed it.
        soft: first to 100 people, to the others by how these receive it.

    Raises:
        Conflict: launched before, or the audience changed since the page was drawn.
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
    rail = review.rail(draft_id)
    _refuse_blocked(rail)
    _refuse_other_count(rail.reached, people, typed)

    assert rail.template is not None  # noqa: S101 -- a problem otherwise
    row.state, row.state_reason, row.launch_key = "starting", "", key[:60]
    row.purpose, row.people = rail.template.category, rail.reached
    row.soft = soft
    row.launched_by = current_actor().name[:120]
    row.launched_at = row.updated_at = func.clarion_now()
    db.session().flush()
    db.session().refresh(row)
    audit.record("campaigns.campaign.launched", row, people=rail.reached)
    outbox.publish(CampaignLaunched(draft_id=row.id))
    return view(row)


def start(draft_id: UUID) -> None:
    """Freeze the audience and hand over to the engine; harmless when repeated.

    What stopped being sendable since the launch makes it a draft again, and says why.
    """
    row = locked(draft_id)
    if row.state != "starting":
        return
    try:
        template = templates.snapshot(row.template_id) if row.template_id else None
    except (Conflict, NotFound):
        template = None
    doubted = restoring.doubted(row, row.launched_at)
    if doubted or template is None or row.sender_id is None:
        row.state, row.launch_key = "draft", ""
        row.state_reason = "restored" if doubted else "template_not_approved"
        audit.record("campaigns.campaign.not_started", row, why=row.state_reason)
        return
    order = orders.create(row.name, row.purpose, row.sender_id, template, soft=row.soft)
    audience = contacts.audience(row.segment, fillings(row.variables), row.purpose)
    orders.start(order.id, audience)
    row.state, row.campaign_id = "launched", order.id
    row.updated_at = func.clarion_now()


def pause(draft_id: UUID) -> str:
    """Stop sending for now; answer `pausing` while messages are on the wire."""
    access.require("campaigns.stop")
    return orders.pause(_order(draft_id))


def resume(draft_id: UUID) -> None:
    """Let a paused campaign go on, and end whatever had stopped it; then at half rate.

    One click: a template, number or connection that was stopped goes on with it.
    """
    access.require("campaigns.launch")
    order_id = _order(draft_id)
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
