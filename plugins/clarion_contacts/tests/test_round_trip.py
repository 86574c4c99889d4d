"""What an export writes, an import takes back unchanged: elsewhere, and where it came from."""

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from clarion.base import db
from clarion.base.errors import ClarionError
from clarion.messaging import identifiers, suppression
from clarion.tenancy.scope import account_scope
from clarion.testing.factories import make_account
from clarion_contacts import service
from clarion_contacts.importing import rows
from clarion_contacts.models import Consent
from clarion_contacts.service import Details, Filters, uploads

NASTY = (
    "=1+1", "+49 30", "-2", "@SUM(A1)", "'=1", "''", '"quoted"', 'a,"b";c|d', "two\nlines",
    "tab\there", "שלום עולם", "\u200fمرحبا\u200e", "क्‍ष", "e\u0301", "Zoë  Ä", "0012", "1e5",
    "=cmd|' /C calc'!A0", "\\]: x [y: date]", "ＡＢＣ", "😀",
)  # fmt: skip
texts = st.one_of(
    st.sampled_from(NASTY),
    st.text(
        st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30
    ),
)
names = texts.filter(lambda said: not set(said) & set(",;|"))
fields = st.lists(
    st.tuples(names, st.sampled_from(["text", "number", "date", "yes_no", "choice"])),
    max_size=4,
    unique_by=lambda one: one[0].casefold(),
)
values = {
    "text": texts,
    "number": st.one_of(
        st.integers(-(10**14), 10**14).map(str),
        st.sampled_from(["0.1", "-1.25", "1.234", "12345678.123456"]),
    ),
    "date": st.dates(dt.date(1000, 1, 1)).map(str),
    "yes_no": st.sampled_from(["yes", "no"]),
}


@st.composite
def accounts(draw):
    """Fields, and people with values, tags, lists and what they agreed to."""
    own = draw(fields)
    choices = draw(st.lists(texts.filter(str.strip), min_size=1, max_size=4))
    people = [
        {
            "known_by": draw(
                st.sampled_from(
                    ["phone", "phone", "email", "wa_id", "bsuid", "parent_bsuid"]
                )
            ),
            "name": draw(texts),
            "first_name": draw(st.sampled_from(["", *NASTY])),
            "country": draw(st.sampled_from(["", "BR", "DE"])),
            "timezone": draw(st.sampled_from(["", "America/Sao_Paulo"])),
            "language": draw(st.sampled_from(["", "pt-BR", "=x"])),
            "email": draw(st.sampled_from(["", f"ana{n}@example.org"])),
            "own": [
                draw(st.one_of(st.just(""), values.get(kind, st.sampled_from(choices))))
                for _title, kind in own
            ],
            "tags": draw(st.lists(names, max_size=3)),
            "lists": draw(st.lists(names, max_size=2)),
            "agreed": draw(
                st.sampled_from([None, "no", dt.date(2024, 2, 29), dt.date(2025, 3, 1)])
            ),
        }
        for n in range(draw(st.integers(1, 5)))
    ]
    return own, choices, people


def fill(own, choices, people):
    """Make it all by the verbs that pages call; what they refuse is left out."""
    made = []
    for title, kind in own:
        try:
            with db.session().begin_nested():
                made.append((service.add_field(title, kind, choices), kind))
        except ClarionError:  # any refusal: the point is what was kept
            made.append((None, kind))
    for number, one in enumerate(people):
        kept = {
            field.key: said
            for (field, kind), said in zip(made, one.pop("own"), strict=True)
            if field and (kind != "choice" or said in field.choices)
        }
        known_by = one.pop("known_by")
        tags, lists, agreed = one.pop("tags"), one.pop("lists"), one.pop("agreed")
        contact = added(number, Details(attributes=kept, **one), known_by)
        service.tag([contact], [tag for tag in tags if shown(tag)])
        known = {name.casefold(): list_id for list_id, name in service.list_names()}
        for name in filter(shown, lists):
            said = shown(name)
            if said.casefold() not in known:
                known[said.casefold()] = service.add_list(said).id
            service.enlist([contact], known[said.casefold()])
        if agreed == "no":
            service.opt_out(contact)
        elif agreed:
            service.opt_in(
                contact,
                method="shop",
                source="x",
                wording="Yes, write to me.",
                agreed_on=agreed,
            )


def added(number, details, known_by):
    """Add somebody as known by one thing, and by whatever else was drawn."""
    phone = f"+55119123400{number:02}"
    if known_by == "email":
        return service.add(replace(details, email=f"bob{number}@example.org")).id
    contact = service.add(replace(details, phone=phone)).id
    if known_by != "phone":
        value = {"wa_id": f"55119876500{number:02}"}.get(known_by, f"BR.{number}0123456")
        service.add_identifier(contact, known_by, value)
        service.edit(contact, details)
    return contact


def shown(name):
    return rows.clean(name, 60)


def content():
    """Everything an export is of, without ids."""
    described = [(f.key, f.title, f.kind, f.choices) for f in service.all_fields()]
    page = service.find(Filters(), sort="oldest", limit=100)
    people = []
    for line in page.rows:
        c = service.get(line.id)
        event = db.session().get(Consent, c.consent_id) if c.consent_id else None
        known = sorted((one.kind, one.value) for one in identifiers.of(c.id))
        plain = (known, c.phone, c.name, c.first_name, c.last_name, c.email, c.language)
        said = event.agreed_on if event and c.consent == "opted_in" else None
        consent = "opted_out" if line.suppressed else c.consent
        people.append(
            (
                plain,
                c.country,
                c.timezone,
                c.attributes,
                line.tags,
                line.lists,
                consent,
                said,
            )
        )
    return described, people


