"""The watch on a real database: it counts, scores, holds and cannot read anybody's words."""

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError, ProgrammingError
from tests.clarion.misuse.conftest import ADA, BEN, CLEO, aged, counted

from clarion.base import db, walls
from clarion.base.errors import Conflict, NotFound
from clarion.messaging import channels, counts, holds, orders, quotas, suppression
from clarion.messaging.models import Message
from clarion.misuse import appeals, cases, facts, measures, watching
from clarion.misuse import quotas as allowed
from clarion.misuse.models import MisuseAppeal, MisuseCount, MisuseFlag, MisuseStanding
from clarion.tenancy.models import Account
from clarion.tenancy.scope import account_scope
from clarion.testing.console import statements
from clarion.testing.factories import make_account
from clarion_contacts import service as contacts

pytestmark = pytest.mark.usefixtures("alone")

BAD = {"people": 1_000, "left": 1_000, "delivered": 1_000, "stopped": 50, "blocked": 50}


def flags():
    with db.transaction() as orm:
        orm.expire_all()
        return list(orm.scalars(select(MisuseFlag).order_by(MisuseFlag.id)))


def flag():
    (one,) = flags()
    return one


def state(order):
    with db.transaction() as orm:
        orm.expire_all()
        found = orders.progress(order)
        return found.state, found.state_reason


def tally(order):
    with db.transaction():
        return counts.tally(order)


def account_state(tenant):
    with db.transaction() as orm:
        orm.expire_all()
        return orm.execute(
            select(Account.state, Account.state_reason).where(Account.id == tenant.id)
        ).one()


# --- MIS-01: what the watch may read

PERSONAL = ("contact.", "message.", "person.")
NEVER = (
    "account.content",
    "account.secret",
    "account.phone",
    "account.name",
    "account.appeal",
)


def test_the_watch_cannot_read_text_or_identifiers(database, root):
    """By privilege, column by column: whatever holds words or names somebody is refused."""
    readable, refused = [], 0
    with root.connect() as connection:
        for name, model in sorted(walls.models().items()):
            for one in model.__table__.columns:
                may = connection.scalar(
                    text("SELECT has_column_privilege('clarion_watch', :t, :c, 'SELECT')"),
                    {"t": name, "c": one.name},
                )
                kind = one.info.get("pd") or ""
                if kind.startswith(PERSONAL) or kind in NEVER or kind == "account.note":
                    refused += not may
                    if may:
                        readable.append(f"{name}.{one.name}")

    assert readable == []
    assert refused > 100
    with (
        pytest.raises(ProgrammingError, match="permission denied"),
        db.apart(watching.WATCH) as orm,
    ):
        orm.execute(select(Message.id))


def test_the_watch_reads_counters_only_and_judges_with_them(account, root):
    aged(root, account, 100)
    counted(account, **BAD)

    assert watching.judge() == [(account.id, flag().id)]

    found = flag()
    assert (found.score, found.state, found.rules) == (90, "open", "2026-11")
    assert {p["rule"]: (p["found"], p["norm"]) for p in found.parts} == {
        "opt_outs": (0.05, 0.005), "blocks": (0.05, 0.002),
    }  # fmt: skip


# --- counting


def test_what_is_counted_is_what_the_ledger_holds(
    account, root, make_order, run_jobs, simulator
):
    simulator.post("rules", rules=[
        {"match": {"suffix": "03"}, "fate": {"answer": "refuse", "code": 131026}},
    ], replace=True)  # fmt: skip
    order, people = make_order.start(10)
    run_jobs()
    with db.transaction():
        for _contact, number, _why in people[:2]:
            suppression.suppress([("phone", number)], scope="marketing", reason="stop")
        for one in "abc":  # people as the quota counts them: whoever is kept
            contacts.add(contacts.Details(name=one, email=f"{one}@example.org"))
    with root.begin() as connection:  # they were counted when the order began
        connection.execute(text("UPDATE misuse_standing SET counted_at = NULL"))
    watching.look()

    with db.transaction() as orm:
        row = orm.scalars(select(MisuseCount)).one()
        usage = orm.scalars(select(MisuseStanding)).one()
    assert (row.campaign_id, row.people, row.left) == (order, 10, 10)
    assert (row.failed, row.stopped, row.blocked) == (1, 2, 0)
    assert (usage.people, usage.messages) == (3, 10)


