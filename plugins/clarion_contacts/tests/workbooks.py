"""Workbooks and cards made for tests, as programs write them and as attackers would."""

import io
import zipfile
from xml.sax.saxutils import escape, quoteattr

_TYPES = (
    '<?xml version="1.0" encoding="UTF-8"?><Types xmlns="http://schemas.openxmlformats.org/'
    'package/2006/content-types"><Override PartName="/xl/workbook.xml" ContentType="'
    'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>'
)
_MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_RELS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_STYLES = (
    f'<styleSheet {_MAIN}><numFmts><numFmt numFmtId="164" formatCode="00000000000"/>'
    '<numFmt numFmtId="165" formatCode="dd/mm/yyyy;@"/><numFmt numFmtId="166" formatCode="'
    '&quot;days&quot; 0"/></numFmts><cellStyleXfs><xf numFmtId="14"/></cellStyleXfs><cellXfs>'
    '<xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="164"/><xf numFmtId="165"/>'
    '<xf numFmtId="166"/><xf numFmtId="22"/></cellXfs></styleSheet>'
)
PLAIN, DATE, PADDED, DAY, DAYS, MOMENT = range(6)


def cell(kind, value, style=PLAIN):
    """A cell as Excel stores it: kind n, b, e, d, str, s (place) or inlineStr."""
    return kind, value, style


def packed(parts, **more):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, **more) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return out.getvalue()


def xlsx(rows=None, *, sheets=None, start=1, states=(), date1904=False, **parts):
    """A workbook of one sheet (`rows`) or several (`sheets`: name → rows)."""
    sheets = sheets or {"Sheet1": rows}
    strings: dict[str, int] = {}
    made = {"[Content_Types].xml": _TYPES, "xl/styles.xml": _STYLES}
    listed, targets = [], []
    for number, (name, lines) in enumerate(sheets.items(), 1):
        state = f' state="{states[number - 1]}"' if states and states[number - 1] else ""
        listed.append(
            f'<sheet name={quoteattr(name)} sheetId="{number}"{state} r:id="rId{number}"/>'
        )
        targets.append(
            f'<Relationship Id="rId{number}" Type="{_RELS}/worksheet" '
            f'Target="worksheets/sheet{number}.xml"/>'
        )
        made[f"xl/worksheets/sheet{number}.xml"] = _sheet(lines, strings, start)
    targets += [
        f'<Relationship Id="{kind}" Type="{_RELS}/{kind}" Target="{kind}.xml"/>'
        for kind in ("sharedStrings", "styles")
    ]
    made["xl/workbook.xml"] = (
        f'<workbook {_MAIN} xmlns:r="{_RELS}"><workbookPr date1904="{int(date1904)}"/>'
        f"<sheets>{''.join(listed)}</sheets></workbook>"
    )
    made["xl/_rels/workbook.xml.rels"] = (
        f"<Relationships>{''.join(targets)}</Relationships>"
    )
    made["xl/sharedStrings.xml"] = (
        f"<sst {_MAIN}>{''.join(f'<si><t>{escape(one)}</t></si>' for one in strings)}</sst>"
    )
    return packed(made | {name.replace("__", "/"): text for name, text in parts.items()})


def _sheet(lines, strings, start):
    rows = []
    for number, line in enumerate(lines, start):
        cells = [
            _cell(number, place, one, strings)
            for place, one in enumerate(line)
            if one is not None
        ]
        rows.append(f'<row r="{number}">{"".join(cells)}</row>')
    return f"<worksheet {_MAIN}><sheetData>{''.join(rows)}</sheetData></worksheet>"


def _cell(number, place, one, strings):
    if isinstance(one, str):
        one = ("s", str(strings.setdefault(one, len(strings))), PLAIN)
    elif isinstance(one, int | float):
        one = ("n", repr(one), PLAIN)
    kind, value, style = one
    at = f"{letters(place)}{number}"
    inner = (
        f"<is><t>{escape(value)}</t></is>"
        if kind == "inlineStr"
        else f"<v>{escape(value)}</v>"
    )
    return f'<c r="{at}" t="{kind}" s="{style}">{inner}</c>'


def letters(place):
    found, place = "", place + 1
    while place:
        place, rest = divmod(place - 1, 26)
        found = chr(65 + rest) + found
    return found


_OFFICE = "urn:oasis:names:tc:opendocument:xmlns"
_ODS = (
    f'<office:document-content xmlns:office="{_OFFICE}:office:1.0" '
    f'xmlns:table="{_OFFICE}:table:1.0" xmlns:text="{_OFFICE}:text:1.0" '
    f'xmlns:style="{_OFFICE}:style:1.0" xmlns:draw="{_OFFICE}:drawing:1.0" '
    'xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0">'
    '<office:automatic-styles><style:style style:name="ta2"><style:table-properties '
    'table:display="false"/></style:style></office:automatic-styles>'
    "<office:body><office:spreadsheet>{}</office:spreadsheet></office:body>"
    "</office:document-content>"
)
ODS_MIME = "application/vnd.oasis.opendocument.spreadsheet"


def ods(rows=None, *, sheets=None, hidden=(), **parts):
    """A spreadsheet; a cell is text, a number, or XML of its own after `<`."""
    tables = []
    for name, lines in (sheets or {"Sheet1": rows}).items():
        style = ' table:style-name="ta2"' if name in hidden else ""
        body = "".join(map(_ods_row, lines))
        rest = (
            '<table:table-row table:number-rows-repeated="1048000"><table:table-cell '
            'table:number-columns-repeated="16384"/></table:table-row>'
        )
        tables.append(
            f"<table:table table:name={quoteattr(name)}{style}>{body}{rest}</table:table>"
        )
    made = {"mimetype": ODS_MIME, "content.xml": _ODS.format("".join(tables))}
    return packed(made | {name.replace("__", "/"): text for name, text in parts.items()})


def _ods_row(line):
    if isinstance(line, str):
        return line
    return f"<table:table-row>{''.join(map(_ods_cell, line))}</table:table-row>"


def _ods_cell(one):
    if one is None:
        return "<table:table-cell/>"
    if isinstance(one, str) and one.startswith("<"):
        return one
    if isinstance(one, str):
        return f"<table:table-cell><text:p>{escape(one)}</text:p></table:table-cell>"
    return (
        f'<table:table-cell office:value-type="float" office:value="{one}">'
        f"<text:p>{one}</text:p></table:table-cell>"
    )


def bomb(size=400_000_000):
    """A workbook of 0.4 MB whose one sheet unpacks to `size` bytes."""
    sheet = "xl/worksheets/sheet1.xml"
    whole = zipfile.ZipFile(io.BytesIO(xlsx([["phone"], ["+5511987654321"]])))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in whole.namelist():
            if name != sheet:
                archive.writestr(name, whole.read(name))
        with archive.open(sheet, "w", force_zip64=True) as part:
            start, end = whole.read(sheet).split(b"</sheetData>")
            part.write(start)
            block = b'<row r="9"></row>' * 60_000
            for _time in range(size // len(block)):
                part.write(block)
            part.write(b"</sheetData>" + end)
    return out.getvalue()


def with_size(raw, name, size):
    """Let the directory of an archive lie about how large one part is."""
    raw = bytearray(raw)
    at = raw.rindex(b"PK\x01\x02", 0, raw.rindex(name.encode()))
    raw[at + 24 : at + 28] = size.to_bytes(4, "little")
    return bytes(raw)


def ole(*names):
    """The first signs of an old Office file that holds streams of these names."""
    return (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
        + bytes(504)
        + b"".join(name.encode("utf-16-le").ljust(128, b"\0") for name in names)
    )
