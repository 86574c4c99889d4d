"""Mails to people: what each says, and the job that sends it.

A mail's address and link travel sealed through outbox and broker: whoever reads those
learns nothing and gets no link.
"""

import base64
import json
from collections.abc import Callable
from typing import Final
from uuid import UUID

from clarion.base import crypto, db, mail
from clarion.base.settings import settings
from clarion.base.words import _, speaking
from clarion.work.jobs import job
from clarion.work.letters import LETTERS, Text

PLACE: Final = "work.mail"


def post(kind: str, to: str, *, name: str = "", language: str = "", **values: str) -> None:
    """Send a mail after this transaction has committed.

    Args:
        kind: one of `KINDS`.
        to: e-mail address.
        name: of the person.
        language: whose words to use.
        values: what this kind of mail says: `link` (a path of ours), `account`, `who` …;
            `unsubscribe`, a path of ours, becomes the header of that name (RFC 8058).
    """
    if kind not in KINDS:
        raise LookupError(kind)
    letter = db.new_id()
    what = {"kind": kind, "to": to, "name": name, "language": language, "values": values}
    send.later(str(letter), sealed(what, str(letter)))


def sealed(what: object, letter: str) -> str:
    """Close something for the way through outbox and broker."""
    closed = crypto.seal(json.dumps(what), place=f"{PLACE}:{letter}")
    return base64.b64encode(closed).decode()


def unsealed(closed: str, letter: str) -> dict[str, str]:
    """Open what `sealed` closed under the same name."""
    opened = crypto.unseal(base64.b64decode(closed), place=f"{PLACE}:{letter}")
    what: dict[str, str] = json.loads(opened)
    return what


@job(queue="mail", idempotent=True, alone=True, system=True)
def send(letter: str, closed: str) -> None:
    """Write a mail in its reader's words and hand it over."""
    what = json.loads(crypto.unseal(base64.b64decode(closed), place=f"{PLACE}:{letter}"))
    values = _links(what["values"])
    ends = values.pop("unsubscribe", "")
    with speaking(what["language"] or None):
        subject, paragraphs = KINDS[what["kind"]](**values)
        body = _body(what["name"], paragraphs)
    language = what["language"] or "en"
    mail.send(
        mail.Mail(UUID(letter), what["to"], subject, body, what["name"], language, ends)
    )


def _links(values: dict[str, str]) -> dict[str, str]:
    ours = ("link", "unsubscribe")
    return {k: f"{host_of(v)}{v}" if k in ours else v for k, v in values.items()}


def host_of(path: str) -> str:
    """Answer the address before a path of ours: the console may have a host of its own."""
    conf = settings()
    return conf.console_url if path.startswith("/console/") else conf.public_url


def _body(name: str, paragraphs: list[str]) -> str:
    hello = _("Hello %(name)s,", name=name) if name else _("Hello,")
    foot = _("This mail was sent by Clarion, %(url)s", url=settings().public_url)
    return "\n\n".join([hello, *paragraphs, f"-- \n{foot}"]) + "\n"


# --- what they say


def _confirm(link: str) -> Text:
    return _("Confirm your e-mail address"), [
        _("Somebody, hopefully you, wants to open a Clarion account with this address."),
        _("Open this page to choose a password. It works once, for 24 hours:"),
        link,
        _("If it was not you, do nothing: no account is made."),
    ]


def _known(link: str) -> Text:
    return _("You have an account already"), [
        _("Somebody, hopefully you, tried to open a Clarion account with this address."),
        _("There is one already. You can sign in, or choose a new password, here:"),
        link,
    ]


def _reset(link: str) -> Text:
    return _("Choose a new password"), [
        _("Somebody, hopefully you, asked for a new password for Clarion."),
        _("Open this page to choose one. It works once, for 60 minutes:"),
        link,
        _("If it was not you, do nothing: your password stays as it is."),
    ]


def _invitation(link: str, account: str, who: str) -> Text:
    return _("%(who)s invites you to %(account)s", who=who, account=account), [
        _(
            "%(who)s offers you a place in the team of %(account)s.",
            who=who,
            account=account,
        ),
        _("Open this page to accept. It works for 24 hours, for this address only:"),
        link,
    ]


def _password_changed(link: str) -> Text:
    return _("Your password was changed"), [
        _(
            "The password of your Clarion log-in was just changed. You are signed out everywhere."
        ),
        _("If it was not you, choose a new one at once, and tell us:"),
        link,
    ]


def _new_device(link: str, device: str, address: str) -> Text:
    return _("A new device signed in"), [
        _(
            "Somebody, hopefully you, signed in to Clarion with %(device)s from the network"
            " %(address)s.",
            device=device or _("a browser"),
            address=address,
        ),
        _("If it was not you, end that session and change your password here:"),
        link,
    ]


