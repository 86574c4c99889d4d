"""From a password to being signed in: second factor, unknown device; one flow, both realms.

Who has given the right password is half in: the session knows who, and nothing else opens.
The second factor comes before the mailed code, so that a stolen password causes no mail.
The same questions are asked again before sensitive acts.
"""

import base64
import datetime as dt
import secrets
from dataclasses import dataclass
from typing import Any, Final

from flask import Response, after_this_request, current_app, request, session

from clarion.base import clock, db, limits
from clarion.base.errors import Conflict, Invalid
from clarion.base.limits import Limit
from clarion.base.parsing import read_json
from clarion.base.settings import settings
from clarion.base.words import _
from clarion.tenancy import devices, factors, mail_change, passkeys
from clarion.tenancy.scope import current_actor, system_scope
from clarion.web import login
from clarion.work import mails, recovering

SECOND: Final = frozenset({"code", "passkey", "recovery"})
"""Proofs that are a second factor."""

LASTS = dt.timedelta(minutes=15)
CHALLENGE_LASTS = dt.timedelta(minutes=30)
AT_ONCE = 4  # challenges a session keeps: so many pages may be open side by side
SHOWN = Limit("passkey.shown", 60, 900)  # from one network, known or not
_HALF, _CHALLENGES = "half", "challenges"


@dataclass(frozen=True, slots=True)
class Half:
    """Somebody who has begun to sign in.

    Attributes:
        who: what the realm's `load` answers.
        key: their id.
        subject: as sessions and factors name them.
        proofs: what they have shown.
        onward: where they wanted to go.
        vouched: the device is known by a link that only they could have.
    """

    who: Any
    key: str
    subject: str
    proofs: tuple[str, ...]
    onward: str
    vouched: bool


def begin(
    who: Any, key: object, *proofs: str, onward: str = "/", vouched: bool = False
) -> Half:
    """Begin to sign somebody in, in a session of its own."""
    login.start_over()
    session[_HALF] = {
        "key": str(key),
        "epoch": _logins().epoch(who),
        "proofs": list(proofs),
        "onward": onward,
        "vouched": vouched,
        "at": _now(),
    }
    return _half(who, session[_HALF])


def half() -> Half:
    """Answer who is half in.

    Raises:
        Conflict: nobody is, it took too long, or their password was changed meanwhile.
    """
    given = session.get(_HALF)
    if given and given["at"] > _now() - LASTS.total_seconds():
        who = _logins().load(given["key"])
        if who is not None and _logins().epoch(who) == given["epoch"]:
            return _half(who, given)
    session.pop(_HALF, None)
    raise Conflict("sign_in_stale", _("This took too long. Please sign in again."))


def shown(proof: str) -> Half:
    """Note that who is half in has shown something more."""
    one = half()
    session[_HALF]["proofs"] = [*one.proofs, proof]
    return half()


def next_step(one: Half) -> str:
    """Say what is still to be asked: `second`, `device`, or nothing."""
    proofs = set(one.proofs)
    if not SECOND & proofs and factors.of(one.subject).any:
        return "second"
    if one.vouched or proofs & {"passkey", "mail"} or not settings().confirm_devices:
        return ""
    return "" if devices.known(one.subject, device_key()) else "device"


def finish(one: Half) -> None:
    """Sign them in, know this browser from now on, and tell them if it is a new one."""
    known = devices.known(one.subject, device_key())
    login.sign_in(one.who, one.key, *one.proofs)
    if SECOND & set(one.proofs):
        recovering.stop_by_factor(one.subject)
    if known:
        return
    remember(one.subject)
    if not one.vouched:
        tell(one.who, "new_device", link=page_of(one.subject), **_from())


def remember(subject: str) -> None:
    """Know this browser as theirs from now on."""
    key = devices.remember(subject, device_key(), **_from())
    name = device_cookie()

    @after_this_request
    def keep(response: Response) -> Response:
        response.set_cookie(
            name,
            key,
            max_age=devices.LASTS,
            path="/",
            secure=name.startswith("__Host-"),
            httponly=True,
            samesite="Lax",
        )
        return response


def known_device(subject: str) -> bool:
    """Say whether this browser is one of theirs."""
    return devices.known(subject, device_key())


# --- the code by mail


def mail_code(one: Half, *, again: bool = False) -> None:
    """Mail a code for this browser, unless one is on its way; raises `TooMany`."""
    if session[_HALF].get("mark") and not again:
        return
    code, mark = devices.new_code(one.subject)
    session[_HALF]["mark"] = mark
    tell(one.who, "device_code", code=f"{code[:4]} {code[4:]}", **_from())


