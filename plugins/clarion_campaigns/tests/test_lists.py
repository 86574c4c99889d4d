"""The list that is looked at is the list that is launched with, and nobody is added."""

import csv
import datetime as dt
import io
import random
from contextlib import contextmanager

import pytest
from sqlalchemy import event, func, select, update

from clarion.base import db
from clarion.base.errors import Conflict, Forbidden, Invalid, NotFound
from clarion.messaging import hours, identifiers, portfolio, prices
from clarion.messaging.models import Channel, Message, Portfolio
from clarion.tenancy.actor import COMMAND
from clarion.tenancy.models import AuditEntry
from clarion.tenancy.scope import staff_scope
from clarion.testing.visitor import Visitor
from clarion_campaigns import jobs, service
from clarion_campaigns.models import Check, Listed
from clarion_campaigns.service import dry_run, lists
from clarion_contacts import service as contacts

NOON = dt.datetime(2027, 3, 1, 15, tzinfo=dt.UTC)  # a Monday, noon in São Paulo
ZONE = "America/Sao_Paulo"


def add(phone, *, name="Ana Lima", agreed=True, **more):
    with db.transaction():
        one = contacts.add(contacts.Details(name=name, phone=phone, **more))
        if agreed:
            contacts.opt_in(one.id, method="shop", source="till", wording="Yes, please")
    return one.id


def look(draft):
    with db.transaction():
        service.look_at_everybody(draft.id)
        return service.look(draft.id)


def launch(draft, seen=None, **more):
    with db.transaction():
        check_id = seen.id if seen else None
        return service.launch(draft.id, "key", check_id=check_id, **more)


def start(draft):
    with db.transaction():
        service.start(draft.id)


def rows(seen):
    """Everybody of a dry run: contact → (reason, note)."""
    with db.transaction() as orm:
        query = select(Listed.contact_id, Listed.reason, Listed.note).where(
            Listed.check_id == seen.id
        )
        return {one: (reason, note) for one, reason, note in orm.execute(query)}


def frozen():
    """Everybody of the ledger: contact → (state, reason)."""
    with db.transaction() as orm:
        query = select(Message.contact_id, Message.state, Message.reason)
        return {one: (state, reason) for one, state, reason in orm.execute(query)}


def downloaded(shop, draft):
    page = Visitor(shop.tenant).post(f"/campaigns/{draft.id}/who.csv")
    assert page.status_code == 200
    assert page.mimetype == "text/csv"
    head, *lines = csv.reader(io.StringIO(page.text.lstrip("\ufeff")))
    assert head == ["Name", "Number", "Result", "Reason", "Why", "What can be done", "From"]
    return lines


def groups(seen):
    return {(g.reason, g.note): g.people for g in seen.groups}


@pytest.fixture
def at(later):
    later.set(NOON)
    return later.set


def crowd(shop):
    """People of every kind: with each reason there is."""
    shop.people(4)
    shop.people(2, first=20_000_000, consent=False)
    gone = shop.people(1, first=30_000_000)[0]
    with db.transaction():
        contacts.opt_out(gone)
    add("+1 212 555 0123")
    add("+1 416 555 0123")
    add("+5511930000007", name="")
    with db.transaction():
        nobody = contacts.add(contacts.Details(name="Bea", email="bea@example.org"))
    return nobody.id


KINDS = {
    ("", ""): 5, ("opted_out", ""): 1, ("no_consent", ""): 2, ("us_marketing", ""): 1,
    ("missing_variable", ""): 1, ("invalid_address", ""): 1,
}  # fmt: skip


# --- what is shown


def test_everybody_has_a_reason_in_or_out(shop):
    crowd(shop)
    seen = look(shop.draft())

    assert groups(seen) == KINDS
    assert (seen.people, seen.reached) == (11, 5)
    assert all(g.title and g.why for g in seen.groups)
    assert {g.title for g in seen.groups if g.reason == "us_marketing"} == {
        "Number of the United States"
    }


