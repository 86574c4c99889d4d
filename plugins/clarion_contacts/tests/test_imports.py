"""From an uploaded file to contacts: verdicts, apply, repeat, kill, undo."""

import json
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, event, func, select

from clarion.base import clock, db
from clarion.base.errors import Conflict, NotFound
from clarion.messaging import suppression
from clarion.messaging.models import Identifier
from clarion.tenancy import people
from clarion.tenancy.scope import account_scope
from clarion.testing.visitor import Visitor
from clarion_contacts import jobs, service
from clarion_contacts.models import (
    Consent,
    Contact,
    ImportPart,
    ImportRow,
    Tag,
    Tagging,
)
from clarion_contacts.service import Details, Filters, reading

DEMO = Path(__file__).parents[3] / "dev"


def count(model, *where):
    return db.session().scalar(select(func.count()).select_from(model).where(*where))


def test_demo_list_gives_the_planned_numbers(take_in, state_of):
    expected = json.loads((DEMO / "demo_contacts.expected.json").read_text())

    row = state_of(take_in((DEMO / "demo_contacts.csv").read_bytes()))

    assert (row.state, row.problem) == ("done", "")
    assert row.row_count == expected["rows_read"]
    assert row.counts["reasons"] == expected["refused_rows"]
    assert row.counts["states"]["duplicate"] == expected["duplicates_in_file"]
    assert row.result["created"] == expected["contacts"]
    assert count(Contact) == expected["contacts"]
    countries = dict(
        db.session()
        .execute(select(Contact.country, func.count()).group_by(Contact.country))
        .all()
    )
    assert countries == expected["contacts_by_country"]
    without = count(Contact, Contact.consent != "opted_in")
    assert without >= expected["consent_no"]
    agreed = expected["contacts"] - without
    assert count(Consent, Consent.action == "import_attested") == agreed
    refused = count(Contact, Contact.consent == "opted_out")
    assert refused == count(Consent, Consent.action == "withdraw") == expected["consent_no"]


def test_same_file_twice_changes_nothing(take_in, state_of):
    raw = (DEMO / "demo_contacts.csv").read_bytes()
    first = state_of(take_in(raw))

    second = state_of(take_in(raw))

    made = first.counts["states"]["new"]
    assert second.counts["states"]["same"] == made
    assert "new" not in second.counts["states"]
    assert "changed" not in second.counts["states"]
    assert count(Contact) == made
    assert service.describe(second.id).earlier == first.finished_at


LIST = """phone;name;email;tags;city
+5511912340001;Ana Lima;ana@example.org;vip, novo;Recife
+5511912340002;Bob;;vip;
+5511912340003;Caí;cai@example.org;;Natal
12;Dee;;;
+5511912340001;Ana again;;;
"""


def snapshot():
    """Everything an import may touch, without times and ids of its own."""
    db.session().expire_all()
    return {
        "contacts": sorted(
            (
                c.id,
                c.name,
                c.phone,
                c.email,
                c.country,
                c.consent,
                sorted(c.attributes.items()),
            )
            for c in db.session().scalars(select(Contact))
        ),
        "identifiers": sorted(
            (i.contact_id, i.kind, i.value)
            for i in db.session().scalars(
                select(Identifier).where(Identifier.valid_to.is_(None))
            )
        ),
        "tags": sorted(t.key for t in db.session().scalars(select(Tag))),
        "taggings": sorted(
            (t.contact_id, t.tag_id) for t in db.session().scalars(select(Tagging))
        ),
    }


def test_what_a_list_brings_is_stored_with_its_proof(take_in, state_of):
    row = state_of(take_in(LIST))

    ana = db.session().scalar(select(Contact).where(Contact.name == "Ana Lima"))
    proof = db.session().scalar(select(Consent).where(Consent.contact_id == ana.id))
    assert (ana.phone, ana.email, ana.country) == (
        "+5511912340001",
        "ana@example.org",
        "BR",
    )
    assert ana.attributes == {"city": "Recife"}
    assert ana.consent_id == proof.id
    assert (proof.action, proof.method) == ("import_attested", "web_form")
    assert (proof.row_number, proof.file_digest) == (2, row.file_digest)
    assert proof.wording_id == row.wording_id
    assert [name for _id, name in service.show(ana.id).tags] == ["novo", "vip"]
    assert {i.kind for i in service.show(ana.id).identifiers} == {"phone", "email"}
    assert row.counts["states"] == {"new": 3, "invalid": 1, "duplicate": 1}


