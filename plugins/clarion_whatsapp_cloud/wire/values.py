"""Decoded JSON from a stranger: read without trust, and safe to store."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

Json = Any  # a decoded value: any type until looked at
Object = Mapping[str, Json]

_DEPTH = 32
_NO_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
_DIGITS = re.compile(r"\d[\d\s().-]{5,}\d")


def decode(body: bytes) -> Object | None:
    """Read a body. `None`: it is not a JSON object, or nested beyond reason.

    What comes out can be stored: no NUL, no half characters, no infinite numbers.
    """
    try:
        value = _read(body.decode())
        if not _is_plain(body):
            value = _clean(value, _DEPTH)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _is_plain(body: bytes) -> bool:
    """Say whether nothing in a body can need cleaning: nearly all are like this.

    NUL and half characters come as escapes only: UTF-8 has none, and JSON refuses the rest.
    """
    if b"\\u0000" in body or b"\\ud" in body or b"\\uD" in body:
        return False
    if body.count(b"{") + body.count(b"[") <= _DEPTH:
        return True
    nested = body.translate(None, _NO_BRACKETS).replace(b"[", b"{").replace(b"]", b"}")
    for _layer in range(_DEPTH):
        nested = nested.replace(b"{}", b"")
    return not nested  # brackets in texts may look like depth: then it is looked at closely


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _clean(value: Json, depth: int) -> Json:
    if isinstance(value, str):
        whole = value if value.isascii() else value.encode("utf-8", "replace").decode()
        return whole.replace("\x00", "")
    if not isinstance(value, dict | list):
        return value
    if not depth:
        raise ValueError("nested too deeply")
    if isinstance(value, list):
        return [_clean(each, depth - 1) for each in value]
    return {_clean(name, 0): _clean(each, depth - 1) for name, each in value.items()}


def _refuse(constant: str) -> Json:
    raise ValueError(constant)


_read = json.JSONDecoder(parse_float=_finite, parse_constant=_refuse).decode


def as_dict(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}


def as_list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def as_text(value: Json) -> str:
    """A string or a number as text: ids of templates come as both."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def as_code(value: Json) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value) if len(value) < 19 else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def explanation(error: Object) -> str:
    """The provider's words, without anything that could be a phone number."""
    details = as_dict(error.get("error_data")).get("details")
    words = as_text(details) or as_text(error.get("message")) or as_text(error.get("title"))
    return _DIGITS.sub("…", words)[:300]
