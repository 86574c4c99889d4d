"""A campaign from its name to its result, on a real database."""

import threading
from uuid import uuid4

import pytest
from sqlalchemy import event, select, text

from clarion.base import db
from clarion.base.errors import Conflict, Forbidden, Invalid, NotFound
from clarion.messaging import orders
from clarion.messaging.contract import TemplateVerdict
from clarion.messaging.models import Campaign, Message
from clarion.tenancy.models import AuditEntry
from clarion.tenancy.scope import account_scope
from clarion_campaigns import jobs, service
from clarion_contacts import contract as contacts
from clarion_contacts import service as people
from clarion_templates import service as templates


def codes(draft, level="bad"):
    found = service.problems(service.rail(draft.id))
    return {p.code for p in found if p.level == level}


def launch(draft, key="first", **more):
    with db.transaction():
        return service.launch(draft.id, key, **more)


def together(shop, *acts):
    """Run acts at the same moment, each in a thread and transaction of its own."""
    start, results = threading.Barrier(len(acts)), []

    def run(act):
        with shop.inside():
            start.wait()
            try:
                with db.transaction():
                    results.append(act())
            except Conflict as refused:
                results.append(refused.code)

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return results


# --- writing


def test_a_name_is_needed(shop):
    for name, code in (
        ("  ", "campaign_name_missing"),
        ("x" * 121, "campaign_name_too_long"),
    ):
        with pytest.raises(Invalid) as refused:
            service.create(name, "k")
        assert refused.value.code == code


def test_two_clicks_begin_one_campaign(shop):
    made = together(shop, *[lambda: service.create("Sale", "same").id] * 4)

    assert len(set(made)) == 1
    assert len(service.listing()) == 1


def test_variables_are_filled_from_fields_of_the_same_name(shop):
    draft = shop.draft()

    assert draft.variables == {"first_name": {"source": "first_name", "fallback": ""}}


def test_what_was_mapped_is_kept_when_the_template_changes(shop):
    draft = shop.draft()
    other = shop.template(
        "other", "Dear {{first_name}} of {{city}}, hello to you and yours!"
    )
    with db.transaction():
        service.fill_variables(
            draft.id, {"first_name": {"source": "name", "fallback": "friend"}}
        )
        draft = service.choose_message(draft.id, other, shop.sender_id)

    assert draft.variables == {
        "first_name": {"source": "name", "fallback": "friend"},
        "city": {"source": "", "fallback": ""},
    }


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"source": "password_hash"}, "variable_source_unknown"),
        ({"source": "text", "fallback": "a\nb"}, "variable_text_invalid"),
        ({"source": "text", "fallback": "x" * 201}, "variable_text_invalid"),
    ],
)
def test_a_strange_source_is_refused(shop, given, code):
    draft = shop.draft()

    with pytest.raises(Invalid) as refused:
        service.fill_variables(draft.id, {"first_name": given})

    assert refused.value.code == code
    assert "first_name" in refused.value.field


def test_a_number_and_a_tag_of_nobody_are_refused(shop):
    draft = shop.draft()

    with pytest.raises(Invalid) as number:
        service.choose_message(draft.id, shop.template_id, uuid4())
    with pytest.raises(Invalid) as tag:
        service.choose_people(draft.id, [uuid4()], [])

    assert (number.value.code, tag.value.code) == ("sender_unknown", "tag_unknown")


def test_a_tag_cannot_be_wanted_and_unwanted(shop):
    shop.people(1, tag="vip")
    draft, tag = shop.draft(), contacts.tags()[0].id

    with pytest.raises(Invalid) as refused:
        service.choose_people(draft.id, [tag], [tag])

    assert refused.value.code == "segment_contradiction"


def test_a_copy_has_everything_but_the_launch(shop):
    draft = shop.launched()

    with db.transaction():
        copy = service.duplicate(draft.id, "k")
        again = service.duplicate(draft.id, "k")

    assert copy.id == again.id != draft.id
    assert (copy.state, copy.name) == ("draft", "Early access (copy)")
    assert (copy.template_id, copy.variables) == (draft.template_id, draft.variables)


# --- looking at it


def test_the_rail_counts_and_shows_a_real_person(shop):
    shop.people(3, tag="vip")
    shop.people(2, first=20_000_000, consent=False)
    draft = shop.draft()

    rail = service.rail(draft.id, 1)

    assert (rail.total, rail.reached) == (5, 3)
    assert [(row.reason, row.count) for row in rail.left_out] == [("no_consent", 2)]
    assert rail.left_out[0].title == "No consent on record"
    assert rail.message.body == "Hi Ana! Early access is open today."
    assert (rail.person, rail.at, rail.of) == ("Ana Lima", 1, 3)
    assert service.rail(draft.id, 99).at == 2


