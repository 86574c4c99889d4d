"""Bytes → table: real dirty files, every encoding, every limit."""

import codecs
import gzip
import json
from pathlib import Path

import pytest

from clarion.base.errors import Invalid
from clarion_contacts.importing import Matching, judge, open_table, rows_of
from clarion_contacts.importing.encodings import guess_encoding

DATA = Path(__file__).parent / "data"
SPECTRUM = sorted((DATA / "csv-spectrum" / "csvs").glob("*.csv"))

TEXTS = {
    "pt": "telefone;nome;cidade\n5511987654321;João da Silva;São Paulo\n"
    "5511987654322;José Conceição;Brasília\n",
    "de": "Telefon;Vorname;Ort\n+4915123456789;Jürgen Müller;Köln\n+491512345678;Groß;Ulm\n",
    "zh": "手机,姓名\n+8613812345678,张伟\n+8613812345679,王芳\n",
    "tw": "電話,姓名\n0912345678,陳大文\n0912345679,林小明\n",
    "ja": "電話,名前\n09012345678,田中さくら\n09012345679,すずき\n",
    "ko": "전화,이름\n01012345678,김철수\n",
    "ru": "телефон;имя\n+79123456789;Иван Петров\n+79123456780;Анна\n",
    "cs": "telefon;jméno\n+420601123456;Jiří Dvořák\n+420601123457;Žofie Černá\n",
    "pl": "telefon;imię\n+48601123456;Łukasz Wiśniewski\n+48601123457;Małgorzata\n",
    "tr": "telefon;ad\n+905321234567;Ayşe Yılmaz\n+905321234568;Gülşen Çağlar\n",
    "ar": "الهاتف;الاسم\n+966501234567;محمد علي\n",
    "he": "טלפון;שם\n+972501234567;דוד כהן\n",
    "el": "τηλέφωνο;όνομα\n+306912345678;Γιώργος Παπαδόπουλος\n",
    "th": "โทร;ชื่อ\n0812345678;สมชาย ใจดี\n",
}


def rows(raw, **chosen):
    return list(rows_of(raw, open_table(raw, **chosen).shape))


def refusal(raw, **chosen):
    with pytest.raises(Invalid) as refused:
        open_table(raw, **chosen)
    assert refused.value.text.endswith((".", "?"))
    return refused.value.code


# --- real files


@pytest.mark.parametrize("path", SPECTRUM, ids=lambda path: path.stem)
def test_the_csv_spectrum_is_read_as_its_authors_expect(path):
    expected = json.loads(
        (path.parents[1] / "json" / f"{path.stem}.json").read_bytes().decode("utf-8")
    )
    expected = expected if isinstance(expected, list) else [expected]

    table = open_table(path.read_bytes())

    names = [column.name for column in table.columns]
    found = rows(path.read_bytes())
    people = [dict(zip(names, cells, strict=True)) for _line, cells in found]
    if path.stem == "location_coordinates":  # upstream's number differs from its file
        expected[0]["Contact Phone Number"] = "2095257564"
    assert people == expected


@pytest.mark.parametrize(
    ("name", "encoding", "delimiter", "header_row", "columns", "people"),
    [
        ("characters.csv", "big5", ",", 1, 18, 382),
        ("complex.csv", "utf-8", ",", 1, 4, 3),
        ("example.tsv", "utf-8", "\t", 1, 17, 140),
        ("excel_pasting.csv", "utf-8", ",", 4, 9, 16),
        ("long.csv", "utf-8", ",", 1, 1, 3999),
        ("mixedGLB.csv", "utf-8", ",", 4, 19, 133),
        ("null.csv", "utf-8", ",", 0, 4, 10),
        ("simple.csv", "utf-8", ",", 1, 3, 6),
        ("simple.psv", "utf-8", "|", 1, 6, 28),
        ("skip_initials.csv", "utf-8", ",", 1, 2, 2),
        ("weird_head_padding.csv", "utf-8", ";", 12, 11, 76),
    ],
)
def test_messy_files_of_the_world_open(
    name, encoding, delimiter, header_row, columns, people
):
    raw = (DATA / "messytables" / name).read_bytes()
    table = open_table(raw)

    assert (table.shape.encoding, table.shape.delimiter) == (encoding, delimiter)
    assert (table.header_row, len(table.columns)) == (header_row, columns)
    assert table.row_count == people == len(rows(raw))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("small.csv", "file_header_only"),
        ("utf8bom.csv", "file_header_only"),
    ],
)
def test_messy_files_without_people_say_why(name, code):
    assert refusal((DATA / "messytables" / name).read_bytes()) == code


def test_quoted_numbers_after_a_space_stay_one_cell():
    raw = (DATA / "messytables" / "complex.csv").read_bytes()

    assert [cells for _line, cells in rows(raw)][2][2] == "6,000,000"


