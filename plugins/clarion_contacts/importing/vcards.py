"""Contact cards (.vcf) as a table: versions 2.1, 3.0 and 4.0, one person a row.

A row's number is the place of its card in the file. Of several numbers the one WhatsApp
itself wrote down wins, then a mobile phone, then the preferred one; a fax never.
"""

import codecs
import io
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from clarion_contacts.importing.encodings import Encoding
from clarion_contacts.importing.tables import MAX_CELL, Record, cell_too_large

COLUMNS = (
    "Phone number", "Full name", "First name", "Last name", "E-mail", "Other numbers",
    "Company", "Job title", "Birthday", "City", "Country", "Categories",
)  # fmt: skip
_WANTED = frozenset(
    b"BEGIN END TEL FN N EMAIL ORG TITLE BDAY ADR CATEGORIES X-ABLABEL".split()
)
_LINE = re.compile(
    rb"(?:([A-Za-z0-9_-]+)\.)?([A-Za-z0-9-]+)((?:;(?:[^\":]|\"[^\"]*\")*)?):(.*)", re.DOTALL
)
_NO_PHONE = frozenset({"FAX", "PAGER", "MODEM", "BBS", "TEXTPHONE"})
_MOBILE = frozenset({"CELL", "MOBILE", "IPHONE", "WHATSAPP"})


@dataclass(slots=True)
class _Line:
    """One unfolded line: `TEL;TYPE=CELL:+55…`."""

    group: str
    name: str
    types: frozenset[str]
    params: dict[str, str]
    value: str

    def parts(self) -> list[str]:
        """The parts of a value like that of a name, which are separated by semicolons."""
        return [_plain(one) for one in re.split(r"(?<!\\);", self.value)]


@dataclass(slots=True)
class Cards:
    """A file of cards. `cut` says that the last one read had no end."""

    raw: bytes = field(repr=False)
    coding: Encoding
    cut: bool = False

    def records(self) -> Iterator[Record]:
        """Read one row for each card, with the number of the card."""
        number, depth, lines = 0, 0, list[_Line]()
        for line in self._lines():
            said = line.value.strip().upper()
            if line.name == "BEGIN" and said == "VCARD":
                depth += 1
                if depth == 1:
                    number, lines = number + 1, []
            elif line.name == "END" and said == "VCARD" and depth:
                depth -= 1
                if depth == 0:
                    cells = _row(lines)
                    if max(map(len, cells)) > MAX_CELL:
                        raise cell_too_large(number)
                    yield number, cells
            elif depth == 1:
                lines.append(line)
        self.cut = depth > 0

    def _lines(self) -> Iterator[_Line]:
        for whole in _unfolded(io.BytesIO(_narrow(self.raw, self.coding))):
            found = _LINE.fullmatch(whole)
            if found:
                yield self._line(*found.groups(default=b""))

    def _line(self, group: bytes, name: bytes, params: bytes, value: bytes) -> _Line:
        types, named = set[str](), dict[str, str]()
        for one in _PARAM.findall(params.decode("ascii", "replace")):
            key, equals, said = one.partition("=")
            said = said.strip().strip('"')
            if not equals:
                types.add(key.strip().upper())
            elif key.strip().upper() == "TYPE":
                types |= {part.strip().upper() for part in said.split(",")}
            else:
                named[key.strip().upper()] = said
        packed = "QUOTED-PRINTABLE" in types or named.get("ENCODING", "").upper() in (
            "QUOTED-PRINTABLE",
            "Q",
        )
        return _Line(
            group.decode().upper(),
            name.decode().upper(),
            frozenset(types),
            named,
            self._text(quopri.decodestring(value) if packed else value, named, packed),
        )

    def _text(self, value: bytes, named: dict[str, str], packed: bool) -> str:
        """Bytes that do not fit stay visible as stray ones: their row is refused."""
        told = "utf-8" if packed or _is_wide(self.coding) else self.coding.name
        try:
            told = codecs.lookup(named.get("CHARSET", "") or told).name
            return value.decode(told, "surrogateescape")
        except (LookupError, ValueError):
            return value.decode("utf-8", "surrogateescape")


_PARAM = re.compile(r";((?:[^\";]|\"[^\"]*\")*)")


def _is_wide(coding: Encoding) -> bool:
    return coding.name.startswith(("utf-16", "utf-32"))


