"""Send orders: create, start, pause, resume, cancel, and how far they are."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select, update

from clarion.base import crash, db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.words import _
from clarion.messaging import (
    countries,
    counts,
    doubts,
    holds,
    lanes,
    ledger,
    outcomes,
    snapshot,
    timing,
)
from clarion.messaging.events import CampaignFinished, CampaignPaused, CampaignStarted
from clarion.messaging.models import Attempt, Campaign, Message
from clarion.tenancy import audit
from clarion.tenancy.scope import current_account
from clarion.work import jobs, outbox

audit.label("messaging.campaign.started", "Sending began")
audit.label("messaging.campaign.paused", "Sending was paused")
audit.label("messaging.campaign.resumed", "Sending went on")
audit.label("messaging.campaign.cancelled", "Sending was stopped for good")
audit.label("messaging.campaign.prioritised", "Its place in the queue was changed")
audit.label("messaging.campaign.finished", "Sending finished")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an order is, in people. `on_the_way` covers accepted and sent."""

    state: str
    state_reason: str
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    total: int
    queued: int
    on_the_way: int
    in_flight: int
    delivered: int
    read: int
    failed: int
    unknown: int
    needs_decision: int
    suppressed: int
    cancelled: int
    expired: int
    held: int

    @property
    def audience(self) -> int:
        """How many people may be sent to: the total without those left out."""
        return self.total - self.suppressed

    @property
    def sent(self) -> int:
        """How many messages left, whatever became of them."""
        return self.on_the_way + self.delivered + self.read + self.held

    @property
    def waiting(self) -> int:
        """How many are still to be sent."""
        return self.queued + self.in_flight

    @property
    def done(self) -> bool:
        """Whether nothing will change any more, short of late status events."""
        return self.state in ("finished", "cancelled") and not self.on_the_way


@dataclass(frozen=True, slots=True)
class Failure:
    """One reason why messages failed, in words, and what to do about it."""

    reason: str
    code: str
    count: int
    title: str
    why: str
    todo: str
    retry: bool


@dataclass(frozen=True, slots=True)
class PersonRow:
    """One person of an order, as the list shows them."""

    message_id: UUID
    contact_id: UUID
    address: str
    state: str
    reason: str
    code: str
    since: dt.datetime


def create(
    name: str,
    purpose: str,
    sender_id: UUID,
    template: Mapping[str, Any],
    *,
    finish_by: dt.datetime | None = None,
    soft: bool = False,
    starts_at: dt.datetime | None = None,
    local_start: dt.datetime | None = None,
    zone: str = "",
    start_by: dt.datetime | None = None,
    spread_until: dt.datetime | None = None,
) -> Campaign:
    """Write a send order. From here on nothing about it can be edited.

    Args:
        name: what the team calls it.
        purpose: `marketing`, `utility`, `auth` or `service`.
        sender_id: the number it is sent from.
        template: what is sent, as the dispatcher reads it.
        finish_by: what has not left by then does not leave.
        starts_at: the instant planned for its beginning; at once when left out.
        local_start: instead, a time on the clock of each person.
        zone: the zone the times were chosen in, to be shown with them.
        start_by: not begun by then, it never begins.
        spread_until: the people are spread evenly until then.
        soft: it goes to 100 people first; see `launches`.
    """
    row = Campaign(
        id=db.new_id(),
        name=name,
        purpose=purpose,
        lane=lanes.OF_PURPOSE[purpose],
        sender_id=sender_id,
        template=dict(template),
        finish_by=finish_by,
        wave=1 if soft else 0,
        starts_at=starts_at,
        local_start=local_start,
        zone=zone,
        start_by=start_by,
        spread_until=spread_until,
        state="starting",
    )
    db.session().add(row)
    db.session().flush()
    return row


def start(campaign_id: UUID, audience: Select[Any]) -> int:
    """Freeze the audience and let the order run; return how many rows it has.

    One transaction: the list that is counted is the list that is sent to. Harmless when
    called twice: the second finds the order running.

    Raises:
        Conflict: the latest moment to begin has passed (`start_missed`): what was to be
            said yesterday is not said today.
    """
    order = locked(campaign_id)
    if order.state != "starting":
        return counts.total(campaign_id)
    if order.start_by is not None and order.start_by < timing.now():
        raise Conflict("start_missed", _("It is too late to begin this campaign."))
    rows = snapshot.freeze(campaign_id, audience)
    countries.after_freeze(order)
    if order.wave:
        from clarion.messaging import launches  # it releases by the verbs of this module

        launches.hold_back(order)
    ledger.keep_statistics()
    crash.here("after_snapshot_half")
    order.state = "running"
    order.started_at = func.clarion_now()
    audit.record("messaging.campaign.started", order, people=rows)
    outbox.publish(CampaignStarted(campaign_id=campaign_id))
    ledger.lock_account_shared(order.account_id)
    if held := holds.why(order):
        order.state, order.state_reason = "paused", held
    else:
        ring(campaign_id)
    return rows


