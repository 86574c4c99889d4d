"""When a breaker opens: silence, failures and opt-outs, measured in sets, not per message.

In a worker, what its own calls came to, batch by batch and in memory. From rows, what
webhooks report: only when a batch of them holds failures that are not the person's, and
for opt-outs at the reconciler's pace. Thresholds: `sending.md`, section 9.
"""

import datetime as dt
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.dialects.postgresql import insert

from clarion.base import db
from clarion.base.telemetry import counter, logger
from clarion.messaging import breakers
from clarion.messaging.ledger import Outcome
from clarion.messaging.models import (
    Attempt,
    Campaign,
    Message,
    ProviderCode,
    Sender,
    Suppression,
)
from clarion.tenancy.scope import current_account
from clarion.work import outbox

log = logger(__name__)
unheard = counter(
    "provider_codes_unknown_total",
    "Failures with a code that the table of answers has no word for",
    ("transport",),
)
SILENT = 5
WINDOW, SHARE = 200, 0.20
FIRST, ALL_FIRST, CONTENT_SHARE = 20, 100, 0.05
DELIVERED, OPTED_OUT = 1_000, 0.02
FEWEST, FEWEST_DELIVERED = 5, 100
"""Below these numbers a share of opt-outs says nothing yet."""
RECENT = dt.timedelta(days=7)
STALE_SECONDS = 30.0
CONTENT = "bad_content"
RECIPIENT = frozenset(
    {
        "undeliverable", "per_user_limit", "experiment", "sender_is_recipient",
        "not_in_test_list", "expired", "window_closed", "phone_needed",
        "identity_changed", "country_restricted", "stopped_marketing",
        "blocked_by_business", "bad_address", "quarantined", "outcome_unknown",
    }
)  # fmt: skip
"""Reasons that lie with one person: they never stop anybody else's message."""
TRIED = ("accepted", "held", "sent", "delivered", "read", "failed")


class Reported(Protocol):
    """A failed status, as far as it matters here."""

    @property
    def provider_id(self) -> str: ...
    @property
    def message_id(self) -> UUID | None: ...
    @property
    def reason(self) -> str: ...
    @property
    def code(self) -> str: ...


class Gauge:
    """What one worker's calls for one order came to lately."""

    def __init__(self) -> None:
        self.used = time.monotonic()
        self._seen = self._content = 0
        self._silent = 0
        self._lately: deque[bool] = deque(maxlen=WINDOW)

    def heard(self, *, silent: bool) -> bool:
        """Count calls in a row that got no usable answer; say when it is enough."""
        self._silent = self._silent + 1 if silent else 0
        return self._silent >= SILENT

    def take(self, outcomes: Sequence[Outcome]) -> str:
        """Take in a batch; return the reason to stop the order, or nothing."""
        self.used = time.monotonic()
        answered = [o for o in outcomes if o.state in ("accepted", "held", "failed")]
        wrong = [o.state == "failed" and o.reason not in RECIPIENT for o in answered]
        self._lately.extend(wrong)
        self._seen += len(answered)
        if any(wrong):
            self._content += sum(o.reason == CONTENT for o in answered)
            return self._verdict()
        return ""

    def _verdict(self) -> str:
        if self._seen >= FIRST and self._content == self._seen:
            return "bad_content_rate"
        if self._seen >= ALL_FIRST and self._content > CONTENT_SHARE * self._seen:
            return "bad_content_rate"
        if len(self._lately) == WINDOW and sum(self._lately) >= SHARE * WINDOW:
            return "failure_rate"
        return ""


_gauges: dict[UUID, Gauge] = {}


def of(campaign_id: UUID) -> Gauge:
    """Return this worker's gauge of an order; after a pause of some length a new one."""
    now = time.monotonic()
    for key in [k for k, g in _gauges.items() if now - g.used > STALE_SECONDS]:
        del _gauges[key]
    return _gauges.setdefault(campaign_id, Gauge())


def forget(campaign_id: UUID) -> None:
    """Begin anew with an order: it was stopped, whoever resumes it has changed something."""
    _gauges.pop(campaign_id, None)


# --- from rows


def reported(transport: str, failed: Sequence[Reported]) -> None:
    """Look at a batch of failed statuses: stop what loses too much, note strange codes.

    Costs nothing while every failure lies with its own person.
    """
    wrong = [one for one in failed if one.reason not in RECIPIENT]
    if not wrong:
        return
    codes = Counter(one.code for one in wrong if one.reason == "provider_code")
    if codes:
        strange(transport, codes)
    tried = select(Attempt.message_id).where(
        Attempt.account_id == current_account(),
        Attempt.provider_id.in_([one.provider_id for one in wrong if not one.message_id]),
    )
    hit = select(Message.campaign_id).where(
        Message.account_id == current_account(),
        or_(
            Message.id.in_([one.message_id for one in wrong if one.message_id]),
            Message.id.in_(tried),
        ),
    )
    running = select(Campaign.id).where(
        Campaign.account_id == current_account(),
        Campaign.id.in_(hit),
        Campaign.state == "running",
    )
    for campaign_id in list(db.session().scalars(running)):
        if _loses(campaign_id):
            breakers.open_("campaign", str(campaign_id), "failure_rate")


