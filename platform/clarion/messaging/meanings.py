"""Every code of a provider and every reason of ours, explained: from the tables that decide.

What a code means and does is asked of the transport's own table of answers, and its words
are those of `outcomes`: there is no second list that could say something else.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from clarion.base.words import _, ngettext
from clarion.messaging import breakers, channels, countries, outcomes, states
from clarion.messaging.contract import Busy, Explaining, Halted, Rejected, Verdict

OURS = "reason"
LONGEST = 60


@dataclass(frozen=True, slots=True)
class Meaning:
    """One code or reason.

    Attributes:
        where: the transport whose code it is, or `reason` for one of ours.
        code: the code, or the reason's stable name.
        way: what the transport is called; empty for ours.
        reason: our own name for what a code means; empty where it leaves that open.
        states: where it is shown: states of a message, `paused` for what stands still.
        title: what happened, in a few words.
        why: about the cause.
        does: what Clarion does about it, sentence by sentence.
        todo: what the customer should do.
        retry: whether a later campaign to the same people can succeed.
        source: address of the provider's own words; empty for a rule of ours.
        known: whether the table of answers has a line for it.
    """

    where: str
    code: str
    way: str
    reason: str
    states: tuple[str, ...]
    title: str
    why: str
    does: tuple[str, ...]
    todo: str
    retry: bool
    source: str = ""
    known: bool = True


def every() -> list[Meaning]:
    """List all of them: the codes of each transport, then our reasons by name."""
    found = [
        _of_code(name, one, code, verdict)
        for name, one in _explaining()
        for code, verdict in one.codes().items()
    ]
    return found + [reason(name) for name in reasons()]


def reasons() -> list[str]:
    """List the stable names of every reason and state that has words."""
    return sorted(_named())


def there(where: str, value: str) -> bool:
    """Say whether something can be explained, without explaining it."""
    if where == OURS:
        return value in _named()
    return any(name == where for name, _one in _explaining())


def search(asked: str) -> list[Meaning]:
    """Find what has a code that begins so, or says each of these words."""
    words = asked.casefold().split()
    if not words:
        return every()
    return [one for one in every() if _fits(one, asked.strip().casefold(), words)]


def find(where: str, value: str) -> Meaning | None:
    """Explain a reason of ours or a code of a transport; None: there is no such thing."""
    if where == OURS:
        return reason(value) if value in _named() else None
    return code(where, value)


def code(where: str, value: str) -> Meaning | None:
    """Explain a code of a transport, also one that nobody has met; None: no such transport."""
    found = next((one for name, one in _explaining() if name == where), None)
    if found is None or not value or len(value) > LONGEST:
        return None
    listed = found.codes()
    if value in listed:
        return _of_code(where, found, value, listed[value])
    verdict = found.verdict(value)
    strange = isinstance(verdict, Rejected) and verdict.reason == "provider_code"
    return _of_code(where, found, value, verdict, known=not strange)


def reason(name: str) -> Meaning:
    """Explain one of our own reasons, or a state of a message."""
    found = [state for state, why in outcomes.pairs() if (why or state) == name]
    shown = tuple(dict.fromkeys(found)) or ("paused",)
    state = next((one for one in ("paused", *shown) if one in shown), shown[0])
    said = outcomes.explain(state, "" if state == name else name)
    known = bool(found) or name in outcomes.CAUSES
    return Meaning(
        where=OURS,
        code=name,
        way="",
        reason=name,
        states=_states(name, shown),
        title=said.title,
        why=said.why,
        does=tuple(_does_reason(name, _states(name, shown))),
        todo=said.todo,
        retry=said.retry,
        known=known,
    )


# --- private


@cache
def _named() -> frozenset[str]:
    return frozenset(why or state for state, why in outcomes.pairs())


def _explaining() -> list[tuple[str, Explaining]]:
    transports = sorted(channels.transports().items())
    return [(name, one) for name, one in transports if isinstance(one, Explaining)]


def _fits(one: Meaning, asked: str, words: Sequence[str]) -> bool:
    if one.code.casefold().startswith(asked):
        return True
    text = " ".join((one.title, one.why, one.todo, one.reason.replace("_", " "), *one.does))
    return all(word in text.casefold() for word in words)


def _of_code(
    where: str,
    transport: Explaining,
    value: str,
    verdict: Verdict | None,
    *,
    known: bool = True,
) -> Meaning:
    shown, name = _shown(verdict)
    said = outcomes.explain(shown[0], name, value)
    return Meaning(
        where=where,
        code=value,
        way=getattr(transport, "title", where),
        reason=name,
        states=shown,
        title=said.title,
        why=said.why,
        does=tuple(_does(verdict)),
        todo=said.todo,
        retry=said.retry,
        source=transport.source,
        known=known,
    )


def _shown(verdict: Verdict | None) -> tuple[tuple[str, ...], str]:
    """Say in which states a verdict is met, and which reason has its words."""
    if isinstance(verdict, Halted):
        return ("paused", "failed"), verdict.reason
    if isinstance(verdict, Busy):
        if verdict.scope == "pair":
            return ("queued", "failed"), "pair_limit"
        return ("failed", "queued"), "busy"
    if isinstance(verdict, Rejected):
        return ("failed",), verdict.reason
    return ("unknown", "failed"), "no_answer"


def _does(verdict: Verdict | None) -> Iterable[str]:
    """Say what the engine does with an answer of this kind; see `dispatch` and `breakers`."""
    if isinstance(verdict, Rejected):
        yield _("The message fails, and nothing sends it again by itself.")
        if verdict.suppress == "marketing":
            yield _("The person gets no marketing from this account any more.")
        elif verdict.suppress == "all":
            yield _("The person gets nothing from this account any more.")
        if verdict.reason == countries.REASON:
            yield _("Other people of the same country are left out from now on.")
        if verdict.reason == "bad_content":
            yield _("If nearly all of the first messages end so, the campaign pauses.")
    elif isinstance(verdict, Busy):
        yield from _does_busy(verdict)
        yield _("Reported after the provider took it, it fails: it is not sent twice.")
    elif isinstance(verdict, Halted):
        yield {
            "template": _("The message goes back in line, and the template is stopped."),
            "sender": _("The message goes back in line, and the number is stopped."),
            "channel": _("The message goes back in line, and the connection is stopped."),
        }[verdict.scope]
        yield from _ends(verdict.reason)
        yield _("Reported after the provider took it, it fails: it is not sent twice.")
    else:
        yield _(
            "The provider does not say whether it took the message: it may have been sent."
        )
        yield _("It is not sent again by itself. A report settles it, or a person decides.")
        yield _("Reported after the provider took it, the message fails.")


def _does_busy(verdict: Busy) -> Iterable[str]:
    seconds = round(verdict.retry_after)
    wait = ngettext("%(num)s second", "%(num)s seconds", seconds)
    if verdict.scope == "pair":
        yield _("It waits, and only this person waits: %(wait)s at first.", wait=wait)
        yield _("Each further refusal makes that longer; other people are not affected.")
        return
    if verdict.throttles:
        yield _("The message waits about %(wait)s.", wait=wait)
        yield _("The number goes on at half its pace, and gets faster again by itself.")
    elif verdict.scope == "token":
        yield _(
            "It waits; all numbers of the connection send nothing for %(wait)s.", wait=wait
        )
    else:
        yield _("It waits; the number sends nothing for %(wait)s.", wait=wait)


def _does_reason(name: str, shown: Sequence[str]) -> Iterable[str]:
    by_state = {
        "queued": _("The message waits, and leaves by itself."),
        "claimed": _("It leaves with the next batch, unless something speaks against it."),
        "dispatching": _("It waits for the answer; without one it becomes unknown."),
        "accepted": _("It waits for the provider's reports, and counts each."),
        "sent": _("It waits for the provider's reports, and counts each."),
        "delivered": _("It is counted; there is nothing more to do."),
        "read": _("It is counted; there is nothing more to do."),
        "suppressed": _("The message is left out before anything is sent."),
        "failed": _("The message fails, and nothing sends it again by itself."),
        "unknown": _(
            "It is not sent again by itself. A report settles it, or a person decides."
        ),
        "needs_decision": _(
            "Nothing happens until a person decides; a late report settles it."
        ),
        "held": _("The message is kept; a report of the provider moves it on."),
        "expired": _("The message is closed: its time is over."),
        "cancelled": _("The message is closed; it was not sent."),
        "paused": _("Nothing new leaves while this lasts; what waits is kept."),
    }
    if name == "throttled":
        yield _("The number goes on at half its pace, and gets faster again by itself.")
        return
    for state in shown:
        if state in by_state:
            yield by_state[state]
    if "paused" in shown and name in outcomes.CAUSES:
        yield from _ends(name)
    if name == "held_by_staff":
        yield _(
            "Only staff let it go on; who held it, and why, stands in the account's log."
        )


def _ends(name: str) -> Iterable[str]:
    """Say how a stop for this reason is over."""
    yield _("The owners of the account get a mail, once.")
    if name in breakers.WAITS:
        first = breakers.WAITS[name][0]
        wait = ngettext("%(num)s second", "%(num)s seconds", first)
        yield _(
            "After %(wait)s one message is tried by itself; if it arrives, all goes on.",
            wait=wait,
        )
    else:
        yield _(
            "It goes on when the provider says that it is over, or somebody resumes it."
        )


def _states(name: str, shown: tuple[str, ...]) -> tuple[str, ...]:
    """Say where a reason is met: what stops something is met there and at messages."""
    halts = {
        verdict.reason
        for _name, one in _explaining()
        for verdict in one.codes().values()
        if isinstance(verdict, Halted)
    }
    if name in halts or name in STOPS:
        return ("paused", *(one for one in shown if one != "paused"))
    return tuple(one for one in shown if one in states.STATES)


STOPS = frozenset(
    {
        "bad_content_rate", "failure_rate", "opt_out_rate", "template_quality_red",
        "number_quality_red", "provider_down", "unreachable", "account_suspended",
        "waba_missing",
    }
)  # fmt: skip
"""What the engine itself stops something for; see `gauges`, `channels` and `breakers`."""
