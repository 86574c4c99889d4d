"""Which encoding wrote these bytes: told by marks and shapes, else by the letters.

General detectors read `João` in Windows-1252 as Central European (measured), because
lists of names have few accents. Here every candidate reads the bytes, and the reading
whose letters one language really uses wins; a narrow win is reported as not sure.
"""

import codecs
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO

from clarion.base.errors import Invalid
from clarion.base.words import _
from clarion_contacts.importing.source import Source

SAMPLED = 4_000  # lines with accents that are enough to judge by


@dataclass(frozen=True, slots=True)
class Encoding:
    """A guess.

    Attributes:
        name: Python's name of the codec.
        sure: False when another reading is almost as good; ask the person.
        mixed: some lines are in another encoding; their bytes come as lone surrogates.
    """

    name: str
    sure: bool = True
    mixed: bool = False

    @property
    def errors(self) -> str:
        """How to decode: strictly, or keeping what does not fit visible."""
        return "surrogateescape" if self.mixed else "strict"


def guess_encoding(given: bytes | BinaryIO | Source) -> Encoding:
    """Guess the encoding of a text file. Raises `Invalid` for binary data."""
    source = Source.of(given)
    start = source.start(4)
    for mark, name in _MARKS:
        if start.startswith(mark):
            if not _fits(source, name):
                raise _undecodable(name)
            return Encoding(name)
    if source.has(b"\0"):
        return _wide(source)
    if all(map(bytes.isascii, source.chunks())):
        shift = source.has(b"\x1b$") and _fits(source, "iso2022_jp")
        return Encoding("iso2022_jp" if shift else "utf-8")
    if _fits(source, "utf-8"):
        return Encoding("utf-8")
    return _legacy(source)


def check_encoding(source: Source, name: str) -> Encoding:
    """Accept the encoding a person chose, or raise `Invalid` when it does not fit."""
    try:
        codec = codecs.lookup(name).name
    except LookupError:
        raise Invalid(
            "file_encoding", _("“%(name)s” is not an encoding we know.", name=name)
        ) from None
    marked = source.start(3) == codecs.BOM_UTF8
    codec = "utf-8-sig" if codec == "utf-8" and marked else codec
    if not _fits(source, codec):
        raise _undecodable(name)
    return Encoding(codec)


_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def _undecodable(name: str) -> Invalid:
    return Invalid(
        "file_encoding",
        _(
            "This file cannot be read as %(name)s. Choose another encoding, or save it "
            "as “CSV UTF-8”.",
            name=name.upper(),
        ),
    )


def _fits(source: Source, name: str) -> bool:
    decoder = codecs.getincrementaldecoder(name)()
    try:
        for chunk in source.chunks():
            if "\0" in decoder.decode(chunk):
                return False
        decoder.decode(b"", final=True)
    except (UnicodeError, ValueError):
        return False
    return True


def _wide(source: Source) -> Encoding:
    """UTF-16 or UTF-32 without a mark: the zeros stand in every second or fourth place."""
    sample = source.start(1 << 16)
    fitting = [
        name
        for name, width in (
            ("utf-32-le", 4),
            ("utf-32-be", 4),
            ("utf-16-le", 2),
            ("utf-16-be", 2),
        )
        if source.size % width == 0 and _looks_written(sample, name) and _fits(source, name)
    ]
    if not fitting:
        line = next(at for at, one in enumerate(source.lines(), 1) if b"\0" in one)
        raise Invalid(
            "file_nul",
            _(
                "Line %(line)s has NUL characters in it: the file is damaged or is not "
                "text. Save it again as CSV.",
                line=line,
            ),
        )
    return Encoding(fitting[0])


def _looks_written(sample: bytes, name: str) -> bool:
    text = sample.decode(name, "replace")
    usual = sum(
        1 for sign in text if sign in "\r\n\t" or unicodedata.category(sign)[0] in "LNPZSM"
    )
    ends = sum(text.count(sign) for sign in "\n\r,;\t|")
    return usual > 0.98 * len(text) and (ends > 0 or text.isprintable())


# --- encodings of before Unicode: judged by the letters they would give


def _legacy(source: Source) -> Encoding:
    accented, modern, judged = 0, 0, list[bytes]()
    for line in source.lines():
        if line.isascii():
            continue
        accented += 1
        if _is_utf8(line):
            modern += 1
        elif accented <= SAMPLED:
            judged.append(line)
    ranked = _rank(b"\n".join(judged)[: 1 << 15])
    best = next((one for one in ranked if _fits(source, one[1])), None)
    many_bytes = best is not None and best[1] in _WIDE_CODECS
    if modern and (best is None or not many_bytes or modern * 10 >= accented):
        return Encoding("utf-8", mixed=True, sure=False)
    if best is None:
        raise Invalid(
            "file_encoding",
            _("We cannot tell how this file's letters are encoded. Save it as CSV UTF-8."),
        )
    score, name, text = best
    rivals = [other for other in ranked if other[1] != name and other[2] != text]
    clear = all(score - other[0] >= 0.1 for other in rivals)
    return Encoding(name, sure=clear and score >= 0.7)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _rank(sample: bytes) -> list[tuple[float, str, str]]:
    ranked = []
    for place, (name, judge) in enumerate(_CANDIDATES):
        try:
            text = sample.decode(name)
        except UnicodeDecodeError as odd:
            if odd.end < len(sample) - 1:
                continue
            text = sample[: odd.start].decode(name)  # the sample ends inside a letter
        ranked.append((judge(text) - place * 1e-6, name, text))
    return sorted(ranked, reverse=True)