def _device_code(code: str, device: str, address: str) -> Text:
    return _("Your code: %(code)s", code=code), [
        _(
            "Somebody, hopefully you, is signing in to Clarion with %(device)s from the"
            " network %(address)s, a device we do not know.",
            device=device or _("a browser"),
            address=address,
        ),
        _("Type this code there. It works for 15 minutes:"),
        code,
        _(
            "If it was not you, somebody knows your password: do not give the code to"
            " anybody, and choose a new password."
        ),
    ]


def _passkey_copied(link: str) -> Text:
    return _("A passkey of yours may have been copied"), [
        _(
            "One of your passkeys was just used, and it said less than it had said before."
            " That happens when somebody has a copy of it. It was refused."
        ),
        _("Remove that passkey and look at your devices here:"),
        link,
    ]


def _factor_changed(link: str, what: str) -> Text:
    return _("How you sign in was changed"), [
        _FACTOR_CHANGES[what](),
        _("If it was not you, choose a new password at once, and look here:"),
        link,
    ]


_FACTOR_CHANGES: Final[dict[str, Callable[[], str]]] = {
    "passkey_added": lambda: _("A passkey was added to your Clarion log-in."),
    "passkey_removed": lambda: _("A passkey was removed from your Clarion log-in."),
    "app_added": lambda: _("An authenticator app was connected to your Clarion log-in."),
    "app_removed": lambda: _("The authenticator app of your Clarion log-in was removed."),
    "codes_made": lambda: _("New recovery codes were made for your Clarion log-in."),
    "code_used": lambda: _("A recovery code was used to sign in to Clarion."),
    "password": lambda: _("The password of your Clarion log-in was changed."),
    "reset": lambda: _("Every second factor of your Clarion log-in was removed."),
    "address": lambda: _("This is the e-mail address of your Clarion log-in from now on."),
}


def _second_factor_wanted(link: str, account: str, day: str) -> Text:
    return _("%(account)s asks for a second factor", account=account), [
        _(
            "From %(day)s on, everybody in the team of %(account)s needs a passkey or an"
            " authenticator app to come in. You have none yet.",
            day=day,
            account=account,
        ),
        _("Setting one up takes a minute:"),
        link,
    ]


def _stopped(link: str, account: str, what: str, why: str, todo: str) -> Text:
    return _("%(account)s: sending was stopped: %(what)s", account=account, what=what), [
        _("Clarion stopped sending to prevent harm: %(what)s.", what=what),
        why,
        _("What to do: %(todo)s", todo=todo),
        _("What waits is kept. Look at it here:"),
        link,
    ]


def _signing_up(link: str, account: str, wording: str, hours: str) -> Text:
    return _("%(account)s: please confirm", account=account), [
        _(
            "Somebody, hopefully you, wants to get messages from %(account)s and gave this"
            " address. They were shown these words:",
            account=account,
        ),
        f"“{wording}”",
        _(
            "If that was you, open this page and confirm, within %(hours)s hours:",
            hours=hours,
        ),
        link,
        _(
            "If it was not you, do nothing: you get no messages, and this address is forgotten."
        ),
    ]


def _signed_up(link: str, account: str) -> Text:
    return _("%(account)s: you are signed up", account=account), [
        _("You confirmed that you want messages from %(account)s.", account=account),
        _("Whenever you like, choose what you get, or stop everything, on this page:"),
        link,
    ]


def _misuse_held(link: str, account: str) -> Text:
    return _("%(account)s: campaigns wait for a review", account=account), [
        _("What was measured looks unusual, so we look at it before more is sent."),
        _("Nothing is lost: what waits goes on when the review is over."),
        _("Read what was measured, and answer, here:"),
        link,
    ]


def _campaign_held(link: str, account: str, campaign: str, why: str) -> Text:
    return _("%(account)s: we hold “%(campaign)s”", account=account, campaign=campaign), [
        _("Somebody of ours stopped this campaign, and says why:"),
        why,
        _("Nothing is lost: what waits goes on when it is let go. Only we can do that."),
        _("Look at it, and answer us, here:"),
        link,
    ]


def _campaign_released(link: str, account: str, campaign: str, why: str) -> Text:
    return _("%(account)s: “%(campaign)s” is let go", account=account, campaign=campaign), [
        _("We hold this campaign no longer:"),
        why,
        _("What we had stopped goes on by itself. What you had paused stays paused."),
        link,
    ]


def _misuse_shown(link: str, account: str) -> Text:
    return _("%(account)s: what we noticed", account=account), [
        _("Fourteen days ago our watch noticed something about your account."),
        _("Nobody has decided about it yet. You can read it, and answer, here:"),
        link,
    ]


def _misuse_asked(link: str, account: str) -> Text:
    return _("%(account)s: a question from us", account=account), [
        _("We look at what was measured about your account, and have a question."),
        _("Read it, and answer, here:"),
        link,
    ]


def _misuse_decided(link: str, account: str) -> Text:
    return _("%(account)s: the review is over", account=account), [
        _("Somebody of ours has looked at your account and decided."),
        _("Read what was measured and what was decided, here:"),
        link,
    ]


def _misuse_appeal(link: str, account: str) -> Text:
    return _("%(account)s: your appeal was decided", account=account), [
        _("Somebody who had not decided before has looked at it again."),
        _("Read what they say here:"),
        link,
    ]