def pause(campaign_id: UUID, reason: str = "paused_by_person") -> str:
    """Stop an order: nothing new leaves once this has committed.

    Returns `pausing` while messages are on the wire, `paused` otherwise.
    """
    ledger.lock_campaign(campaign_id)
    order = locked(campaign_id)
    if order.state not in ("running", "starting"):
        raise Conflict("campaign_not_running", _("This campaign is not being sent."))
    in_flight = counts.tally(campaign_id).get("dispatching", 0)
    order.state = "pausing" if in_flight else "paused"
    order.state_reason = reason
    audit.record("messaging.campaign.paused", order, in_flight=in_flight, why=reason)
    outbox.publish(CampaignPaused(campaign_id=campaign_id, reason=reason))
    return order.state


def resume(campaign_id: UUID) -> None:
    """Let a paused order go on."""
    ledger.lock_campaign(campaign_id)
    order = locked(campaign_id)
    if order.state not in ("paused", "pausing"):
        raise Conflict("campaign_not_paused", _("This campaign is not paused."))
    if order.state_reason == doubts.RESTORED:
        said = _("Its messages are held after a restore: two people decide about them.")
        raise Conflict("campaign_held", said)
    refuse_held(order)
    order.state, order.state_reason = "running", ""
    audit.record("messaging.campaign.resumed", order)
    ring(campaign_id)


def refuse_held(order: Campaign) -> None:
    """Refuse to let an order go on that we hold; raises `Conflict`."""
    held = holds.why(order)
    if held == holds.BY_STAFF:
        raise Conflict(
            "campaign_held_by_staff",
            _("We hold this campaign; its page says why. Only we can let it go on."),
        )
    if held:
        raise Conflict(
            "campaign_in_review", _("Campaigns of this account are held for a review.")
        )


def go_on(campaign_id: UUID) -> None:
    """Resume an order if it is paused, else ring it: what was in its way is gone."""
    order = locked(campaign_id)
    if order.state_reason == doubts.RESTORED:
        return  # two people let it go on, nobody else
    if order.state in ("paused", "pausing"):
        if held := holds.why(order):
            order.state_reason = held  # goes on when that is over
        else:
            resume(campaign_id)
    else:
        ring(campaign_id)


def cancel(campaign_id: UUID) -> int:
    """Stop an order for good; return how many people will not be messaged."""
    ledger.lock_campaign(campaign_id)
    order = locked(campaign_id)
    if order.state in ("finished", "cancelled"):
        raise Conflict("campaign_over", _("This campaign is over already."))
    order.state, order.state_reason = "cancelled", "stopped"
    order.finished_at = func.clarion_now()
    db.session().flush()
    stopped = ledger.cancel_rest(campaign_id)
    audit.record("messaging.campaign.cancelled", order, not_messaged=stopped)
    return stopped


def reopen(campaign_id: UUID) -> None:
    """Let an order go on that was finished, because some of its people wait again."""
    order = locked(campaign_id)
    if order.state == "finished":
        held = holds.why(order)
        order.state, order.state_reason = "paused" if held else "running", held
        order.finished_at = None
        db.session().flush()
    if order.state == "running":
        ring(campaign_id)


def settle(campaign_id: UUID) -> str:
    """Move an order on when its rows allow: pausing → paused, running → finished.

    A paused order with nobody left to send to is finished as well: its end came meanwhile.
    """
    order = locked(campaign_id)
    waiting, calling = counts.open_(campaign_id)
    if order.state == "pausing" and not calling:
        order.state = "paused"
    elif order.state_reason == doubts.RESTORED:
        pass  # its people are held, and two others decide
    elif order.state in ("running", "paused") and not waiting:
        order.state = "finished"
        order.finished_at = func.clarion_now()
        if order.purpose != "service":  # answers, by no person: nobody's campaign
            audit.record("messaging.campaign.finished", order)
            outbox.publish(CampaignFinished(campaign_id=campaign_id))
    db.session().flush()
    return order.state


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many people of an order wait for the daily limit, and until when at least."""

    people: int
    until: dt.datetime | None
    priority: int


def waiting(campaign_id: UUID) -> Waiting | None:
    """Say whether people of a running order wait for places of the daily limit."""
    order = _found(campaign_id)
    put_off = counts.put_off(campaign_id, "daily_limit")
    whole = order.waits_for == "daily_limit" and order.waits_until is not None
    if order.state != "running" or not (whole or put_off.people):
        return None
    people = counts.tally(campaign_id).get("queued", 0) if whole else put_off.people
    return Waiting(people, order.waits_until or put_off.until, order.priority)


def prioritise(campaign_id: UUID, priority: int) -> None:
    """Say who goes first when places of the daily limit come free: 1 first, 3 last."""
    if priority not in (1, 2, 3):
        raise Invalid("priority_unknown", _("There is no such priority."))
    order = locked(campaign_id)
    before, order.priority = order.priority, priority
    audit.record("messaging.campaign.prioritised", order, priority=[before, priority])


def progress(campaign_id: UUID) -> Progress:
    """Count an order's people by what became of them: computed from the rows."""
    order = _found(campaign_id)
    n = counts.tally(campaign_id)
    return Progress(
        state=order.state,
        state_reason=order.state_reason,
        started_at=order.started_at,
        finished_at=order.finished_at,
        total=sum(n.values()),
        queued=n.get("queued", 0) + n.get("claimed", 0),
        in_flight=n.get("dispatching", 0),
        on_the_way=n.get("accepted", 0) + n.get("sent", 0),
        delivered=n.get("delivered", 0),
        read=n.get("read", 0),
        failed=n.get("failed", 0),
        unknown=n.get("unknown", 0),
        needs_decision=n.get("needs_decision", 0),
        suppressed=n.get("suppressed", 0),
        cancelled=n.get("cancelled", 0),
        expired=n.get("expired", 0),
        held=n.get("held", 0),
    )