def test_the_page_the_rows_the_file_and_the_ledger_say_the_same(shop):
    crowd(shop)
    draft = shop.draft()
    seen = look(draft)
    lines = downloaded(shop, draft)
    launch(draft, seen)
    start(draft)

    assert len(lines) == len(rows(seen)) == len(frozen()) == seen.people == 11
    said = [line[2] for line in lines]
    assert said.count("Gets it") == seen.reached == 5
    assert said.count("Left out") == 6
    told = {one: reason for one, (_state, reason) in frozen().items()}
    assert told == {one: reason for one, (reason, _note) in rows(seen).items()}
    with db.transaction():
        assert service.get(draft.id).people == 5


def test_samples_are_ten_people_of_each_group(shop):
    shop.people(13)
    shop.people(2, first=20_000_000, consent=False)
    seen = look(shop.draft())

    with db.transaction():
        some = service.samples(seen.id)

    assert {key: len(people) for key, people in some.items()} == {
        ("", ""): 10,
        ("no_consent", ""): 2,
    }
    assert all(one.name == "Ana Lima" for people in some.values() for one in people)


def test_the_page_shows_counts_reasons_and_people(shop):
    crowd(shop)
    draft = shop.draft()
    look(draft)
    page = Visitor(shop.tenant).get(f"/campaigns/{draft.id}/who").text
    review = Visitor(shop.tenant).get(f"/campaigns/{draft.id}/step/review").text

    for said in ("No consent on record", "Number of the United States", "Said STOP"):
        assert said in page
        assert said in review
    assert "+55 11 91000-0000" in page
    assert "Everybody with reasons (CSV)" in page


# --- who gets it later


def test_quiet_hours_say_when(shop, at):
    at(NOON.replace(hour=4))  # one at night in São Paulo
    with db.transaction():
        rule = {"per_day": 9, "per_week": 9, "approve_above": None}
        hours.change(opens=540, closes=1200, weekdays=range(7), **rule)
    add("+5511930000001", timezone=ZONE)
    add("+4915112345678", timezone="Europe/Berlin")  # five in the morning
    seen = look(shop.draft())

    (group,) = seen.groups
    assert (group.reason, group.note, group.people) == ("", "quiet_hours", 2)
    assert group.first == dt.datetime(2027, 3, 1, 8, tzinfo=dt.UTC)
    assert group.last == dt.datetime(2027, 3, 1, 12, tzinfo=dt.UTC)


def test_a_daily_limit_says_on_which_day_about(shop, at):
    shop.people(7)
    with db.apart(portfolio.SYSTEM) as orm:
        one = Portfolio(
            transport="whatsapp_cloud", provider_id=db.new_id().hex, people_per_day=3
        )
        orm.add(one)
        orm.flush()
        made = one.id
    with db.transaction() as orm:
        orm.execute(update(Channel).values(portfolio_id=made))
    seen = look(shop.draft())

    assert groups(seen) == {("", ""): 3, ("", "daily_limit"): 4}
    (late,) = (g for g in seen.groups if g.note)
    assert late.first - NOON == pytest.approx(
        dt.timedelta(days=1), abs=dt.timedelta(minutes=1)
    )
    assert late.last - NOON == pytest.approx(
        dt.timedelta(days=2), abs=dt.timedelta(minutes=1)
    )


@pytest.mark.parametrize(("finish", "expected"), [
    (None, {("", "frequency_cap"): 3, ("", ""): 2}),
    (dt.datetime(2027, 3, 1, 20), {("frequency_cap", ""): 3, ("", ""): 2}),
])  # fmt: skip
def test_who_had_enough_gets_it_later_or_not_at_all(
    sending_shop, run_jobs, at, finish, expected
):
    with db.transaction():
        rule = {"per_day": 1, "per_week": 3, "approve_above": None}
        hours.change(opens=0, closes=1440, weekdays=range(7), **rule)
    sending_shop.launched(3)
    run_jobs()
    sending_shop.people(2, first=70_000_000)
    draft = sending_shop.draft("Again")
    if finish:
        with db.transaction():
            service.choose_time(draft.id, local=None, zone=ZONE, finish=finish)

    assert groups(look(draft)) == expected


