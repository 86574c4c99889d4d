"""Workbooks → tables: cells exactly as they are stored, and nothing that harms."""

import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clarion.base.errors import Invalid
from clarion_contacts.importing import (
    Matching,
    archives,
    confined,
    judge,
    looking,
    open_table,
    rows_of,
)
from clarion_contacts.tests import workbooks as made
from clarion_contacts.tests.workbooks import cell, ods, packed, xlsx

DATA = Path(__file__).parent / "data" / "messytables"
PERSON = [["phone", "name"], ["+5511987654321", "Ana"]]


def cells(raw, **chosen):
    return [row for _at, row in rows_of(raw, open_table(raw, **chosen).shape)]


def stored(*values):
    """What one column of cells reads as."""
    return [
        row[1] for row in cells(xlsx([["phone", "x"], *(["1", one] for one in values)]))
    ]


def notes(raw):
    return {note.code for note in open_table(raw).notes}


def refusal(raw, **chosen):
    with pytest.raises(Invalid) as refused:
        open_table(raw, **chosen)
    assert refused.value.text.endswith((".", "?"))
    return refused.value.code


# --- real files


def test_a_workbook_of_the_world_is_read_like_its_csv():
    workbook = cells((DATA / "simple.xlsx").read_bytes())

    assert workbook == cells((DATA / "simple.csv").read_bytes())


def test_an_opendocument_of_the_world_keeps_its_row_numbers():
    raw = (DATA / "blank_line.ods").read_bytes()

    table = open_table(raw)

    assert [one.name for one in table.columns] == ["Name", "Age", "When"]
    assert list(rows_of(raw, table.shape)) == [
        (2, ["Bob", "20", "2010-10-10"]),
        (3, ["Jane", "23", "2012-01-01"]),
        (5, ["Ian", "34", "2015-11-11"]),
    ]


# --- cells


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("5511987654321", "5511987654321"),
        ("5511987654321.0", "5511987654321"),
        ("5.511987654321E+12", "5511987654321"),
        ("5.511987654321e12", "5511987654321"),
        ("999999999999999", "999999999999999"),
        ("0", "0"),
        ("-12", "-12"),
        ("1.5", "1.5"),
        ("0.1", "0.1"),
        ("0.10000000000000001", "0.1"),
        ("1E-07", "1e-07"),
        ("1.2345678901234568E+19", "1.2345678901234568E+19"),
        ("1234567890123456", "1.234567890123456E+15"),
        ("12345678901234567890", "1.2345678901234567890E+19"),
        ("1E+400", "1E+400"),
        ("NaN", "NaN"),
        ("not a number", "not a number"),
    ],
)
def test_numbers_keep_every_digit_they_have_and_show_when_they_lost_some(value, shown):
    assert stored(cell("n", value)) == [shown]
    own = f'<table:table-cell office:value-type="float" office:value="{value}"/>'
    assert cells(ods([["phone", "x"], ["1", own]]))[0][1] == shown


@pytest.mark.parametrize(
    ("value", "reason", "phone"),
    [
        (5511987654321, "", "+5511987654321"),
        (11987654321, "", "+5511987654321"),
        (cell("n", "5.511987654321E+12"), "", "+5511987654321"),
        (cell("n", "5.5119876543212345E+16"), "phone_scientific", ""),
        (cell("n", "55119876543212345"), "phone_scientific", ""),
        (cell("n", "1.5"), "phone_too_short", ""),
        ("1,23457E+12", "phone_scientific", ""),
        ("5,51199E+12", "phone_scientific", ""),
        (cell("str", "+5511987654321"), "", "+5511987654321"),
        (cell("inlineStr", "(11) 98765-4321"), "", "+5511987654321"),
        (cell("e", "#REF!"), "phone_empty", ""),
        ("+55 11 98765-4321 / +55 11 98765-4322", "phone_two_numbers", ""),
        ("٥٥١١٩٨٧٦٥٤٣٢١", "", "+5511987654321"),
        ("＋５５１１９８７６５４３２１", "", "+5511987654321"),
        ("+55 11 98765-4321 ext. 12", "", "+5511987654321"),
        ('="+5511987654321"', "", "+5511987654321"),
        ("=1+1", "phone_signs", ""),
    ],
)
def test_a_number_is_the_right_one_or_refused_by_name(value, reason, phone):
    raw = xlsx([["phone", "name"], [value, "Ana"]])
    table = open_table(raw)

    matching = Matching.of(table, {0: "phone"}, region="BR")
    found = next(judge(rows_of(raw, table.shape), matching, "BR", {}))

    assert (found.reason, found.phone) == (reason, phone)