def _account_suspended(link: str, account: str) -> Text:
    return _("%(account)s may not send for now", account=account), [
        _("Two of our staff have decided that your account may not send for now."),
        _("Nothing is lost: what waits goes on when the account may send again."),
        _("Sign in to read why, and to ask for another look:"),
        link,
    ]


def _account_closed(link: str, account: str, why: str = "") -> Text:
    return _("%(account)s was closed", account=account), [
        _("Two of our staff have decided to close your account. Nothing more is sent."),
        *([_("Why: %(why)s", why=why)] if why else []),
        _("If you think that this is wrong, write to our support."),
        link,
    ]


def _hook_rests(link: str, plugin: str, hook: str, why: str, until: str) -> Text:
    return _("Plugin %(plugin)s: %(hook)s rests", plugin=plugin, hook=hook), [
        _(
            "The hook %(hook)s of the plugin %(plugin)s failed or took too long too often"
            " (%(why)s). It is not called until %(until)s, and then asked again. Everything"
            " else goes on.",
            hook=hook,
            plugin=plugin,
            why=why,
            until=until,
        ),
        _("Look at it, or let it be called again, here:"),
        link,
    ]


def _veto_failing(link: str, plugin: str, hook: str, why: str, until: str) -> Text:
    return _("Plugin %(plugin)s: %(hook)s keeps its gate shut", plugin=plugin, hook=hook), [
        _(
            "The hook %(hook)s of the plugin %(plugin)s failed or took too long too often"
            " (%(why)s). It may stop an act, so it is asked all the same: whenever it"
            " fails, what it guards waits. If this goes on after %(until)s, you are told"
            " again.",
            hook=hook,
            plugin=plugin,
            why=why,
            until=until,
        ),
        _("Two of you can switch the plugin off here:"),
        link,
    ]


def _access_question(link: str, ticket: str) -> Text:
    return _("A customer asks about an access (%(ticket)s)", ticket=ticket), [
        _(
            "A customer read that somebody of us looked at their account under the ticket"
            " %(ticket)s, and has a question.",
            ticket=ticket,
        ),
        _("Read it, and answer, here:"),
        link,
    ]


def _access_emergency(link: str, ticket: str, who: str) -> Text:
    return _("%(who)s asks for an emergency access (%(ticket)s)", who=who, ticket=ticket), [
        _(
            "%(who)s wants to look at an account that has not let us in, because of the"
            " ticket %(ticket)s. Nothing is shown before a second person approves it.",
            who=who,
            ticket=ticket,
        ),
        _("Decide here. If it is you who asks, a colleague has to:"),
        link,
    ]


def _notice(link: str, subject: str, text: str) -> Text:
    return subject, [*text.split("\n\n"), link]


def _service(
    *, link: str, sort: str, title: str, text: str, account: str, role: str, corrects: str
) -> Text:
    subject = _SERVICE_KINDS[sort](title)
    return subject, [
        *([_("This corrects what we wrote before.")] if corrects else []),
        *text.split("\n\n"),
        _("You can read it here as well:"),
        link,
        (
            _("You get this service message because you are an owner of %(account)s.",
              account=account)
            if role == "owner"
            else _("You get this service message because you manage %(account)s.",
                   account=account)
        ),
        _(
            "It is about the service itself and carries no advertising, so it cannot be"
            " unsubscribed from."
        ),
    ]  # fmt: skip


_SERVICE_KINDS: Final[dict[str, Callable[[str], str]]] = {
    "maintenance": lambda title: _("Maintenance: %(title)s", title=title),
    "incident": lambda title: _("Incident: %(title)s", title=title),
    "security": lambda title: _("Security: %(title)s", title=title),
    "terms": lambda title: _("Change of terms: %(title)s", title=title),
    "service": lambda title: _("Change of the service: %(title)s", title=title),
}


KINDS: Final[dict[str, Callable[..., Text]]] = {
    "confirm": _confirm,
    "known": _known,
    "reset": _reset,
    "invitation": _invitation,
    "password_changed": _password_changed,
    "new_device": _new_device,
    "device_code": _device_code,
    "passkey_copied": _passkey_copied,
    "factor_changed": _factor_changed,
    "second_factor_wanted": _second_factor_wanted,
    "stopped": _stopped,
    "signing_up": _signing_up,
    "signed_up": _signed_up,
    "misuse_held": _misuse_held,
    "campaign_held": _campaign_held,
    "campaign_released": _campaign_released,
    "misuse_shown": _misuse_shown,
    "misuse_asked": _misuse_asked,
    "misuse_decided": _misuse_decided,
    "misuse_appeal": _misuse_appeal,
    "account_suspended": _account_suspended,
    "account_closed": _account_closed,
    "hook_rests": _hook_rests,
    "veto_failing": _veto_failing,
    "access_question": _access_question,
    "access_emergency": _access_emergency,
    "notice": _notice,
    **LETTERS,
    "service": _service,
}