def _narrow(raw: bytes, coding: Encoding) -> bytes:
    """Make UTF-16 and UTF-32 readable by lines of bytes."""
    if _is_wide(coding):
        return raw.decode(coding.name).encode()
    return raw.removeprefix(codecs.BOM_UTF8)


def _unfolded(lines: Iterator[bytes] | io.BytesIO) -> Iterator[bytes]:
    """Join lines that were folded; what nobody wants, as pictures, is not kept."""
    kept: list[bytes] = []
    soft = False  # the line before ended in the `=` of quoted-printable
    size = 0
    for ended in lines:
        line = ended.rstrip(b"\r\n")
        if kept and (soft or line[:1] in (b" ", b"\t")):
            line = line if soft else line[1:]
            size += len(line)
            if _is_wanted(kept[0]) and size <= 4 * MAX_CELL:
                kept.append(line)
        else:
            if kept:
                yield b"".join(kept)
            kept, size = [line], len(line)
        soft = line.endswith(b"=") and b"QUOTED-PRINTABLE" in kept[0].upper()
        if soft and kept[-1] is line:
            kept[-1] = line[:-1]
    if kept:
        yield b"".join(kept)


def _is_wanted(line: bytes) -> bool:
    name = re.split(rb"[;:]", line[:80], maxsplit=1)[0]
    return name.rpartition(b".")[2].upper() in _WANTED


def _plain(value: str) -> str:
    """Take the backslashes out."""
    if "\\" not in value:
        return value.strip()
    return re.sub(
        r"\\(.)", lambda m: "\n" if m[1] in "nN" else m[1], value, flags=re.DOTALL
    ).strip()


# --- lines → cells


def _row(lines: list[_Line]) -> list[str]:
    by: dict[str, list[_Line]] = {}
    for line in lines:
        by.setdefault(line.name, []).append(line)
    labels = {one.group: _plain(one.value) for one in by.get("X-ABLABEL", ()) if one.group}
    numbers = _numbers(by.get("TEL", []), labels)
    family, given = _first(by, "N", 2)
    name = _plain(by["FN"][0].value) if "FN" in by else f"{given} {family}".strip()
    address = next((one.parts() for one in by.get("ADR", ())), [])
    address += [""] * (7 - len(address))
    mails = sorted(by.get("EMAIL", ()), key=lambda one: -_preferred(one))
    return [
        numbers[0] if numbers else "",
        name,
        given,
        family,
        _plain(mails[0].value) if mails else "",
        ", ".join(numbers[1:]),
        _first(by, "ORG", 1)[0],
        _plain(by["TITLE"][0].value) if "TITLE" in by else "",
        _day(_plain(by["BDAY"][0].value)) if "BDAY" in by else "",
        address[3],
        address[6],
        ", ".join(_plain(one.value) for one in by.get("CATEGORIES", ())),
    ]


def _first(by: dict[str, list[_Line]], name: str, count: int) -> list[str]:
    parts = by[name][0].parts() if name in by else []
    return (parts + [""] * count)[:count]


def _numbers(lines: list[_Line], labels: dict[str, str]) -> list[str]:
    """The phone numbers of a card, the best first, each once."""
    ranked = sorted(
        (-_rank(line, labels.get(line.group, "")), place, _number(line))
        for place, line in enumerate(lines)
        if not line.types & _NO_PHONE
    )
    return list(dict.fromkeys(number for _rank, _place, number in ranked if number))


def _rank(line: _Line, label: str) -> int:
    said = label.casefold()
    whatsapp = "WAID" in line.params or "whatsapp" in said
    mobile = bool(line.types & _MOBILE) or "mob" in said or "cell" in said
    return 100 * whatsapp + 10 * mobile + _preferred(line)


def _preferred(line: _Line) -> int:
    return int("PREF" in line.types or line.params.get("PREF") == "1")


def _number(line: _Line) -> str:
    waid = line.params.get("WAID", "")
    if re.fullmatch(r"[0-9]{7,15}", waid):
        return f"+{waid}"
    value = _plain(line.value)
    return value[4:] if value[:4].lower() == "tel:" else value


def _day(value: str) -> str:
    found = re.fullmatch(r"(\d{4})-?(\d\d)-?(\d\d)(?:T.*)?", value)
    return "-".join(found.groups()) if found else value