def test_dates_are_written_as_iso_and_durations_are_no_dates():
    assert stored(
        cell("n", "45717", made.DATE),
        cell("n", "45717.4375", made.MOMENT),
        cell("n", "45717", made.DAY),
        cell("n", "1", made.DATE),
        cell("n", "60", made.DATE),
        cell("n", "0.5", made.MOMENT),
        cell("n", "3", made.DAYS),
        cell("n", "99999999", made.DATE),
        cell("d", "2025-03-01T00:00:00"),
    ) == [
        "2025-03-01",
        "2025-03-01T10:30:00",
        "2025-03-01",
        "1900-01-01",
        "1900-02-28",
        "12:00:00",
        "3",
        "99999999",
        "2025-03-01",
    ]
    raw = xlsx([["phone", "x"], ["1", cell("n", "44255", made.DATE)]], date1904=True)
    assert cells(raw)[0][1] == "2025-03-01"


def test_zeros_that_a_format_puts_in_front_stay():
    assert stored(cell("n", "1987654321", made.PADDED)) == ["01987654321"]
    own = (
        '<table:table-cell office:value-type="float" office:value="1310">'
        "<text:p>01310</text:p></table:table-cell>"
    )
    assert cells(ods([["phone", "zip"], ["1", own]]))[0][1] == "01310"


def test_text_is_joined_from_its_runs_without_the_reading_above():
    strings = (
        "<sst><si><r><t>Jo</t></r><r><t>ão</t></r><rPh><t>reading</t></rPh></si>"
        "<si><t>a_x000D_\nb</t></si></sst>"
    )
    rows = [["phone", "x"], ["1", cell("s", "0")], ["2", cell("s", "1")]]
    plain = xlsx([[cell("str", "phone"), cell("str", "x")]] + [
        [cell("str", number), one] for number, one in rows[1:]
    ])  # fmt: skip

    raw = repacked(plain, {"xl/sharedStrings.xml": strings})

    assert [row[1] for row in cells(raw)] == ["João", "a\r\nb"]


def test_a_prefix_before_every_name_changes_nothing():
    whole = zipfile.ZipFile(io.BytesIO(xlsx(PERSON)))
    sheet = whole.read("xl/worksheets/sheet1.xml").decode()
    prefixed = sheet.replace("</", "\0").replace("<", "<x:").replace("\0", "</x:")
    prefixed = prefixed.replace("xmlns=", "xmlns:x=")

    raw = repacked(xlsx(PERSON), {"xl/worksheets/sheet1.xml": prefixed})

    assert cells(raw) == [["+5511987654321", "Ana"]]


def test_empty_cells_without_a_reference_keep_their_place():
    """Some programs write no place for a cell: the empty ones count all the same."""
    sheet = (
        "<worksheet><sheetData><row><c t='str'><v>phone</v></c><c t='str'><v>name</v></c>"
        "<c t='str'><v>mobile</v></c></row>"
        "<row><c t='str'><v>+5511987654321</v></c><c/><c t='str'><v>+5511900000000</v></c>"
        "</row></sheetData></worksheet>"
    )

    raw = repacked(xlsx(PERSON), {"xl/worksheets/sheet1.xml": sheet})

    assert cells(raw) == [["+5511987654321", "", "+5511900000000"]]


