"""Passkeys (WebAuthn): a key pair of the person's device, good for this origin alone.

A passkey shows possession and, because we always ask the device to verify its person, a
second thing as well: so it stands for password and second factor together. Challenges
are kept by `web.steps`, each good once.
"""

import datetime as dt
import ipaddress
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from clarion.base import clock
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.parsing import read_json
from clarion.base.settings import settings
from clarion.base.words import _
from clarion.tenancy import audit
from clarion.tenancy.factors import PASSKEYS, as_system, realm, table

TIMEOUT_MS = int(dt.timedelta(minutes=5).total_seconds() * 1000)
LONGEST = 16_384  # characters of an answer


@dataclass(frozen=True, slots=True)
class Site:
    """What passkeys are bound to: the host, and the address that pages come from."""

    id: str
    origin: str


def site(realm_name: str) -> Site | None:
    """Answer what a realm's passkeys are bound to, from the settings alone.

    None where browsers know no passkeys: at a bare address. On this machine they know
    them under the name `localhost`.
    """
    conf = settings()
    parts = urlsplit(conf.public_url)
    host = (realm_name == "console" and conf.console_host) or parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        return Site(host, f"{parts.scheme}://{host}{port}")
    return Site("localhost", f"{parts.scheme}://localhost{port}") if loopback else None


# --- a new one