def exported():
    with db.transaction():
        asked = service.ask("export", Filters())
        service.go(asked.id, {})
    with db.transaction():
        return b"".join(service.download(service.get_bulk(asked.id), "csv").chunks)


def taken_in(raw, run_jobs, *, start=True):
    with db.transaction():
        row = service.upload("contacts.csv", raw)
        service.match(row.id, {int(at): said for at, said in row.mapping.items()})
        service.attest(
            row.id,
            source="web_form",
            place="https://casaverde.example/newsletter",
            agreed_on=dt.date(2020, 1, 1),
            wording="I want news from Casa Verde by WhatsApp.",
            typed_name="Marina Lopes",
        )
        service.check(row.id)
    run_jobs()
    if start:
        with db.transaction():
            service.start(row.id)
        run_jobs()
    db.session().expire_all()
    return uploads.get(row.id)


@settings(
    deadline=None,
    max_examples=8,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # each example takes a second
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(accounts())
def test_an_export_comes_back_as_it_was(clean, run_jobs, told):
    here, there = make_account(country="BR"), make_account("Loja Norte", country="US")
    with account_scope(here.id, here.actor):
        with db.transaction():
            fill(*told)
        raw, before = exported(), content()
        again = taken_in(raw, run_jobs, start=False)
        silent = sum(one[6] == "opted_out" for one in before[1])
        states = {"same": len(before[1]) - silent, "suppressed": silent}
        assert again.counts["states"] == {k: n for k, n in states.items() if n}
    with account_scope(there.id, there.actor):
        row = taken_in(raw, run_jobs)
        assert row.state == "done", row.problem
        assert content() == before


def test_who_has_no_identifier_is_refused_with_the_reason(account, run_jobs):
    raw = b"phone,name,email,bsuid,clarion_id\n,Ana,,,1\n,Bob,bob@example.org,,2\n,C,,BR.77,3\n"

    row = taken_in(raw, run_jobs)

    assert (row.counts["reasons"], row.result["created"]) == ({"row_nobody": 1}, 2)
    refused = "".join(service.rejected_rows(row.id))
    assert (
        "Row 2: no phone number, WhatsApp id or e-mail address says who it is." in refused
    )


def test_a_row_of_nothing_but_somebodys_address_is_theirs(account, run_jobs):
    raw = (
        b"phone,email,bsuid,clarion_id\n,ana@example.org,,1\n"
        b"+5511912340001,ana@example.org,BR.77,2\n,,BR.77,3\n"
    )

    row = taken_in(raw, run_jobs)
    again = taken_in(raw, run_jobs, start=False)

    assert row.counts["states"] == {"new": 1, "duplicate": 2}
    assert again.counts["states"] == {"same": 1, "duplicate": 2}
    with db.transaction():
        service.undo(row.id)
    run_jobs()
    assert service.find().rows == []


def test_who_said_stop_by_another_address_stays_out(account, run_jobs):
    with db.transaction():
        suppression.suppress([("bsuid", "BR.77")], reason="stop")
    raw = b"phone,bsuid,clarion_id\n+5511912340001,BR.77,1\n+5511912340002,,2\n"

    row = taken_in(raw, run_jobs)

    assert row.counts["states"] == {"new": 1, "suppressed": 1}


def test_a_strangers_file_keeps_its_apostrophes(account, run_jobs):
    raw = b"phone,name\n+5511912340001,'-x-\n"

    taken_in(raw, run_jobs)

    assert service.find().rows[0].name == "'-x-"


def test_everybody_in_a_file_is_put_on_lists_and_taken_off_again(account, run_jobs):
    with db.transaction():
        news = service.add_list("News").id
    raw = b"phone,lists\n+5511912340001,VIP; Partners\n+5511912340002,\n"
    row = taken_in(raw, run_jobs, start=False)
    with db.transaction():
        service.recheck(row.id, overwrite=True, tags=[], lists=["news ", "Fair"])
    run_jobs()
    with db.transaction():
        service.start(row.id)
    run_jobs()

    found = {one.name: one.people for one in service.all_lists()}
    assert found == {"News": 2, "Fair": 2, "VIP": 1, "Partners": 1}
    assert len(service.find(Filters(on_list=news)).rows) == 2
    again = taken_in(raw, run_jobs, start=False)
    assert again.counts["states"] == {"same": 2}

    with db.transaction():
        service.undo(row.id)
    run_jobs()
    assert [(one.name, one.people) for one in service.all_lists()] == [("News", 0)]


def test_who_said_no_in_a_file_is_on_record_as_such(account, run_jobs):
    taken_in(b"phone,consent\n+5511912340001,no\n+5511912340002,yes\n", run_jobs)

    rows = service.find(sort="oldest").rows
    assert [one.consent for one in rows] == ["opted_out", "opted_in"]
    assert [one.action for one in service.show(rows[0].id).consents] == ["withdraw"]


@pytest.mark.parametrize("lists", [["x" * 81]])
def test_a_list_with_a_name_too_long_is_refused(account, run_jobs, lists):
    row = taken_in(b"phone\n+5511912340001\n", run_jobs, start=False)

    with pytest.raises(Exception, match="80"), db.transaction():
        service.recheck(row.id, overwrite=True, tags=[], lists=lists)
