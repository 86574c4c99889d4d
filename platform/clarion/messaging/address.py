"""Identifiers of people: read them as humans write them, one spelling per person.

A phone number is stored as E.164 (`+` and country code). Three countries have more than
one spelling for one phone; `_one_spelling` folds them, so that a person is one contact:

- Brazil: mobile numbers got a ninth digit (ANATEL Resolution 553/2010, complete since
  2016), but WhatsApp ids of older accounts still lack it. The 9 is put in. Trunked radio
  (70, 77-79) never got one.
- Mexico: the 1 after +52 is not dialled since 2019 (IFT), but older WhatsApp ids carry
  it. It is taken out, and so are the old prefixes 01, 044 and 045.
- Argentina: WhatsApp wants a 9 after +54 and no 15
  (faq.whatsapp.com/1294841057948784). The 9 is put in, for every geographic number.

The provider may answer with the other spelling; both have the same `index`.
"""

import hmac
import re
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal, NamedTuple

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberType, ValidationResult
from phonenumbers.phonemetadata import PhoneMetadata

from clarion.base.errors import Invalid
from clarion.base.words import _

Kind = Literal["phone", "wa_id", "bsuid", "parent_bsuid", "username", "email"]


class BadPhone(Invalid):
    """A text that is not one usable phone number; `code` starts with `phone_`."""


@dataclass(frozen=True, slots=True)
class Phone:
    """One phone number.

    Attributes:
        e164: `+` and digits, in the one spelling of its person.
        extension: digits behind a switchboard, which no message reaches.
    """

    e164: str
    extension: str = ""

    @property
    def region(self) -> str:
        """The country as two letters; empty when it belongs to none."""
        return region_of(self.e164)


def parse_phone(text: str, region: str | None = None) -> Phone:
    """Read one phone number as a person or a spreadsheet wrote it.

    `region` is the country (two letters) of numbers written without a country code.
    Raises `BadPhone` with a named reason; never guesses between two people.
    """
    if _TIDY.fullmatch(text):
        digits = text.translate(_UNSPACED)
        if digits[0] == "+":
            digits = _one_spelling(digits[1:])
            if _certain(digits):
                return Phone("+" + digits)
        elif found := _certain_here(digits, region):
            return Phone("+" + found)
    return _read(text, region)


def normalise(kind: Kind, value: str) -> str:
    """One spelling per identifier, so that equal people are equal strings.

    Raises `Invalid` (`<kind>_malformed`, or a `phone_…` code) when it cannot be one.
    """
    if kind == "phone":
        return parse_phone(value).e164
    value = _plain(value).strip()
    if kind == "wa_id":
        digits = value.lstrip("+")
        if not re.fullmatch(r"[0-9]{5,20}", digits):
            raise Invalid("wa_id_malformed", _("A WhatsApp id has digits only."))
        return "+" + _one_spelling(digits)
    if kind == "email":
        return _email(value)
    if kind == "username":
        name = value.removeprefix("@").casefold()
        if not re.fullmatch(r"[\w.]{1,64}", name):
            raise Invalid("username_malformed", _("This is not a user name."))
        return name
    if not re.fullmatch(r"[!-~]{3,160}", value):  # the shape is Meta's to change
        raise Invalid("bsuid_malformed", _("This is not a business-scoped id."))
    return value


def mask(kind: Kind, value: str) -> str:
    """Shorten an identifier for logs and staff: `+91••••1234`, `m••••@example.com`."""
    if kind in {"phone", "wa_id"}:
        digits = value.lstrip("+")
        plan = _plan_of(digits)
        head = plan.code if plan else ""
        tail = digits[-4:] if len(digits) > len(head) + 6 else digits[-2:]
        return f"+{head}{_DOTS}{tail}"
    if kind == "email":
        name, _at, domain = value.rpartition("@")
        return f"{name[:1]}{_DOTS}@{domain}"
    if kind == "username":
        return f"@{value.removeprefix('@')[:1]}{_DOTS}"
    head = value.partition(".")[0] if "." in value else ""
    return f"{head}.{_DOTS}{value[-4:]}"


def index(key: bytes, kind: Kind, value: str) -> bytes:
    """Blind index of an identifier: HMAC-SHA256 (32 bytes) under an account's key.

    A phone number and a WhatsApp id of the same person are the same index, and so are a
    business-scoped id and a parent id of the same text: a STOP by one silences the other.
    """
    said = family(kind) + normalise(kind, value)
    return hmac.digest(key, said.encode(), "sha256")


