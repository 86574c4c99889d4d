"""Mails about the way into a log-in: lost second factors, another address, an export."""

from collections.abc import Callable
from typing import Final

from clarion.base.words import _

Text = tuple[str, list[str]]
"""Subject and paragraphs."""


def _recovery_asked(link: str, device: str, address: str) -> Text:
    return _("Somebody says you have lost every second factor"), [
        _(
            "Somebody who knows your password, hopefully you, asked us to remove every second"
            " factor of your Clarion log-in, with %(device)s from the network %(address)s.",
            device=device or _("a browser"),
            address=address,
        ),
        _("Two of our staff decide about it. Nothing happens before three days are over."),
        _("If it was not you, stop it here, then choose a new password:"),
        link,
    ]


def _recovery_approved(link: str, at: str) -> Text:
    return _("Your second factors will be removed"), [
        _(
            "Two of our staff agreed to remove every second factor of your Clarion log-in."
            " That happens on %(at)s (UTC), not earlier.",
            at=at,
        ),
        _("If you did not ask for it, or have found them again, stop it here:"),
        link,
    ]


def _recovery_soon(link: str, at: str) -> Text:
    return _("Tomorrow your second factors will be removed"), [
        _(
            "On %(at)s (UTC) every second factor of your Clarion log-in is removed. From then"
            " on your password and your mailbox open it.",
            at=at,
        ),
        _("If you did not ask for it, this is the moment to stop it:"),
        link,
    ]


def _recovery_done(link: str) -> Text:
    return _("Your second factors were removed"), [
        _(
            "Every second factor of your Clarion log-in was removed, and you are signed out."
        ),
        _("Sign in with your password, and set up a new one at once:"),
        link,
    ]


def _recovery_ended(link: str, how: str) -> Text:
    said: dict[str, Callable[[], str]] = {
        "stopped": lambda: _("It was stopped: your second factors stay as they are."),
        "refused": lambda: _(
            "Our staff decided against it: your second factors stay as they are."
        ),
        "lapsed": lambda: _(
            "Nobody could decide about it in 14 days: your second factors stay as they are."
        ),
    }
    return _("Your second factors stay"), [
        _("We were asked to remove every second factor of your Clarion log-in."),
        said[how](),
        _("Was it not you who asked? Then somebody knows your password. Change it here:"),
        link,
    ]


def _move(link: str) -> Text:
    return _("Confirm your new e-mail address"), [
        _("Somebody, hopefully you, wants to sign in to Clarion with this address."),
        _("Open this page where you are signed in, within 60 minutes, and confirm:"),
        link,
        _("If it was not you, do nothing: nothing is changed."),
    ]


def _move_known(link: str) -> Text:
    return _("Somebody wants to use your address"), [
        _("Somebody who is signed in to Clarion wants to sign in with this address."),
        _(
            "It is the address of another log-in already, so nothing was changed. It is here:"
        ),
        link,
    ]


def _moved(link: str, now: str) -> Text:
    return _("Your e-mail address was changed"), [
        _("Your Clarion log-in has another e-mail address now: %(now)s.", now=now),
        _("Every other device was signed out. This address opens nothing any more."),
        _("If it was not you, take it back here, within 7 days:"),
        link,
    ]


def _move_undone(link: str) -> Text:
    return _("Your e-mail address is the old one again"), [
        _(
            "The change of the e-mail address of your Clarion log-in was taken back. Second"
            " factors that were set up since are removed, and every device is signed out."
        ),
        _("Whoever changed it may know your password. Choose a new one here:"),
        link,
    ]


def _exported(link: str, what: str, who: str) -> Text:
    return _("Something was taken out of Clarion: %(what)s", what=what), [
        _("%(who)s just downloaded this: %(what)s.", who=who, what=what),
        _("If that was not to be, look at the log, and at your devices, at once:"),
        link,
    ]


LETTERS: Final[dict[str, Callable[..., Text]]] = {
    "recovery_asked": _recovery_asked,
    "recovery_approved": _recovery_approved,
    "recovery_soon": _recovery_soon,
    "recovery_done": _recovery_done,
    "recovery_ended": _recovery_ended,
    "move": _move,
    "move_known": _move_known,
    "moved": _moved,
    "move_undone": _move_undone,
    "exported": _exported,
}