def test_a_file_without_header_can_be_forced():
    raw = (DATA / "messytables" / "utf8bom.csv").read_bytes()

    assert [cells for _line, cells in rows(raw, header=False)] == [["kitten", "win"]]


# --- encodings


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("pt", "cp1252"),
        ("pt", "mac_roman"),
        ("pt", "cp850"),
        ("de", "cp1252"),
        ("zh", "gb18030"),
        ("tw", "big5"),
        ("ja", "cp932"),
        ("ja", "euc_jp"),
        ("ja", "iso2022_jp"),
        ("ko", "cp949"),
        ("ru", "cp1251"),
        ("ru", "koi8_r"),
        ("ru", "cp866"),
        ("cs", "cp1250"),
        ("pl", "cp1250"),
        ("tr", "cp1254"),
        ("ar", "cp1256"),
        ("he", "cp1255"),
        ("el", "cp1253"),
        ("th", "cp874"),
    ],
)
def test_old_encodings_give_the_right_letters_or_doubt(text, encoding):
    raw = TEXTS[text].encode(encoding)

    guess = guess_encoding(raw)

    assert raw.decode(guess.name) == TEXTS[text]


@pytest.mark.parametrize("text", sorted(TEXTS))
@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"],
)
def test_unicode_is_read_with_and_without_a_mark(text, encoding):
    table = open_table(TEXTS[text].encode(encoding))

    assert table.encoding_sure
    header = TEXTS[text].splitlines()[0].replace(";", ",").split(",")
    assert [column.name for column in table.columns] == header
    assert table.row_count == TEXTS[text].count("\n") - 1


def test_utf_16_with_the_mark_of_the_other_order_is_read():
    raw = codecs.BOM_UTF16_BE + TEXTS["pt"].encode("utf-16-be")

    assert rows(raw)[0][1][1] == "João da Silva"


def test_one_accent_that_two_encodings_read_differently_is_not_sure():
    table = open_table("telefone;nome\n5511987654321;João\n".encode("cp1252"))

    assert [column.samples for column in table.columns][1] == ("João",)
    assert not table.encoding_sure
    assert "encoding_unsure" in {note.code for note in table.notes}


def test_a_chosen_encoding_wins_and_a_wrong_one_is_refused():
    raw = TEXTS["ru"].encode("koi8_r")

    assert open_table(raw, encoding="koi8-r").columns[1].name == "имя"
    assert refusal(raw, encoding="utf-8") == "file_encoding"
    assert refusal(raw, encoding="klingon") == "file_encoding"


def test_mixed_encodings_lose_only_the_rows_they_damage_and_say_so():
    good = "telefone;nome\n+5511987654321;João\n+5511987654322;José\n".encode()
    raw = good + "+5511987654323;Conceição\n".encode("cp1252") + b"+5511987654324;Ana\n"

    table = open_table(raw)
    verdicts = list(judge(rows_of(raw, table.shape), Matching.guessed(table), "BR", {}))

    assert [verdict.reason for verdict in verdicts] == ["", "", "row_encoding", ""]
    assert [verdict.name for verdict in verdicts] == ["João", "José", "", "Ana"]
    assert "Row 4, column “nome”" in verdicts[2].sentence
    assert "encoding_mixed" in {note.code for note in table.notes}


def test_letters_that_were_lost_before_are_said():
    for lost in ("JoÃ£o", "Jo\ufffdo", "â€œAnaâ€"):
        table = open_table(f"telefone;nome\n+5511987654321;{lost}\n".encode())

        assert "encoding_damaged" in {note.code for note in table.notes}
    assert not open_table(TEXTS["pt"].encode()).notes


# --- what is no table


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "file_empty"),
        (b"\n\r\n  \n", "file_empty"),
        (codecs.BOM_UTF8, "file_empty"),
        (b";;;\n;;;\n", "file_empty"),
        (b"phone,name\n", "file_header_only"),
        (b"phone,name\n,\n\n", "file_header_only"),
        (b"phone,name\n+5511987654321,A\0na\n", "file_nul"),
        (b"\0" * 4000, "file_empty"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "file_not_csv"),
        (b"PK\x03\x04\x14\0\0\0\x08\0[Content_Types].xml", "file_damaged"),
        (gzip.compress(b"phone\n+5511987654321\n"), "file_not_csv"),
        (b"%PDF-1.7\n...", "file_not_csv"),
        (b"<html><table><tr><td>phone</td></tr></table></html>", "file_not_csv"),
        (b'[{"phone": "+5511987654321"}]', "file_not_csv"),
        (bytes(range(1, 32)) * 50, "file_not_csv"),
    ],
)
def test_what_is_no_list_is_refused_with_a_sentence(raw, code):
    assert refusal(raw) == code