def family(kind: Kind) -> str:
    """Say how the text begins whose HMAC is the `index` of a kind."""
    return f"{_FAMILY[kind]}:"


@lru_cache(maxsize=65_536)
def region_of(e164: str) -> str:
    """The country of an E.164 number as two letters; empty when it belongs to none."""
    plan = _plan_of(e164.lstrip("+"))
    if plan is None:
        return ""
    if plan.alone:
        return plan.region if plan.region != _NOWHERE else ""
    try:
        number = phonenumbers.parse(e164, None)
    except phonenumbers.NumberParseException:
        return plan.region
    return phonenumbers.region_code_for_number(number) or plan.region


def prefix_of(region: str) -> tuple[str, bool]:
    """How numbers of a country begin (`+55`), and whether they alone begin so."""
    code = phonenumbers.country_code_for_region(region)
    shared = len(phonenumbers.region_codes_for_country_code(code)) > 1
    return (f"+{code}", not shared) if code else ("", False)


def regions() -> frozenset[str]:
    """Every country `parse_phone` knows, as two letters."""
    return frozenset(phonenumbers.SUPPORTED_REGIONS)


_TIDY = re.compile(r"\+?[0-9](?:[ -]?[0-9]){6,14}|\([0-9]{2,3}\)(?:[ -]?[0-9]){6,12}")
_UNSPACED = str.maketrans("", "", " -()")
_DOTS = "••••"
_NOWHERE = "001"  # the library's name for satellite and freephone codes
_FAMILY: dict[Kind, str] = {
    "phone": "phone",
    "wa_id": "phone",
    "bsuid": "bsuid",
    "parent_bsuid": "bsuid",
    "username": "username",
    "email": "email",
}

_BRAZIL = re.compile(r"55([1-9][1-9])([689][0-9]{7}|7[1-6][0-9]{6})")
_MEXICO = re.compile(r"52(?:1|01|044|045)([2-9][0-9]{9})")
_ARGENTINA = re.compile(r"54((?:11|[23][0-9])[0-9]{8})")
_ARGENTINA_15 = re.compile(r"549(11|[23][0-9]{2,3})15([0-9]{6,8})")


def _one_spelling(digits: str) -> str:
    """Fold the spellings of Brazil, Mexico and Argentina (see the module's words)."""
    country = digits[:2]
    if country == "55":
        found = _BRAZIL.fullmatch(digits)
        return f"55{found[1]}9{found[2]}" if found else digits
    if country == "52":
        found = _MEXICO.fullmatch(digits)
        return f"52{found[1]}" if found else digits
    if country != "54":
        return digits
    if found := _ARGENTINA.fullmatch(digits):
        return f"549{found[1]}"
    found = _ARGENTINA_15.fullmatch(digits)
    if found and len(found[1]) + len(found[2]) == 10:
        return f"549{found[1]}{found[2]}"
    return digits


# --- the numbering plans of the library, kept ready for the common case


class _Plan(NamedTuple):
    code: str
    region: str
    alone: bool  # one country per code
    lengths: frozenset[int]  # of mobile numbers, without the country code
    general: re.Pattern[str]
    trunk: re.Pattern[str] | None  # what the library would strip in front


@cache
def _plan(code: int) -> _Plan | None:
    names = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(code)
    if not names:
        return None
    main = names[0]
    data = (
        PhoneMetadata.metadata_for_nongeo_region(code)
        if main == _NOWHERE
        else PhoneMetadata.metadata_for_region(main)
    )
    if data is None or data.general_desc is None:
        return None
    prefix = data.national_prefix_for_parsing
    return _Plan(
        code=str(code),
        region=main,
        alone=len(names) == 1,
        lengths=frozenset(data.mobile.possible_length if data.mobile else ()),
        general=re.compile(data.general_desc.national_number_pattern or "(?!)"),
        trunk=re.compile(prefix) if prefix else None,
    )


class _Home(NamedTuple):
    code: str
    general: re.Pattern[str]
    mobile: re.Pattern[str]
    trunk: re.Pattern[str] | None
    exit: re.Pattern[str]  # what is dialled before a country code


