"""What the portal's own pages do: the door, the overview, numbers, and the account's log.

Most verbs live lower (`tenancy.people`, `tenancy.team`, `messaging.channels`); here they
are put together with mails, limits and what a page shows.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import exists, func, select

from clarion.base import clock, db, limits
from clarion.base.errors import Invalid, NotFound
from clarion.base.limits import Limit
from clarion.base.telemetry import counter, logger
from clarion.base.words import _
from clarion.messaging import breakers, channels, outcomes
from clarion.messaging.models import Campaign, Channel, Message, Sender
from clarion.plugging.manager import plugins
from clarion.portal import jobs
from clarion.tenancy import (
    access,
    audit,
    chain,
    deeds,
    factors,
    mail_change,
    people,
    preferences,
    team,
)
from clarion.tenancy.actor import COMMAND, Actor
from clarion.tenancy.deeds import Asked, Form
from clarion.tenancy.models import Account
from clarion.tenancy.scope import (
    account_scope,
    current_account,
    current_actor,
    system_scope,
)
from clarion.tenancy.verifier import Head
from clarion.work import mails, notices
from clarion.work.jobs import Job

log = logger(__name__)
sign_ins = counter("sign_ins_total", "Sign-ins to the portal", ("result",))

MAIL_TO = Limit("mail.to", 5, 3_600)  # mails that strangers can cause to one address
MAIL_FROM = Limit("mail.from", 30, 3_600)  # … from one network
INVITES = Limit("mail.invites", 100, 86_400)  # invitations of one account
PAGE = 50
RECENT = 5


# --- the door


def sign_up(email: str, address: str, language: str = "") -> None:
    """Begin a sign-up: the outcome goes by mail, the answer is the same for everybody."""
    _by_mail(jobs.welcome, people.parse_email(email), address, language)


def request_reset(email: str, address: str, language: str = "") -> None:
    """Ask for a new password: likewise."""
    _by_mail(jobs.reset, people.parse_email(email), address, language)


def sign_in(
    email: str, password: str, *, address: str, device: str = ""
) -> people.SignedIn:
    """Check who is at the door; a second factor or a mailed code may still be asked."""
    try:
        who = people.check(email, password, address, device)
    except Invalid:
        sign_ins.labels("refused").inc()
        log.info("sign_in.refused", network=address)
        raise
    sign_ins.labels("done").inc()
    return who


def enter(who: people.SignedIn, seat: people.Seat) -> None:
    """Write into the account's log that somebody has come in."""
    actor = Actor(
        "person",
        id=str(who.id),
        name=who.name,
        role=seat.role,
        address=current_actor().address,
        request_id=current_actor().request_id,
    )
    with account_scope(seat.account_id, actor), db.transaction():
        audit.record("portal.person.signed_in")


def reset(token: str, password: str) -> people.SignedIn:
    """Set a new password by a mailed link, and say so by mail."""
    who = people.reset(token, password)
    _tell_changed(who)
    return who


def change_password(old: str, new: str) -> people.SignedIn:
    """Change one's own password, and say so by mail; every session ends."""
    who = people.change_password(UUID(current_actor().id), old, new)
    _tell_changed(who)
    return who


def request_address(email: str) -> None:
    """Ask for another e-mail address; who has it already is told, and nobody else."""
    who = current_actor()
    subject = f"p:{who.id}"
    wanted = mail_change.check(subject, who.email, email)
    limits.hit(MAIL_TO, wanted)
    letter = str(db.new_id())
    asked = {"subject": subject, "old": who.email, "new": wanted, "name": who.name}
    jobs.move.later(letter, mails.sealed(asked, letter))


def reset_factors(email: str) -> int:
    """Remove every second factor of somebody who has lost them; ends their sessions.

    For the command line. They are told by mail.
    """
    with system_scope(COMMAND):
        who = people.lost_factors(people.parse_email(email))
        with db.transaction():
            mails.post(
                "factor_changed",
                who.email,
                name=who.name,
                language=who.language,
                what="reset",
                link="/security/",
            )
        return factors.forget_all(f"p:{who.id}")


