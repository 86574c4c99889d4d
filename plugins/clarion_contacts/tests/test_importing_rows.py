"""Columns → meaning, rows → verdicts: the right people or a named reason."""

import datetime as dt
import json
from collections import Counter
from pathlib import Path

import pytest

from clarion.base.errors import Invalid
from clarion_contacts.importing import (
    Matching,
    guess_mapping,
    guess_region,
    judge,
    open_table,
    rows_of,
)

DEMO = Path(__file__).parents[3] / "dev"


def fields(table):
    return [guess.field for guess in guess_mapping(table)]


def states(table):
    return [guess.state for guess in guess_mapping(table)]


def verdicts(text, region="BR", **mapping):
    raw = text.encode() if isinstance(text, str) else text
    table = open_table(raw)
    rows = rows_of(raw, table.shape)
    return list(judge(rows, Matching.guessed(table, region=region), region, {}))


def verdict(cell, region="BR", header="phone"):
    quoted = '"' + cell.replace('"', '""') + '"'
    return verdicts(f"{header};name\n{quoted};Ana\n+4915123456700;Jo\n", region)[0]


# --- columns


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            "Phone,First name,Last name,E-mail,Country",
            "phone first_name last_name email country",
        ),
        ("Telefone,Nome,Sobrenome,Email,País", "phone first_name last_name email country"),
        (
            "Celular,Nome completo,Etiquetas,Idioma,Data opt-in",
            "phone name tags language consent",
        ),
        (
            "Teléfono móvil,Nombre,Apellidos,Correo electrónico,Idioma",
            "phone first_name last_name email language",
        ),
        (
            "Handynummer,Vorname,Nachname,E-Mail-Adresse,Land",
            "phone first_name last_name email country",
        ),
        (
            "Numéro de téléphone,Prénom,Nom,Courriel,Langue",
            "phone first_name last_name email language",
        ),
        (
            "Mobile Nambar,Pura Naam,Email Pata,Bhasha,Desh",
            "phone name email language country",
        ),
        ("मोबाइल,नाम,ईमेल,भाषा,देश", "phone name email language country"),
        ("phone_number,fullName,eMail,optInDate,tags", "phone name email consent tags"),
        ("WhatsApp Number,Name,City,Plan,Notes", "phone name custom custom custom"),
    ],
)
def test_headers_of_six_languages_are_understood(header, expected):
    cells = {
        "email": "ana@example.com",
        "phone": "+5511987654321",
        "country": "BR",
        "consent": "2024-05-06",
        "language": "pt-BR",
    }
    row = ",".join(cells.get(field, "Ana") for field in expected.split())

    table = open_table(f"{header}\n{row}\n".encode())

    assert fields(table) == expected.split()
    assert "clash" not in states(table)


def test_without_a_header_the_cells_tell():
    raw = "".join(
        f"+55119876543{n:02},Ana Souza,ana{n}@example.com,{n}\n" for n in range(10)
    )

    table = open_table(raw.encode())

    assert not table.header
    assert fields(table) == ["phone", "name", "email", None]
    assert states(table) == ["check", "check", "sure", "none"]


def test_two_phone_columns_clash_unless_one_is_clearly_better():
    row = "+5511987654321;+5511987654322;Ana\n"

    equal = open_table(f"Celular;WhatsApp;Nome\n{row}".encode())
    better = open_table(f"Celular;Telefone fixo;Nome\n{row}".encode())

    assert states(equal)[:2] == ["clash", "clash"]
    assert fields(better) == ["phone", None, "name"]


def test_a_phone_header_over_other_things_is_to_be_checked():
    table = open_table(b"phone;name\nAna;Souza\nRui;Lima\n")

    assert (fields(table)[0], states(table)[0]) == ("phone", "check")


def test_sensitive_and_empty_columns_are_left_out():
    table = open_table(b"Telefone;CPF;Vazio\n+5511987654321;12345678909;\n")

    assert fields(table) == ["phone", None, None]
    assert all(guess.help for guess in guess_mapping(table)[1:])


