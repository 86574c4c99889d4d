"""Soft launch by a moved clock: waves go out by their results, and stop by them."""

import datetime as dt
import json

import pytest
from sqlalchemy import func, select, update
from tests.clarion.messaging.conftest import TEMPLATE, audience, number

from clarion.base import db
from clarion.base.errors import Conflict
from clarion.messaging import (
    breakers,
    channels,
    counts,
    identifiers,
    launches,
    orders,
    reconcile,
    suppression,
)
from clarion.messaging.contract import RawWebhook
from clarion.messaging.models import Channel, Message, Sender
from clarion.tenancy.models import AuditEntry
from clarion.work import webhooks
from clarion.work.models import Outbox
from clarion.work.outbox import SYSTEM


@pytest.fixture
def soft(make_order):
    """Start a soft launch: (order id, people)."""

    def start(count, first=40_000_000):
        people = [(db.new_id(), number(first + i), "") for i in range(count)]
        with db.transaction():
            identifiers.attach_many([(c, "phone", n) for c, n, _ in people], "test")
            order = orders.create(
                "New", "marketing", make_order.sender_id, TEMPLATE, soft=True
            )
            orders.start(order.id, audience(people))
        return order.id

    return start


def notice(account, field, *, ago=-1, **value):
    """Have the provider say something about a template, number or account, seconds ago."""
    with db.transaction():
        channel = db.session().scalar(select(Channel))
        now = db.session().scalar(select(func.extract("epoch", func.clarion_now())))
    change = {"field": field, "value": value}
    entry = [{"id": "9900", "time": int(now) - ago, "changes": [change]}]
    body = json.dumps({"object": "whatsapp_business_account", "entry": entry}).encode()
    pieces = list(channels.transports()["whatsapp_cloud"].split(RawWebhook(body, {})))
    webhooks.receive("messaging", account.id, channel.id, pieces)
    webhooks.apply_now(account.id)


def delivered(order, count=1_000_000):
    with db.transaction() as orm:
        some = select(Message.id).where(
            Message.campaign_id == order, Message.state == "accepted"
        )
        orm.execute(
            update(Message)
            .where(Message.id.in_(some.order_by(Message.id).limit(count)))
            .values(state="delivered")
        )


def wave(order):
    with db.transaction() as orm:
        orm.expire_all()
        return launches.wave(order)


def state(order):
    with db.transaction() as orm:
        orm.expire_all()
        found = orders.progress(order)
    return found.state, found.state_reason


def test_waves_follow_one_another_when_they_are_received_well(
    soft, simulator, run_jobs, later
):
    order = soft(1_250)
    run_jobs()
    assert len(simulator.receipts()) == 100
    found = wave(order)
    assert (found.number, found.of, found.next_size, found.waits_for) == (
        1, 3, 1_000, "time",
    )  # fmt: skip

    later.forward(minutes=31)
    reconcile.mend()
    run_jobs()
    assert len(simulator.receipts()) == 100  # nothing is known of them yet
    assert wave(order).waits_for == "news"

    delivered(order)
    reconcile.mend()
    run_jobs()
    assert len(simulator.receipts()) == 1_100
    later.forward(minutes=31)
    delivered(order)
    reconcile.mend()
    run_jobs()

    assert len(simulator.receipts()) == 1_250
    assert len({r["to"] for r in simulator.receipts()}) == 1_250
    assert state(order)[0] == "finished"
    with db.apart(SYSTEM) as orm:
        assert (
            orm.scalar(select(Outbox.seq).limit(1)) is None
        )  # nothing rings in 1,000 years


def test_a_red_answer_in_the_first_wave_limits_the_damage_to_it(
    account, soft, simulator, run_jobs, later
):
    """SND-20: the provider answers red after 100."""
    order = soft(400)
    run_jobs()
    delivered(order)
    notice(
        account,
        "message_template_quality_update",
        previous_quality_score="GREEN",
        new_quality_score="RED",
        message_template_id=7,
        message_template_name="early_access",
        message_template_language="en",
    )

    for _ in range(4):
        later.forward(minutes=31)
        reconcile.mend()
        run_jobs()

    assert len(simulator.receipts()) == 100
    assert state(order) == ("paused", "template_quality_red")
    with db.transaction():
        assert breakers.standing()[0].kind == "template"


@pytest.mark.parametrize("why", ["stops", "failures", "number", "held"])
def test_a_wave_that_is_received_badly_is_the_last_one(
    account, soft, simulator, run_jobs, later, why
):
    if why == "held":
        rule = {"match": {"suffix": "7"}, "fate": {"answer": "held"}}
        simulator.post("rules", rules=[rule], replace=True)
    order = soft(150)
    run_jobs()
    with db.transaction() as orm:
        sent = orm.execute(
            select(Message.contact_id, Message.id).where(Message.attempt > 0).limit(25)
        ).all()
        if why == "stops":
            for row in sent[:3]:
                suppression.suppress([], reason="stop", contact_id=row.contact_id)
        if why == "failures":
            orm.execute(
                update(Message)
                .where(Message.id.in_([row.id for row in sent]))
                .values(state="failed", reason="provider_failure")
            )
        if why == "number":
            orm.execute(update(Sender).values(quality="red"))
    delivered(order)
    later.forward(minutes=31)
    reconcile.mend()
    run_jobs()

    assert len(simulator.receipts()) == 100
    reason = {
        "stops": "opt_out_rate",
        "failures": "failure_rate",
        "number": "number_quality_red",
    }
    if why == "held":
        assert wave(order).waits_for == "held"
    else:
        assert state(order) == ("paused", reason[why])