def test_formulas_give_what_was_calculated_and_errors_are_empty_and_counted():
    sheet = (
        "<worksheet><sheetData><row r='1'><c r='A1' t='str'><v>phone</v></c>"
        "<c r='B1' t='str'><v>x</v></c></row><row r='2'>"
        "<c r='A2' t='str'><f>CONCAT(C2,D2)</f><v>+5511987654321</v></c>"
        "<c r='B2' t='e'><f>Z9</f><v>#REF!</v></c></row><row r='3'>"
        "<c r='A3'><f>1+1</f></c><c r='B3' t='b'><v>1</v></c></row></sheetData></worksheet>"
    )
    raw = repacked(xlsx(PERSON), {"xl/worksheets/sheet1.xml": sheet})

    assert cells(raw) == [["+5511987654321", ""], ["", "TRUE"]]
    (note,) = open_table(raw).notes
    assert note.code == "cells_error"
    assert note.text.startswith("1 cell shows an error")


def test_an_opendocument_cell_is_read_by_its_kind():
    line = [
        (
            '<table:table-cell office:value-type="string"><text:p>+55 11<text:s text:c="2"/>'
            "987654321</text:p><text:p>two</text:p><office:annotation><text:p>no</text:p>"
            "</office:annotation></table:table-cell>"
        ),
        '<table:table-cell office:value-type="date" office:date-value="2025-03-01"/>',
        '<table:table-cell office:value-type="boolean" office:boolean-value="true"/>',
        (
            '<table:table-cell table:formula="of:=Z9" calcext:value-type="error">'
            "<text:p>#REF!</text:p></table:table-cell>"
        ),
        (
            '<table:table-cell table:number-columns-repeated="2"><text:p>x</text:p>'
            "</table:table-cell>"
        ),
        "<table:covered-table-cell/>",
        "end",
    ]
    raw = ods([["phone", "b", "c", "d", "e", "f", "g", "h"], line])

    assert cells(raw) == [
        ["+55 11  987654321\ntwo", "2025-03-01", "TRUE", "", "x", "x", "", "end"]
    ]
    assert notes(raw) == {"cells_error"}


def test_a_repeated_row_is_as_many_rows():
    repeated = (
        '<table:table-row table:number-rows-repeated="3"><table:table-cell><text:p>1'
        "</text:p></table:table-cell></table:table-row>"
    )
    blank = '<table:table-row table:number-rows-repeated="4"><table:table-cell/></table:table-row>'
    raw = ods([["phone"], repeated, blank, ["2"]])

    assert list(rows_of(raw, open_table(raw).shape)) == [
        (2, ["1"]),
        (3, ["1"]),
        (4, ["1"]),
        (9, ["2"]),
    ]


# --- rows and sheets


def test_rows_are_numbered_as_the_spreadsheet_shows_them():
    raw = xlsx([["List of 2025"], [], ["phone", "name"], ["1", "Ana"], [], ["2", "Rui"]])

    table = open_table(raw)

    assert table.header_row == 3
    assert [at for at, _row in rows_of(raw, table.shape)] == [4, 6]
    assert "rows_skipped" in notes(raw)


def test_a_table_may_stand_anywhere_on_the_sheet():
    raw = xlsx([[None, None, "phone", "name"], [None, None, "1", "Ana"]], start=7)

    table = open_table(raw)

    assert [one.filled for one in table.columns] == [0, 0, 1, 1]
    assert list(rows_of(raw, table.shape)) == [(8, ["", "", "1", "Ana"])]


def test_a_cell_beside_the_table_refuses_no_row():
    raw = xlsx([["phone", "name"], ["+5511987654321", "Ana", None, "call back"]])
    table = open_table(raw)

    matching = Matching.of(table, {0: "phone", 1: "name"}, region="BR")
    found = next(judge(rows_of(raw, table.shape), matching, "BR", {}))

    assert (found.reason, found.name, len(table.columns)) == ("", "Ana", 4)


def test_semicolons_and_line_ends_in_cells_are_no_damage():
    raw = xlsx([["phone", "note"], ["+5511987654321", "a;b\nc;d,e\tf"]])
    table = open_table(raw)

    matching = Matching.of(table, {0: "phone", 1: "custom"}, region="BR")
    found = next(judge(rows_of(raw, table.shape), matching, "BR", {}))

    assert (found.reason, found.attributes) == ("", {"note": "a;b c;d,e f"})