@cache
def _home(region: str) -> _Home | None:
    data = PhoneMetadata.metadata_for_region(region)
    if data is None or data.general_desc is None or data.mobile is None:
        return None
    prefix = data.national_prefix_for_parsing
    return _Home(
        code=str(data.country_code),
        general=re.compile(data.general_desc.national_number_pattern or "(?!)"),
        mobile=re.compile(data.mobile.national_number_pattern or "(?!)"),
        trunk=re.compile(prefix) if prefix else None,
        exit=re.compile(data.international_prefix or "(?!)"),
    )


@cache
def _plan_at(head: str) -> _Plan | None:
    if head[0] == "0":
        return None
    for size in (1, 2, 3):
        if plan := _plan(int(head[:size])):
            return plan
    return None


def _plan_of(digits: str) -> _Plan | None:
    head = digits[:3]
    return _plan_at(head) if head.isdigit() else None


def _certain(digits: str) -> bool:
    """Whether the library would read these E.164 digits as they stand, and we keep them.

    The fast way for clean files; a test holds it equal to `_international`.
    """
    plan = _plan_of(digits)
    if plan is None:
        return False
    national = digits[len(plan.code) :]
    if len(national) not in plan.lengths or not plan.general.fullmatch(national):
        return False
    front = plan.trunk.match(national) if plan.trunk else None
    return front is None or front.end() == 0


def _certain_here(digits: str, region: str | None) -> str | None:
    """Read a mobile number as its own country writes it, or nothing.

    The fast way for national numbers; a test holds it equal to `_national`.
    """
    home = _home(region) if region else None
    if home is None or home.exit.match(digits):
        return None
    front = home.trunk.match(digits) if home.trunk else None
    if front and front.end():
        if any(front.groups()) or home.general.fullmatch(digits):
            return None
        digits = digits[front.end() :]
    if not home.mobile.fullmatch(digits):
        return None
    found = home.code + digits
    return found if _one_spelling(found) == found else None


# --- the slow way, for everything that is not clean

_SPACES = re.compile(r"\s+")
_LABEL = re.compile(
    r"(?:tel(?:e?fone?|\.? ?no)?|phone(?: ?no)?|ph(?: ?no)?|mob(?:ile)?|cell?|celular|"
    r"handy|fone|whats ?app|wa)\s*[:.]*\s*(?=[+(0-9])",
    re.IGNORECASE,
)
_EXTENSION = re.compile(
    r"[\s,;]*(?:;ext=|ext(?:ension|n)?|x|ramal|anexo|interno|int|poste|durchwahl|dw|#)"
    r"\s*[:.]?\s*([0-9]{1,7})",
    re.IGNORECASE,
)
_SCIENTIFIC = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)?\s*[eE]\s*[+-]?\s*[0-9]+")
_BETWEEN = re.compile(r"[/;|&,]|\s(?:or|ou|oder|und|and|o|e|y|et)\s", re.IGNORECASE)
_WHOLE = re.compile(r"(\+?[0-9]{6,})[.,]0+")
_FRACTION = re.compile(r"\+?[0-9]{7,}[.,][0-9]+")
_SIGNS = re.compile(r"[-0-9+()\[\]./, ~‐‑‒–—―−]*")
_ZERO = re.compile(r"(\+?\s*[0-9]{1,3}\s*)\(0\)")
_LONGEST = 120  # signs; a cell may hold 32 KB, and the patterns below need not see that
_NOTHING = frozenset({"", "-", "--", "n/a", "na", "null", "none", "nan", "#n/a", "."})
_KEEPS_ZERO = frozenset({"39", "378", "379"})  # Italy dials the 0 from abroad, too


def _read(text: str, region: str | None) -> Phone:
    said = _unwrap(_plain(text))
    if said.casefold() in _NOTHING:
        raise BadPhone("phone_empty", _("There is no phone number."))
    if len(said) > _LONGEST:
        raise _too_long(said)
    if _SCIENTIFIC.fullmatch(said):
        raise BadPhone(
            "phone_scientific",
            _(
                "Excel turned this number into %(text)s: the digits are lost. Format "
                "the column as text and export it again.",
                text=said,
            ),
        )
    if label := _LABEL.match(said):
        said = said[label.end() :]
    said, extension = _without_extension(said)
    _refuse_two(said)
    _refuse_strange(said)
    if whole := _WHOLE.fullmatch(said):
        said = whole[1]
    zero = _ZERO.match(said)
    if zero and _digits(zero[1]) not in _KEEPS_ZERO:
        said = zero[1] + said[zero.end() :]
    digits = _digits(said)
    if "+" in said or digits.startswith("00"):
        number = _international(digits.lstrip("0") if "+" not in said else digits)
    else:
        number = _national(digits, region)
    return Phone("+" + number, extension)


