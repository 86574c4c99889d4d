"""What other rooms say about lists and links, counted where the data is; numbers are kept.

These run inside the account, as `clarion_app`. What they write holds nobody's number, name
or text, so that `watching` can judge without ever being able to read one.
"""

import hmac
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import Insert, insert

from clarion.base import crypto, db
from clarion.misuse.models import MisuseLink, MisuseList
from clarion.tenancy.scope import current_account

SAMPLE = 100_000
"""So many of a list's lowest numbers are looked at: enough to know it, whatever its order."""
LEAST = 100
"""A shorter list has no likeness: whoever holds the key could guess who is on it."""
PREFIX = 5
SHORT = frozenset(
    {
        "bit.ly", "tinyurl.com", "t.co", "goo.gl", "is.gd", "cutt.ly", "ow.ly", "rb.gy",
        "shorturl.at", "rebrand.ly", "t.ly", "buff.ly", "tiny.cc", "s.id",
    }
)  # fmt: skip
"""Hosts that hide where a link leads."""
_LINK = re.compile(r"https?://[^\s<>\"']+", re.IGNORECASE)
_NUMERIC = re.compile(r"\d{1,3}(\.\d{1,3}){3}|0x[0-9a-f]+|\d{8,}", re.IGNORECASE)


def listed(
    import_id: UUID,
    *,
    rows: int,
    invalid: int,
    numbers: Sequence[str],
    countries: int,
    attested: bool,
) -> None:
    """Keep what an uploaded list is like; called again, it is what it is like now.

    Args:
        import_id: which upload.
        rows: how many there are.
        invalid: how many hold no number anybody could have.
        numbers: its lowest numbers, sorted, each once; `SAMPLE` at most.
        countries: of how many countries they are.
        attested: whether somebody confirmed that these people agreed.
    """
    values = {
        "rows": rows,
        "invalid": invalid,
        "in_row": in_sequence(numbers),
        "countries": min(countries, 500),
        "attested": attested,
        "likeness": likeness(numbers, rows) if len(numbers) >= LEAST else None,
    }
    _keep(insert(MisuseList), {"import_id": import_id}, values)
    _look()


def linked(template_id: UUID, texts: Iterable[str]) -> None:
    """Keep how many links of a template are odd, and in which way."""
    links = [link for text in texts for link in _LINK.findall(text)]
    odd = [kind for kind in map(oddness, links) if kind]
    values = {
        "links": min(len(links), 1_000),
        "odd": min(len(odd), 1_000),
        "kinds": sorted(set(odd)),
        "seen_at": func.clarion_now(),
    }
    _keep(insert(MisuseLink), {"template_id": template_id}, values)
    if odd:
        _look()


def likeness(numbers: Sequence[str], rows: int) -> bytes:
    """Hash a list as a whole under the key of this instance; its order does not matter.

    One number that differs makes another hash, so nothing about a number can be tried.
    """
    body = "\n".join((str(rows), *numbers)).encode()
    return hmac.digest(crypto.signing_key("misuse lists"), body, "sha256")


def in_sequence(numbers: Sequence[str]) -> int:
    """Say how many of 1,000 sorted numbers are followed by the next one."""
    digits = [int(one.lstrip("+")) for one in numbers if one.lstrip("+").isdigit()]
    if len(digits) < 2:
        return 0
    follows = sum(b - a == 1 for a, b in pairwise(digits))
    return round(1_000 * follows / len(digits))


def oddness(link: str) -> str:
    """Say in one word what is odd about a link; empty for most."""
    try:
        parts = urlsplit(link)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return "unreadable"
    checks = (
        (parts.username is not None, "user_name"),
        (bool(_NUMERIC.fullmatch(host)) or ":" in host, "numeric_host"),
        (any(label.startswith("xn--") for label in host.split(".")), "look_alike"),
        (not host.isascii(), "look_alike"),
        (host.removeprefix("www.") in SHORT, "shortened"),
        (port not in (None, 80, 443), "port"),
        (parts.scheme.lower() == "http", "not_encrypted"),
    )
    return next((word for found, word in checks if found), "")


def _keep(statement: Insert, key: dict[str, UUID], values: dict[str, Any]) -> None:
    row = statement.values(id=db.new_id(), **key, **values)
    db.session().execute(
        row.on_conflict_do_update(index_elements=["account_id", *key], set_=values)
    )


def _look() -> None:
    from clarion.misuse import watching

    watching.look_at.later(current_account())