@pytest.mark.parametrize("make", [xlsx, ods])
def test_the_sheet_with_people_is_taken_and_another_can_be_chosen(make):
    raw = make(
        sheets={
            "About": [["This workbook"], ["was made by"]],
            "Prices": [["item", "price"], ["tea", "5"], ["cake", "6"], ["soup", "7"]],
            "Kunden": [["Telefon", "Name"], ["+4915123456789", "Jürgen"]],
        }
    )

    table = open_table(raw)

    assert (table.shape.sheet, cells(raw)) == (2, [["+4915123456789", "Jürgen"]])
    assert [one.name for one in table.sheets] == ["About", "Prices", "Kunden"]
    assert "sheet_chosen" in notes(raw)
    assert cells(raw, sheet=1)[0] == ["tea", "5"]
    assert refusal(raw, sheet=3) == "file_sheet"


def test_a_hidden_sheet_is_offered_and_taken_only_for_want_of_others():
    people = {"Old": PERSON, "New": [["phone"], ["+5511987654322"]]}

    table = open_table(xlsx(sheets=people, states=("hidden", "")))
    alone = open_table(xlsx(sheets={"Old": PERSON}, states=("veryHidden",)))
    other = open_table(ods(sheets=people, hidden={"Old"}))

    assert (table.shape.sheet, [one.hidden for one in table.sheets]) == (1, [True, False])
    assert (alone.shape.sheet, alone.sheets[0].hidden) == (0, True)
    assert (other.shape.sheet, [one.hidden for one in other.sheets]) == (1, [True, False])


def test_duplicate_and_missing_headers_get_names():
    raw = xlsx([["phone", "Phone", None, "x"], ["1", "2", "3", "4"]])

    assert [one.name for one in open_table(raw).columns] == [
        "phone",
        "Phone (2)",
        "Column 3",
        "x",
    ]


# --- what is refused


def repacked(raw, parts, without=()):
    whole = zipfile.ZipFile(io.BytesIO(raw))
    kept = {n: whole.read(n) for n in whole.namelist() if n not in without}
    return packed(kept | parts)


LOL = (
    '<!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    "<worksheet><sheetData><row><c t='str'><v>&b;</v></c></row></sheetData></worksheet>"
)
OUTSIDE = (
    '<!DOCTYPE x [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    "<worksheet><sheetData><row><c t='str'><v>&x;</v></c></row></sheetData></worksheet>"
)
LINK = zipfile.ZipInfo("xl/link")
LINK.external_attr = 0o120777 << 16


def with_link():
    out = io.BytesIO(xlsx(PERSON))
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr(LINK, "/etc/passwd")
    return out.getvalue()