# --- who is left out on purpose, and by mistake


def limited(draft, control=0, budget=None):
    with db.transaction():
        return service.limit_people(draft.id, control=control, budget_micros=budget)


def test_a_control_group_is_drawn_once_and_gets_nothing(shop):
    shop.people(200)
    draft = shop.draft()
    limited(draft, control=20)
    first, second = look(draft), look(draft)

    drawn = {one for one, (why, _) in rows(first).items() if why == "control_group"}
    assert 15 <= len(drawn) <= 70
    assert rows(first) == rows(second)
    launch(draft, second)
    start(draft)
    assert {one for one, told in frozen().items() if told[0] == "queued"} == {
        *rows(second)
    } - drawn
    with db.transaction():
        found = service.results(draft.id)
    assert {r.title: r.count for r in found.left_out} == {"Control group": len(drawn)}


def test_another_campaign_draws_others(shop):
    shop.people(100)
    drafts = [shop.draft(), shop.draft()]
    for one in drafts:
        limited(one, control=50)
    first, second = (rows(look(one)) for one in drafts)

    assert first != second


@pytest.mark.parametrize("control", [-1, 51])
def test_a_control_group_has_bounds(shop, control):
    draft = shop.draft()
    with pytest.raises(Invalid):
        limited(draft, control=control)


def test_a_budget_leaves_out_whom_it_does_not_cover(shop):
    shop.people(5)
    with staff_scope(COMMAND), db.transaction():
        prices.enter("whatsapp_cloud", dt.date(2026, 1, 1), "EUR", "BR; marketing; 0.10")
    try:
        with db.transaction():
            for one in rows(look(shop.draft())):
                contacts.edit(one, contacts.Details(
                    name="Ana Lima", phone=contacts.labels([one])[one][1], country="BR",
                ))  # fmt: skip
        draft = shop.draft()
        limited(draft, budget=350_000)
        seen = look(draft)
        assert groups(seen) == {("", ""): 3, ("no_budget", ""): 2}
        launched = launch(draft, seen)
        assert launched.ceiling == prices.Quote("EUR", 300_000)
    finally:
        with staff_scope(COMMAND), db.transaction():
            prices.remove("whatsapp_cloud", dt.date(2026, 1, 1))


def test_a_person_under_two_numbers_gets_one(shop):
    ana, twin = add("+5511930000001"), add("+5511930000002")
    with db.transaction() as orm:
        moved = identifiers.index("phone", "+5511930000002")
        orm.execute(
            update(identifiers.Identifier)
            .where(identifiers.Identifier.idx == moved)
            .values(contact_id=ana)
        )
    seen = look(shop.draft())

    assert rows(seen) == {ana: ("", ""), twin: ("duplicate", "")}


# --- the launch


def test_who_came_since_is_told_and_nothing_is_launched(shop):
    ana, *_rest = shop.people(3)
    draft = shop.draft()
    seen = look(draft)
    shop.people(2, first=20_000_000)
    with db.transaction():
        contacts.opt_out(ana)

    with pytest.raises(Conflict) as refused:
        launch(draft, seen)

    assert refused.value.code == "audience_changed"
    assert "2 came, 1 went" in refused.value.text
    assert launch(draft, look(draft)).people == 4


def test_who_only_went_is_not_waited_for_and_not_sent_to(shop):
    ana, *rest = shop.people(3)
    draft = shop.draft()
    seen = look(draft)
    with db.transaction():
        contacts.opt_out(ana)
    launch(draft, seen, people=3)
    start(draft)

    assert frozen()[ana] == ("suppressed", "opted_out")
    assert {frozen()[one][0] for one in rest} == {"queued"}


def test_a_draft_that_was_changed_is_looked_at_again(shop):
    shop.people(2)
    draft = shop.draft()
    seen = look(draft)
    limited(draft, control=10)

    with pytest.raises(Conflict):
        launch(draft, seen)


def test_the_list_of_another_campaign_is_refused(shop):
    shop.people(2)
    seen, other = look(shop.draft()), shop.draft()
    with pytest.raises(Conflict):
        launch(other, seen)