def left_out(campaign_id: UUID) -> dict[str, int]:
    """Count the people the order leaves out, by reason."""
    found: dict[str, int] = {}
    for (reason, _code), count in counts.reasons(campaign_id, "suppressed").items():
        found[reason] = found.get(reason, 0) + count
    return found


def failures(campaign_id: UUID) -> list[Failure]:
    """List why messages failed, most frequent first, each with words and a next step."""
    out = []
    for (reason, code), count in counts.reasons(campaign_id, "failed").items():
        said = outcomes.explain("failed", reason, code)
        out.append(
            Failure(reason, code, count, said.title, said.why, said.todo, said.retry)
        )
    return out


def people(
    campaign_id: UUID,
    *,
    state: str | None = None,
    reason: str | None = None,
    after: UUID | None = None,
    limit: int = 50,
) -> list[PersonRow]:
    """List an order's people by key, filtered by state and reason."""
    query = (
        select(
            Message.id,
            Message.contact_id,
            Message.address,
            Message.state,
            Message.reason,
            func.coalesce(Attempt.code, ""),
            Message.state_since,
        )
        .outerjoin(
            Attempt,
            (Attempt.account_id == Message.account_id)
            & (Attempt.message_id == Message.id)
            & (Attempt.number == Message.attempt),
        )
        .where(Message.account_id == current_account(), Message.campaign_id == campaign_id)
        .order_by(Message.id)
        .limit(limit)
    )
    if state:
        query = query.where(Message.state == state)
    if reason:
        query = query.where(Message.reason == reason)
    if after:
        query = query.where(Message.id > after)
    return [PersonRow(*row) for row in db.session().execute(query)]


def series(campaign_id: UUID) -> list[tuple[Any, int, int, int]]:
    """Count sent, delivered and failed per minute, oldest first."""
    _found(campaign_id)
    return counts.series(campaign_id)


def ring(campaign_id: UUID, *, after: dt.timedelta | None = None) -> None:
    """Ring the bell of one order: a worker will look, after this commits.

    What has never been looked at goes before what goes on.
    """
    from clarion.messaging import dispatch  # slow import: the outbound client

    query = select(Campaign.lane, Campaign.drained_at).where(Campaign.id == campaign_id)
    lane, drained = db.session().execute(query).one()
    job = dispatch.drain.on(lanes.queue(lane, fresh=drained is None))
    if after is None:
        job.later(campaign_id)
    else:
        job.after(after, campaign_id)


def bell(campaign_id: UUID) -> jobs.Bell:
    """Return the bell of an order as the broker would hand it on."""
    from clarion.messaging import dispatch  # slow import: the outbound client

    lane = db.session().scalars(select(Campaign.lane).where(Campaign.id == campaign_id))
    return dispatch.drain.on(lanes.queue(lane.one())).bell(campaign_id)


def ring_sender(sender_id: UUID) -> None:
    """Ring the running orders of a number that may send again."""
    query = select(Campaign.id).where(
        Campaign.account_id == current_account(),
        Campaign.sender_id == sender_id,
        Campaign.state == "running",
    )
    for campaign_id in db.session().scalars(query):
        ring(campaign_id)


def halt(campaign_id: UUID, reason: str) -> bool:
    """Pause an order because of what the provider says; say whether that is news.

    Called by the engine: the owner is told once, the second caller finds it paused.
    """
    query = (
        update(Campaign)
        .where(Campaign.account_id == current_account(), Campaign.id == campaign_id)
        .where(Campaign.state == "running")
        .values(state="pausing", state_reason=reason[:200])
        .returning(Campaign.id)
    )
    news = db.session().execute(query).first() is not None
    if news:
        audit.record("messaging.campaign.paused", None, id=campaign_id, why=reason)
        outbox.publish(CampaignPaused(campaign_id=campaign_id, reason=reason))
    return news


def locked(campaign_id: UUID) -> Campaign:
    """Read and lock an order of this account, or refuse."""
    query = select(Campaign).where(Campaign.id == campaign_id).with_for_update()
    row = db.session().scalar(query.execution_options(populate_existing=True))
    if row is None:
        raise NotFound("campaign_unknown", _("There is no such campaign."))
    return row


def _found(campaign_id: UUID) -> Campaign:
    row = db.session().scalar(select(Campaign).where(Campaign.id == campaign_id))
    if row is None:
        raise NotFound("campaign_unknown", _("There is no such campaign."))
    return row
