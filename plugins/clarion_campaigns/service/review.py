"""Look at a draft before it is sent: who gets it, how it reads, what stands in the way."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Select

from clarion.base.errors import NotFound
from clarion.base.patience import PATIENCE_MS, patiently
from clarion.base.words import _, ngettext
from clarion.messaging import channels, holds, launches, outcomes, snapshot, timing
from clarion.tenancy import access
from clarion_campaigns.service import dry_run, planning, restoring
from clarion_campaigns.service.drafts import FIXED, DraftView, get, listed
from clarion_contacts import contract as contacts
from clarion_templates import rendering
from clarion_templates import service as templates

Step = Literal["message", "audience", "variables", "when", "review"]
STEPS: tuple[Step, ...] = ("message", "audience", "variables", "when", "review")
PEOPLE = 10  # real contacts to leaf through


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that blocks a launch (`bad`), or is worth a look (`warn`)."""

    code: str
    level: Literal["bad", "warn"]
    step: Step
    text: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many people are left out for one reason, in words."""

    reason: str
    count: int
    title: str
    why: str
    todo: str


@dataclass(frozen=True, slots=True)
class Message:
    """The message as one person reads it."""

    header: str
    body: str
    footer: str
    buttons: list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Rail:
    """What stands beside every step of the wizard.

    Attributes:
        draft: the draft itself.
        template: the chosen template, if it still exists.
        sender: the chosen number, if it still exists.
        total: people in the segment.
        reached: people who would get the message now.
        left_out: the others, most frequent reason first.
        missing: per variable, how many reachable people have no value for it.
        message: the message as `person` reads it; with placeholders without a person.
        person: name or number of the person shown.
        at: position of that person, from 0.
        of: how many people can be leafed through.
        listed: the people of the dry run it counts; None: those of the segment.
        slow: whether counting took too long, so that no number is known.
    """

    draft: DraftView
    template: templates.View | None
    sender: channels.SenderView | None
    total: int
    reached: int
    left_out: list[LeftOut]
    missing: dict[str, int]
    message: Message
    person: str
    at: int
    of: int
    listed: Select[Any] | None = None
    slow: bool = False


def rail(
    draft_id: UUID,
    at: int = 0,
    seen: dry_run.Seen | None = None,
    *,
    patience_ms: int = PATIENCE_MS,
) -> Rail:
    """Count a draft's people and show the message to one of them.

    With a dry run it is the people of its list who are counted. A page does not wait for
    ever: what takes longer than the patience lasts is not said.
    """
    draft = get(draft_id)
    template, sender = template_of(draft), _sender(draft)
    purpose = template.category if template else "marketing"
    fillings, about = draft.fillings, template.provider_name if template else ""
    segment = draft.segment

    def count() -> dict[str, int]:
        audience = contacts.audience(segment, fillings, purpose, about=about)
        return snapshot.counted(audience, purpose, sender.id if sender else None)

    def some() -> list[contacts.Sample]:
        return contacts.sample(segment, fillings, purpose, about=about, limit=PEOPLE)

    if seen is None:
        found = patiently(count, patience_ms)
        counts = dict(found or {})
        reached = counts.pop("", 0)
    else:
        found = counts = seen.left_out
        reached = seen.reached
    total = sum(counts.values())
    samples = patiently(some, patience_ms) or []
    missing = patiently(lambda: _missing(draft, purpose, about), patience_ms)
    at = min(max(at, 0), max(len(samples) - 1, 0))
    shown = samples[at] if samples else None
    return Rail(
        draft=draft,
        template=template,
        sender=sender,
        total=reached + total,
        reached=reached,
        left_out=left_out(counts),
        missing=missing or {},
        message=message(template, shown.variables if shown else {}),
        person=(shown.name or shown.phone) if shown else "",
        at=at,
        of=len(samples),
        listed=listed(seen.id) if seen else None,
        slow=found is None,
    )


def left_out(counts: Mapping[str, int]) -> list[LeftOut]:
    """Put words to the reasons for which people are left out, the largest group first."""
    rows = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    explained = ((r, n, dry_run.words(r, "")) for r, n in rows)
    return [LeftOut(r, n, said.title, said.why, said.todo) for r, n, said in explained]


def advised(found: Rail) -> bool | None:
    """Say whether to begin softly: None for so few that it makes no difference."""
    template, sender = found.template, found.sender
    if template is None or sender is None or found.reached <= launches.OFFERED:
        return None
    known = launches.proven(sender.id, template.provider_name, template.language)
    return found.reached > launches.ADVISED and not known


def problems(found: Rail) -> list[Problem]:
    """List what stands in the way of a launch, then what is worth a look."""
    access.require("campaigns.view")
    every = [
        *_about_account(found),
        *_about_restore(found),
        *_about_message(found),
        *_about_sender(found),
        *_about_people(found),
        *_about_variables(found),
        *_about_time(found),
    ]
    return sorted(every, key=lambda p: p.level != "bad")


def template_of(draft: DraftView) -> templates.View | None:
    """Look up the template of a draft; None: none was chosen, or it is gone."""
    if draft.template_id is None:
        return None
    try:
        return templates.get(draft.template_id)
    except NotFound:
        return None


def message(template: templates.View | None, values: Mapping[str, str]) -> Message:
    """Fill a template with one person's values; what is missing stays as it is written."""
    if template is None:
        return Message("", "", "", [])
    content = template.content
    return Message(
        header=rendering.preview(content.header, values),
        body=rendering.preview(content.body, values),
        footer=content.footer,
        buttons=[
            {"text": b.text, "kind": "url" if b.kind == "url" else "reply"}
            for b in content.buttons
        ],
    )


