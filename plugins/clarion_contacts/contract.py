"""Contacts as other plugins use them: everything that is promised, and nothing else.

    from clarion_contacts import contract as contacts

A change that would break who uses it raises `VERSION`; what is added does not. Everything
runs in the account of the scope, asks for the permission of who acts, and leaves the
transaction to the caller. To show something of one's own on a contact's page, implement
`render_slot` for the place `contact`; to follow what happens, subscribe to
`clarion_contacts.events`. Tables, services and forms of this plugin are its own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Select, select

from clarion.base import db
from clarion.messaging import identifiers
from clarion.tenancy import access
from clarion.tenancy.scope import current_account
from clarion_contacts import service
from clarion_contacts.models import Contact, whole
from clarion_contacts.segments import (
    Filling,
    Pick,
    Rule,
    by_pick,
    by_tags,
    everyone,
    pick_in,
    tags_in,
)
from clarion_contacts.service import (
    Count,
    Counted,
    Details,
    Filters,
    Line,
    Missed,
    Page,
    Placeholder,
    Sample,
    TagLine,
    attest,
    attested,
    audience,
    check,
    count,
    count_found,
    delete,
    describe,
    evidence,
    find,
    harmless,
    keep_used,
    labels,
    match,
    merge,
    missed,
    names,
    offered,
    opt_in,
    opt_out,
    parts_of,
    placeholders,
    places,
    sample,
    start,
    survivors,
    tag,
    tags,
    undo_merge,
    untag,
    upload,
)

VERSION = 1

Purpose = Literal["marketing", "utility", "auth", "service"]


@dataclass(frozen=True, slots=True)
class Person:
    """One contact, as it is now.

    Attributes:
        id: of the contact; a merged one is found under the id of the one it is part of.
        name: as it is shown; empty when only an address is known.
        first_name: empty when nobody typed one.
        last_name: the same.
        phone: the number messages go to, in E.164; None without one.
        email: empty without one.
        language: as in pt-BR; empty when nobody knows.
        country: two letters; empty when nobody knows.
        timezone: name of a zone; empty: as the country.
        attributes: values of the account's own fields by key.
        consent: `none`, `opted_in` or `opted_out`, for marketing.
    """

    id: UUID
    name: str
    first_name: str
    last_name: str
    phone: str | None
    email: str
    language: str
    country: str
    timezone: str
    attributes: Mapping[str, Any]
    consent: str


def get(contact_id: UUID) -> Person:
    """Read one person, also by the id of a contact that became part of another.

    Raises `NotFound` for one that this account does not have.
    """
    access.require("contacts.view")
    at = survivors([contact_id]).get(contact_id, contact_id)
    return _person(service.get(at))


def add(details: Details) -> Person:
    """Add one person. Raises `Conflict` when the number or e-mail is somebody's already."""
    return _person(service.add(details))


def edit(contact_id: UUID, details: Details) -> Person:
    """Change what is known of a person. A former number stays in their history."""
    return _person(service.edit(contact_id, details))


def owner_of(kind: str, value: str) -> UUID | None:
    """Find whose an address is now, by any of its spellings; None: nobody's.

    `kind` is phone, wa_id, bsuid, parent_bsuid or email. A user name finds nobody: it can
    pass to somebody else.
    """
    access.require("contacts.view")
    return None if kind == "username" else identifiers.find(kind, value)


def why_not(contact_ids: Iterable[UUID], purpose: Purpose = "marketing") -> dict[UUID, str]:
    """Say of people whether they may be written to now: empty, or the reason why not.

    The reasons are those of `audience`; `clarion.messaging.outcomes.explain("suppressed",
    reason)` has words for them. Who is not there, or erased, is not in the answer.
    """
    access.require("contacts.view")
    chosen = audience(everyone(), {}, purpose).subquery("chosen")
    query = select(chosen.c.contact_id, chosen.c.reason).where(
        chosen.c.contact_id.in_(list(contact_ids))
    )
    return dict(db.session().execute(query).tuples().all())


def people() -> Select[Any]:
    """Select all people for a join by `id`; merged ones are not among them.

    Columns: account_id, id, name, first_name, last_name, phone, email, language, country,
    timezone, attributes, consent, added_at.
    """
    return select(
        Contact.account_id,
        Contact.id,
        Contact.name,
        Contact.first_name,
        Contact.last_name,
        Contact.phone,
        Contact.email,
        Contact.language,
        Contact.country,
        Contact.timezone,
        Contact.attributes,
        Contact.consent,
        Contact.created_at.label("added_at"),
    ).where(Contact.account_id == current_account(), whole())


def _person(contact: Contact) -> Person:
    return Person(
        id=contact.id,
        name=contact.name,
        first_name=contact.first_name or "",
        last_name=contact.last_name or "",
        phone=contact.phone,
        email=contact.email or "",
        language=contact.language or "",
        country=contact.country or "",
        timezone=contact.timezone or "",
        attributes=dict(contact.attributes),
        consent=contact.consent or "none",
    )


PARTS: Mapping[str, tuple[str, ...]] = {
    "People": (
        "Person", "Details", "Filters", "Line", "Page", "Count", "find", "count_found", "get",
        "add", "edit", "delete", "owner_of",
    ),
    "Who may be written to": ("Purpose", "why_not", "opt_in", "opt_out", "evidence"),
    "For joins": ("people", "names", "parts_of", "survivors"),
    "One person, two contacts": ("merge", "undo_merge"),
    "Tags": ("TagLine", "tags", "tag", "untag"),
    "Audiences": (
        "Rule", "Filling", "Counted", "Sample", "Placeholder", "everyone", "by_tags",
        "tags_in", "Pick", "by_pick", "pick_in", "offered", "keep_used", "audience", "count",
        "sample", "places", "attested", "placeholders", "Missed", "missed", "labels",
        "harmless",
    ),
    "Lists": ("upload", "match", "attest", "check", "describe", "start"),
}  # fmt: skip
"""What there is, by what it is for; the reference is written from it."""

__all__ = [
    "PARTS",
    "VERSION",
    "Count",
    "Counted",
    "Details",
    "Filling",
    "Filters",
    "Line",
    "Missed",
    "Page",
    "Person",
    "Pick",
    "Placeholder",
    "Purpose",
    "Rule",
    "Sample",
    "TagLine",
    "add",
    "attest",
    "attested",
    "audience",
    "by_pick",
    "by_tags",
    "check",
    "count",
    "count_found",
    "delete",
    "describe",
    "edit",
    "everyone",
    "evidence",
    "find",
    "get",
    "harmless",
    "keep_used",
    "labels",
    "match",
    "merge",
    "missed",
    "names",
    "offered",
    "opt_in",
    "opt_out",
    "owner_of",
    "parts_of",
    "people",
    "pick_in",
    "placeholders",
    "places",
    "sample",
    "start",
    "survivors",
    "tag",
    "tags",
    "tags_in",
    "undo_merge",
    "untag",
    "upload",
    "why_not",
]
