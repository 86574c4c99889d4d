"""The question about consent that every list is asked: where, when, with which words."""

import datetime as dt
import hashlib

from sqlalchemy import func

from clarion.base import clock, words
from clarion.base.errors import Conflict, Invalid
from clarion.base.words import Lazy, _, lazy
from clarion.tenancy.scope import current_actor
from clarion_contacts.models import Import
from clarion_contacts.service.wordings import keep_wording

SOURCES: dict[str, tuple[Lazy, Lazy]] = {
    "web_form": (lazy("A form on our web site"), lazy("Name the page or its address.")),
    "shop": (lazy("In our shop or by phone"), lazy("Name the shop or the counter.")),
    "paper": (lazy("On paper"), lazy("Say where the papers are kept.")),
    "existing": (
        lazy("Our customers, who agreed when they bought"),
        lazy("Say in which step of buying they were asked."),
    ),
    "other": (lazy("Another way"), lazy("Describe it in one sentence.")),
    "none": (
        lazy("They did not agree, or I do not know"),
        lazy("They are imported without consent and get no marketing."),
    ),
    "bought": (
        lazy("The list was bought, rented or collected"),
        lazy("Such a list cannot be imported."),
    ),
}
ATTESTATION_VERSION = "2026-11"
ATTESTATION = lazy(
    "I confirm that the people in this list agreed to get messages from my business, that"
    " I can show where, when and with which words, and that the list was not bought,"
    " rented or collected without asking them."
)


def has_come(day: dt.date) -> bool:
    """Say whether a day has begun where it begins first, fourteen hours before UTC's."""
    return day <= (clock.now() + dt.timedelta(hours=14)).date()


def state(row: Import, typed_name: str) -> None:
    """Write on a list who stated what, when: the text itself is kept, in their language."""
    text = str(ATTESTATION)
    keep_wording(text)
    row.attested_by = " ".join(typed_name.split())[:120] or current_actor().name
    row.attested_at = func.clarion_now()
    row.attestation_version = ATTESTATION_VERSION
    row.attestation_digest = hashlib.sha256(text.encode()).digest()


def require_current(row: Import) -> None:
    """Refuse a list whose statement is missing, or of a text we do not use any more."""
    if row.attested_at is None or row.attestation_version != ATTESTATION_VERSION:
        raise Conflict("import_not_attested", _("Answer the question about consent first."))


def text_of(digest: bytes) -> str:
    """Return the present text somebody stated, by its digest; empty when it is another.

    Texts are kept since they are; for a statement made before, this finds its words.
    """
    for language in words.languages():
        with words.speaking(language):
            text = str(ATTESTATION)
        if hashlib.sha256(text.encode()).digest() == digest:
            return text
    return ""


def refuse(
    source: str,
    place: str,
    agreed_on: dt.date | None,
    wording: str,
    typed_name: str,
    *,
    since: dt.date | None = None,
) -> None:
    """Refuse an answer that proves nothing: `Invalid`, with the field it belongs to."""
    if source == "bought":
        raise Invalid(
            "consent_bought",
            _(
                "People on a bought, rented or collected list did not agree to hear from"
                " you. It cannot be imported."
            ),
            field="source",
        )
    if source not in SOURCES:
        raise Invalid(
            "consent_unanswered",
            _("Answer where these people agreed. It is required."),
            field="source",
        )
    if not place.strip():
        raise Invalid(
            "consent_place",
            _("Say where they agreed: the page, form or shop."),
            field="place",
        )
    if agreed_on is None or not has_come(agreed_on):
        raise Invalid(
            "consent_date",
            _("Give the day by which they had agreed; it cannot lie ahead."),
            field="agreed_on",
        )
    if since is not None and since > agreed_on:
        raise Invalid(
            "consent_since",
            _("The first day cannot be after the last one."),
            field="agreed_from",
        )
    if len(wording.strip()) < 10:
        raise Invalid(
            "consent_wording",
            _("Copy the sentence they agreed to; it is part of the proof."),
            field="wording",
        )
    _refuse_name(typed_name)


def _refuse_name(typed: str) -> None:
    own = current_actor().name
    said = " ".join(typed.split())
    if not said or (own and said.casefold() != " ".join(own.split()).casefold()):
        raise Invalid(
            "attestation_name",
            _("Type your own name as it stands in your profile: %(name)s.", name=own),
            field="typed_name",
        )