def test_people_who_did_not_agree_come_without_consent(take_in):
    take_in(LIST, source="none")

    assert count(Contact, Contact.consent == "none") == 3
    assert count(Consent) == 0


def test_a_consent_column_decides_row_by_row(take_in):
    take_in("phone,opt-in\n+5511912340001,yes\n+5511912340002,no\n+5511912340003,\n")

    agreed = db.session().scalars(
        select(Contact.phone).where(Contact.consent == "opted_in")
    )
    assert list(agreed) == ["+5511912340001"]


def test_a_later_no_in_a_list_ends_consent(take_in):
    take_in("phone,opt-in\n+5511912340001,yes\n")

    take_in("phone,opt-in\n+5511912340001,no\n")

    assert db.session().scalar(select(Contact.consent)) == "opted_out"
    assert count(Consent, Consent.action == "withdraw") == 1


def test_a_list_fills_only_gaps_when_told_so(take_in):
    take_in("phone,name,email\n+5511912340001,Ana,\n")

    take_in("phone,name,email\n+5511912340001,Other,ana@example.org\n", overwrite=False)

    ana = db.session().scalar(select(Contact))
    assert (ana.name, ana.email) == ("Ana", "ana@example.org")


def test_tags_for_the_whole_list(take_in):
    take_in(LIST, tags=["Autumn"])

    autumn = next(one for one in service.tags() if one.name == "Autumn")
    assert autumn.people == 3


def test_second_address_of_a_person_is_that_person(take_in, state_of):
    take_in("phone,name\n+5511912340001,Ana\n")
    ana = db.session().scalar(select(Contact))
    with db.transaction():
        service.add_identifier(ana.id, "phone", "+5511912340002")

    again = "phone,name\n+5511912340002,Ana\n+5511912340001,Ana\n"
    row = state_of(take_in(again))

    assert row.counts["states"] == {"same": 1, "duplicate": 1}
    assert count(Contact) == 1


def test_reasons_are_in_the_language_of_who_uploaded(take_in, account):
    people.change_profile(account.person_id, name="Marina Lopes", language="de")
    import_id = take_in(LIST, until="checked")

    assert "hat zu wenige Ziffern" in "".join(service.rejected_rows(import_id))


def test_who_said_stop_stays_out_and_silent(take_in, state_of, run_jobs):
    take_in(LIST)
    with db.transaction():
        suppression.suppress([("phone", "+5511912340001")], reason="stop")
        suppression.suppress([("phone", "+5511912340009")], reason="stop")
    run_jobs()

    row = state_of(take_in(LIST + "+5511912340009;New;;;\n"))

    ana = db.session().scalar(select(Contact).where(Contact.phone == "+5511912340001"))
    assert row.counts["states"]["suppressed"] == 2
    assert ana.consent == "opted_out"
    assert service.show(ana.id).suppressed == "stop"
    assert count(Contact, Contact.phone == "+5511912340009") == 0


def test_stop_between_check_and_import_wins(take_in, state_of, run_jobs):
    import_id = take_in(LIST, until="checked")
    with db.transaction():
        suppression.suppress([("phone", "+5511912340002")], reason="stop")
        service.start(import_id)
    run_jobs()

    assert state_of(import_id).result["created"] == 2
    assert count(Contact, Contact.phone == "+5511912340002") == 0


def test_a_crash_in_the_middle_leaves_nothing_and_runs_again(take_in, state_of):
    import_id = take_in(LIST, until="checked")
    with db.transaction():
        service.start(import_id)

    def crash(_conn, _cursor, statement, *_rest):
        if statement.startswith("INSERT INTO contacts_tagging"):
            raise RuntimeError("the worker died")

    event.listen(db.engine(), "before_cursor_execute", crash)
    with pytest.raises(RuntimeError, match="worker died"), db.transaction():
        service.apply(import_id)
    event.remove(db.engine(), "before_cursor_execute", crash)
    assert count(Contact) == 0
    assert state_of(import_id).state == "importing"

    for _again in range(3):
        with db.transaction():
            service.apply(import_id)

    assert count(Contact) == 3
    assert count(Consent) == 3
    assert state_of(import_id).state == "done"


