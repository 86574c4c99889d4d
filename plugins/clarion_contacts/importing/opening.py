"""Which kind of file it is, by its content and never by its name; then its table."""

import re
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO

from clarion.base.errors import Invalid
from clarion.base.words import _, ngettext
from clarion_contacts.importing import archives, delimited, ods, vcards, xlsx
from clarion_contacts.importing.encodings import Encoding, check_encoding, guess_encoding
from clarion_contacts.importing.headers import looks_like_phone, meaning
from clarion_contacts.importing.source import Source
from clarion_contacts.importing.tables import (
    HEAD,
    MAX_BYTES,
    MAX_WHOLE,
    Format,
    Note,
    Record,
    Shape,
    Table,
    below,
    columns_of,
    find_header,
    start_note,
    survey,
    too_large,
    without_rows,
)

Workbook = xlsx.Workbook | ods.Workbook
PEEK = 40  # rows of each sheet looked at to find the one with people


def open_table(
    given: bytes | BinaryIO | Source,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    header: bool | None = None,
    sheet: int | None = None,
) -> Table:
    """Open the bytes of a list; what is not given is guessed.

    Raises `Invalid` (codes `file_…`) when it is none, is empty or is over a limit.
    """
    source = Source.of(given)
    kind = _kind(source.start(512))
    _refuse_unsuitable(source, kind)
    if kind == "zip":
        return _open_workbook(_workbook(source.whole()), header=header, sheet=sheet)
    if kind == "vcard":
        return _open_cards(source, encoding)
    if kind:
        raise _no_list(source, kind)
    return delimited.open_text(
        source, encoding=encoding, delimiter=delimiter, header=header
    )


def rows_of(given: bytes | BinaryIO | Source, shape: Shape) -> Iterator[Record]:
    """Read the rows of people of a file that was opened before, with their numbers."""
    source = Source.of(given)
    if shape.format == "csv":
        return below(delimited.records(source, shape), shape)
    if shape.format == "vcard":
        return below(vcards.Cards(source.whole(), _coding(shape)).records(), shape)
    return below(_workbook(source.whole()).records(shape.sheet), shape)


def _coding(shape: Shape) -> Encoding:
    return Encoding(shape.encoding, mixed=shape.mixed)


# --- what it is


_MAGIC = (
    (b"PK\x03\x04", "zip"),
    (b"\xd0\xcf\x11\xe0", "ole"),
    (b"%PDF", "pdf"),
    (b"\x1f\x8b", "archive"),
    (b"7z\xbc\xaf", "archive"),
    (b"Rar!", "archive"),
    (b"PK\x05\x06", "archive"),
    (b"{\\rtf", "text"),
    (b"\x89PNG", "picture"),
    (b"\xff\xd8\xff", "picture"),
    (b"GIF8", "picture"),
    (b"SQLite format", "database"),
)


_BLANK = b"\xef\xbb\xbf\xff\xfe\0 \r\n\t,;\x1a"


def _refuse_unsuitable(source: Source, kind: str) -> None:
    if source.size > MAX_BYTES:
        raise too_large()
    if kind and source.size > MAX_WHOLE:
        raise Invalid(
            "file_too_large",
            _(
                "Workbooks and contact cards may have up to 25 MB, and this file is larger. "
                "Save the sheet as CSV, which may have up to 200 MB."
            ),
        )
    if not any(chunk.strip(_BLANK) for chunk in source.chunks()):
        raise Invalid("file_empty", _("This file is empty."))


def _kind(head: bytes) -> str:
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    start = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \r\n\t").lower()
    if start.startswith((b"<html", b"<!doctype", b"<table", b"<?xml", b"<meta")):
        return "page"
    if start.startswith(b"begin:vcard"):
        return "vcard"
    return "json" if re.match(rb"\[?\s*\{\s*\"[^\"]*\"\s*:", start) else ""


def _no_list(source: Source, kind: str) -> Invalid:
    if kind == "ole" and source.has("EncryptedPackage".encode("utf-16-le")):
        return archives.encrypted()
    if kind == "ole" and any(
        source.has(name.encode("utf-16-le")) for name in ("Workbook", "Book")
    ):
        return Invalid(
            "file_xls",
            _("This is a workbook of Excel before 2007 (.xls). Save it as .xlsx."),
        )
    return Invalid(
        "file_not_csv",
        _(
            "This is no list of people. Upload an Excel or OpenDocument workbook, contact "
            "cards (vCard), or a CSV file."
        ),
    )