def twice():
    out = io.BytesIO(xlsx(PERSON))
    with zipfile.ZipFile(out, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return out.getvalue()


def locked():
    raw = bytearray(xlsx(PERSON))
    at = raw.index(b"PK\x01\x02")
    raw[at + 8] |= 1
    return bytes(raw)


MANIFEST = "<manifest:manifest><manifest:encryption-data/></manifest:manifest>"
REFUSED = {
    "macros": (lambda: xlsx(PERSON, **{"xl__vbaProject.bin": b"x"}), "file_macros"),
    "macros of an opendocument": (lambda: ods(PERSON, **{"Basic__Standard__a.xml": ""}), "file_macros"),
    "links to other workbooks": (lambda: xlsx(PERSON, **{"xl__externalLinks__externalLink1.xml": ""}), "file_external_links"),
    "encrypted workbook": (lambda: made.ole("EncryptionInfo", "EncryptedPackage"), "file_encrypted"),
    "encrypted opendocument": (lambda: ods(PERSON, **{"META-INF__manifest.xml": MANIFEST}), "file_encrypted"),
    "encrypted archive": (locked, "file_encrypted"),
    "excel before 2007": (lambda: made.ole("Workbook"), "file_xls"),
    "excel 5": (lambda: made.ole("Book"), "file_xls"),
    "word before 2007": (lambda: made.ole("WordDocument"), "file_not_csv"),
    "binary workbook": (lambda: packed({"xl/workbook.bin": b"x", "[Content_Types].xml": ""}), "file_xlsb"),
    "a document": (lambda: packed({"word/document.xml": "", "[Content_Types].xml": ""}), "file_not_csv"),
    "a text of opendocument": (lambda: packed({"mimetype": "application/vnd.oasis.opendocument.text"}), "file_not_csv"),
    "a packed csv": (lambda: packed({"people.csv": "phone\n1\n"}), "file_not_csv"),
    "a workbook in an archive": (lambda: packed({"people.xlsx": xlsx(PERSON)}), "file_not_csv"),
    "entities": (lambda: repacked(xlsx(PERSON), {"xl/worksheets/sheet1.xml": LOL}), "file_entities"),
    "entities from outside": (lambda: repacked(xlsx(PERSON), {"xl/workbook.xml": OUTSIDE}), "file_entities"),
    "entities in opendocument": (lambda: ods(PERSON, **{"content.xml": LOL}), "file_entities"),
    "a part outside": (lambda: repacked(xlsx(PERSON), {"../../etc/cron.d/x": "x"}), "file_unsafe"),
    "a part at the root": (lambda: repacked(xlsx(PERSON), {"/etc/x": "x"}), "file_unsafe"),
    "a link": (with_link, "file_unsafe"),
    "a part twice": (twice, "file_unsafe"),
    "too many parts": (lambda: repacked(xlsx(PERSON), {f"p{n}": "" for n in range(1001)}), "file_too_many_parts"),
    "no sheet": (lambda: repacked(xlsx(PERSON), {}, ["xl/worksheets/sheet1.xml"]), "file_damaged"),
    "no relations": (lambda: repacked(xlsx(PERSON), {}, ["xl/_rels/workbook.xml.rels"]), "file_damaged"),
    "no content": (lambda: packed({"mimetype": made.ODS_MIME}), "file_damaged"),
    "a place outside the strings": (lambda: xlsx([["phone"], [cell("s", "99")]]), "file_damaged"),
    "cut off": (lambda: xlsx(PERSON)[:-100], "file_damaged"),
    "nobody": (lambda: xlsx([["phone", "name"]]), "file_header_only"),
    "empty": (lambda: xlsx([[]]), "file_empty"),
    "empty opendocument": (lambda: ods([]), "file_empty"),
    "too wide": (lambda: xlsx([["phone"], [str(n) for n in range(501)]]), "file_too_many_columns"),
    "too wide by repeating": (
        lambda: ods([["phone"], ['<table:table-cell table:number-columns-repeated="20000"><text:p>x</text:p></table:table-cell>']]),
        "file_too_many_columns",
    ),
    "too long by repeating": (
        lambda: ods([["phone"], '<table:table-row table:number-rows-repeated="1000001"><table:table-cell><text:p>1</text:p></table:table-cell></table:table-row>']),
        "file_too_many_rows",
    ),
    "too large a cell": (lambda: xlsx([["phone"], ["x" * 33_000]]), "file_cell_too_large"),
    "too large a cell of a formula": (lambda: xlsx([["phone"], [cell("str", "x" * 33_000)]]), "file_cell_too_large"),
    "one long text endlessly": (lambda: xlsx([["phone"], *([["x" * 32_000] * 400] * 35)]), "file_unpacks_too_large"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_list_of_people_is_refused_by_name(name):
    make, code = REFUSED[name]

    assert refusal(make()) == code


def test_a_bomb_is_refused_in_seconds_by_its_directory_and_by_its_bytes():
    raw = made.bomb()
    assert len(raw) < 1_000_000

    assert refusal(raw) == "file_unpacks_too_large"
    lying = made.with_size(raw, "xl/worksheets/sheet1.xml", 1000)
    assert refusal(lying) == "file_damaged"
    tight = made.bomb(150_000_000)
    assert refusal(tight) == "file_bomb"


def test_a_bomb_is_refused_in_the_child():
    with pytest.raises(Invalid) as refused:
        confined.only(looking.look, made.bomb(), {})

    assert refused.value.code == "file_unpacks_too_large"


def test_bytes_are_counted_as_they_come_out(monkeypatch):
    """Where the directory is believed, the counter still stops a part that grows."""
    monkeypatch.setattr(archives, "MAX_UNPACKED", 40_000)
    archive = archives.opened(xlsx(PERSON))
    monkeypatch.setattr(archives, "MAX_UNPACKED", 100)

    with pytest.raises(Invalid) as refused:
        list(archive.part("xl/workbook.xml"))

    assert refused.value.code == "file_unpacks_too_large"


def test_hungry_strings_end_the_child_and_not_us():
    many = f"<sst>{''.join(f'<si><t>{n}</t></si>' for n in range(2_000_000))}</sst>"
    raw = repacked(xlsx(PERSON), {"xl/sharedStrings.xml": many})
    hungry = confined.Limits(memory_mb=128)

    with pytest.raises(Invalid) as refused:
        confined.only(looking.look, raw, {}, hungry)

    assert refused.value.code == "file_too_costly"


# --- whatever bytes come


def survives(raw):
    """A table, or a reason; never anything else."""
    try:
        table = open_table(raw)
        for _row in rows_of(raw, table.shape):
            pass
    except Invalid as refused:
        assert refused.text
        return None
    return table


FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
WHOLE = xlsx(
    [["phone", "name"], ["+5511987654321", "Ana"], [5511987654322, cell("b", "1")]]
)
LOOSE = {
    name: zipfile.ZipFile(io.BytesIO(WHOLE)).read(name)
    for name in zipfile.ZipFile(io.BytesIO(WHOLE)).namelist()
}
OPEN = ods([["phone", "name"], ["+5511987654321", "Ana"], [5511987654322, "Bob"]])


@FUZZ
@given(st.binary(max_size=400), st.sampled_from([b"", b"PK\x03\x04", b"\xd0\xcf\x11\xe0"]))
def test_any_bytes_are_a_table_or_a_reason(raw, head):
    survives(head + raw)


@FUZZ
@given(
    st.sampled_from([WHOLE, OPEN]),
    st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=6),
    st.floats(0, 1),
)
def test_a_mutated_archive_is_a_table_or_a_reason(raw, changes, end):
    raw = bytearray(raw)
    for at, byte in changes:
        raw[int(at * len(raw))] = byte
    survives(bytes(raw[: int(end * len(raw)) or None]))


@FUZZ
@given(
    st.sampled_from(sorted(LOOSE)),
    st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_a_mutated_part_is_a_table_or_a_reason(name, changes):
    part = bytearray(LOOSE[name])
    for at, byte in changes:
        part[int(at * len(part))] = byte
    survives(packed(LOOSE | {name: bytes(part)}))


XML = st.recursive(
    st.text(max_size=12).map(lambda s: s.replace("<", "").replace("&", "")),
    lambda inner: st.tuples(
        st.sampled_from(["row", "c", "v", "is", "t", "f", "sheetData", "rPh"]),
        st.sampled_from(["", 't="s"', 't="b"', 't="e"', 't="d"', 'r="ZZ9"', 'r="A99999999"', 's="2"', 's="1"', 'r="-4"']),
        st.lists(inner, max_size=4),
    ).map(lambda e: f"<{e[0]} {e[1]}>{''.join(e[2])}</{e[0]}>"),
    max_leaves=25,
)  # fmt: skip


@FUZZ
@given(XML)
def test_any_sheet_is_a_table_or_a_reason(body):
    sheet = f"<worksheet><sheetData>{body}</sheetData></worksheet>"
    survives(packed(LOOSE | {"xl/worksheets/sheet1.xml": sheet}))


@FUZZ
@given(
    st.lists(
        st.lists(
            st.one_of(
                st.none(),
                st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=20),
                st.integers(-(10**15) + 1, 10**15 - 1),
            ),
            min_size=1,
            max_size=5,
        ),
        min_size=1,
        max_size=8,
    )
)
def test_what_is_written_is_what_is_read(rows):
    raw = xlsx([["phone", "a", "b", "c", "d"], *rows])

    table = survives(raw)

    meant = [["" if one is None else str(one) for one in row] for row in rows]
    if table is None:
        assert not any(any(row) for row in meant)
        return
    found = [row for _at, row in rows_of(raw, open_table(raw, header=True).shape)]
    if table.header_row == 1:
        assert found == [row + [""] * (5 - len(row)) for row in meant if any(row)]