def test_a_tag_that_is_taken_away_later_changes_nothing(shop, at):
    """The list is the list: only what forbids is asked again."""
    people = shop.people(2, tag="vip")
    draft = shop.draft()
    with db.transaction():
        (tag,) = contacts.tags()
        service.choose_people(draft.id, [tag.id], [])
    launch(draft, look(draft))
    with db.transaction():
        contacts.remove_tag(tag.id)
    start(draft)

    assert {frozen()[one][0] for one in people} == {"queued"}


CHANGES = {
    "opt_out": contacts.opt_out,
    "delete": lambda one: contacts.delete([one]),
    "opt_in": lambda one: contacts.opt_in(
        one, method="shop", source="till", wording="Yes, please"
    ),
    "move": lambda one: contacts.edit(
        one, contacts.Details(name="Ana", phone=f"+55119{random.randrange(10**7, 10**8)}")
    ),
    "abroad": lambda one: contacts.edit(
        one, contacts.Details(name="Ana", phone=f"+1212555{random.randrange(10**3, 10**4)}")
    ),
    "nameless": lambda one: contacts.edit(
        one, contacts.Details(phone=contacts.labels([one])[one][1])
    ),
    "nowhere": lambda one: contacts.edit(
        one, contacts.Details(name="Ana", email=f"{one.hex}@example.org")
    ),
}


@pytest.mark.parametrize("seed", range(8))
def test_nobody_is_sent_to_who_was_not_on_the_list_shown(shop, at, seed):
    """Whatever happens to whom between the look and the beginning."""
    chance = random.Random(seed)
    random.seed(seed)
    crowd(shop)
    shop.people(12, first=40_000_000)
    draft = shop.draft()
    with db.transaction():
        service.choose_time(draft.id, local=dt.datetime(2027, 3, 2, 12), zone=ZONE)
    limited(draft, control=chance.choice((0, 30)))
    seen = look(draft)
    listed = rows(seen)
    launched = launch(draft, seen)
    for one in list(listed):
        for kind in chance.sample(sorted(CHANGES), chance.choice((0, 0, 1, 2))):
            with db.transaction():
                if contacts.labels([one]):
                    try:
                        with db.session().begin_nested():
                            CHANGES[kind](one)
                    except (Conflict, Invalid):
                        pass  # who said STOP does not agree again by a click
    shop.people(3, first=60_000_000)
    at(launched.starts_at)
    start(draft)

    sent_to = {one for one, (state, _) in frozen().items() if state == "queued"}
    shown = {one for one, (why, _) in listed.items() if not why}
    assert sent_to <= shown
    assert frozen().keys() <= listed.keys()
    with db.transaction() as orm:
        audience = contacts.audience(
            contacts.everyone(), service.get(draft.id).fillings, "marketing"
        ).subquery()
        may = set(orm.scalars(select(audience.c.contact_id).where(audience.c.reason == "")))
        abroad = {one for one in may if contacts.labels([one])[one][1].startswith("+1212")}
    assert sent_to == (shown & may) - abroad
    assert seen.reached == len(shown)


# --- big audiences


def test_a_big_audience_is_looked_at_by_a_worker(shop, run_jobs, monkeypatch):
    monkeypatch.setattr(dry_run, "AT_ONCE", 2)
    shop.people(4)
    draft = shop.draft()
    visitor = Visitor(shop.tenant)
    page = visitor.get(f"/campaigns/{draft.id}/step/review").text
    assert "Look at everybody" in page
    assert "Send to 4 people" not in page

    visitor.post(f"/campaigns/{draft.id}/who")
    visitor.post(f"/campaigns/{draft.id}/who")  # a second click
    assert "Everybody is being looked at" in visitor.get(f"/campaigns/{draft.id}/who").text
    run_jobs()

    with db.transaction():
        seen = service.look(draft.id)
    assert (seen.ready, seen.fresh, seen.reached) == (True, True, 4)
    with db.transaction() as orm:
        assert orm.scalar(select(func.count()).select_from(Check)) == 1
        jobs.look_at_everybody(seen.id)  # again: nothing
    assert len(rows(seen)) == 4
    live = visitor.get(f"/campaigns/{draft.id}/who/live", fragment=True)
    assert live.headers["X-Live"] == "done"
    assert "Send to 4 people" in visitor.get(f"/campaigns/{draft.id}/step/review").text