def test_tags_choose(shop):
    shop.people(3, tag="vip")
    shop.people(2, first=20_000_000, tag="old")
    draft, by_name = shop.draft(), {t.name: t.id for t in contacts.tags()}
    with db.transaction():
        service.choose_people(draft.id, [by_name["vip"]], [])
    assert service.rail(draft.id).reached == 3

    with db.transaction():
        service.choose_people(draft.id, [], [by_name["vip"]])
    assert service.rail(draft.id).reached == 2


def test_an_empty_draft_names_everything_that_is_missing(shop):
    with db.transaction():
        draft = service.create("Empty", "k")

    assert codes(draft) == {"template_missing", "sender_missing", "audience_empty"}


@pytest.mark.parametrize("status", ["draft", "in_review", "rejected", "paused", "disabled"])
def test_only_an_approved_template_goes(shop, status):
    shop.people(1)
    draft = shop.draft()
    other = shop.template("other", status=status)
    with db.transaction():
        service.choose_message(draft.id, other, shop.sender_id)

    assert "template_not_approved" in codes(draft)
    with pytest.raises(Invalid) as refused:
        launch(draft)
    assert refused.value.code == "template_not_approved"


def test_a_revoked_token_blocks_and_says_so(shop):
    shop.people(1)
    draft = shop.draft()
    shop.pause_sender()

    assert codes(draft) == {"sender_paused"}
    with pytest.raises(Invalid) as refused:
        launch(draft)
    assert "Access revoked" in refused.value.text


def test_people_without_consent_cannot_be_sent_to(shop):
    shop.people(2, consent=False)
    draft = shop.draft()

    assert codes(draft) == {"audience_without_consent"}
    with pytest.raises(Invalid) as refused:
        launch(draft)
    assert refused.value.code == "audience_without_consent"
    assert service.get(draft.id).state == "draft"


def test_some_without_consent_is_only_worth_a_look(shop):
    shop.people(1)
    shop.people(2, first=20_000_000, consent=False)
    draft = shop.draft()

    assert codes(draft) == set()
    assert codes(draft, "warn") == {"audience_partly_without_consent"}


def test_utility_needs_no_marketing_consent(shop):
    shop.people(2, consent=False)
    draft = shop.draft()
    other = shop.template(
        "receipt", "Your order {{first_name}} has left us.", category="utility"
    )
    with db.transaction():
        service.choose_message(draft.id, other, shop.sender_id)

    assert service.rail(draft.id).reached == 2
    assert launch(draft).purpose == "utility"


def test_a_variable_without_a_source_blocks(shop):
    shop.people(1)
    draft = shop.draft()
    with db.transaction():
        service.fill_variables(draft.id, {})

    assert "variable_without_source" in codes(draft)


def test_a_variable_nobody_has_blocks_until_there_is_a_fallback(shop):
    shop.people(2, name="")
    draft = shop.draft()
    assert "variable_nobody_has" in codes(draft)
    assert service.rail(draft.id).missing == {"first_name": 2}

    with db.transaction():
        service.fill_variables(
            draft.id, {"first_name": {"source": "first_name", "fallback": "friend"}}
        )

    assert codes(draft) == set()
    assert codes(draft, "warn") == {"variable_nobody_has"}
    assert service.rail(draft.id).message.body.startswith("Hi friend!")


def test_a_variable_some_lack_is_counted(shop):
    shop.people(2)
    shop.people(1, first=20_000_000, name="")
    draft = shop.draft()

    assert codes(draft, "warn") == {"variable_partly_missing"}
    assert service.rail(draft.id).reached == 2


# --- launching


def test_launch_freezes_what_the_review_showed(shop, run_jobs):
    shop.people(3)
    shop.people(2, first=20_000_000, consent=False)
    draft = launch(shop.draft(), people=3)
    assert draft.state == "starting"

    with db.transaction():
        jobs.start(draft.id)

    found = service.results(draft.id)
    assert found.state == "running"
    assert (found.progress.audience, found.progress.suppressed) == (3, 2)
    assert [(r.reason, r.count) for r in found.left_out] == [("no_consent", 2)]
    rows = db.session().execute(select(Message.variables, Message.purpose)).all()
    assert ({"first_name": "Ana"}, "marketing") in [tuple(row) for row in rows]