def test_the_line_of_a_nul_is_named():
    with pytest.raises(Invalid, match="Line 3 has NUL"):
        open_table(b"phone,name\n+5511987654321,Ana\n+5511987654322,\0\n")


def test_limits_are_kept():
    line = b"+5511987654321,Ana\n"

    assert refusal(b"x," * (100 * 1024 * 1024) + b"x") == "file_too_large"
    assert refusal(b"PK\x03\x04" + bytes(25 * 1024 * 1024)) == "file_too_large"
    assert refusal(b"phone\n" + b"1\n" * 1_000_001) == "file_too_many_rows"
    assert refusal(b"phone," * 20_000 + b"\n" + line) == "file_too_many_columns"
    assert refusal(line + b"a," * 20_000 + b"\n") == "file_too_many_columns"
    huge = b"phone,name\n" + line + b'+5511987654322,"' + b"a" * 33_000 + b'"\n'
    assert refusal(huge) == "file_cell_too_large"
    endless = b"phone,name\n" + b'+5511987654322,"' + b"a\n" * 200_000
    assert refusal(endless) == "file_cell_too_large"


def test_a_quotation_mark_that_never_closes_is_named():
    raw = b'phone,name\n+5511987654321,Ana\n+5511987654322,"Rui\n+5511987654323,Eva\n'

    with pytest.raises(Invalid, match="In row 3 a quotation mark") as refused:
        open_table(raw)
    assert refused.value.code == "file_open_quote"


# --- delimiter and header


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_delimiters_and_line_ends_are_found(sign, end):
    lines = [["phone", "name", "price"], ["+5511987654321", "Ana", "1.5"]]
    lines.append(["+5511987654322", "Rui", "2.5"])
    raw = end.join(sign.join(row) for row in lines).encode()

    table = open_table(raw)

    assert (table.shape.delimiter, table.delimiter_sure) == (sign, True)
    assert [cells for _line, cells in rows(raw)] == lines[1:]


def test_decimal_commas_do_not_hide_the_semicolons():
    raw = b"phone;price;weight\n+5511987654321;1,5;2,5\n+5511987654322;3,5;4,5\n"

    assert open_table(raw).shape.delimiter == ";"


def test_excels_own_hint_is_followed_and_is_no_row():
    raw = b"sep=;\r\nphone;name\r\n+5511987654321;Ana\r\n"
    table = open_table(raw)

    assert [column.name for column in table.columns] == ["phone", "name"]
    assert rows(raw)[0] == (3, ["+5511987654321", "Ana"])


def test_a_wrong_delimiter_is_allowed_but_pointed_at():
    table = open_table(b"phone;name\n+5511987654321;Ana\n", delimiter=",")

    assert len(table.columns) == 1
    assert "delimiter_unlikely" in {note.code for note in table.notes}
    assert refusal(b"phone;name\n1;2\n", delimiter="x") == "file_delimiter"


@pytest.mark.parametrize(
    ("first", "header"),
    [
        ("phone,name", True),
        ("Telefone,Nome", True),
        ("Código,Observação", True),
        ("+5511987654320,Zoé", False),
        ("zoe@example.com,Zoé", False),
    ],
)
def test_a_header_is_told_from_a_person(first, header):
    raw = f"{first}\n+5511987654321,Ana\n+5511987654322,Rui\n".encode()

    table = open_table(raw)

    assert (table.header, table.row_count) == (header, 2 if header else 3)
    assert (table.columns[0].name == first.split(",")[0]) is header


def test_rows_are_numbered_as_a_spreadsheet_does():
    raw = b'List of 2025\n\nphone,name\n+5511987654321,"Ana\nMaria"\n\n+5511987654322,Rui\n'

    table = open_table(raw)

    assert table.header_row == 3
    assert [line for line, _cells in rows(raw)] == [4, 6]
    assert "rows_skipped" in {note.code for note in table.notes}


def test_duplicate_and_missing_headers_get_names():
    table = open_table(b"phone,Phone,,\n+5511987654321,1,2,3\n")

    assert [column.name for column in table.columns] == [
        "phone",
        "Phone (2)",
        "Column 3",
        "Column 4",
    ]


def test_columns_have_samples_and_a_filled_count():
    raw = b"phone,name\n" + b"".join(
        b"+55119876543%02d,%s\n" % (n, b"" if n % 2 else b"Ana") for n in range(10)
    )

    table = open_table(raw)

    assert table.columns[0].samples == (
        "+5511987654300",
        "+5511987654301",
        "+5511987654302",
    )
    assert (table.columns[1].filled, table.columns[1].samples) == (5, ("Ana",))