def check_mailed(one: Half, typed: str) -> None:
    """Check the code of the mail; raises `Invalid` or `TooMany`."""
    devices.check_code(one.subject, typed, session[_HALF].get("mark", ""))


# --- the second factor, and the same questions once more


def check_second(subject: str) -> str:
    """Check what the form holds: a passkey, a code of the app, or one on paper.

    Returns:
        the name of the proof.

    Raises:
        Invalid: it is not good; TooMany: too many were not.
    """
    given, network = request.form, current_network()
    known = known_device(subject)
    if given.get("credential"):
        check_passkey(given["credential"], subject)
        return "passkey"
    if given.get("recovery"):
        factors.use_code(subject, given["recovery"], network, known=known)
        return "recovery"
    factors.check_code(subject, given.get("code", ""), network, known=known)
    return "code"


def check_passkey(answer: str, subject: str = "") -> str:
    """Check a shown passkey; returns whose it is. A copied one is told to its owner."""
    limits.hit(SHOWN, current_network())
    try:
        return passkeys.check(realm(), answer, take(answer), subject)
    except passkeys.Copied as error:
        who = _logins().load(error.subject.partition(":")[2])
        if who is not None:
            tell(who, "passkey_copied", link=page_of(error.subject))
        raise


def asking(subject: str = "") -> dict[str, Any] | None:
    """Write what the page's script needs to ask for a passkey."""
    if subject and not factors.of(subject).passkeys:
        return None
    return passkeys.asking(realm(), challenge(), subject)


def challenge() -> bytes:
    """Make a challenge and keep it in the session; it is good once."""
    made = secrets.token_bytes(32)
    kept = session.get(_CHALLENGES, [])[1 - AT_ONCE :]
    session[_CHALLENGES] = [*kept, [_text(made), _now()]]
    return made


def take(answer: str) -> bytes:
    """Use up the challenge that an answer is for; raises `Invalid` when there is none."""
    try:
        said = read_json(_bytes(read_json(answer)["response"]["clientDataJSON"]))
        wanted = str(said["challenge"])
    except (ValueError, KeyError, TypeError) as error:
        raise Invalid("passkey_refused", _("This passkey was not accepted.")) from error
    kept = session.get(_CHALLENGES, [])
    session[_CHALLENGES] = [one for one in kept if one[0] != wanted]
    late = _now() - CHALLENGE_LASTS.total_seconds()
    if not any(text == wanted and at > late for text, at in kept):
        raise Invalid(
            "challenge_gone", _("This page was open for too long. Please try again.")
        )
    return _bytes(wanted)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


# --- who, where from, and what they are told


def realm() -> str:
    """Name the realm of the present application: `portal` or `console`."""
    return "console" if _logins().prefix == "s" else "portal"


def subject() -> str:
    """Name who is signed in as sessions and factors do."""
    return f"{_logins().prefix}:{login.current().id}"


def current_network() -> str:
    """Return the network this request comes from."""
    return login.truncated(request.remote_addr)


def tell(who: Any, kind: str, **values: str) -> None:
    """Write somebody a mail about their log-in; it leaves whatever becomes of the request.

    It goes to every address of theirs that is proven; a code only to the present one.
    """
    every = mail_change.addresses(f"{_logins().prefix}:{who.id}", who.email)
    with system_scope(current_actor()), db.transaction():
        language = getattr(who, "language", "")
        for to in every[:1] if kind == "device_code" else every:
            mails.post(kind, to, name=who.name, language=language, **values)


def page_of(subject: str) -> str:
    """Return the path of somebody's security page."""
    return "/console/security/" if subject.startswith("s:") else "/security/"


def _from() -> dict[str, str]:
    device = login.device_family(request.headers.get("User-Agent"))
    return {"device": device, "address": current_network()}


def device_cookie() -> str:
    """Name the cookie by which this realm knows a browser."""
    front = "__Host-" if settings().public_url.startswith("https://") else ""
    return f"{front}clarion{'-console' if realm() == 'console' else ''}-device"


def device_key() -> str:
    """Answer what this browser says it is known by; "" when it says nothing."""
    return request.cookies.get(device_cookie(), "")


def _half(who: Any, given: dict[str, Any]) -> Half:
    key = given["key"]
    return Half(
        who,
        key,
        f"{_logins().prefix}:{key}",
        tuple(given["proofs"]),
        given["onward"],
        given["vouched"],
    )


def _logins() -> login.Logins:
    found: login.Logins = current_app.login_manager  # type: ignore[attr-defined]
    return found


def _now() -> int:
    return int(clock.now().timestamp())