# --- private


def _sender(draft: DraftView) -> channels.SenderView | None:
    return next((s for s in channels.senders() if s.id == draft.sender_id), None)


def _missing(draft: DraftView, purpose: str, about: str) -> dict[str, int]:
    """Count, per variable, the reachable people whose own value is missing."""
    out = {}
    for name, given in draft.variables.items():
        if given.get("source") in ("", FIXED):
            continue
        bare = {name: {"source": given["source"], "fallback": ""}}
        counted = contacts.count(draft.segment, bare, purpose, about=about)
        out[name] = counted.left_out.get("missing_variable", 0)
    return out


def _about_account(found: Rail) -> Iterator[Problem]:
    """Say that the account may not send, or that what begins waits for a review."""
    stopped = holds.stopped()
    if stopped is not None:
        said = _("Your account may not send for now: %(why)s", why=stopped)
        yield Problem("account_stopped", "bad", "review", said)
    elif holds.stands(found.template.category if found.template else "marketing"):
        said = _(
            "Campaigns of this account wait for a review; it begins when that is over."
        )
        yield Problem("account_in_review", "warn", "review", said)


def _about_restore(found: Rail) -> Iterator[Problem]:
    if restoring.doubted(found.draft, found.draft.created_at):
        said = _(
            "The database was restored from a backup that has this draft, so it may have"
            " been sent since. Ask those who were here; then say that it was not."
        )
        yield Problem("draft_doubted", "bad", "review", said)


def _about_message(found: Rail) -> Iterator[Problem]:
    template = found.template
    if template is None:
        said = _("Choose a template.")
        if found.draft.template_id is not None:
            said = _("The chosen template was deleted. Choose another one.")
        yield Problem("template_missing", "bad", "message", said)
        return
    if template.state != "approved":
        said = {
            "draft": _("The template was not submitted for review yet."),
            "in_review": _("The template is still in review."),
            "rejected": _("The template was rejected. Choose another, or a new version."),
            "paused": _("WhatsApp paused the template. Wait, or choose another one."),
            "disabled": _("WhatsApp switched the template off. Choose another one."),
        }[template.state]
        yield Problem("template_not_approved", "bad", "message", said)
    if template.category != template.asked_category and template.state == "approved":
        said = _(
            "WhatsApp treats this template as marketing: it needs consent, and costs more."
        )
        yield Problem("template_recategorised", "warn", "message", said)


