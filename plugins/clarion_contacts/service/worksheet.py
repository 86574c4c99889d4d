"""A workbook with one worksheet, written cell after cell into chunks of a stream.

Texts are texts, whatever they begin with: a spreadsheet runs a formula only where the file
says that there is one, and ours never does.
"""

import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from xml.sax.saxutils import escape

TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CHUNK = 1 << 16
LONGEST = 32_767  # letters of a cell
_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_PARTS = {
    "[Content_Types].xml": (
        f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels"'
        ' ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Override PartName="/xl/workbook.xml"'
        f' ContentType="{TYPE}.main+xml"/>'
        '<Override PartName="/xl/worksheets/sheet1.xml" ContentType='
        '"application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>'
        "</Types>"
    ),
    "_rels/.rels": (
        f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1"'
        f' Type="{_LINKS}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
    ),
    "xl/workbook.xml": (
        f'<workbook xmlns="{_MAIN}" xmlns:r="{_LINKS}"><sheets>'
        '<sheet name="Contacts" sheetId="1" r:id="r1"/></sheets></workbook>'
    ),
    "xl/_rels/workbook.xml.rels": (
        f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1"'
        f' Type="{_LINKS}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>'
    ),
}


def workbook(
    names: Sequence[str], numbers: Sequence[bool], rows: Iterable[Sequence[str]]
) -> Iterator[bytes]:
    """Write headings and rows; `numbers` says which columns hold numbers."""
    out = _Chunks()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for place, body in _PARTS.items():
            packed.writestr(place, _HEAD + body)
        with packed.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as sheet:
            sheet.write(f'{_HEAD}<worksheet xmlns="{_MAIN}"><sheetData>'.encode())
            letters = [_letters(place) for place in range(len(names))]
            sheet.write(_row(1, letters, names, [False] * len(names)).encode())
            for at, cells in enumerate(rows, 2):
                sheet.write(_row(at, letters, cells, numbers).encode())
                if out.size > CHUNK:
                    yield out.taken()
            sheet.write(b"</sheetData></worksheet>")
    yield out.taken()


def _row(
    at: int, letters: Sequence[str], cells: Sequence[str], numbers: Sequence[bool]
) -> str:
    filled = zip(letters, cells, numbers, strict=True)
    inside = "".join(
        _cell(f"{c}{at}", value, number) for c, value, number in filled if value
    )
    return f'<row r="{at}">{inside}</row>'


def _cell(place: str, value: str, number: bool) -> str:
    if number and re.fullmatch(r"-?[0-9.]+", value):
        return f'<c r="{place}"><v>{value}</v></c>'
    text = escape(_UNWRITABLE.sub("", value)[:LONGEST])
    said = f'<is><t xml:space="preserve">{text}</t></is>'
    return f'<c r="{place}" t="inlineStr">{said}</c>'


def _letters(place: int) -> str:
    """Name a column as a spreadsheet does: A to Z, then AA."""
    name, left = "", place + 1
    while left:
        left, letter = divmod(left - 1, 26)
        name = chr(ord("A") + letter) + name
    return name


class _Chunks(io.RawIOBase):
    """What a zip file is written to, taken away bit by bit; it cannot be gone back in."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[bytes] = []
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        body = bytes(data)  # type: ignore[call-overload]  # anything with bytes in it
        self._kept.append(body)
        self.size += len(body)
        return len(body)

    def taken(self) -> bytes:
        """Hand over what was written since the last time."""
        body, self._kept, self.size = b"".join(self._kept), [], 0
        return body