_LATIN = {
    "cp1252": (
        "áàâãçéêíóôõúü",  # Portuguese
        "áéíóúñü¿¡",
        "àâæçéèêëîïôœùûüÿ",
        "äöüß",
        "àèéìíòóù",
        "åæøäöé",
        "ëïéèö",
    ),
    "cp1250": ("ąćęłńóśźż", "áčďéěíňóřšťúůýžäľĺŕô", "áéíóöőúüű", "ăâîşţ", "čćđšž"),
    "cp1254": ("çğıöşüâîi̇",),
}
_PUNCTUATION = frozenset("ºª°€–—’‘“”…·«»§£×\xa0")


def _latin(alphabets: tuple[str, ...]) -> Callable[[str], float]:
    sets = [frozenset(letters + letters.upper()) for letters in alphabets]
    union = frozenset().union(*sets)

    def judge(text: str) -> float:
        foreign = [sign for sign in text if sign > "\x7f" and sign not in _PUNCTUATION]
        if not foreign:
            return 0.5
        one = max(sum(sign in letters for sign in foreign) for letters in sets)
        any_ = sum(sign in union for sign in foreign)
        runs = sum(len(run) for run in _FOREIGN_RUN.findall(text))
        penalty = _case_breaks(text) + runs
        return (0.5 * one + 0.5 * any_ - penalty) / len(foreign)

    return judge


_FOREIGN_RUN = re.compile(r"[^\W\d_a-zA-Z]{3,}")
_MIXED_WORD = re.compile(r"[a-zA-Z](?=[^\x00-\x7f])|(?<=[^\x00-\x7f])[a-zA-Z]")


def _case_breaks(text: str) -> int:
    """Capitals right after small letters of a word: a reading with the wrong table."""
    return sum(
        1
        for before, sign in pairwise(text)
        if sign > "\x7f" and sign.isupper() and before.islower()
    )


def _script(common: str, rest: str) -> Callable[[str], float]:
    frequent, other = frozenset(common + common.upper()), frozenset(rest + rest.upper())

    def judge(text: str) -> float:
        foreign = [sign for sign in text if sign > "\x7f" and sign not in _PUNCTUATION]
        if not foreign:
            return 0.0
        good = sum(
            1.0 if sign in frequent else 0.5 if sign in other else -0.5 for sign in foreign
        )
        penalty = len(_MIXED_WORD.findall(text)) + _case_breaks(text)
        return (good - penalty) / len(foreign)

    return judge


def _thai(text: str) -> float:
    foreign = [sign for sign in text if sign > "\x7f"]
    good = sum("ก" <= sign <= "๛" for sign in foreign)
    loose = sum(
        1
        for before, sign in zip(" " + text, text, strict=False)
        if unicodedata.category(sign) == "Mn" and not "ก" <= before <= "๛"
    )
    penalty = len(_MIXED_WORD.findall(text)) + loose
    return (0.95 * good - penalty) / max(1, len(foreign))


def _east(weigh: Callable[[str], float]) -> Callable[[str], float]:
    def judge(text: str) -> float:
        foreign = [sign for sign in text if sign > "\x7f"]
        mixed = len(_MIXED_WORD.findall(text))
        return (sum(map(weigh, foreign)) - mixed) / max(1, len(foreign))

    return judge


def _in_table(codec: str, first: int, last: int, usual: float) -> Callable[[str], float]:
    def weigh(sign: str) -> float:
        if sign in _WIDE_SIGNS:
            return usual
        try:
            lead = sign.encode(codec)[0]
        except UnicodeEncodeError:
            return -0.3
        return usual if first <= lead <= last else 0.2

    return weigh


_WIDE_SIGNS = frozenset("，。、；：（）！？　“”—")


def _japanese(table: Callable[[str], float]) -> Callable[[str], float]:
    def weigh(sign: str) -> float:
        if "\u3041" <= sign <= "\u30fe":
            return 1.0
        return -0.2 if "\uff61" <= sign <= "\uff9f" else table(sign)

    return weigh


def _korean(sign: str) -> float:
    if not "가" <= sign <= "힣":
        return 0.2
    try:
        return 1.0 if len(sign.encode("euc_kr")) == 2 else 0.3
    except UnicodeEncodeError:
        return 0.3


_KANJI = _in_table("euc_jp", 0xB0, 0xCF, 0.9)
_CYRILLIC = _script("оеаинтсрвлкмдпуья", "йцгшщзхъфыжэячбюёіїєґ№")
_WIDE_CODECS = frozenset({"gb18030", "big5", "cp932", "euc_jp", "cp949"})
_CANDIDATES: tuple[tuple[str, Callable[[str], float]], ...] = (
    *((name, _latin(alphabets)) for name, alphabets in _LATIN.items()),
    ("cp1251", _CYRILLIC),
    ("koi8_r", _CYRILLIC),
    ("cp866", _CYRILLIC),
    ("gb18030", _east(_in_table("gb2312", 0xB0, 0xD7, 0.95))),
    ("big5", _east(_in_table("big5", 0xA4, 0xC6, 0.95))),
    ("cp932", _east(_japanese(_KANJI))),
    ("euc_jp", _east(_japanese(_KANJI))),
    ("cp949", _east(_korean)),
    ("cp1253", _script("αοιετνσρκπμλυηςάόίέώγ", "βδζθξφχψωύήΐΰϊϋ")),
    ("cp1256", _script("ابتدرسعفقلمنهويةحكأإجخيىشصطزغ", "ثذضظءآؤئپچگژ،؟")),
    ("cp1255", _script("אבגדהוחילמנרשתםקפצעסטזכןךףץ", "")),
    ("cp874", _thai),
    ("mac_roman", _latin(_LATIN["cp1252"])),
    ("cp850", _latin(_LATIN["cp1252"])),
)