def test_a_draft_that_is_changed_meanwhile_is_not_looked_at(shop, run_jobs, monkeypatch):
    monkeypatch.setattr(dry_run, "AT_ONCE", 0)
    shop.people(1)
    draft = shop.draft()
    with db.transaction():
        service.look_at_everybody(draft.id)
        service.rename(draft.id, "Other")
    run_jobs()

    with db.transaction():
        assert service.look(draft.id) is None


# --- the download


def test_a_download_is_on_record_and_harmless_to_spreadsheets(shop):
    add("+5511930000001", name="=HYPERLINK(1)")
    draft = shop.draft()
    look(draft)
    ((name, phone, *_rest),) = downloaded(shop, draft)

    assert (name, phone) == ("'=HYPERLINK(1)", "'+5511930000001")
    with db.transaction() as orm:
        query = select(func.count()).where(AuditEntry.name == "campaigns.people.exported")
        assert orm.scalar(query) == 1


def test_a_download_goes_on_page_by_page(shop, monkeypatch):
    monkeypatch.setattr(lists, "PAGE", 3)
    shop.people(7)
    shop.people(2, first=20_000_000, consent=False)
    draft = shop.draft()
    look(draft)

    lines = downloaded(shop, draft)
    assert len(lines) == 9
    assert len({line[1] for line in lines}) == 9


def test_members_and_other_accounts_download_nothing(shop, other_shop):
    shop.people(1)
    draft = shop.draft()
    seen = look(draft)
    with shop.inside("member"), pytest.raises(Forbidden), db.transaction():
        service.download(draft.id)
    with other_shop.inside():
        for act in (
            lambda: service.look(draft.id),
            lambda: service.download(draft.id),
            lambda: service.samples(seen.id),
            lambda: service.look_at_everybody(draft.id),
            lambda: service.limit_people(draft.id, control=1, budget_micros=None),
            lambda: service.why(draft.id, db.new_id()),
        ):
            with pytest.raises(NotFound), db.transaction():
                act()
        assert service.lines(seen.id, None) == ([], None)


# --- what it costs, and how long it is kept


@contextmanager
def counted():
    asked = []

    def note(*args):
        asked.append(args[2])

    engine = db.engine()
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_more_people_and_reasons_ask_no_more_questions(shop):
    shop.people(2, first=70_000_000)
    draft, costs = shop.draft(), []
    more = (lambda: None, lambda: crowd(shop), lambda: shop.people(30, first=80_000_000))
    for act in more:
        act()
        with db.transaction() as orm:
            orm.execute(Check.__table__.delete())
        with counted() as asked, db.transaction():
            service.look_at_everybody(draft.id)
            service.samples(service.look(draft.id).id)
        costs.append(len(asked))

    assert len(set(costs)) == 1


def test_lists_are_forgotten_page_by_page(shop, run_jobs, later, monkeypatch):
    monkeypatch.setattr(lists, "CHUNK", 2)
    shop.people(5)
    kept, old = shop.draft(), shop.draft()
    with db.transaction():
        service.choose_time(kept.id, local=dt.datetime(2199, 1, 1), zone="UTC")
    launch(kept, look(kept))
    seen = look(old)
    assert len(rows(seen)) == 5

    later.forward(days=8)
    jobs.forget_lists()
    run_jobs()

    assert rows(seen) == {}
    with db.transaction() as orm:
        assert orm.scalar(select(func.count()).select_from(Listed)) == 5  # it will begin
    with pytest.raises(NotFound), db.transaction():
        service.download(old.id)


def test_only_the_last_lists_of_a_draft_are_kept(shop, run_jobs):
    shop.people(2)
    draft = shop.draft()
    for _ in range(4):
        look(draft)
    run_jobs()

    with db.transaction() as orm:
        assert orm.scalar(select(func.count()).select_from(Listed)) == 2 * 2