def require_second_factor(since: dt.datetime | None) -> None:
    """Ask a second factor of the team from a moment on, and tell who has none yet."""
    people.require_second_factor(since)
    if since is None:
        return
    who = current_actor()
    for one in team.listing()[0]:
        if one.factors or str(one.person_id) == who.id:
            continue
        mails.post(
            "second_factor_wanted",
            one.email,
            name=one.name,
            language=one.language,
            account=who.account_name,
            day=f"{since:%Y-%m-%d}",
            link="/security/",
        )


def invite(email: str, role: str, language: str = "") -> None:
    """Offer somebody a place in the team, by mail in the language of who invites."""
    access.require("portal.team")
    who = current_actor()
    limits.hit(INVITES, str(who.account_id))
    token = team.invite(email, role)
    mails.post(
        "invitation",
        people.parse_email(email),
        language=language,
        link=f"/invitation/{token}",
        account=who.account_name,
        who=who.name,
    )


def _by_mail(job: Job[[str, str]], email: str, address: str, language: str) -> None:
    """Do the same for every address: count, write one sealed row, say nothing."""
    limits.hit(MAIL_FROM, address)
    limits.hit(MAIL_TO, email)
    letter = str(db.new_id())
    job.later(letter, mails.sealed({"email": email, "language": language}, letter))


def _tell_changed(who: people.SignedIn) -> None:
    for to in mail_change.addresses(f"p:{who.id}", who.email):
        mails.post(
            "password_changed", to, name=who.name, language=who.language, link="/forgot"
        )


# --- overview


ACTIVE = ("starting", "running", "pausing", "paused")
WINDOW = dt.timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Running:
    """A campaign on its way, in people."""

    id: UUID
    name: str
    state: str
    state_reason: str
    started_at: dt.datetime | None
    total: int
    delivered: int
    on_the_way: int
    unknown: int
    failed: int
    waiting: int

    @property
    def gone(self) -> int:
        """How many people are dealt with, whatever became of their message."""
        return self.total - self.waiting


@dataclass(frozen=True, slots=True)
class Figures:
    """Messages of the campaigns begun in the last 30 days, by what became of them."""

    campaigns: int
    sent: int
    delivered: int
    read: int
    failed: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """Something that was stopped to prevent harm, in words."""

    kind: str
    title: str
    why: str
    todo: str
    since: dt.datetime
    until: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Overview:
    """What the first page shows."""

    figures: Figures
    running: list[Running]
    recent: list[Running]
    senders: list[channels.SenderView]
    ever_sent: bool
    stops: list[Stopped]


def overview() -> Overview:
    """Return the account's overview, in five queries whatever its size."""
    access.require("portal.view")
    rows = (
        db.session()
        .execute(
            select(
                Campaign.id,
                Campaign.name,
                Campaign.state,
                Campaign.state_reason,
                Campaign.started_at,
            )
            .where(Campaign.purpose != "service")  # answers are nobody's campaign
            .order_by(Campaign.created_at.desc(), Campaign.id.desc())
            .limit(PAGE)
        )
        .all()
    )
    tallies = _tallies([row.id for row in rows])
    shown = [_running(row, tallies.get(row.id, {})) for row in rows]
    since = clock.now() - WINDOW
    late = [one for one in shown if one.started_at and one.started_at > since]
    return Overview(
        figures=_figures([tallies.get(one.id, {}) for one in late]),
        running=[one for one in shown if one.state in ACTIVE],
        recent=[one for one in shown if one.state not in ACTIVE][:RECENT],
        senders=channels.senders(),
        ever_sent=bool(shown),
        stops=_stops(),
    )


def steps() -> list[dict[str, Any]]:
    """List what is left to do before the first campaign; empty once all is done.

    Plugins add theirs through `render_slot("ready", {"steps": […]})`, in the order of
    `requires`: a mapping of title, text, done, url and minutes.
    """
    has_sender = db.session().scalar(select(exists().select_from(Sender)))
    found: list[dict[str, Any]] = [
        {
            "title": _("Connect a number"),
            "text": _("From the WhatsApp Business account of your company."),
            "done": bool(has_sender),
            "url": "/senders",
            "minutes": 10,
        }
    ]
    for _plugin, _markup in plugins().render(
        "ready", preferences.switched_on, {"steps": found}
    ):
        pass  # what they have to say, they put into `steps`
    return [] if all(step["done"] for step in found) else found


def _stops() -> list[Stopped]:
    found = ((one, outcomes.explain("paused", one.reason)) for one in breakers.standing())
    return [
        Stopped(one.kind, said.title, said.why, said.todo, one.opened_at, one.until)
        for one, said in found
    ]