def test_a_person_may_release_early_on_record(soft, simulator, run_jobs):
    order = soft(150)
    run_jobs()
    with db.transaction():
        assert launches.release(order) == 50
    run_jobs()

    assert len(simulator.receipts()) == 150
    with pytest.raises(Conflict), db.transaction():
        launches.release(order)
    with db.transaction() as orm:
        entry = orm.execute(
            select(AuditEntry.actor_name, AuditEntry.changes).where(
                AuditEntry.name == "messaging.wave.released"
            )
        ).one()
    assert entry.actor_name == "Marina Lopes"
    assert (entry.changes["wave"][1], entry.changes["people"][1]) == (2, 50)


def test_so_few_go_all_at_once_and_a_stop_reaches_the_later_waves(
    soft, simulator, run_jobs
):
    small = soft(60)
    run_jobs()
    assert len(simulator.receipts()) == 60
    assert wave(small) is None

    large = soft(130, first=50_000_000)
    run_jobs()
    with db.transaction():
        assert orders.cancel(large) == 30
        assert counts.tally(large)["cancelled"] == 30


def test_the_last_wave_is_let_go_page_by_page(soft, simulator, run_jobs, monkeypatch):
    monkeypatch.setattr(launches, "PAGE", 20)
    monkeypatch.setattr(launches, "WAVES", (100,))
    monkeypatch.setattr(launches, "LAST", 2)
    order = soft(170)
    run_jobs()
    with db.transaction():
        launches.release(order)
    run_jobs()

    assert len(simulator.receipts()) == 170


def test_a_template_is_proven_by_a_hundred_who_got_it(
    soft, simulator, run_jobs, make_order
):
    with db.transaction():
        assert not launches.proven(make_order.sender_id, "early_access", "en")
    order = soft(100)
    run_jobs()
    delivered(order)
    with db.transaction() as orm:
        assert launches.proven(make_order.sender_id, "early_access", "en")
        assert not launches.proven(make_order.sender_id, "another", "en")
        channel = orm.scalar(select(Sender.channel_id))
        key = breakers.of_template(channel, "early_access", "en")
        breakers.open_("template", key, "template_paused")
        assert not launches.proven(make_order.sender_id, "early_access", "en")


# --- what the provider says about templates, numbers and accounts


@pytest.mark.parametrize(
    ("field", "bad", "kind", "reason", "good"),
    [
        (
            "message_template_status_update",
            {"event": "PAUSED"},
            "template",
            "template_paused",
            {"event": "APPROVED"},
        ),
        (
            "message_template_quality_update",
            {"new_quality_score": "RED"},
            "template",
            "template_quality_red",
            {"new_quality_score": "YELLOW"},
        ),
        (
            "phone_number_quality_update",
            {"event": "FLAGGED", "display_phone_number": "5511955500147"},
            "sender",
            "number_quality_red",
            {"event": "UNFLAGGED", "display_phone_number": "+55 11 95550-0147"},
        ),
        (
            "account_update",
            {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "DISABLE"}},
            "channel",
            "account_locked",
            {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "REINSTATE"}},
        ),
    ],
)
def test_the_providers_word_stops_and_one_message_tries_before_all_go_on(
    account, make_order, simulator, run_jobs, field, bad, kind, reason, good
):
    template = {"message_template_name": "early_access", "message_template_language": "en"}
    _order, _ = make_order.start(3)
    notice(account, field, **(template | bad))
    with db.transaction():
        assert [(s.kind, s.reason) for s in breakers.standing()] == [(kind, reason)]
    run_jobs()
    assert simulator.receipts() == []

    notice(account, field, **(template | good))
    with db.transaction():
        assert breakers.standing()[0].state == "half_open"
    run_jobs()
    reconcile.mend()
    run_jobs()
    assert len(simulator.receipts()) == 3
    with db.transaction():
        assert breakers.standing() == []


def test_an_account_that_is_restricted_until_a_day_goes_on_after_it(
    account, make_order, simulator, run_jobs, later
):
    _order, _ = make_order.start(2)
    end = int(dt.datetime.now(dt.UTC).timestamp()) + 3_600
    notice(
        account,
        "account_update",
        event="ACCOUNT_RESTRICTION",
        restriction_info=[
            {"restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING", "expiration": end}
        ],
    )
    run_jobs()
    assert simulator.receipts() == []

    later.forward(hours=1.1)
    reconcile.mend()
    run_jobs()
    reconcile.mend()
    run_jobs()
    assert len(simulator.receipts()) == 2


def test_the_owner_is_told_once_by_mail(account, make_order, run_jobs):
    from clarion.base.settings import settings

    _order, _ = make_order.start(1)
    before = set(settings().mail_folder.glob("*"))
    with db.transaction() as orm:
        sender = str(orm.scalar(select(Sender.id)))
        for _ in range(3):
            breakers.open_("sender", sender, "number_quality_red")
    run_jobs()

    new = [path.read_text() for path in set(settings().mail_folder.glob("*")) - before]
    mine = [text for text in new if account.email in text]
    assert len(mine) == 1
    assert "sending was stopped" in mine[0]