def test_launch_twice_is_refused(shop):
    draft = shop.launched()

    with pytest.raises(Conflict) as refused:
        launch(draft, "second")

    assert refused.value.code == "campaign_already_launched"


def test_the_same_form_twice_launches_once(shop):
    draft = shop.launched()

    assert launch(draft, "first").launched_at == draft.launched_at
    entries = db.session().scalars(
        select(AuditEntry.id)
        .where(AuditEntry.name == "campaigns.campaign.launched")
        .where(AuditEntry.row == f"campaigns_draft:{draft.id}")
    )
    assert len(entries.all()) == 1


def test_two_people_launch_at_once(shop, run_jobs):
    shop.people(2)
    draft = shop.draft()

    results = together(
        shop,
        lambda: service.launch(draft.id, "mine").state,
        lambda: service.launch(draft.id, "yours").state,
    )

    assert sorted(results) == ["campaign_already_launched", "starting"]
    with db.transaction():
        jobs.start(draft.id)
    assert len(db.session().scalars(select(Campaign.id)).all()) == 1


def test_an_audience_that_changed_is_looked_at_again(shop):
    shop.people(2)
    draft = shop.draft()
    shop.people(1, first=20_000_000)

    with pytest.raises(Conflict) as refused:
        launch(draft, people=2)

    assert refused.value.code == "audience_changed"
    assert launch(draft, people=3).people == 3


def test_above_ten_thousand_the_number_is_typed(shop, monkeypatch):
    from clarion_campaigns.service import sending

    monkeypatch.setattr(sending, "TYPE_ABOVE", 2)
    shop.people(3)
    draft = shop.draft()

    for typed in ("", "yes", "30"):
        with pytest.raises(Invalid) as refused:
            launch(draft, typed=typed)
        assert refused.value.code == "count_not_typed"
    assert launch(draft, typed=" 3 ").state == "starting"


def test_starting_three_times_starts_once(shop):
    draft = shop.launched()

    for _ in range(3):
        with db.transaction():
            jobs.start(draft.id)

    assert len(db.session().scalars(select(Campaign.id)).all()) == 1
    assert len(db.session().scalars(select(Message.id)).all()) == 3


def test_a_start_that_breaks_off_leaves_nothing(shop):
    draft = shop.launched()

    with pytest.raises(ZeroDivisionError), db.transaction():
        jobs.start(draft.id)
        1 / 0  # noqa: B018 -- the worker dies here

    assert service.get(draft.id).state == "starting"
    assert db.session().scalars(select(Campaign.id)).all() == []
    with db.transaction():
        jobs.start(draft.id)
    assert service.get(draft.id).state == "launched"


def test_a_template_paused_since_the_launch_gives_the_draft_back(shop):
    draft = shop.launched()
    with db.transaction():
        templates.judge(shop.template_id, TemplateVerdict("77", "paused"))

    with db.transaction():
        jobs.start(draft.id)

    found = service.get(draft.id)
    assert (found.state, found.state_reason) == ("draft", "template_not_approved")
    assert service.results(draft.id).done


def test_a_start_nobody_heard_is_rung_again(shop, run_jobs):
    from sqlalchemy import delete, func, text, update

    from clarion.tenancy.actor import SYSTEM_JOB
    from clarion.tenancy.scope import system_scope
    from clarion.work.models import Outbox
    from clarion.work.outbox import SYSTEM
    from clarion_campaigns.models import Draft

    draft = shop.launched()
    with db.apart(SYSTEM) as orm:
        orm.execute(delete(Outbox))  # the bell is lost
    with db.transaction() as orm:
        orm.execute(
            update(Draft).values(
                updated_at=func.clarion_now() - text("interval '2 minutes'")
            )
        )

    with system_scope(SYSTEM_JOB):
        jobs.start_late()
    from clarion.testing.fixtures import _due, _run

    for path, payload in _due():
        _run(path, payload)

    assert service.get(draft.id).state == "launched"


def test_nothing_of_a_launched_campaign_can_be_changed(shop):
    draft = shop.launched()

    for act in (
        lambda: service.rename(draft.id, "x"),
        lambda: service.choose_message(draft.id, None, None),
        lambda: service.choose_people(draft.id, [], []),
        lambda: service.fill_variables(draft.id, {}),
        lambda: service.delete(draft.id),
    ):
        with pytest.raises(Conflict) as refused, db.transaction():
            act()
        assert refused.value.code == "campaign_not_draft"