@pytest.mark.parametrize(
    ("mapping", "code"),
    [
        ({1: "name"}, "mapping_no_phone"),
        ({0: "phone", 1: "phone"}, "mapping_clash"),
        ({0: "phone", 1: "shoe_size"}, "mapping_unknown"),
        ({0: "phone", 7: "name"}, "mapping_unknown"),
    ],
)
def test_an_impossible_choice_is_refused(mapping, code):
    table = open_table(b"phone,name\n+5511987654321,Ana\n")

    with pytest.raises(Invalid) as refused:
        Matching.of(table, mapping)

    assert refused.value.code == code


def test_custom_columns_get_keys_of_their_own():
    table = open_table(b"phone,Cidade natal,cidade natal,+,Plan\n1,a,b,c,d\n", header=True)

    matching = Matching.of(
        table, {0: "phone", 1: "custom", 2: "custom", 3: "custom", 4: "custom:tier"}
    )

    assert list(matching.keys.values()) == [
        "cidade_natal",
        "cidade_natal_2",
        "column_4",
        "tier",
    ]


@pytest.mark.parametrize(
    ("numbers", "default", "region"),
    [
        (["+5511987654321", "+5511987654322", "+919876543210"], "IN", "BR"),
        (["11987654321", "(21) 98765-4321"], "BR", "BR"),
        (["919876543210", "919876543211"], None, "IN"),
        (["0151 23456789", "0049 151 23456788"], "DE", "DE"),
        (["abc"], "IN", "IN"),
        (["abc"], None, None),
    ],
)
def test_the_country_is_guessed_from_the_numbers(numbers, default, region):
    table = open_table(("phone\n" + "\n".join(numbers) + "\n").encode())

    assert guess_region(table, 0, default) == region


# --- verdicts


def test_a_whole_person_is_read():
    (one,) = verdicts(
        "Telefone;Nome;Sobrenome;E-mail;Tags;Idioma;País;Opt-in;Cidade\n"
        "11 98765-4321; João ;da  Silva;Joao@Example.com;vip, Novo|VIP;pt_BR;Brasil;"
        "25/12/2024;São Paulo\n"
    )

    assert (one.line, one.state, one.reason, one.sentence) == (2, "ok", "", "")
    assert (one.phone, one.name, one.email) == (
        "+5511987654321",
        "João da Silva",
        "joao@example.com",
    )
    assert (one.tags, one.language, one.country) == (("vip", "Novo"), "pt-BR", "BR")
    assert (one.consent, one.consent_on) == ("yes", dt.date(2024, 12, 25))
    assert one.attributes == {
        "cidade": "São Paulo",
        "first_name": "João",
        "last_name": "da Silva",
    }
    assert one.notes == ()


@pytest.mark.parametrize(
    ("cell", "region", "phone"),
    [
        ("'+55 11 98765-4321", "BR", "+5511987654321"),
        ("5511987654321.0", "BR", "+5511987654321"),
        ("5511987654321,00", "BR", "+5511987654321"),
        ('="5511987654321"', "BR", "+5511987654321"),
        ("1187654321", "BR", "+5511987654321"),
        ("٩٨٧٦٥٤٣٢١٠", "IN", "+919876543210"),
        ("９８７６５４３２１０", "IN", "+919876543210"),
        ("+49 (0)151 23456789 ext. 4", "IN", "+4915123456789"),
        ("\ufeff+919876543210\u200e", "DE", "+919876543210"),
    ],
)
def test_damaged_numbers_that_can_be_saved_are(cell, region, phone):
    one = verdict(cell, region)

    assert (one.state, one.phone, one.name) == ("ok", phone, "Ana")


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("1,23457E+12", "phone_scientific"),
        ("5.51199E+12", "phone_scientific"),
        ("11987654321 / 21987654321", "phone_two_numbers"),
        ("11987654321\n21987654321", "phone_two_numbers"),
        ("11987654321; 21987654321", "phone_two_numbers"),
        ("perguntar", "phone_letters"),
        ("", "phone_empty"),
        ("34567890", "phone_too_short"),
        ("=1+1", "phone_signs"),
        ("55119876543219", "phone_too_long"),
    ],
)
def test_damaged_numbers_that_are_lost_say_row_column_and_reason(cell, reason):
    one = verdict(cell)

    assert (one.state, one.reason, one.phone) == ("invalid", reason, "")
    assert one.sentence.startswith("Row 2, column “phone”: ")
    assert one.raw == [cell, "Ana"]