def strange(transport: str, codes: Mapping[str, int]) -> None:
    """Note codes that nobody has a word for: a metric, and a line for staff.

    In a transaction of its own: it belongs to no account.
    """
    for code, times in codes.items():
        unheard.labels(transport).inc(times)
        row = insert(db.table_of(ProviderCode)).values(
            transport=transport, code=code[:20] or "none", times=times
        )
        row = row.on_conflict_do_update(
            index_elements=["transport", "code"],
            set_={
                "times": ProviderCode.times + times,
                "last_at": func.clarion_now(),
            },
        )
        with db.apart(outbox.SYSTEM) as orm:
            orm.execute(row)
        log.error("provider.code_unknown", transport=transport, code=code, times=times)


def weigh_opt_outs() -> None:
    """Stop templates and numbers that too many people do not want to hear from.

    The template is asked first: mostly it is what was said, and not who said it.
    """
    running = select(Campaign, Sender.channel_id).join(
        Sender,
        and_(Sender.account_id == Campaign.account_id, Sender.id == Campaign.sender_id),
    )
    running = running.where(
        Campaign.account_id == current_account(),
        Campaign.state == "running",
        Campaign.purpose == "marketing",
    )
    for campaign, channel_id in db.session().execute(running).tuples().all():
        if not _unwanted([campaign.id], least=1):
            continue  # nobody of this one: the usual case, and cheap
        template = campaign.template
        same = _family(campaign.sender_id, template["name"])
        if _too_unwanted(same):
            key = breakers.of_template(channel_id, template["name"], template["language"])
            breakers.open_("template", key, "opt_out_rate")
        elif _too_unwanted(_family(campaign.sender_id)):
            breakers.open_("sender", str(campaign.sender_id), "opt_out_rate")


def opt_outs(campaign_id: UUID) -> int:
    """Count the people of one order who asked for silence since they got it."""
    return len(_unwanted([campaign_id], least=0, most=DELIVERED))


def _loses(campaign_id: UUID) -> bool:
    """Say whether 40 failures lie within the last 200 outcomes, or all of the first 20."""
    mine = and_(Message.account_id == current_account(), Message.campaign_id == campaign_id)
    wrong = (
        select(Message.state_since)
        .where(mine, Message.state == "failed", Message.reason.not_in(RECIPIENT))
        .where(Message.attempt > 0)
        .order_by(Message.state_since.desc())
        .limit(int(SHARE * WINDOW))
    )
    times = list(db.session().scalars(wrong))
    if len(times) < int(SHARE * WINDOW):
        tried = _count(select(Message.id).where(mine, Message.state.in_(TRIED)), FIRST + 1)
        return len(times) >= FIRST and tried == len(times)
    since = select(Message.id).where(
        mine, Message.state.in_(TRIED), Message.state_since >= times[-1]
    )
    return _count(since, WINDOW + 1) <= WINDOW


def _too_unwanted(campaigns: list[UUID]) -> bool:
    """Say whether 2 % of the last 1,000 who got something asked for silence."""
    enough = int(DELIVERED * OPTED_OUT)
    times = _unwanted(campaigns, least=FEWEST, most=enough)
    if not times:
        return False
    got = select(Message.id).where(
        Message.account_id == current_account(),
        Message.campaign_id.in_(campaigns),
        Message.state.in_(("delivered", "read")),
    )
    if len(times) == enough:
        recent = got.where(Message.state_since >= times[-1])
        return _count(recent, DELIVERED + 1) <= DELIVERED
    delivered = _count(got, DELIVERED + 1)
    return (
        FEWEST_DELIVERED <= delivered <= DELIVERED and len(times) >= OPTED_OUT * delivered
    )


def _unwanted(
    campaigns: list[UUID], *, least: int, most: int | None = None
) -> list[dt.datetime]:
    """List when people of some orders asked for silence, newest first; none if too few."""
    query = (
        select(func.max(Suppression.created_at).label("at"))
        .join(
            Message,
            and_(
                Message.account_id == Suppression.account_id,
                Message.contact_id == Suppression.contact_id,
            ),
        )
        .where(
            Suppression.account_id == current_account(),
            Suppression.created_at > func.clarion_now() - RECENT,
            Suppression.reason.in_(("stop", "provider_stop")),
            Message.campaign_id.in_(campaigns),
            Message.state.in_(("accepted", "sent", "delivered", "read", "failed")),
            Message.created_at <= Suppression.created_at,
            or_(Message.state != "failed", Message.reason == "stopped_marketing"),
        )
        .group_by(Message.contact_id)
        .order_by(func.max(Suppression.created_at).desc())
        .limit(most or least)
    )
    found = list(db.session().scalars(query))
    return found if len(found) >= least else []


def _family(sender_id: UUID, template: str = "") -> list[UUID]:
    """List a number's orders of the last days, all or those with one template."""
    query = select(Campaign.id).where(
        Campaign.account_id == current_account(),
        Campaign.sender_id == sender_id,
        Campaign.started_at > func.clarion_now() - RECENT,
    )
    if template:
        query = query.where(Campaign.template["name"].astext == template)
    return list(db.session().scalars(query))


def _count(query: Select[tuple[UUID]], limit: int) -> int:
    some = query.limit(limit).subquery()
    return db.session().scalar(select(func.count()).select_from(some)) or 0
