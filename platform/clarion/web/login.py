"""Who is signed in, in either realm: sessions as rows, a random key in the cookie.

The only module besides the console's that knows flask-login. A login id is
`p:<person id>:<epoch>` or `s:<staff id>:<epoch>`; each application accepts its own
prefix only, from its own table and cookie. A raised epoch ends every session.
"""

import copy
import datetime as dt
import ipaddress
import json
import math
import re
import secrets
from collections.abc import Callable
from typing import Any

from flask import Flask, Request, Response, current_app, request, session
from flask.sessions import SessionInterface, SessionMixin
from flask_login import AnonymousUserMixin, LoginManager, current_user
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from clarion.base import clock, crypto, db
from clarion.base.errors import ClarionError
from clarion.base.settings import settings
from clarion.base.words import _
from clarion.tenancy import audit, sessions
from clarion.tenancy.actor import Actor
from clarion.tenancy.models import ConsoleSession, PortalSession
from clarion.tenancy.scope import system_scope

SYSTEM = db.Entry("clarion_system", None, "web:session")
TOUCH = dt.timedelta(minutes=1)  # one write a minute, not one a page
FRESH = dt.timedelta(minutes=10)  # for so long a proof is good for sensitive acts
NOTED = "noted"  # in an ended session: its key was shown once more
UNTIL = "until"  # in a session of support: when it ends, whatever happens
KEPT = ("locale",)  # what survives signing in and out
for _realm in ("portal", "console"):
    audit.label(f"{_realm}.session.refused", "Came with the key of an ended session")
_LOGIN_ID = "_user_id"  # flask-login reads this name
_PROOFS = "proofs"  # what this session has shown, and when: {"password": 1796037600}

_BROWSERS = (  # the first that fits: each names itself after those below it
    ("Edge", re.compile(r"Edg(e|A|iOS)?/")),
    ("Opera", re.compile(r"OPR/|Opera")),
    ("Samsung Internet", re.compile(r"SamsungBrowser/")),
    ("Firefox", re.compile(r"Firefox/|FxiOS/")),
    ("Chrome", re.compile(r"Chrome/|CriOS/|Chromium/")),
    ("Safari", re.compile(r"Safari/")),
)
_SYSTEMS = (
    ("Android", re.compile(r"Android")),
    ("iPhone", re.compile(r"iPhone|iPod")),
    ("iPad", re.compile(r"iPad")),
    ("ChromeOS", re.compile(r"CrOS")),
    ("Windows", re.compile(r"Windows")),
    ("macOS", re.compile(r"Mac OS X|Macintosh")),
    ("Linux", re.compile(r"Linux|X11")),
)


def device_family(user_agent: str | None) -> str:
    """Name a browser as its owner would: `Chrome on Windows`; nothing finer is kept."""
    text = user_agent or ""
    browser = next((name for name, mark in _BROWSERS if mark.search(text)), "")
    system = next((name for name, mark in _SYSTEMS if mark.search(text)), "")
    return f"{browser} on {system}" if browser and system else browser or system


def truncated(address: str | None) -> str:
    """Cut a client address to its network: /24 of IPv4, /48 of IPv6; empty if it is none."""
    try:
        ip = ipaddress.ip_address(address or "")
    except ValueError:
        return ""
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    network = ipaddress.ip_network((ip, 24 if ip.version == 4 else 48), strict=False)
    return str(network.network_address)


class Unproven(ClarionError):
    """The act is sensitive and the last proof of who acts is too old: ask again first."""

    status = 401


class Stored(dict[str, Any], SessionMixin):
    """What `flask.session` is: the row's data, and the key that the cookie holds.

    Attributes:
        key: what the cookie holds; None until there is a row.
        since: when the row began, which a rotation keeps and a sign-in does not.
    """

    def __init__(
        self, key: str | None, data: dict[str, Any], since: dt.datetime | None = None
    ) -> None:
        super().__init__(data)
        self.key, self.since = key, since
        self.old: str | None = None
        self.before = copy.deepcopy(data)  # `flash` changes its list in place

    def rotate(self) -> None:
        """Give it a new key; the old one opens nothing any more."""
        self.old, self.key = self.key or self.old, None