def creating(subject: str, *, email: str, name: str, challenge: bytes) -> dict[str, Any]:
    """Write what the browser needs to make a passkey."""
    from webauthn import generate_registration_options, options_to_json  # slow import
    from webauthn.helpers import structs

    options = generate_registration_options(
        rp_id=_site(subject).id,
        rp_name="Clarion",
        user_id=subject.encode(),
        user_name=email,
        user_display_name=name,
        challenge=challenge,
        timeout=TIMEOUT_MS,
        authenticator_selection=structs.AuthenticatorSelectionCriteria(
            resident_key=structs.ResidentKeyRequirement.REQUIRED,
            user_verification=structs.UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[
            structs.PublicKeyCredentialDescriptor(id=one) for one in _handles(subject)
        ],
    )
    return dict(json.loads(options_to_json(options)))


def add(subject: str, answer: str, challenge: bytes, name: str) -> None:
    """Keep a new passkey.

    Raises:
        Invalid: the answer does not fit challenge, origin or host, or nobody was verified.
        Conflict: this one is known, or there are too many.
    """
    from webauthn import verify_registration_response  # slow import

    where, m, now = _site(subject), table(subject), clock.now()
    try:
        made = verify_registration_response(
            credential=_read(answer),
            expected_challenge=challenge,
            expected_rp_id=where.id,
            expected_origin=where.origin,
            require_user_verification=True,
        )
    except Exception as error:  # the library lets some errors of its parsers through
        raise _refused() from error
    words = " ".join(name.split())[:60] or _("Passkey")
    row = m(
        subject=subject,
        kind="passkey",
        name=words,
        handle=made.credential_id,
        secret=made.credential_public_key,
        counter=made.sign_count,
        confirmed_at=now,
    )
    try:
        with as_system() as orm:
            if len(_handles(subject)) >= PASSKEYS:
                raise Conflict(
                    "passkeys_full", _("Remove a passkey you do not need first.")
                )
            orm.add(row)
            orm.flush()
            audit.record(f"{realm(subject)}.factor.added", kind="passkey")
    except IntegrityError as error:
        raise Conflict("passkey_known", _("This passkey is known already.")) from error


def rename(subject: str, factor_id: Any, name: str) -> None:
    """Call a passkey something else; raises `NotFound`."""
    words, m = " ".join(name.split())[:60], table(subject)
    if not words:
        raise Invalid("name_invalid", _("Use 1 to 60 letters."), field="name")
    query = (
        update(m)
        .where(m.id == factor_id, m.subject == subject, m.kind == "passkey")
        .values(name=words)
        .returning(m.id)
    )
    with as_system() as orm:
        if orm.scalar(query) is None:
            raise NotFound("factor_unknown", _("This was removed already."))
        audit.record(f"{realm(subject)}.factor.renamed")


# --- showing one


def asking(realm_name: str, challenge: bytes, subject: str = "") -> dict[str, Any] | None:
    """Write what the browser needs to show a passkey; None where it knows none.

    Without a subject any of this site's will do: the passkey says whose it is.
    """
    from webauthn import generate_authentication_options, options_to_json  # slow import
    from webauthn.helpers import structs

    where = site(realm_name)
    if where is None:
        return None
    options = generate_authentication_options(
        rp_id=where.id,
        challenge=challenge,
        timeout=TIMEOUT_MS,
        allow_credentials=[
            structs.PublicKeyCredentialDescriptor(id=one)
            for one in (_handles(subject) if subject else ())
        ],
        user_verification=structs.UserVerificationRequirement.REQUIRED,
    )
    return dict(json.loads(options_to_json(options)))


def check(realm_name: str, answer: str, challenge: bytes, subject: str = "") -> str:
    """Check a shown passkey; returns whose it is: a subject.

    Args:
        realm_name: where it is shown; a passkey of the other realm is none.
        answer: what the browser sent, as JSON.
        challenge: the one that was kept for this session.
        subject: who it must be, if that is known already.

    Raises:
        Invalid: it is unknown, or fits neither challenge, origin, host nor key; or nobody
            was verified; or its counter went back, so that there may be a copy of it.
    """
    from webauthn import verify_authentication_response  # slow import
    from webauthn.helpers import base64url_to_bytes

    where, m = site(realm_name), table("s:" if realm_name == "console" else "p:")
    given = _read(answer)
    try:
        handle = base64url_to_bytes(str(given["id"]))
        said = base64url_to_bytes(str(given["response"].get("userHandle") or ""))
    except Exception as error:
        raise _refused() from error
    with as_system() as orm:
        query = select(m.id, m.subject, m.secret, m.counter)
        row = orm.execute(query.where(m.handle == handle, m.kind == "passkey")).first()
    if where is None or row is None or (subject or row.subject) != row.subject:
        raise _refused()
    if said and said != row.subject.encode():
        raise _refused()
    try:
        shown = verify_authentication_response(
            credential=given,
            expected_challenge=challenge,
            expected_rp_id=where.id,
            expected_origin=where.origin,
            credential_public_key=row.secret,
            credential_current_sign_count=0,  # ours below: a step back is an alarm
            require_user_verification=True,
        )
    except Exception as error:
        raise _refused() from error
    _count(row.subject, row.id, shown.new_sign_count)
    return str(row.subject)


def _count(subject: str, factor_id: Any, count: int) -> None:
    """Move the counter on; one that stands still above zero is a copy's."""
    m = table(subject)
    forward = (m.counter < count) | ((m.counter == 0) & (count == 0))
    query = update(m).where(m.id == factor_id, forward)
    with as_system() as orm:
        won = orm.scalar(query.values(counter=count, used_at=clock.now()).returning(m.id))
        if won is None:
            audit.record(f"{realm(subject)}.factor.copied")
    if won is None:
        raise Copied("passkey_copied", _refused().text, subject=subject)


class Copied(Invalid):
    """A passkey's counter went back: somebody may have a copy of it.

    Attributes:
        subject: whose it is; they are told.
    """

    def __init__(self, code: str, text: str, *, subject: str) -> None:
        super().__init__(code, text)
        self.subject = subject


# --- pieces


def _site(subject: str) -> Site:
    found = site(realm(subject))
    if found is None:
        raise Conflict(
            "passkeys_impossible",
            _("Browsers know passkeys only where Clarion has a host name."),
        )
    return found


def _handles(subject: str) -> list[bytes]:
    m = table(subject)
    query = select(m.handle).where(m.subject == subject, m.kind == "passkey")
    with as_system() as orm:
        return [one for one in orm.scalars(query) if one is not None]


def _read(answer: str) -> dict[str, Any]:
    try:
        found = read_json(answer, LONGEST)
    except ValueError as error:
        raise _refused() from error
    if not isinstance(found, dict) or not isinstance(found.get("response"), dict):
        raise _refused()
    return found


def _refused() -> Invalid:
    return Invalid("passkey_refused", _("This passkey was not accepted. Please try again."))