def test_formulas_in_names_stay_text():
    (one,) = verdicts('phone;name\n+5511987654321;"=HYPERLINK(""http://x"")"\n')

    assert one.name == '=HYPERLINK("http://x")'


def test_a_country_column_decides_for_its_row():
    found = verdicts(
        "phone;name;country\n9876543210;Priya;India\n11987654321;Ana;BR\n"
        "0151 23456789;Jo;Deutschland\n+5511987654329;Zoe;Atlantis\n"
    )

    assert [one.phone for one in found] == [
        "+919876543210",
        "+5511987654321",
        "+4915123456789",
        "+5511987654329",
    ]
    assert [code for code, _text in found[3].notes] == ["country_unknown"]


def test_the_same_person_in_another_notation_is_a_duplicate():
    found = verdicts(
        "phone;name\n+5511987654321;Ana\n(11) 8765-4321;Ana S.\n005511987654321;A\n"
        "+5521987654321;Rui\n"
    )

    assert [one.state for one in found] == [
        "ok",
        "duplicate_in_file",
        "duplicate_in_file",
        "ok",
    ]
    assert found[2].reason == "phone_duplicate"
    assert found[2].sentence == ("Row 4, column “phone”: the same person as in row 2.")


def test_what_was_seen_is_remembered_between_pages_and_a_page_can_be_judged_twice():
    raw = b"phone\n+5511987654321\n+5511987654322\n5511987654321\n"
    table = open_table(raw)
    matching, seen, rows = Matching.guessed(table), {}, list(rows_of(raw, table.shape))

    first = list(judge(rows[:2], matching, "BR", seen))
    again = list(judge(rows[:2], matching, "BR", seen))
    second = list(judge(rows[2:], matching, "BR", seen))

    assert first == again
    assert second[0].state == "duplicate_in_file"


def test_ragged_rows_are_named_when_cells_would_be_lost():
    found = verdicts(
        "phone;name;city\n+5511987654321;Ana\n+5511987654322;Rui;Rio;extra\n"
        "+5511987654323;Eva;Rio;;\n"
    )

    assert [one.reason for one in found] == ["", "row_too_long", ""]
    assert found[1].sentence.startswith("Row 3 has 4 cells")


def test_a_quotation_mark_that_swallows_rows_is_named():
    found = verdicts(
        'phone;name;city\n+5511987654321;"Ana;Rio\n+5511987654322;Rui;Rio\n'
        '+5511987654323;Eva";Rio\n+5511987654324;"Zoe\nLima";Rio\n'
    )

    assert [one.reason for one in found] == ["row_open_quote", ""]
    assert found[1].name == "Zoe Lima"


def test_an_email_that_is_none_is_left_out_and_said():
    (one,) = verdicts("phone;email\n+5511987654321;ana at example\n")

    assert (one.state, one.email) == ("ok", "")
    assert one.notes == (
        ("email_malformed", "Row 2, column “email”: This is not an e-mail address."),
    )


@pytest.mark.parametrize(
    ("cell", "consent", "on"),
    [
        ("sim", "yes", None),
        ("NÃO", "no", None),
        ("2024-05-06T10:00:00Z", "yes", dt.date(2024, 5, 6)),
        ("06/05/24", "yes", dt.date(2024, 5, 6)),
        ("31/02/2024", "", None),
        ("talvez", "", None),
    ],
)
def test_consent_is_read_as_yes_no_or_a_date(cell, consent, on):
    (one,) = verdicts(f"phone;opt-in\n+5511987654321;{cell}\n")

    assert (one.consent, one.consent_on) == (consent, on)
    assert bool(one.notes) is (consent == "")