def test_the_lists_of_a_deleted_draft_go_too(shop, run_jobs):
    shop.people(2)
    draft = shop.draft()
    look(draft)
    with db.transaction():
        service.delete(draft.id)
    run_jobs()

    with db.transaction() as orm:
        assert orm.scalar(select(func.count()).select_from(Listed)) == 0


# --- why


def why(draft, one):
    with db.transaction():
        return service.why(draft.id, one)


def test_why_for_who_has_a_message_is_on_its_own_page(shop):
    (ana,) = shop.people(1)
    draft = shop.draft()
    launch(draft)
    start(draft)

    found = why(draft, ana)
    page = Visitor(shop.tenant).get(f"/campaigns/{draft.id}/why/{ana}")
    assert page.location.endswith(f"/campaigns/message/{found.message_id}")


def test_why_before_it_begins_is_by_the_list(shop):
    ana = shop.people(1)[0]
    bea = shop.people(1, first=20_000_000, consent=False)[0]
    draft = shop.draft()
    launch(draft)

    assert (why(draft, ana).got, why(draft, ana).title) == ("later", "Gets it")
    assert (why(draft, bea).got, why(draft, bea).title) == ("no", "No consent on record")
    assert why(draft, bea).evidence[0].at is not None


def test_why_of_a_draft_is_what_would_happen_now(shop):
    bea = shop.people(1, consent=False)[0]
    found = why(shop.draft(), bea)

    assert (found.got, found.title) == ("no", "No consent on record")


def test_why_for_who_never_was_in_it_names_the_rule(shop):
    shop.people(1, tag="vip")
    bea = shop.people(1, first=20_000_000, tag="Staff")[0]
    draft = shop.draft()
    with db.transaction():
        vip = next(t for t in contacts.tags() if t.name == "vip")
        service.choose_people(draft.id, [vip.id], [])
    launch(draft)
    start(draft)

    found = why(draft, bea)
    assert found.got == "never"
    assert "They do not have the tag “vip”." in [e.text for e in found.evidence]
    page = Visitor(shop.tenant).get(f"/campaigns/{draft.id}/why/{bea}").text
    assert "They were not in the audience" in page
    late = shop.people(1, first=30_000_000, tag="vip")[0]
    assert "added after" in why(draft, late).why
    with db.transaction():
        contacts.tag([bea], ["vip"])
    assert "as it is now" in why(draft, bea).why
    with pytest.raises(NotFound):
        why(draft, db.new_id())


def test_a_tag_that_is_left_out_is_named(shop):
    shop.people(1)
    bea = shop.people(1, first=20_000_000, tag="Staff")[0]
    draft = shop.draft()
    with db.transaction():
        (staff,) = contacts.tags()
        service.choose_people(draft.id, [], [staff.id])

    texts = [e.text for e in why(draft, bea).evidence]
    assert "They have the tag “Staff”. Who is so is left out." in texts


def test_a_contacts_page_answers_for_the_last_campaigns(shop):
    ana = shop.people(1)[0]
    bea = shop.people(1, first=20_000_000, tag="Staff")[0]
    draft = shop.draft("Early")
    with db.transaction():
        (staff,) = contacts.tags()
        service.choose_people(draft.id, [], [staff.id])
    launch(draft)
    waiting = service.whys_of(ana)
    start(draft)

    assert [line.title for line in waiting] == ["Gets it"]
    assert [line.title for line in service.whys_of(ana)] == ["Waiting"]
    assert [line.title for line in service.whys_of(bea)] == ["Not in the audience"]
    page = Visitor(shop.tenant).get(f"/contacts/{bea}").text
    assert "Why did they get it, or not?" in page
    assert f"/campaigns/{draft.id}/why/{bea}" in page


def test_one_question_answers_for_all_campaigns(shop):
    ana = shop.people(1)[0]
    costs = []
    for _ in range(3):
        launch(shop.draft())
        with counted() as asked, db.transaction():
            service.whys_of(ana)
        costs.append(len(asked))

    assert costs == [1, 1, 1]
