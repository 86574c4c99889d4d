"""Four eyes: what a second person approved, piece by piece, and whether it is still that."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from clarion.base import db
from clarion.base.errors import Conflict, NotFound
from clarion.base.words import Lazy, _, lazy
from clarion.messaging import hours, snapshot
from clarion.messaging.prices import Quote
from clarion.tenancy import access, audit
from clarion.tenancy.scope import current_account, current_actor
from clarion_campaigns.models import Approval, Draft
from clarion_campaigns.service import pricing, telling
from clarion_campaigns.service.drafts import about, fillings, listed, locked, view
from clarion_contacts import contract as contacts
from clarion_templates import service as templates

audit.label("campaigns.campaign.submitted", "Asked for approval")
audit.label("campaigns.campaign.approved", "Approved the campaign")
audit.label("campaigns.approval.voided", "The approval is void: something changed")

VERSION = 1
PIECES: Mapping[str, Lazy] = {
    "audience": lazy("Who gets it"),
    "template": lazy("The template and its words"),
    "variables": lazy("What fills the variables"),
    "sender": lazy("The number it is sent from"),
    "window": lazy("When it is sent"),
    "price": lazy("The most it may cost"),
    "attestations": lazy("What the people's consent rests on"),
}
"""What an approval is bound to. One from before a piece existed lacks it, and is void."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An open question to a second person."""

    submitted_by: str
    submitted_name: str
    approved_name: str
    own: bool
    changed: list[str]


def digests(pieces: Mapping[str, Any]) -> dict[str, str]:
    """Sum up each piece; SHA-256 of its JSON with sorted keys, in hexadecimal."""
    return {name: _sha(piece) for name, piece in pieces.items()}


def fingerprint(summed: Mapping[str, str]) -> bytes:
    """Sum up the sums: one value that no piece can change under."""
    return bytes.fromhex(_sha({"version": VERSION, "pieces": dict(summed)}))


def needed(people: int, price: Quote | None = None) -> bool:
    """Say whether so many people, or so much money, need a second person's approval.

    With a limit for the price, what cannot be priced wholly needs one as well.
    """
    rules = hours.rules()
    if rules.approve_above is not None and people > rules.approve_above:
        return True
    dearest = rules.approve_above_price
    if dearest is None:
        return False
    return price is None or price.unpriced > 0 or price.micros > dearest


def pieces(row: Draft, audience: str) -> dict[str, Any]:
    """Collect what an approval is bound to; `audience` is the digest of who gets it."""
    try:
        template = templates.get(row.template_id) if row.template_id else None
        content = templates.snapshot(row.template_id) if row.template_id else None
    except (Conflict, NotFound):
        template = content = None  # not approved any more: another digest
    return {
        "audience": audience,
        "template": {
            "id": str(row.template_id),
            "version": template.provider_name if template else "",
            "purpose": row.purpose,
            "content": content,
        },
        "variables": row.variables,
        "sender": str(row.sender_id),
        "window": {**view(row).schedule.facts(), "soft": row.soft},
        "price": pricing.ceiling(row),
        "attestations": contacts.attested(row.segment, listed=listed(row.check_id)),
    }


def now(row: Draft) -> dict[str, str]:
    """Sum up a draft as it is at this moment."""
    audience = contacts.audience(
        row.segment,
        fillings(row.variables),
        row.purpose,
        about=about(row),
        listed=listed(row.check_id),
    )
    return digests(pieces(row, snapshot.digest_of(audience, row.purpose)))


def ask(row: Draft) -> None:
    """Ask for a second person's approval of a draft as it is now."""
    summed, who = now(row), current_actor()
    db.session().add(
        Approval(
            id=db.new_id(),
            draft_id=row.id,
            pieces=summed,
            fingerprint=fingerprint(summed),
            submitted_by=str(who.id),
            submitted_name=who.name[:120],
        )
    )
    audit.record("campaigns.campaign.submitted", row, people=row.people)
    telling.approval_wanted(row, str(who.id), who.name)
    db.session().flush()


def asked(draft_id: UUID) -> Asked | None:
    """Show the open question about a draft, and what has changed since it was asked."""
    access.require("campaigns.view")
    row = locked(draft_id)
    found = open_of(draft_id)
    if found is None:
        return None
    return Asked(
        submitted_by=found.submitted_by,
        submitted_name=found.submitted_name,
        approved_name=found.approved_name,
        own=found.submitted_by == str(current_actor().id),
        changed=names(changes(found, now(row))),
    )


def sign(row: Draft) -> None:
    """Approve a draft that waits for it; the one who asked cannot.

    Raises:
        Conflict: nobody asked, the same person asked, or something has changed since.
    """
    found, who = open_of(row.id), current_actor()
    if found is None or found.approved_by is not None:
        raise Conflict("not_submitted", _("Nobody asked for an approval of this."))
    if found.submitted_by == str(who.id):
        raise Conflict(
            "own_approval", _("Whoever asks cannot approve. Ask a second person.")
        )
    if changed := changes(found, now(row)):
        said = _(
            "It changed since it was submitted: %(what)s.", what=", ".join(names(changed))
        )
        raise Conflict("changed_since_submitted", said)
    found.approved_by, found.approved_name = str(who.id), who.name[:120]
    found.approved_at = func.clarion_now()
    audit.record("campaigns.campaign.approved", row, people=row.people)
    db.session().flush()


def void(row: Draft, why: str) -> None:
    """End what was asked or approved about a draft: it is not the same any more."""
    found = open_of(row.id)
    if found is not None:
        found.voided_at, found.void_reason = func.clarion_now(), why[:60]
        audit.record("campaigns.approval.voided", row, why=why)
        db.session().flush()


def open_of(draft_id: UUID) -> Approval | None:
    """Find the question or approval about a draft that still stands."""
    query = select(Approval).where(
        Approval.account_id == current_account(),
        Approval.draft_id == draft_id,
        Approval.voided_at.is_(None),
    )
    return db.session().scalar(query)


def changes(found: Approval, summed: Mapping[str, str]) -> list[str]:
    """Name the pieces that are not what was approved; those it lacks are among them."""
    differ = [
        name
        for name in {*found.pieces, *summed}
        if found.pieces.get(name) != summed.get(name)
    ]
    if not differ and found.fingerprint != fingerprint(summed):
        return sorted(summed)
    return sorted(differ)


def names(changed: list[str]) -> list[str]:
    """Put words to pieces."""
    return [str(PIECES[one]) if one in PIECES else one for one in changed]


def _sha(value: Any) -> str:
    plain = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(plain.encode()).hexdigest()