class Sessions(SessionInterface):
    """One realm's sessions. The cookie holds a random key, the row everything else.

    Rows are read and written in transactions of their own, never in the request's,
    which may hold half a change.
    """

    def __init__(
        self,
        rows: type[PortalSession] | type[ConsoleSession],
        name: str,
        idle: dt.timedelta,
        end: dt.timedelta,
    ) -> None:
        self.rows, self.name, self.idle, self.end = rows, name, idle, end

    @property
    def secure(self) -> bool:
        """Whether people reach us over TLS; without it browsers refuse `__Host-`."""
        return settings().public_url.startswith("https://")

    @property
    def cookie(self) -> str:
        """The cookie's name: with `__Host-` no other host of the domain can set it."""
        return f"__Host-{self.name}" if self.secure else self.name

    def open_session(self, _app: Flask, request: Request) -> Stored:
        """Find the row of the cookie's key; a key without a live row is no session."""
        key, m, now = request.cookies.get(self.cookie), self.rows, clock.now()
        if not key:
            return Stored(None, {})
        mine = m.id_hash == crypto.digest(key)
        query = select(m.data, m.seen_at, m.created_at).where(
            mine,
            m.revoked_at.is_(None),
            m.seen_at > now - self.idle,
            m.created_at > now - self.end,
        )
        with db.apart(SYSTEM) as orm:
            row = orm.execute(query).first()
            if row and row.seen_at < now - TOUCH:
                orm.execute(
                    update(m).where(mine).values(seen_at=now, **_visitor(request)),
                    execution_options={"synchronize_session": False},
                )
        if row is None or row.data.get(UNTIL, math.inf) <= now.timestamp():
            self._note_ended(key, request)
            return Stored(None, {})
        return Stored(key, row.data, row.created_at)

    def _note_ended(self, key: str, request: Request) -> None:
        """Write into the log, once, that somebody came with the key of an ended session.

        A browser gets a new key at its next page; who goes on with an old one has a copy.
        """
        m = self.rows
        mine = (m.id_hash == crypto.digest(key), m.revoked_at.is_not(None))
        noting = (
            update(m)
            .where(*mine, m.subject.is_not(None), ~m.data.has_key(NOTED))
            .values(data={NOTED: True})
            .returning(m.subject)
        )
        with db.apart(SYSTEM) as orm:
            subject = orm.scalar(noting)
        if subject is None:
            return
        nobody = Actor("nobody", address=truncated(request.remote_addr))
        realm = "console" if m is ConsoleSession else "portal"
        with system_scope(nobody), db.transaction():
            audit.record(f"{realm}.session.refused", of=subject)

    def save_session(self, _app: Flask, stored: Any, response: Response) -> None:
        """Write what changed, revoke what was left, send a new key when there is one."""
        response.vary.add("Cookie")
        if stored.key and dict(stored) == stored.before:
            return
        gone = stored.old
        if not stored:  # signed out, or nothing to keep
            gone, stored.key = stored.key or gone, None
            if gone:
                self._revoke(gone)
                self._forget(response)
            return
        fresh = stored.key is None
        stored.key = stored.key or secrets.token_urlsafe(32)
        self._write(stored, gone)
        stored.before = copy.deepcopy(dict(stored))
        if fresh:
            response.set_cookie(
                self.cookie,
                stored.key,
                max_age=self._lasts(stored),
                path="/",
                secure=self.secure,
                httponly=True,
                samesite="Lax",
            )

    def _write(self, stored: Stored, gone: str | None) -> None:
        m, now = self.rows, clock.now()
        row = {
            "data": json.loads(json.dumps(dict(stored), default=str)),
            "subject": _subject(stored),
            "seen_at": now,
            **_visitor(request),
        }
        if m is PortalSession:
            row |= {"behind": stored.get("behind"), "reason": stored.get("reason")}
        first = {
            "id_hash": crypto.digest(stored.key or ""),
            "created_at": stored.since or now,
        }
        query = insert(m).values(id=db.new_id(), **first, **row)
        with db.apart(SYSTEM) as orm:
            if gone:
                orm.execute(_revoking(m, gone))
            orm.execute(query.on_conflict_do_update(index_elements=["id_hash"], set_=row))

    def _lasts(self, stored: Stored) -> dt.timedelta:
        """How long the cookie is kept: no longer than the access of who stands behind it."""
        until = stored.get(UNTIL)
        if until is None:
            return self.end
        return dt.timedelta(seconds=max(0, until - _now()))

    def _revoke(self, key: str) -> None:
        with db.apart(SYSTEM) as orm:
            orm.execute(_revoking(self.rows, key))

    def _forget(self, response: Response) -> None:
        response.delete_cookie(
            self.cookie, path="/", secure=self.secure, httponly=True, samesite="Lax"
        )