def test_a_check_that_was_cut_off_goes_on(
    take_in, state_of, monkeypatch, run_jobs, account
):
    monkeypatch.setattr(reading, "PAGE", 2)
    with db.transaction():
        row = service.upload("list.csv", LIST.encode())
        service.match(row.id, {int(k): v for k, v in row.mapping.items()}, country="BR")
        service.attest(row.id, source="none")
        service.check(row.id)
    with db.transaction():
        pages = list(service.reader(row.id))
    with db.transaction():
        assert service.stage(row.id, pages[0])
    with db.transaction():
        assert not service.stage(row.id, pages[0])  # another worker came too late

    run_jobs()

    done = state_of(row.id)
    assert done.state == "checked"
    assert done.counts["states"] == {"new": 3, "invalid": 1, "duplicate": 1}


def test_undo_leaves_what_was_there_before(take_in, state_of, run_jobs):
    take_in(
        "phone,name,email,tags\n+5511912340001,Ana,ana@example.org,old\n", source="none"
    )
    before = snapshot()
    import_id = take_in(LIST)
    assert snapshot() != before

    with db.transaction():
        service.undo(import_id)
    run_jobs()

    assert snapshot() == before
    row = state_of(import_id)
    assert (row.state, row.result["erased"], row.result["restored"]) == ("undone", 2, 1)


def test_undo_removes_the_fields_nobody_else_uses(take_in, run_jobs, state_of, account):
    with db.transaction():
        service.add_field("Own", "text")
    import_id = take_in(
        "phone,own,city,pet,plan,size\n+5511912340001,a,Recife,dog,gold,L\n"
        "+5511912340002,b,Natal,cat,plus,M\n"
    )
    with db.transaction():
        other = service.add(Details(phone="+5511912340009", attributes={"city": "Natal"}))
        rule = {"op": "field", "field": "attributes.pet", "test": "is", "value": "dog"}
        service.save_segment(rule, "Dogs")
        service.save_view("Plans", Filters(), columns=["own.plan"])
        service.undo(import_id)
    run_jobs()

    db.session().expire_all()
    assert state_of(import_id).result["fields"] == ["size"]
    assert [one.key for one in service.all_fields()] == ["own", "city", "pet", "plan"]
    assert service.get(other.id).attributes == {"city": "Natal"}
    page = Visitor(account).get(f"/contacts/imports/{import_id}/result").text
    assert "nothing uses it" in page
    assert "size." in page


def test_undo_keeps_who_was_touched_and_every_stop(take_in, run_jobs):
    import_id = take_in(LIST)
    bob = db.session().scalar(select(Contact).where(Contact.name == "Bob"))
    with db.transaction():
        service.tag([bob.id], ["friend"])
        suppression.suppress([("phone", "+5511912340001")], reason="stop")
        service.undo(import_id)
    run_jobs()

    db.session().expire_all()
    assert [c.name for c in db.session().scalars(select(Contact))] == ["Bob"]
    assert service.get(bob.id).consent == "none"
    assert count(Consent, Consent.action == "correct") == 1
    assert suppression.is_suppressed("phone", "+5511912340001")


def test_undo_ends_after_a_day(take_in):
    import_id = take_in(LIST)

    with clock.freeze(), pytest.raises(Conflict) as refused, db.transaction():
        clock.advance(hours=25)
        service.undo(import_id)

    assert refused.value.code == "import_too_old"


def test_files_are_forgotten_after_a_day(take_in, state_of, run_jobs):
    done = take_in(LIST)
    waiting = take_in("phone\n+5511912340007\n", until="checked")
    assert count(ImportPart) == 2

    with clock.freeze():
        clock.advance(hours=25)
        jobs.forget_uploads()

    assert count(ImportRow) == 0
    assert count(ImportPart) == 0
    assert (state_of(done).state, state_of(waiting).state) == ("done", "cancelled")
    assert state_of(done).forgotten_at is not None
    with pytest.raises(NotFound):
        service.rejected_rows(done)


def test_thrown_away_lists_leave_nothing(take_in):
    import_id = take_in(LIST, until="checked")

    with db.transaction():
        service.cancel(import_id)

    assert count(ImportRow) == 0
    assert count(ImportPart) == 0