def _plain(text: str) -> str:
    """Ordinary digits, signs and spaces; what cannot be seen is dropped."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
        text = "".join(_plain_sign(sign) for sign in text)
    elif text.isprintable():
        return text
    return "".join(
        ";" if sign in "\r\n" else " " if sign == "\t" else sign
        for sign in text
        if sign in "\r\n\t" or sign.isprintable()
    )


def _plain_sign(sign: str) -> str:
    category = unicodedata.category(sign)
    if category == "Nd":
        return str(unicodedata.decimal(sign))
    if category == "Cf":
        return ""
    return " " if category in {"Zs", "Zl", "Zp"} else sign


def _unwrap(said: str) -> str:
    """Take off what a spreadsheet wraps around text: `'0151…`, `="0151…"`."""
    said = _SPACES.sub(" ", said).strip(" ;")
    if said.startswith("="):
        inner = said[1:].strip()
        if inner[:1] in {'"', "+"}:
            said = inner
    return said.strip(" '\"`´‘’“”")


def _without_extension(said: str) -> tuple[str, str]:
    for found in _EXTENSION.finditer(said):
        if found.end() == len(said) and len(_digits(said[: found.start()])) >= 7:
            return said[: found.start()].rstrip(" ,;("), found[1]
    return said, ""


def _refuse_two(said: str) -> None:
    parts = [part for part in _BETWEEN.split(said) if _digits(part)]
    two = len(parts) > 1 and len(_digits(parts[0])) >= 7
    if not two and said.count("+") > 1:
        two = len([part for part in said.split("+") if len(_digits(part)) >= 7]) > 1
    if not two and len(_digits(said)) > 15:
        two = len([part for part in said.split(" ") if len(_digits(part)) >= 7]) > 1
    if two and not _WHOLE.fullmatch(said):
        raise BadPhone(
            "phone_two_numbers",
            _("There are two phone numbers in one cell: “%(text)s”.", text=_short(said)),
        )


def _refuse_strange(said: str) -> None:
    if any(sign.isalpha() for sign in said):
        raise BadPhone(
            "phone_letters",
            _("“%(text)s” has letters in it and is no phone number.", text=_short(said)),
        )
    inside = said.lstrip("( [+").rstrip("+ ")
    if not _SIGNS.fullmatch(said) or "+" in inside or said.startswith("-"):
        raise BadPhone(
            "phone_signs",
            _(
                "“%(text)s” has signs in it that no phone number has.",
                text=_short(said),
            ),
        )
    if _FRACTION.fullmatch(said) and not _WHOLE.fullmatch(said):
        raise BadPhone(
            "phone_fraction",
            _("“%(text)s” is a number with a fraction, not a phone number.", text=said),
        )


def _digits(said: str) -> str:
    return "".join(sign for sign in said if "0" <= sign <= "9")


def _short(said: str) -> str:
    return said if len(said) <= 40 else said[:39] + "…"


def _international(digits: str) -> str:
    if len(digits) < 7:
        raise _too_short(digits)
    if _plan_of(digits) is None:
        raise BadPhone(
            "phone_no_country",
            _("No country has the code +%(code)s.", code=digits[:3]),
        )
    if (number := _parsed("+" + digits, None)) is None:
        raise _too_long(digits) if len(digits) > 15 else _not_possible(digits)
    if not _usable(number):
        raise _problem(number)
    return _spelled(number)


def _national(digits: str, region: str | None) -> str:
    """Read digits without a country code: as the region's, or with the `+` forgotten.

    Where both readings are real, the region's mobile number wins, with its country code
    or without; a landline here that is also a mobile phone abroad is refused, because it
    might be a stranger's.
    """
    if not region or region not in phonenumbers.SUPPORTED_REGIONS:
        raise BadPhone(
            "phone_no_country",
            _("The country code is missing: write “+” and the code in front."),
        )
    if len(digits) < 5:
        raise _too_short(digits)
    here = _parsed(_shorn(digits, region), region)
    here_type = phonenumbers.number_type(here) if here else _UNKNOWN
    if here and here_type in _MOBILE:
        return _spelled(here)
    abroad = None if digits[0] == "0" else _parsed("+" + digits, None)
    abroad_type = phonenumbers.number_type(abroad) if abroad else _UNKNOWN
    if here and here_type != _UNKNOWN:
        if abroad and abroad_type in _MOBILE and _spelled(abroad) != _spelled(here):
            if abroad.country_code == here.country_code:
                return _spelled(abroad)
            raise _ambiguous(here, abroad)
        return _spelled(here)
    if abroad and abroad_type in _MOBILE:
        return _spelled(abroad)
    if here and _usable(here):
        return _spelled(here)
    if abroad and abroad_type != _UNKNOWN:
        return _spelled(abroad)
    if here:
        raise _problem(here)
    raise _too_long(digits) if len(digits) > 15 else _not_possible(digits)


_UNKNOWN = PhoneNumberType.UNKNOWN
_MOBILE = frozenset({PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE})
_OLD_MEXICO = re.compile(r"(?:01|044|045|1)(?=[2-9][0-9]{9}$)")


def _shorn(digits: str, region: str) -> str:
    return _OLD_MEXICO.sub("", digits, count=1) if region == "MX" else digits


def _parsed(text: str, region: str | None) -> PhoneNumber | None:
    """The library's reading in our one spelling; None when it has none."""
    try:
        number = phonenumbers.parse(text, region)
        spelled = _spelled(number)
        folded = _one_spelling(spelled)
        return number if folded == spelled else phonenumbers.parse("+" + folded, None)
    except phonenumbers.NumberParseException:
        return None


