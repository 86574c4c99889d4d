"""Contact cards → a table: three versions, every way of writing, the right number."""

import codecs

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clarion.base.errors import Invalid
from clarion_contacts.importing import Matching, guess_mapping, judge, open_table, rows_of
from clarion_contacts.importing.vcards import COLUMNS


def card(*lines, version="3.0"):
    return "\r\n".join(["BEGIN:VCARD", f"VERSION:{version}", *lines, "END:VCARD", ""])


def people(raw):
    raw = raw.encode() if isinstance(raw, str) else raw
    shape = open_table(raw).shape
    return [dict(zip(COLUMNS, row, strict=True)) for _at, row in rows_of(raw, shape)]


def verdicts(raw, region="BR"):
    raw = raw.encode() if isinstance(raw, str) else raw
    table = open_table(raw)
    return list(
        judge(rows_of(raw, table.shape), Matching.guessed(table, region=region), region, {})
    )


def test_a_whole_card_of_version_3_becomes_a_person():
    raw = card(
        "N:Souza;Ana;Maria;Dra.;",
        "FN:Dra. Ana Maria Souza",
        "ORG:Casa Verde\\, Ltda.;Vendas",
        "TITLE:Gerente",
        "TEL;TYPE=HOME,VOICE:+55 11 3333-4444",
        "TEL;TYPE=CELL:+55 11 98765-4321",
        "TEL;TYPE=FAX:+55 11 3333-5555",
        "EMAIL;TYPE=HOME:old@example.org",
        "EMAIL;TYPE=INTERNET,PREF:ana@example.org",
        "ADR;TYPE=HOME:;;Rua das Flores\\; 12;Recife;PE;50000-000;Brasil",
        "BDAY:19850412",
        "CATEGORIES:VIP,Novos",
        "NOTE:first\\nsecond",
    )

    assert people(raw) == [
        {
            "Phone number": "+55 11 98765-4321",
            "Full name": "Dra. Ana Maria Souza",
            "First name": "Ana",
            "Last name": "Souza",
            "E-mail": "ana@example.org",
            "Other numbers": "+55 11 3333-4444",
            "Company": "Casa Verde, Ltda.",
            "Job title": "Gerente",
            "Birthday": "1985-04-12",
            "City": "Recife",
            "Country": "Brasil",
            "Categories": "VIP,Novos",
        }
    ]


def test_columns_of_cards_go_where_they_belong():
    raw = card(
        "N:Souza;Ana;;;", "TEL;CELL:+5511987654321", "TEL;HOME:+551133334444",
        "EMAIL:a@example.org", "ADR:;;;Recife;;;Brasil", "CATEGORIES:VIP", "ORG:Casa Verde",
    ).encode()  # fmt: skip

    fields = {COLUMNS[one.column]: one.field for one in guess_mapping(open_table(raw))}

    assert fields == {
        "Phone number": "phone",
        "Full name": "name",
        "First name": "first_name",
        "Last name": "last_name",
        "E-mail": "email",
        "Other numbers": None,
        "Company": "custom",
        "Job title": None,
        "Birthday": None,
        "City": "custom",
        "Country": "country",
        "Categories": "tags",
    }
    (found,) = verdicts(raw)
    assert (found.phone, found.name, found.tags) == (
        "+5511987654321",
        "Ana Souza",
        ("VIP",),
    )
    assert found.country == "BR"


def test_version_2_1_with_quoted_printable_and_soft_line_ends():
    raw = card(
        "N;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=4D=C3=BC=6C=6C=65=72;=4A=C3=BC=72=",
        "=67=65=6E;;;",
        "FN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=4A=C3=BC=72=67=65=6E",
        "TEL;CELL;PREF:0151 23456789",
        version="2.1",
    )

    (one,) = people(raw)

    assert (one["First name"], one["Last name"], one["Full name"]) == (
        "Jürgen",
        "Müller",
        "Jürgen",
    )


def test_version_2_1_in_an_old_encoding_with_and_without_its_name():
    said = card("FN;CHARSET=ISO-8859-1:João", "TEL;CELL:+5511987654321", version="2.1")
    packed = card(
        "FN;CHARSET=windows-1252;QUOTED-PRINTABLE:Jo=E3o", "TEL;CELL:+5511987654321"
    )
    several = card("FN:João Conceição", "N:Conceição;João;;;", "TEL:+5511987654321")

    assert people(said.encode("latin-1"))[0]["Full name"] == "João"
    assert people(packed)[0]["Full name"] == "João"
    assert people(several.encode("cp1252"))[0]["Full name"] == "João Conceição"


def test_letters_that_fit_no_encoding_cost_their_row_by_name():
    good = card("FN:João", "TEL:+5511987654321")
    bad = card("FN;CHARSET=UTF-8:Jo\xe3o", "TEL:+5511987654322").encode("latin-1")
    unsaid = card("FN;ENCODING=QUOTED-PRINTABLE:Jo=E3o", "TEL:+5511987654323")

    found = verdicts(good.encode() + bad + unsaid.encode())

    assert [one.reason for one in found] == ["", "row_encoding", "row_encoding"]
    assert "Row 2" in found[1].sentence