def test_the_order_of_a_date_is_told_by_the_file_before_the_country():
    text = "phone;opt-in\n+12125550123;05/06/2024\n+12125550124;05/25/2024\n"

    assert verdicts(text, "BR")[0].consent_on == dt.date(2024, 5, 6)
    assert verdicts(text.replace("25/", "02/"), "BR")[0].consent_on == dt.date(2024, 6, 5)
    assert verdicts(text.replace("25/", "02/"), "US")[0].consent_on == dt.date(2024, 5, 6)


def test_names_keep_their_script_and_lose_what_cannot_be_seen():
    (one,) = verdicts("phone;name\n+5511987654321;\u202eمی\u200cخواهم\u202c\u00a0 علی\n")

    assert one.name == "می\u200cخواهم علی"


# --- the demo's list


def test_the_demo_list_becomes_what_its_generator_planned():
    expected = json.loads((DEMO / "demo_contacts.expected.json").read_text("utf-8"))
    raw = (DEMO / "demo_contacts.csv").read_bytes()
    table = open_table(raw)

    region = guess_region(table)
    rows = rows_of(raw, table.shape)
    found = list(judge(rows, Matching.guessed(table, region=region), region, {}))

    assert region == expected["default_country"]
    assert (table.shape.encoding, table.shape.delimiter) == (
        expected["encoding"],
        expected["delimiter"],
    )
    assert fields(table) == expected["fields"]
    refused = Counter(one.reason for one in found if one.state == "invalid")
    people = [one for one in found if one.state == "ok"]
    assert table.row_count == len(found) == expected["rows_read"]
    assert dict(sorted(refused.items())) == expected["refused_rows"]
    assert len(people) == expected["contacts"]
    assert len(found) - len(people) - refused.total() == expected["duplicates_in_file"]
    assert sum(one.consent == "no" for one in people) == expected["consent_no"]
    codes = {"+55": "BR", "+91": "IN", "+49": "DE"}
    countries = Counter(codes[one.phone[:3]] for one in people)
    assert dict(sorted(countries.items())) == expected["contacts_by_country"]


# --- time zones


@pytest.mark.parametrize("header", ["Time zone", "Fuso horário", "Zeitzone", "tz", "时区"])
def test_a_column_of_time_zones_is_known_by_its_header(header):
    table = open_table(f"phone;{header}\n+5511912340001;America/Sao_Paulo\n".encode())

    assert fields(table) == ["phone", "timezone"]


def test_a_column_of_time_zones_is_known_by_its_cells():
    rows = "".join(f"+55119123400{n:02d};America/Recife\n" for n in range(5))

    assert fields(open_table(rows.encode())) == ["phone", "timezone"]


@pytest.mark.parametrize(
    ("cell", "zone"),
    [
        ("America/Sao_Paulo", "America/Sao_Paulo"),
        ("america/sao paulo", "America/Sao_Paulo"),
        ("São Paulo", "America/Sao_Paulo"),
        ("Europe/Berlin", "Europe/Berlin"),
        ("UTC", "UTC"),
        ("America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"),
        ("", ""),
    ],
)
def test_a_zone_is_read_as_people_write_it(cell, zone):
    one = verdicts(f"phone;time zone\n+5511912340001;{cell}\n+5511912340002;UTC\n")[0]

    assert (one.state, one.timezone, one.notes) == ("ok", zone, ())


@pytest.mark.parametrize("cell", ["UTC-3", "-03:00", "Brasília time", "Mars/Olympus"])
def test_what_is_no_zone_is_left_out_and_said(cell):
    one = verdicts(f"phone;time zone\n+5511912340001;{cell}\n+5511912340002;UTC\n")[0]

    assert (one.state, one.timezone) == ("ok", "")
    ((code, sentence),) = one.notes
    assert code == "timezone_unknown"
    assert "Row 2, column “time zone”" in sentence