# --- while it runs, and after


def started(shop, people=3):
    draft = shop.launched(people)
    with db.transaction():
        jobs.start(draft.id)
    return draft


def test_pause_resume_and_stop(shop):
    draft = started(shop)
    with db.transaction():
        assert service.pause(draft.id) == "paused"
    assert service.results(draft.id).state == "paused"
    with pytest.raises(Conflict):
        service.pause(draft.id)
    with db.transaction():
        service.resume(draft.id)
    with db.transaction():
        assert service.cancel(draft.id) == 3

    found = service.results(draft.id)
    assert (found.state, found.progress.cancelled, found.done) == ("cancelled", 3, True)
    with pytest.raises(Conflict) as refused:
        service.cancel(draft.id)
    assert refused.value.code == "campaign_over"


def test_a_draft_cannot_be_paused_or_stopped(shop):
    draft = shop.draft()

    for act in (service.pause, service.resume, service.cancel):
        with pytest.raises(Conflict) as refused:
            act(draft.id)
        assert refused.value.code == "campaign_not_running"


def test_cancelling_before_the_start_sends_nothing(shop):
    draft = shop.launched()

    with db.transaction():
        service.cancel(draft.id)
        jobs.start(draft.id)

    assert service.results(draft.id).state == "cancelled"
    assert db.session().scalars(select(Campaign.id)).all() == []


def test_a_pause_by_the_engine_says_why(shop):
    draft = started(shop)
    with db.transaction():
        orders.pause(service.get(draft.id).campaign_id, "token_invalid")

    assert service.results(draft.id).reason.title == "Access revoked"


def test_everybody_is_shown_with_words_and_by_key(shop):
    draft = started(shop, 5)

    first = service.people(draft.id, limit=2)
    rest = service.people(draft.id, after=first[-1].message_id)

    assert len({p.contact_id for p in first + rest}) == 5
    assert first[0].title == "Waiting"
    assert service.people(draft.id, state="failed") == []


def test_the_activity_tells_who_did_what(shop):
    draft = started(shop)
    with db.transaction():
        service.pause(draft.id)

    deeds = service.activity(service.get(draft.id))

    assert [d.name for d in deeds] == [
        "messaging.campaign.paused",
        "messaging.campaign.started",
        "campaigns.campaign.launched",
        "campaigns.campaign.created",
    ]
    assert deeds[0].who == "Marina Lopes"
    assert deeds[2].people == 3


def test_the_result_is_written_into_the_log_once(shop):
    draft = started(shop)
    order_id = service.get(draft.id).campaign_id

    for _ in range(3):
        with db.transaction():
            jobs.tally(order_id)

    deeds = service.activity(service.get(draft.id))
    assert [d.name for d in deeds].count("campaigns.campaign.finished") == 1
    jobs.tally(uuid4())


def test_lists_cost_the_same_for_many(shop):
    started(shop)
    seen = []
    event.listen(db.engine(), "before_cursor_execute", lambda *a: seen.append(a[2]))
    with db.transaction():
        service.listing()
    one = len(seen)
    for name in "abc":
        shop.draft(name)
    seen.clear()

    with db.transaction():
        lines = service.listing()

    assert len(lines) == 4
    assert lines[-1].audience == 3
    assert len(seen) == one


# --- who may, and whose


def test_a_member_may_write_but_not_send_or_stop(shop):
    draft = started(shop)
    with shop.inside("member"):
        mine = shop.draft("Mine")
        for act in (
            lambda: service.launch(mine.id, "k"),
            lambda: service.pause(draft.id),
            lambda: service.resume(draft.id),
            lambda: service.cancel(draft.id),
        ):
            with pytest.raises(Forbidden):
                act()
        assert service.results(draft.id).state == "running"


def test_staff_acting_as_a_person_may_stop_but_not_send(shop):
    import dataclasses

    shop.people(1)
    draft = shop.draft()
    behind = dataclasses.replace(shop.tenant.actor, behind="staff:7 Ada", reason="asked")

    with account_scope(shop.id, behind), pytest.raises(Forbidden):
        service.launch(draft.id, "k")