def portal_sessions() -> Sessions:
    """Sessions of customers: 12 hours idle, 30 days in all."""
    return Sessions(PortalSession, "clarion", *sessions.LASTS[PortalSession])


def console_sessions() -> Sessions:
    """Sessions of staff: 30 minutes idle, 12 hours in all."""
    return Sessions(ConsoleSession, "clarion-console", *sessions.LASTS[ConsoleSession])


class Logins(LoginManager):
    """Accept one prefix, from a stored session, of the present epoch; nothing else.

    `load(key)` answers who has this key, or None when there is nobody or they may not
    enter; `epoch(who)` answers their present epoch. Neither needs a scope around it
    beyond the one they open.
    """

    def __init__(
        self, prefix: str, load: Callable[[str], Any], epoch: Callable[[Any], int]
    ) -> None:
        super().__init__()
        self.prefix, self.load, self.epoch = prefix, load, epoch
        self.session_protection = None  # compares address and browser; ours are rows
        self.user_loader(self.find)

    def find(self, login_id: str) -> Any:
        """Answer who a login id of this realm means, or None."""
        prefix, _, rest = str(login_id).partition(":")
        key, _, epoch = rest.rpartition(":")
        if prefix != self.prefix or not key or not epoch.isdecimal():
            return None
        if session.key is None:  # type: ignore[attr-defined]  # ours
            return None
        who = self.load(key)
        return who if who is not None and self.epoch(who) == int(epoch) else None

    def _load_user_from_remember_cookie(self, _cookie: str) -> None:
        """Refuse: it is signed with the secret key, good for a year, ended by nothing."""


def sign_in(who: Any, key: object, *proofs: str) -> None:
    """Start a session of this realm with a new key; what the visitor had is dropped.

    Args:
        who: what `Logins.load` answers for this key.
        key: the person's or staff member's id.
        proofs: what they have just shown: `password`, `code`, `passkey`, …
    """
    logins: Logins = current_app.login_manager  # type: ignore[attr-defined]
    start_over()
    session[_LOGIN_ID] = f"{logins.prefix}:{key}:{logins.epoch(who)}"
    session[_PROOFS] = dict.fromkeys(proofs, _now())
    logins._update_request_context_with_user(who)


def sign_out() -> None:
    """End this session: its key opens nothing any more, wherever it was copied to."""
    logins: Logins = current_app.login_manager  # type: ignore[attr-defined]
    start_over()
    logins._update_request_context_with_user()


def prove(proof: str) -> None:
    """Note that who is signed in has just shown who they are, once more; with a new key."""
    session[_PROOFS] = {**proofs(), proof: _now()}
    session.rotate()  # type: ignore[attr-defined]  # ours


def proofs() -> dict[str, int]:
    """Answer what this session has shown, and when."""
    return dict(session.get(_PROOFS, {}))


def fresh() -> bool:
    """Say whether the last proof is young enough for a sensitive act."""
    return max(proofs().values(), default=0) > _now() - FRESH.total_seconds()


def require_fresh() -> None:
    """Refuse with `Unproven` what is sensitive, unless the last proof is young."""
    if not fresh():
        raise Unproven("proof_stale", _("Confirm that it is you first."))


def current() -> Any:
    """Answer who is signed in (what `load` answered), or None."""
    who = current_user._get_current_object()
    return None if isinstance(who, AnonymousUserMixin) else who


def session_id_hash() -> bytes | None:
    """Answer the hash under which the present session is stored; None without one."""
    key: str | None = session.key  # type: ignore[attr-defined]
    return crypto.digest(key) if key else None


def _now() -> int:
    return int(clock.now().timestamp())


def start_over() -> None:
    """Drop what the session holds, and give it a new key."""
    kept = {name: session[name] for name in KEPT if name in session}
    session.clear()
    session.update(kept)
    session.rotate()  # type: ignore[attr-defined]
    session.since = None  # type: ignore[attr-defined]


def _subject(stored: Stored) -> str | None:
    """Name whose session it is without the epoch: `p:<id>`; what ending all asks for."""
    login_id = stored.get(_LOGIN_ID)
    return str(login_id).rpartition(":")[0] if login_id else None


def _visitor(request: Request) -> dict[str, str]:
    return {
        "device": device_family(request.headers.get("User-Agent")),
        "address": truncated(request.remote_addr),
    }


def _revoking(m: Any, key: str) -> Any:
    return (
        update(m)
        .where(m.id_hash == crypto.digest(key), m.revoked_at.is_(None))
        .values(revoked_at=clock.now())
        .execution_options(synchronize_session=False)
    )