def _about_sender(found: Rail) -> Iterator[Problem]:
    sender, template = found.sender, found.template
    if sender is None:
        said = _("Choose the number it is sent from.")
        if found.draft.sender_id is not None:
            said = _("The chosen number is not connected any more. Choose another one.")
        yield Problem("sender_missing", "bad", "message", said)
        return
    if sender.state != "active":
        words = outcomes.explain("paused", sender.state_reason)
        said = _("%(name)s cannot send: %(why)s", name=sender.name, why=words.title)
        yield Problem("sender_paused", "bad", "message", f"{said}. {words.todo}")
    elif template and template.channel_id not in (None, sender.channel_id):
        said = _("The template was approved for another connection than this number's.")
        yield Problem("template_other_channel", "bad", "message", said)


def _about_people(found: Rail) -> Iterator[Problem]:
    counts = {row.reason: row.count for row in found.left_out}
    if found.slow:
        return  # the look at everybody says who is in it; a worker does that
    if found.total == 0:
        said = _("Nobody is in this audience. Import contacts, or choose other tags.")
        yield Problem("audience_empty", "bad", "audience", said)
    elif found.reached == 0 and counts.get("no_consent"):
        said = _(
            "None of these people can be reached, because their consent is not on record."
            " Say in the import where and when they agreed."
        )
        yield Problem("audience_without_consent", "bad", "audience", said)
    elif found.reached == 0 and found.left_out:
        said = _(
            "None of these people can be reached. Most frequent reason: %(why)s.",
            why=found.left_out[0].title,
        )
        step: Step = "variables" if "missing_variable" in counts else "audience"
        yield Problem("audience_unreachable", "bad", step, said)
    elif counts.get("no_consent"):
        said = ngettext(
            "%(num)s person is left out without consent on record.",
            "%(num)s people are left out without consent on record.",
            counts["no_consent"],
        )
        yield Problem("audience_partly_without_consent", "warn", "audience", said)


def _about_variables(found: Rail) -> Iterator[Problem]:
    template, reachable = found.template, found.reached
    if template is None:
        return
    for row in found.left_out:
        reachable += row.count if row.reason == "missing_variable" else 0
    for name in template.variables:
        given = found.draft.variables.get(name, {})
        source, fallback = given.get("source", ""), given.get("fallback", "")
        missing = found.missing.get(name, 0)
        if not source or (source == FIXED and not fallback):
            said = _("Say what “%(name)s” is filled with.", name=name)
            yield Problem("variable_without_source", "bad", "variables", said)
        elif missing and missing == reachable:
            yield _nobody_has(name, fallback)
        elif missing and not fallback:
            said = ngettext(
                "%(num)s person has no value for “%(name)s” and is left out. A fallback"
                " would include them.",
                "%(num)s people have no value for “%(name)s” and are left out. A fallback"
                " would include them.",
                missing,
                name=name,
            )
            yield Problem("variable_partly_missing", "warn", "variables", said)


def _about_time(found: Rail) -> Iterator[Problem]:
    plan, now = found.draft.schedule, timing.now()
    purpose = found.template.category if found.template else "marketing"
    begins = planning.first_instant(found.draft, purpose)
    if begins is not None and begins < now:
        said = _("The planned beginning has passed. Choose another one.")
        if plan.own_time:
            said = _("Some of these people are past that time already. Choose another one.")
        yield Problem("start_passed", "bad", "when", said)
    end = plan.finish_by
    if end is not None and end <= (begins if begins and begins > now else now):
        said = _("The end has passed. Choose another one.")
        yield Problem("finish_passed", "bad", "when", said)
    spread = plan.spread_until
    if spread is not None and spread <= now:
        said = _("The end of the spread has passed. Choose another one.")
        yield Problem("spread_passed", "bad", "when", said)


def _nobody_has(name: str, fallback: str) -> Problem:
    if fallback:
        said = _("Nobody has a value for “%(name)s”: all get the fallback.", name=name)
        return Problem("variable_nobody_has", "warn", "variables", said)
    said = _(
        "Nobody has a value for “%(name)s”. Choose another source, or give a fallback.",
        name=name,
    )
    return Problem("variable_nobody_has", "bad", "variables", said)