def test_lost_workers_are_rung_again(take_in, run_jobs, state_of):
    import_id = take_in(LIST, until="checked")
    with db.transaction():
        service.start(import_id)
    assert state_of(import_id).state == "importing"

    with clock.freeze():
        clock.advance(minutes=3)
        jobs.resume_imports()
    run_jobs()

    assert state_of(import_id).state == "done"


def test_refused_rows_come_back_harmless(take_in):
    import_id = take_in('phone,name\n12,=1+1\n+5511912340001,Ana\n+5511912340001,"@x"\n')

    text = "".join(service.rejected_rows(import_id))

    lines = text.lstrip("\ufeff").splitlines()
    assert lines[0] == "phone,name,Row,Reason"
    assert lines[1].startswith("12,'=1+1,2,")
    assert lines[2].startswith("'+5511912340001,'@x,4,")
    assert len(lines) == 3


def test_another_accounts_list_is_not_there(take_in, other_account):
    import_id = take_in(LIST)

    with account_scope(other_account.id, other_account.actor):
        for verb in (service.describe, service.start, service.undo, service.cancel):
            with pytest.raises(NotFound), db.transaction():
                verb(import_id)
        assert service.listing() == []
        assert count(Contact) == 0
        with db.transaction():
            assert service.find("ana").rows == []


ROWS = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.sampled_from(["", "Ana", "Bob", "=1+1", "Ünï"]),
        st.sampled_from(["", "vip", "vip, novo", "NOVO"]),
        st.sampled_from(["", "Recife"]),
    ),
    min_size=1,
    max_size=8,
)


def as_csv(rows):
    lines = [f'+551191234000{n},{name},"{tags}",{city}' for n, name, tags, city in rows]
    return "phone,name,tags,city\n" + "\n".join(lines) + "\n"


@settings(
    max_examples=8,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),  # each example is two imports
    suppress_health_check=list(HealthCheck),
)
@given(first=ROWS, second=ROWS)
def test_twice_is_once_and_undo_is_never(take_in, run_jobs, state_of, first, second):
    with db.transaction() as orm:
        for model in (Contact, Tag, Identifier):
            orm.execute(delete(model).execution_options(synchronize_session=False))
    take_in(as_csv(first))
    before = snapshot()

    import_id = take_in(as_csv(second))
    after = snapshot()
    again = take_in(as_csv(second))

    assert snapshot() == after
    assert set(state_of(again).counts["states"]) <= {"same", "duplicate"}
    with db.transaction():
        service.undo(import_id)
    run_jobs()
    assert snapshot() == before


ZONES = """phone;name;time zone
+5511912340001;Ana Lima;America/Sao_Paulo
+5511912340002;Bob;America/Manaus
+5511912340003;Caí;
"""


def zones():
    db.session().expire_all()
    return list(db.session().scalars(select(Contact.timezone).order_by(Contact.phone)))


def test_a_persons_time_zone_is_taken_in_changed_and_taken_back(
    take_in, state_of, run_jobs
):
    take_in(ZONES.encode())
    assert zones() == ["America/Sao_Paulo", "America/Manaus", ""]
    filled = ZONES.replace("Caí;", "Caí;America/Recife").replace("Manaus", "Belem")

    second = take_in(filled.encode())

    assert state_of(second).counts["states"] == {"same": 1, "changed": 2}
    assert zones() == ["America/Sao_Paulo", "America/Belem", "America/Recife"]
    with db.transaction():
        service.undo(second)
    run_jobs()
    assert zones() == ["America/Sao_Paulo", "America/Manaus", ""]


def test_what_an_earlier_release_wrote_down_can_be_taken_back(take_in, run_jobs):
    take_in(ZONES.encode())
    second = take_in(ZONES.replace("Ana Lima", "Ana Lopes").encode())
    with db.transaction() as orm:
        for row in orm.scalars(select(ImportRow).where(ImportRow.before.is_not(None))):
            row.before = {k: v for k, v in row.before.items() if k != "timezone"}
    with db.transaction():
        service.undo(second)
    run_jobs()

    assert zones() == ["America/Sao_Paulo", "America/Manaus", ""]


# --- what the watch for misuse is told, and the quota