def test_another_accounts_campaign_does_not_exist(shop, other_shop):
    draft = started(shop)
    before = service.results(draft.id)

    with other_shop.inside():
        assert service.listing() == []
        for act in (
            lambda: service.get(draft.id),
            lambda: service.rail(draft.id),
            lambda: service.results(draft.id),
            lambda: service.people(draft.id),
            lambda: service.rename(draft.id, "x"),
            lambda: service.choose_message(draft.id, None, None),
            lambda: service.choose_people(draft.id, [], []),
            lambda: service.fill_variables(draft.id, {}),
            lambda: service.duplicate(draft.id, "k"),
            lambda: service.delete(draft.id),
            lambda: service.launch(draft.id, "k"),
            lambda: service.start(draft.id),
            lambda: service.pause(draft.id),
            lambda: service.resume(draft.id),
            lambda: service.cancel(draft.id),
        ):
            with pytest.raises(NotFound), db.transaction():
                act()
        mine = other_shop.draft()
        with pytest.raises(NotFound), db.transaction():
            service.choose_message(mine.id, shop.template_id, None)
        with pytest.raises(Invalid), db.transaction():
            service.choose_message(mine.id, None, shop.sender_id)
    assert service.results(draft.id) == before


def test_people_really_get_it(sending_shop, simulator, run_jobs):
    shop = sending_shop
    shop.people(4)
    draft = shop.draft()
    with db.transaction():
        service.launch(draft.id, "k")
    for _ in range(200):  # the engine keeps a pace, so a bell may be due a moment later
        run_jobs()
        if service.results(draft.id).state == "finished":
            break
        threading.Event().wait(0.05)
    run_jobs()

    found = service.results(draft.id)
    receipts = simulator.receipts()
    assert found.state == "finished"
    assert found.progress.sent == len(receipts) == 4
    assert {d.name for d in service.activity(found.draft)} >= {
        "campaigns.campaign.finished"
    }
    assert sum(m.sent for m in found.minutes) == 4


def test_a_segment_is_an_audience_and_stays_while_it_is(shop):
    shop.people(2, tag="VIP")
    shop.people(1, first=20_000_000, name="Bob")
    rule = {"op": "field", "field": "name", "test": "is", "value": "ana lima"}
    with db.transaction():
        segment = people.save_segment(rule, "Anas")
        listed = f"segment:{segment.id}"
    draft = shop.draft()
    with db.transaction():
        service.choose_people(draft.id, [], [], listed)

    assert service.rail(draft.id).reached == 2
    assert contacts.pick_in(service.get(draft.id).segment).base == listed
    with pytest.raises(Conflict) as refused, db.transaction():
        people.delete_segment(segment.id)
    assert refused.value.text == "It is used by “Early access”."
    assert [use.holds for use in people.uses_of([segment.id])[segment.id]] == [True]

    with db.transaction():
        service.launch(draft.id, "first")
        db.session().execute(
            text("UPDATE campaigns_draft SET state = 'cancelled' WHERE id = :id"),
            {"id": draft.id},
        )
        people.delete_segment(segment.id)
        copy = service.duplicate(draft.id, "again")

    assert service.rail(copy.id).total == 0  # nobody, rather than everybody


def test_a_snapshot_and_lists_are_an_audience(shop, run_jobs):
    shop.people(3, tag="VIP")
    with db.transaction():
        segment = people.save_segment(contacts.everyone(), "All")
        people.freeze(segment.id)
    run_jobs()
    shop.people(2, first=20_000_000)
    frozen = people.snapshots()[0]
    draft = shop.draft()
    tag = contacts.offered()[0][0].name
    with db.transaction():
        service.choose_people(draft.id, [], [], f"snapshot:{frozen.id}")
        then = service.rail(draft.id).total
        service.choose_people(draft.id, [], [tag], f"snapshot:{frozen.id}")

    assert (then, service.rail(draft.id).total) == (3, 0)
    with pytest.raises(Invalid), db.transaction():
        service.choose_people(draft.id, [], [], f"snapshot:{uuid4()}")


# --- what our staff have stopped


def test_a_launch_says_that_the_account_may_not_send(shop):
    from clarion.messaging import holds
    from clarion.tenancy.actor import COMMAND
    from clarion.tenancy.models import Account
    from clarion.tenancy.scope import staff_scope

    shop.people(3)
    draft = shop.draft()
    with db.transaction():
        holds.place(uuid4())
    assert (codes(draft), codes(draft, "warn")) == (set(), {"account_in_review"})

    with staff_scope(COMMAND), db.transaction() as orm:
        row = orm.get(Account, shop.id)
        row.state, row.state_reason = "suspended", "People never agreed."

    found = service.problems(service.rail(draft.id))
    assert [p.text for p in found if p.level == "bad"] == [
        "Your account may not send for now: People never agreed."
    ]
    with pytest.raises(Invalid):
        launch(draft)
