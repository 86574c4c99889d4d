"""The parts of a workbook, which is a ZIP archive of XML: nothing unpacks without a limit.

The directory of an archive may lie, so bytes are counted as they come out. Entities are
never declared in a workbook that a program wrote; a part that declares some is refused.
"""

import io
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NoReturn
from xml.parsers import expat

from clarion.base.errors import Invalid
from clarion.base.words import _

MAX_UNPACKED = 200 * 1024 * 1024
MAX_RATIO = 100
MAX_PARTS = 1_000
SMALL = 8 * 1024 * 1024  # so much may be packed as tightly as it likes
CHUNK = 1 << 16
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENTRY = b"PK\x01\x02"

Handler = Callable[[str, dict[str, str]], None]


@dataclass(slots=True)
class Archive:
    """An archive whose directory was looked through."""

    zip: zipfile.ZipFile
    names: frozenset[str]

    def part(self, name: str) -> Iterator[bytes]:
        """Unpack one part, chunk by chunk."""
        left = MAX_UNPACKED
        with damaged(), self.zip.open(name) as packed:
            while chunk := packed.read(CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise _unpacks_too_large()
                yield chunk

    def whole(self, name: str, most: int = 1 << 20) -> bytes:
        """Unpack a small part; of a larger one, the beginning."""
        found = bytearray()
        for chunk in self.part(name):
            found += chunk
            if len(found) >= most:
                break
        return bytes(found)


def opened(raw: bytes) -> Archive:
    """Open an archive and refuse what no spreadsheet program writes."""
    if raw.count(_ENTRY) > MAX_PARTS:
        raise Invalid("file_too_many_parts", _("This archive has more than 1,000 parts."))
    with damaged():
        archive = zipfile.ZipFile(io.BytesIO(raw))
    infos = archive.infolist()
    names = frozenset(info.filename for info in infos)
    if len(names) < len(infos) or any(_is_unsafe(info) for info in infos):
        raise Invalid(
            "file_unsafe",
            _("This archive holds parts that no spreadsheet program writes."),
        )
    if any(info.flag_bits & 1 for info in infos):
        raise encrypted()
    unpacked = sum(info.file_size for info in infos)
    if unpacked > MAX_UNPACKED:
        raise _unpacks_too_large()
    if unpacked > SMALL and unpacked > MAX_RATIO * len(raw):
        raise Invalid(
            "file_bomb",
            _("This archive unpacks to more than a hundred times its size."),
        )
    return Archive(archive, names)


def _is_unsafe(info: zipfile.ZipInfo) -> bool:
    place = PurePosixPath(info.filename.replace("\\", "/"))
    return (
        place.is_absolute()
        or ".." in place.parts
        or ":" in info.filename[:3]
        or info.compress_type not in _PACKED
        or stat.S_ISLNK(info.external_attr >> 16)
    )


def _unpacks_too_large() -> Invalid:
    return Invalid(
        "file_unpacks_too_large",
        _("This file unpacks to more than 200 MB. Save the sheet as CSV and upload that."),
    )


def encrypted() -> Invalid:
    """Refuse what only its owner can open."""
    return Invalid(
        "file_encrypted",
        _("This workbook is protected with a password. Save it without one."),
    )


def macros() -> Invalid:
    """Refuse programs; a list of people has none."""
    return Invalid(
        "file_macros",
        _("This workbook has macros in it. Save it as an ordinary workbook (.xlsx)."),
    )


@contextmanager
def damaged() -> Iterator[None]:
    """Say in our words that an archive is broken."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        KeyError,
        NotImplementedError,
        OSError,
        OverflowError,
        RuntimeError,
        UnicodeError,
        ValueError,
    ):
        raise broken() from None


def broken() -> Invalid:
    """Refuse what cannot be read to its end."""
    return Invalid(
        "file_damaged",
        _("This workbook is damaged: it cannot be read to its end. Save it anew."),
    )


def parser(
    start: Handler, end: Callable[[str], None], text: Callable[[str], None]
) -> expat.XMLParserType:
    """Make a parser that calls with local names, and refuses entities."""
    made = expat.ParserCreate()
    made.buffer_text = True
    made.StartDoctypeDeclHandler = _refuse_entities
    made.EntityDeclHandler = _refuse_entities
    made.StartElementHandler = start
    made.EndElementHandler = end
    made.CharacterDataHandler = text
    return made


def _refuse_entities(*_told: object) -> NoReturn:
    raise Invalid(
        "file_entities",
        _("This workbook declares entities of its own, which no spreadsheet program does."),
    )


def feed(made: expat.XMLParserType, chunks: Iterator[bytes]) -> Iterator[None]:
    """Parse a part; stops after each chunk, so that what was found can be taken."""
    try:
        for chunk in chunks:
            made.Parse(chunk, False)
            yield
        made.Parse(b"", True)
        yield
    except expat.ExpatError as odd:
        if odd.code == _NO_MEMORY:
            raise MemoryError from None
        raise broken() from None


_NO_MEMORY = 1  # XML_ERROR_NO_MEMORY