def test_as_many_statements_for_many_accounts_as_for_one(clean, root):
    def judged(tenants):
        for one in tenants:
            counted(one, people=1_000_000)  # on its first day
        with statements() as found:
            watching.judge()
        return len(found)

    judged([make_account()])  # what a process reads once is read

    assert judged([make_account()]) == judged([make_account() for _ in range(7)])


def test_the_norm_is_the_median_of_who_sends(clean, root):
    """Where everybody has many opt-outs, many are no news."""
    for _ in range(6):
        tenant = make_account()
        aged(root, tenant, 100)
        counted(tenant, people=1_000, left=1_000, delivered=1_000, stopped=20)

    assert watching.judge() == []
    with db.apart(watching.WATCH) as orm:
        assert orm.scalars(select(MisuseStanding.score)).all() == [0] * 6


# --- MIS-03: a hold before harm, and nothing lost


def test_a_held_campaign_resumes_to_completion(
    account, root, make_order, run_jobs, simulator
):
    aged(root, account, 100)
    counted(account, **BAD)
    order, _people = make_order.start(20)

    run_jobs()

    assert state(order) == ("paused", "misuse_review")
    assert tally(order) == {"queued": 20}
    assert simulator.receipts() == []
    with db.transaction(), pytest.raises(Conflict) as refused:
        orders.resume(order)
    assert refused.value.code == "campaign_in_review"
    late, _ = make_order.start(5, first=50_000_000)  # begins under the hold
    run_jobs()
    assert state(late) == ("paused", "misuse_review")

    ADA.do(cases.allow, flag().id, "Opt-outs came from one wrong list.")
    run_jobs()
    watching.look()  # the same numbers again are no news
    run_jobs()

    assert tally(order) == {"accepted": 20}
    assert tally(late) == {"accepted": 5}
    assert len(simulator.receipts()) == 25  # I2
    assert (flag().state, flag().decided_name) == ("allowed", "Ada")


def test_what_a_breaker_lets_go_waits_for_the_review_too(account, make_order, run_jobs):
    from clarion.messaging import breakers

    order, _ = make_order.start(3)
    with db.transaction():
        breakers.open_("campaign", str(order), "failure_rate")
        assert holds.place(db.new_id())
    with db.transaction():
        breakers.cleared("campaign", str(order), frozenset({"failure_rate"}))
        orders.settle(order)
    assert state(order) == ("paused", "misuse_review")

    with db.transaction():
        assert holds.lift() == 1
    run_jobs()

    assert tally(order) == {"accepted": 3}


