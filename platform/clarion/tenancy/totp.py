"""One-time codes by the clock (RFC 6238): six digits, thirty seconds, HMAC-SHA-1.

What every authenticator app understands. The secret is 160 random bits; a code is good for
its own half minute and the ones before and after, because clocks differ.
"""

import base64
import datetime as dt
import hmac
import secrets
from urllib.parse import quote, urlencode

DIGITS, SECONDS, DRIFT = 6, 30, 1


def new_secret() -> bytes:
    """Make a secret for one person's app."""
    return secrets.token_bytes(20)


def step_at(moment: dt.datetime) -> int:
    """Number the half minute that a moment lies in."""
    return int(moment.timestamp()) // SECONDS


def code(secret: bytes, step: int) -> str:
    """Compute the code of one half minute (RFC 4226, section 5.3)."""
    mac = hmac.digest(secret, step.to_bytes(8, "big"), "sha1")
    at = mac[-1] & 0x0F
    number = int.from_bytes(mac[at : at + 4], "big") & 0x7FFFFFFF
    return str(number % 10**DIGITS).zfill(DIGITS)


def matching(secret: bytes, typed: str, moment: dt.datetime) -> int | None:
    """Answer which half minute a typed code belongs to; None when to none that is near.

    Every near one is computed and compared, whichever fits: the time tells nothing.
    """
    now, found = step_at(moment), None
    for step in range(now - DRIFT, now + DRIFT + 1):
        if hmac.compare_digest(code(secret, step).encode(), typed.encode()):
            found = step
    return found


def plain(typed: str) -> str:
    """Take the blanks out of a code as people type it."""
    return "".join(typed.split()).replace("-", "")


def shown(secret: bytes) -> str:
    """Write a secret for typing into an app: base 32, in groups of four."""
    text = base64.b32encode(secret).decode()
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def address(secret: bytes, *, issuer: str, name: str) -> str:
    """Write a secret as the address that apps read from a picture."""
    label = quote(f"{issuer}:{name}", safe="")
    given = {"secret": base64.b32encode(secret).decode(), "issuer": issuer}
    return f"otpauth://totp/{label}?{urlencode(given, quote_via=quote)}"