def _spelled(number: PhoneNumber) -> str:
    digits: str = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return digits[1:]


def _usable(number: PhoneNumber) -> bool:
    """Long enough for a mobile phone, or known to the library.

    Not every number of a new range is known to it, so the length alone is enough where
    the country's mobile numbers have one; “possible” as the library means it is not:
    it allows four digits in Germany.
    """
    return _certain(_spelled(number)) or bool(phonenumbers.is_valid_number(number))


def _problem(number: PhoneNumber) -> BadPhone:
    digits = _spelled(number)
    verdict = phonenumbers.is_possible_number_for_type_with_reason(
        number, PhoneNumberType.MOBILE
    )
    if verdict in {ValidationResult.TOO_SHORT, ValidationResult.IS_POSSIBLE_LOCAL_ONLY}:
        return _too_short(digits)
    if verdict == ValidationResult.TOO_LONG:
        return _too_long(digits)
    return _not_possible(digits)


def _too_short(digits: str) -> BadPhone:
    return BadPhone(
        "phone_too_short",
        _(
            "“%(text)s” has too few digits for a phone number; is the area code missing?",
            text=digits,
        ),
    )


def _too_long(digits: str) -> BadPhone:
    return BadPhone(
        "phone_too_long",
        _("“%(text)s” is too long for a phone number.", text=_short(digits)),
    )


def _not_possible(digits: str) -> BadPhone:
    return BadPhone(
        "phone_not_possible",
        _("“%(text)s” cannot be a phone number in any country we know.", text=digits),
    )


def _ambiguous(here: PhoneNumber, abroad: PhoneNumber) -> BadPhone:
    return BadPhone(
        "phone_ambiguous",
        _(
            "This could be +%(here)s or +%(abroad)s: write “+” and the country code.",
            here=_spelled(here),
            abroad=_spelled(abroad),
        ),
    )


_EMAIL = re.compile(
    r"[^\s@<>()\[\],;:\\\"]{1,64}@(?:[^\s@.,;:<>()]+\.)+[^\s@.,;:<>()]{2,63}"
)


def _email(value: str) -> str:
    value = value.lower().removeprefix("mailto:")
    if len(value) > 254 or not _EMAIL.fullmatch(value) or ".." in value:
        raise Invalid("email_malformed", _("This is not an e-mail address."))
    if value.isascii():
        return value
    name, _at, domain = value.rpartition("@")
    try:
        return f"{name}@{domain.encode('idna').decode()}"
    except UnicodeError:
        raise Invalid("email_malformed", _("This is not an e-mail address.")) from None