def _tallies(campaign_ids: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
    """Count messages by campaign and state, computed from the rows, in one query."""
    query = (
        select(Message.campaign_id, Message.state, func.count())
        .where(Message.campaign_id.in_(campaign_ids))
        .group_by(Message.campaign_id, Message.state)
    )
    found: dict[UUID, dict[str, int]] = {}
    for campaign_id, state, count in db.session().execute(query):
        found.setdefault(campaign_id, {})[state] = count
    return found


def _running(row: Any, tally: Mapping[str, int]) -> Running:
    def count(*states: str) -> int:
        return sum(tally.get(state, 0) for state in states)

    return Running(
        id=row.id,
        name=row.name,
        state=row.state,
        state_reason=row.state_reason,
        started_at=row.started_at,
        total=sum(tally.values()) - count("suppressed"),
        delivered=count("delivered", "read"),
        on_the_way=count("accepted", "sent", "held"),
        unknown=count("unknown", "needs_decision"),
        failed=count("failed", "expired", "cancelled"),
        waiting=count("queued", "claimed", "dispatching"),
    )


def _figures(tallies: Sequence[Mapping[str, int]]) -> Figures:
    def count(*states: str) -> int:
        return sum(tally.get(state, 0) for tally in tallies for state in states)

    return Figures(
        campaigns=len(tallies),
        sent=count("accepted", "sent", "held", "delivered", "read"),
        delivered=count("delivered", "read"),
        read=count("read"),
        failed=count("failed"),
    )


# --- numbers


def connect(
    transport: str,
    name: str,
    *,
    config: Mapping[str, str],
    secrets: Mapping[str, str],
    number: channels.SenderIn,
) -> UUID:
    """Connect a provider with one number, and ask it at once how that number is."""
    kept = {key: value for key, value in config.items() if value}
    channel = channels.connect(transport, name, kept, secrets, [number])
    channels.check_channel.later(channel.id)
    return channel.id


def rotate(channel_id: UUID, secrets: Mapping[str, str]) -> None:
    """Replace the secrets that are given; the provider is asked again."""
    if not any(secrets.values()):
        raise Invalid("secret_missing", _("Put in at least one new secret."))
    channels.rotate(channel_id, secrets)


def check(channel_id: UUID) -> None:
    """Ask the provider how the numbers of a connection are, after this transaction."""
    access.require("portal.senders")
    if db.session().get(Channel, channel_id) is None:
        raise NotFound("channel_unknown", _("There is no such connection."))
    channels.check_channel.later(channel_id)


def verify_token(channel_id: UUID) -> str:
    """Return the word a provider repeats when it is told where to report back."""
    if not access.allowed("portal.senders"):
        return ""
    row = db.session().scalar(select(Channel).where(Channel.id == channel_id))
    return channels.opened(row).secrets.get("verify_token", "") if row else ""


def account() -> Account:
    """Return the account itself, for its settings."""
    return db.session().get_one(Account, current_account())


# --- the account's log


def export_log(asked: Asked, form: Form) -> Iterator[str]:
    """Take what a filter of the log shows out of Clarion, as a table or as JSON lines."""
    access.require("portal.log")
    fields = sorted(asked.fields.keys() - {"account"})
    audit.record("portal.log.exported", form=form, filtered_by=fields)
    notices.exported(lambda: _("part of the log"), link="/activity/")
    who, account_id = current_actor(), current_account()
    return deeds.written(asked, form, lambda: account_scope(account_id, who))


def download_log() -> Iterator[str]:
    """Take the whole log out of Clarion with its chain, to be verified anywhere."""
    access.require("portal.log")
    name = account().name
    audit.record("portal.log.downloaded")
    notices.exported(lambda: _("the log with its chain"), link="/activity/")
    return chain.written(current_account(), name)


def signed_log() -> Head | None:
    """Return where this account's log was signed last."""
    access.require("portal.activity")
    with db.apart(db.Entry("clarion_system", None, "portal.log")) as orm:
        found = chain.heads(orm, current_account(), newest=True)
    return found[0] if found else None


audit.label("portal.log.exported", "Exported part of the log")
audit.label("portal.log.downloaded", "Downloaded the log with its chain")