def test_a_job_may_run_twice_and_be_cut_off(
    account, root, make_order, run_jobs, monkeypatch
):
    aged(root, account, 100)
    counted(account, **BAD)
    order, _ = make_order.start(3)
    monkeypatch.setattr(watching.holds, "place", lambda _id: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        watching.look()  # judged, and died before it held
    monkeypatch.undo()

    for _ in range(3):
        watching.look()

    assert state(order)[1] == "misuse_review"
    assert len(flags()) == 1


def test_worse_than_what_was_allowed_opens_a_new_case(account, root, run_jobs):
    aged(root, account, 100)
    counted(account, people=1_000, left=1_000, delivered=1_000, stopped=45)
    watching.judge()
    ADA.do(cases.allow, flag().id, "Known.")
    watching.judge()
    assert len(flags()) == 1

    counted(account, people=1_000, left=1_000, delivered=1_000, stopped=45, blocked=60)
    watching.judge()

    assert [f.state for f in flags()] == ["allowed", "open"]


# --- lists


def test_the_same_list_in_two_accounts(account, other_account):
    numbers = sorted(f"+55119{i * 7:08d}" for i in range(150))
    given = {"rows": 150, "invalid": 0, "countries": 1, "attested": True}
    for tenant in (account, other_account):
        with account_scope(tenant.id, tenant.actor), db.transaction():
            facts.listed(db.new_id(), numbers=numbers, **given)
    with db.transaction():
        facts.listed(db.new_id(), numbers=numbers[:80], **given)  # too short to be known

    watching.judge()

    with db.apart(watching.WATCH) as orm:
        found = orm.execute(select(MisuseStanding.account_id, MisuseStanding.parts)).all()
    rules_of = {key: [p["rule"] for p in parts] for key, parts in found}
    assert rules_of == {account.id: ["same_list"], other_account.id: ["same_list"]}


# --- MIS-02: owners see it


def test_what_is_open_can_be_read_after_fourteen_days(account, root, later, mails):
    aged(root, account, 100)
    counted(account, people=1_000, left=1_000, delivered=1_000, stopped=45)
    watching.judge()
    assert flag().shown_at is None  # 45 points: looked at, not held
    with db.transaction(), pytest.raises(NotFound):
        appeals.case(flag().id)

    later.forward(days=13, hours=23)
    assert watching.show_due() == 0
    later.forward(hours=2)
    assert watching.show_due() == 1
    assert watching.show_due() == 0

    with db.transaction():
        shown, _words = appeals.case(flag().id)
    assert shown.parts[0]["rule"] == "opt_outs"
    assert "what we noticed" in mails(account.email)[-1]["Subject"]


def test_what_is_decided_can_be_read_at_once(account, root):
    aged(root, account, 100)
    counted(account, people=1_000, left=1_000, delivered=1_000, stopped=45)
    watching.judge()

    ADA.do(cases.allow, flag().id, "Nothing is wrong.")

    with db.transaction():
        shown, _words = appeals.case(flag().id)
    assert (shown.state, shown.said, shown.may_appeal) == (
        "allowed",
        "Nothing is wrong.",
        False,
    )


# --- two persons


@pytest.fixture
def suspended(account, root):
    """Ada asked, Ben confirmed."""
    aged(root, account, 100)
    counted(account, **BAD)
    watching.judge()
    one = flag()
    ADA.do(cases.suspend, one.id, "People never agreed.")
    wish = ADA.do(measures.open_for, account.id)
    with pytest.raises(Conflict) as own:
        ADA.do(measures.confirm, wish.id)
    assert own.value.code == "measure_own"
    BEN.do(measures.confirm, wish.id)
    return one.id


def test_a_suspension_takes_two_and_the_database_insists(account, root, suspended):
    assert account_state(account) == ("suspended", "People never agreed.")
    found = flag()
    assert (found.state, found.asked_by, found.decided_by) == (
        "suspended", "staff:9001", "staff:9002",
    )  # fmt: skip
    for statement in (
        "UPDATE account_measure SET decided_by = created_by",
        "UPDATE misuse_flag SET decided_by = asked_by",
        "UPDATE misuse_flag SET asked_by = ''",
    ):
        with (
            pytest.raises(IntegrityError, match=r"another_one|two_for_a"),
            root.begin() as c,
        ):
            c.execute(text(statement + " WHERE account_id = :a"), {"a": account.id})


def test_an_appeal_is_decided_by_somebody_else(
    account, root, suspended, make_order, run_jobs
):
    order, _ = make_order.start(4)
    run_jobs()
    assert tally(order) == {"queued": 4}
    with db.transaction():
        appeals.appeal(suspended, "They agreed on our form.")
    with db.transaction(), pytest.raises(Conflict):
        appeals.appeal(suspended, "Again.")
    with db.transaction() as orm:
        row = orm.scalars(select(MisuseAppeal)).one()

    for clerk in (ADA, BEN):
        with pytest.raises(Conflict) as own:
            clerk.do(cases.decide_appeal, row.id, "I was right.", grant=False)
        assert own.value.code == "appeal_own"
    for decider in ("staff:9001", "staff:9002"):
        with (
            pytest.raises(IntegrityError, match="somebody_else"),
            root.begin() as connection,
        ):
            connection.execute(
                text("UPDATE misuse_flag_appeal SET state = 'refused', decided_by = :d"),
                {"d": decider},
            )
    CLEO.do(cases.decide_appeal, row.id, "The form is there.", grant=True)
    run_jobs()

    assert account_state(account) == ("active", "")
    assert tally(order) == {"accepted": 4}
    with db.transaction():
        shown, words = appeals.case(suspended)
    assert (shown.appeal, [w.side for w in words]) == ("granted", ["customer", "staff"])


def test_others_neither_see_nor_appeal(account, other_account, suspended):
    with account_scope(other_account.id, other_account.actor), db.transaction():
        assert appeals.review().cases == []
        with pytest.raises(NotFound):
            appeals.appeal(suspended, "Let me.")


def test_suspension_in_mid_campaign_loses_nothing(account, make_order, run_jobs, later):
    order, _ = make_order.start(30)
    wish = ADA.do(measures.ask, account.id, "suspend", "Looking into it.")
    BEN.do(measures.confirm, wish)
    run_jobs()
    assert tally(order) == {"queued": 30}

    CLEO.do(measures.reopen, account.id, "All is well.")
    later.forward(minutes=1)
    run_jobs()

    assert tally(order) == {"accepted": 30}


# --- quotas


def test_messages_a_day_are_counted_exactly(
    account, make_order, run_jobs, later, simulator
):
    ADA.do(allowed.put, account.id, "messages", 7, "New here.")
    order, _ = make_order.start(20)
    run_jobs()
    assert tally(order) == {"accepted": 7, "queued": 13}
    assert state(order)[0] == "running"

    later.forward(days=1)
    run_jobs()
    assert tally(order) == {"accepted": 14, "queued": 6}

    ADA.do(allowed.lift, account.id, "messages")
    run_jobs()
    assert tally(order) == {"accepted": 20}
    assert len(simulator.receipts()) == 20


def test_numbers_are_limited_by_verb_and_by_the_database(account, root, make_order):
    ADA.do(allowed.put, account.id, "senders", 1, "One is enough.")
    with db.transaction(), pytest.raises(Conflict) as refused:
        channels.connect(
            "whatsapp_cloud", "Two", {"waba_id": "1"},
            {"access_token": "x", "app_secret": "y"},
            [channels.SenderIn("77", "+5511955500148", "Two", 80)],
        )  # fmt: skip
    assert refused.value.code == "quota_reached"

    with (
        pytest.raises(IntegrityError, match="1 numbers at most"),
        root.begin() as connection,
    ):
        connection.execute(text(
            "INSERT INTO sender (id, account_id, channel_id, provider_id, number, name)"
            " SELECT gen_random_uuid(), account_id, channel_id, 'x', '+1', 'x' FROM sender"
            " WHERE account_id = :a"), {"a": account.id})  # fmt: skip


def test_a_quota_for_people(account):
    ADA.do(allowed.put, account.id, "people", 2, "Small plan.")
    with db.transaction():
        quotas.require("people", have=1)
        with pytest.raises(Conflict):
            quotas.require("people", have=1, more=2)
    ADA.do(allowed.lift, account.id, "people")
    with db.transaction():
        quotas.require("people", have=1, more=2)


def test_limiting_lets_it_go_on_slower(account, root, make_order, run_jobs):
    aged(root, account, 100)
    counted(account, **BAD)
    order, _ = make_order.start(10)
    run_jobs()
    ADA.do(cases.limit, flag().id, 4, "Slower, please.")
    run_jobs()

    assert tally(order) == {"accepted": 4, "queued": 6}
    assert (flag().state, flag().said) == ("limited", "Slower, please.")