def test_version_4_with_uris_and_quoted_parameters():
    raw = card(
        "FN:Simon",
        'TEL;VALUE=uri;TYPE="voice,home":tel:+1-201-555-0123;ext=12',
        'TEL;PREF=1;VALUE=uri;TYPE="voice,cell":tel:+1-201-555-0199',
        "EMAIL;PREF=2:second@example.org",
        "EMAIL;PREF=1:first@example.org",
        "BDAY:1985-04-12T00:00:00Z",
        version="4.0",
    )

    (one,) = people(raw)

    assert (one["Phone number"], one["E-mail"]) == ("+1-201-555-0199", "first@example.org")
    assert one["Other numbers"] == "+1-201-555-0123;ext=12"
    assert one["Birthday"] == "1985-04-12"


@pytest.mark.parametrize(
    ("lines", "phone"),
    [
        (["TEL;HOME:1111111", "TEL;CELL:2222222"], "2222222"),
        (["TEL;TYPE=HOME:1111111", "TEL;TYPE=cell:2222222"], "2222222"),
        (["TEL;TYPE=iPhone:1111111", "TEL;TYPE=pref:2222222"], "1111111"),
        (["TEL;TYPE=WORK:1111111", "TEL;TYPE=WORK,PREF:2222222"], "2222222"),
        (["TEL:1111111", "TEL:2222222"], "1111111"),
        (["TEL;CELL:1111111", "TEL;CELL;PREF:2222222"], "2222222"),
        (["TEL;CELL:1111111", "TEL;waid=5511987654321:+55 11 8765-4321"], "+5511987654321"),
        (["TEL;CELL:1", "item1.TEL:2222222", "item1.X-ABLabel:WhatsApp"], "2222222"),
        (["item1.TEL:1111111", "item1.X-ABLabel:_$!<Mobile>!$_", "TEL;HOME:2"], "1111111"),
        (["TEL;FAX:1111111"], ""),
        (["TEL;TYPE=pager:1111111", "TEL;HOME:2222222"], "2222222"),
        (["TEL;TYPE=CELL;waid=nonsense:1111111"], "1111111"),
        (["FN:Nobody"], ""),
    ],
)
def test_of_several_numbers_the_one_a_message_reaches(lines, phone):
    assert people(card("FN:Ana", *lines))[0]["Phone number"] == phone


def test_folded_lines_pictures_and_cards_in_cards_do_not_disturb():
    raw = card(
        "FN:A very long name that is",
        "  folded",
        "PHOTO;ENCODING=b;TYPE=JPEG:/9j/4AAQSkZJRgABAQ",
        " AAAAAAAAAAAAAAAAAAAA",
        "AGENT:",
        "BEGIN:VCARD",
        "FN:Secretary",
        "TEL;CELL:+5511000000000",
        "END:VCARD",
        "TEL;CELL:+55119876",
        "\t54321",
        "a line without a colon",
    )

    (one,) = people(raw)

    assert one["Full name"] == "A very long name that is folded"
    assert one["Phone number"] == "+5511987654321"


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_cards_are_recognised_in_every_coding(coding, end):
    text = card("FN:Zoë", "TEL:+5511987654321").replace("\r\n", end)
    raw = text.encode(coding)

    assert open_table(raw).shape.format == "vcard"
    assert people(raw)[0]["Full name"] == "Zoë"
    assert codecs.lookup(coding)


def test_rows_are_numbered_by_card_and_refused_by_reason():
    raw = (
        card("FN:Ana", "TEL:+5511987654321")
        + card("FN:Bob")
        + card("FN:Cai", "TEL:+55 11 98765-4322 / +55 11 98765-4323")
        + card("FN:Ana", "TEL:+5511987654321")
    )

    found = verdicts(raw)

    assert [(one.line, one.reason) for one in found] == [
        (1, ""),
        (2, "phone_empty"),
        (3, "phone_two_numbers"),
        (4, "phone_duplicate"),
    ]


def test_a_card_that_is_cut_off_is_left_out_and_said():
    raw = (card("FN:Ana", "TEL:+5511987654321") + card("FN:Bob", "TEL:+5511987654322"))[
        :-30
    ]

    assert [one["Full name"] for one in people(raw)] == ["Ana"]
    assert [note.code for note in open_table(raw.encode()).notes] == ["card_cut"]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (card(), "file_empty"),
        (card("NOTE:nothing else"), "file_empty"),
        ("BEGIN:VCARD\r\nTEL:+5511987654321", "file_empty"),
        (card("FN:" + "x" * 40_000, "TEL:1"), "file_cell_too_large"),
        (card("FN:A\0na", "TEL:1"), "file_nul"),
    ],
)
def test_cards_of_nobody_say_why(raw, code):
    with pytest.raises(Invalid) as refused:
        open_table(raw.encode())

    assert refused.value.code == code


LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "TEL;CELL:+5511987654321", "BEGIN:VCARD", "END:VCARD", "N:a;b", "FN:x\\",
                "FN;ENCODING=QUOTED-PRINTABLE:=E3=", "ADR:;;", "ORG:", "TEL;TYPE=:", " x",
                "EMAIL;CHARSET=klingon:a", 'TEL;X="a:b;c":1', "item1.X-ABLabel:", "BDAY:x",
            ]
        ),
        st.text(max_size=30),
    ),
    max_size=12,
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(LINES, st.sampled_from(["\r\n", "\n"]), st.sampled_from(["utf-8", "utf-16"]))
def test_any_lines_are_people_or_a_reason(lines, end, coding):
    raw = end.join(["BEGIN:VCARD", *lines, "END:VCARD"]).encode(coding, "replace")
    try:
        table = open_table(raw)
    except Invalid as refused:
        assert refused.text
        return
    for _at, row in rows_of(raw, table.shape):
        assert len(row) == len(COLUMNS)