def _workbook(raw: bytes) -> Workbook:
    archive = archives.opened(raw)
    names = archive.names
    mime = archive.whole("mimetype", 200) if "mimetype" in names else b""
    if mime.strip() == ods.MIME:
        return ods.opened(archive)
    if "xl/workbook.xml" in names and "[Content_Types].xml" in names:
        return xlsx.opened(archive)
    if "xl/workbook.bin" in names:
        raise Invalid(
            "file_xlsb", _("This is a binary workbook (.xlsb). Save it as .xlsx.")
        )
    raise _no_list(Source.of(raw), "archive")


# --- workbooks


def _open_workbook(book: Workbook, *, header: bool | None, sheet: int | None) -> Table:
    if sheet is not None and not 0 <= sheet < len(book.sheets):
        raise Invalid("file_sheet", _("There is no such sheet in this workbook."))
    chosen = _with_people(book) if sheet is None else sheet
    top = list(islice(book.records(chosen), HEAD + 30))
    start, titled, header_sure = find_header(top)
    is_header = titled if header is None else header
    header_row = start if is_header else start - 1
    book.errors = 0
    found = survey(book.records(chosen), header_row)
    if not found.count:
        raise without_rows(is_header=is_header)
    found.width = max(found.width, *found.widths)
    names = next((cells for at, cells in top if at == header_row), [])
    kind: Format = "xlsx" if isinstance(book, xlsx.Workbook) else "ods"
    return Table(
        shape=Shape(kind, "", False, "", chosen, header_row, found.width),
        encoding_sure=True,
        delimiter_sure=True,
        header=is_header,
        header_sure=header_sure or header is not None,
        columns=columns_of(names if is_header else [], found),
        row_count=found.count,
        head=tuple(found.head),
        notes=(*start_note(start), *_workbook_notes(book, chosen)),
        sheets=book.sheets,
    )


def _with_people(book: Workbook) -> int:
    """The sheet that looks most like a list of people; a hidden one for want of others."""
    scores = [
        (not one.hidden, _score(top), -place)
        for place, (one, top) in enumerate(zip(book.sheets, book.heads(PEEK), strict=True))
    ]
    return -max(scores)[2]


def _score(top: list[Record]) -> int:
    filled = [cells for _at, cells in top if any(cells)]
    named = any(meaning(cell)[0] == "phone" for cells in filled[:20] for cell in cells)
    phones = sum(1 for cells in filled if any(map(looks_like_phone, cells)))
    return 1000 * named + 100 * phones + len(filled)


def _workbook_notes(book: Workbook, chosen: int) -> Iterator[Note]:
    if len(book.sheets) > 1:
        yield Note(
            "sheet_chosen",
            _(
                "This workbook has %(count)s sheets; “%(name)s” is read. You can choose "
                "another one.",
                count=len(book.sheets),
                name=book.sheets[chosen].name,
            ),
        )
    if book.errors:
        yield Note(
            "cells_error",
            ngettext(
                "%(num)s cell shows an error like #REF! and is read as empty.",
                "%(num)s cells show an error like #REF! and are read as empty.",
                book.errors,
            ),
        )


# --- contact cards


def _open_cards(source: Source, encoding: str | None) -> Table:
    coding = check_encoding(source, encoding) if encoding else guess_encoding(source)
    cards = vcards.Cards(source.whole(), coding)
    found = survey(cards.records(), 0)
    if not found.count:
        raise without_rows(is_header=False)
    found.width = len(vcards.COLUMNS)
    cut = Note(
        "card_cut",
        _("The file ends in the middle of a card, which is left out. Export it again?"),
    )
    return Table(
        shape=Shape("vcard", coding.name, True, "", 0, 0, found.width),
        encoding_sure=coding.sure or encoding is not None,
        delimiter_sure=True,
        header=True,
        header_sure=True,
        columns=columns_of(vcards.COLUMNS, found),
        row_count=found.count,
        head=tuple(found.head),
        notes=(*delimited.coding_notes(source, coding), *([cut] if cards.cut else [])),
    )