def test_the_watch_is_told_numbers_and_nobody(take_in):
    from clarion.misuse.models import MisuseList

    rows = [f"+55119123{i:05d};Ana {i}" for i in range(300)]
    once = take_in("\n".join(["phone;name", *rows, "12;Dee"]), until="checked")
    again = take_in("\n".join(["phone;name", *rows[::-1], "12;Dee"]), until="checked")

    found = {row.import_id: row for row in db.session().scalars(select(MisuseList))}
    first, second = found[once], found[again]
    assert (first.rows, first.invalid, first.countries, first.attested) == (301, 1, 1, True)
    assert first.in_row == 997
    assert first.likeness == second.likeness  # the same list, whatever its order


def test_a_quota_that_shrinks_meanwhile_stops_the_import_in_words(
    take_in, state_of, account
):
    from clarion.misuse import quotas
    from clarion.tenancy.actor import Actor
    from clarion.tenancy.scope import staff_scope

    row_id = take_in(LIST, until="checked")
    with db.transaction():
        service.start(row_id)
    may = frozenset({"console.accounts_limit"})
    with staff_scope(Actor("staff", "1", "Ada", permissions=may)), db.transaction():
        quotas.put(account.id, "people", 0, "Small plan.")

    with db.transaction():
        service.apply(row_id)

    db.session().expire_all()
    with db.transaction():
        row = service.describe(row_id).row
    assert row.state == "failed"
    assert "may have 0 people at most" in row.problem
    assert count(Contact) == 0


def test_two_who_add_at_once_share_what_the_quota_leaves(account):
    from clarion.misuse import quotas
    from clarion.tenancy.actor import Actor
    from clarion.tenancy.scope import staff_scope

    may = frozenset({"console.accounts_limit"})
    with staff_scope(Actor("staff", "1", "Ada", permissions=may)), db.transaction():
        quotas.put(account.id, "people", 1, "Small plan.")
    refused = []

    def another():
        with account_scope(account.id, account.actor):
            try:
                with db.transaction():
                    service.add(service.Details(phone="+5511912340002"))
            except Conflict as error:
                refused.append(error.code)

    second = threading.Thread(target=another)
    with db.transaction():
        service.add(service.Details(phone="+5511912340001"))
        second.start()
        second.join(1)  # it waits for us, where nothing keeps it off it is through
    second.join(30)

    assert refused == ["quota_reached"]
    assert count(Contact) == 1


def test_people_added_while_a_list_is_applied_count(take_in, account, monkeypatch):
    from clarion.misuse import quotas
    from clarion.tenancy.actor import Actor
    from clarion.tenancy.scope import staff_scope
    from clarion_contacts.service import applying

    row_id = take_in(LIST, until="checked")
    with db.transaction():
        service.start(row_id)
        new = service.describe(row_id).row.counts["states"]["new"]
    may = frozenset({"console.accounts_limit"})
    with staff_scope(Actor("staff", "1", "Ada", permissions=may)), db.transaction():
        quotas.put(account.id, "people", new, "Small plan.")
    step = applying._step

    def meanwhile(row, part):
        with db.apart(db.Entry("clarion_app", account.id, "test")) as orm:
            orm.add(Contact(email="ana@example.org"))
        return step(row, part)

    with monkeypatch.context() as patched:
        patched.setattr(applying, "_step", meanwhile)
        with pytest.raises(Conflict), db.transaction():
            service.apply(row_id)
    with db.transaction():
        service.apply(row_id)

    db.session().expire_all()
    with db.transaction():
        row = service.describe(row_id).row
    assert row.state == "failed" and "people at most" in row.problem
    assert count(Contact) == 1


def test_a_quota_for_people_stops_hands_and_lists(take_in, state_of, account):
    from clarion.misuse import quotas
    from clarion.tenancy.actor import Actor
    from clarion.tenancy.scope import staff_scope

    may = frozenset({"console.accounts_limit"})
    with staff_scope(Actor("staff", "1", "Ada", permissions=may)), db.transaction():
        quotas.put(account.id, "people", 2, "Small plan.")
    with pytest.raises(Conflict) as refused:
        take_in(LIST)
    assert refused.value.code == "quota_reached"
    with db.transaction():
        for number in "12":
            service.add(service.Details(phone=f"+551191234000{number}"))
    with db.transaction(), pytest.raises(Conflict):
        service.add(service.Details(phone="+5511912340003"))

    assert count(Contact) == 2
