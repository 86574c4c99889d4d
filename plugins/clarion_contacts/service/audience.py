"""Whom a campaign reaches: one SELECT, a row per contact, with a reason for each left out."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    LargeBinary,
    Select,
    Text,
    and_,
    case,
    cast,
    false,
    func,
    or_,
    select,
)
from sqlalchemy.orm import aliased

from clarion.base import db
from clarion.base.words import _
from clarion.messaging import suppression
from clarion.messaging.models import Message
from clarion.tenancy.scope import current_account
from clarion_contacts import segments
from clarion_contacts.models import Consent, Contact, whole
from clarion_contacts.segments import Filling, Rule
from clarion_contacts.service import identity, reasons, standing

Variables = Mapping[str, Filling | Mapping[str, Any]]
Listed = Select[Any] | None
NEWEST = 2_000  # contacts that are asked which attributes they have


@dataclass(frozen=True, slots=True)
class Counted:
    """How many people a segment holds, how many of them a campaign reaches, and why not."""

    total: int
    reached: int
    left_out: dict[str, int]


@dataclass(frozen=True, slots=True)
class Sample:
    """One person a campaign reaches, with the values their message gets."""

    contact_id: UUID
    name: str
    phone: str
    variables: dict[str, str]


@dataclass(frozen=True, slots=True)
class Missed:
    """Since when somebody is a contact, and which rules of an audience leave them out."""

    added_at: dt.datetime
    rules: list[str]


@dataclass(frozen=True, slots=True)
class Placeholder:
    """Something a variable can be filled from: `source` and what to call it on screen."""

    source: str
    title: str


def audience(
    segment: Rule,
    variables: Variables,
    purpose: str,
    *,
    about: str = "",
    listed: Listed = None,
) -> Select[Any]:
    """Choose people for a send order, with everything its ledger rows need.

    Args:
        segment: a rule of `segments`.
        variables: name in the template → where its value comes from.
        purpose: `marketing` needs consent; others only that nobody asked for silence.
        about: the template's name at the provider: who stopped its topic gets no marketing.
        listed: a SELECT of contact_id and reason: who was chosen before. Then it is these
            people, whatever the segment says by now, and who was left out stays out.

    Returns:
        a SELECT of contact_id, address_kind, address, address_idx, variables, consent_id,
        zone, country and reason: empty, or why this person is left out (`invalid_address`, `opted_out`,
        `no_consent`, `consent_unproven`, `topic_stopped`, `identity_doubt`, `missing_variable`). Two
        contacts never share a number, so nobody is there twice.
    """
    values, missing = _values(variables)
    proof = aliased(Consent)  # segments ask the same table, each for itself
    reason = _reason(purpose, about, proof, missing)
    among = _among(segment, listed)
    if among.reason is not None:
        reason = case((among.reason != "", among.reason), else_=reason)
    query = select(
        Contact.id.label("contact_id"),
        _text("phone").label("address_kind"),
        func.coalesce(Contact.phone, "").label("address"),
        func.coalesce(Contact.phone_idx, cast(b"", LargeBinary)).label("address_idx"),
        values.label("variables"),
        case((Contact.consent == "opted_in", Contact.consent_id)).label("consent_id"),
        reason.label("reason"),
        Contact.timezone.label("zone"),
        Contact.country.label("country"),
    )
    if purpose == "marketing":
        query = query.outerjoin(proof, standing.gives(proof))
    return query.where(
        Contact.account_id == current_account(),
        whole(),
        among.there,
    )


def count(segment: Rule, variables: Variables, purpose: str, *, about: str = "") -> Counted:
    """Count a segment's people by whether, and if not why not, a campaign reaches them."""
    chosen = audience(segment, variables, purpose, about=about).subquery()
    query = select(chosen.c.reason, func.count()).group_by(chosen.c.reason)
    found = {reason: number for reason, number in db.session().execute(query)}  # noqa: C416
    reached = found.pop("", 0)
    return Counted(reached + sum(found.values()), reached, found)


def sample(
    segment: Rule,
    variables: Variables,
    purpose: str,
    *,
    about: str = "",
    limit: int = 10,
) -> list[Sample]:
    """Show the first people a campaign reaches, for previews."""
    chosen = audience(segment, variables, purpose, about=about).subquery()
    query = (
        select(chosen.c.contact_id, Contact.name, chosen.c.address, chosen.c.variables)
        .join(Contact, Contact.id == chosen.c.contact_id)
        .where(chosen.c.reason == "")
        .order_by(chosen.c.contact_id)
        .limit(limit)
    )
    return [Sample(*row) for row in db.session().execute(query)]


def places(
    segment: Rule,
    variables: Variables,
    purpose: str,
    *,
    about: str = "",
    listed: Listed = None,
) -> list[tuple[str, str, int]]:
    """Count the people a campaign reaches by their time zone and country."""
    chosen = audience(segment, variables, purpose, about=about, listed=listed).subquery()
    query = (
        select(chosen.c.zone, chosen.c.country, func.count())
        .where(chosen.c.reason == "")
        .group_by(chosen.c.zone, chosen.c.country)
    )
    return [(zone, country, n) for zone, country, n in db.session().execute(query)]


def labels(contact_ids: Iterable[UUID]) -> dict[UUID, tuple[str, str]]:
    """Say who people are, by id: name and number. Who is not there any more is missing."""
    query = select(Contact.id, Contact.name, func.coalesce(Contact.phone, "")).where(
        Contact.account_id == current_account(), Contact.id.in_(list(contact_ids))
    )
    return {one: (name, phone) for one, name, phone in db.session().execute(query)}


def missed(segment: Rule, contact_id: UUID) -> Missed | None:
    """Say which rules of a segment one person does not meet now; None: no such contact."""
    query = select(Contact.created_at).where(
        Contact.account_id == current_account(), Contact.id == contact_id
    )
    added_at = db.session().scalar(query)
    if added_at is None:
        return None
    return Missed(added_at, reasons.why_not(segment, contact_id))


def attested(segment: Rule, *, listed: Listed = None) -> list[str]:
    """List what the consents of a segment rest on: lists with their statement, wordings."""
    there = _among(segment, listed).there
    query = (
        select(Consent.import_id, Consent.wording_id)
        .join(
            Contact,
            and_(
                Contact.account_id == Consent.account_id, Contact.consent_id == Consent.id
            ),
        )
        .where(
            Contact.account_id == current_account(),
            Contact.consent == "opted_in",
            there,
        )
        .distinct()
    )
    return sorted(f"{one}:{words}" for one, words in db.session().execute(query))


def placeholders() -> list[Placeholder]:
    """List what a variable can be filled from: plain fields, then the account's own."""
    plain = [
        Placeholder("first_name", _("First name")),
        Placeholder("name", _("Name")),
        Placeholder("last_name", _("Last name")),
        Placeholder("email", _("E-mail")),
        Placeholder("country", _("Country")),
        Placeholder("language", _("Language")),
    ]
    newest = (
        select(Contact.attributes)
        .where(Contact.account_id == current_account())
        .order_by(Contact.id.desc())
        .limit(NEWEST)
        .subquery()
    )
    keys = select(func.jsonb_object_keys(newest.c.attributes).label("key")).distinct()
    own = sorted(db.session().scalars(keys))
    return plain + [Placeholder(segments.ATTRIBUTE + key, key) for key in own]


def without_consent(batch: Any) -> Select[Any]:
    """Refuse what must not leave at this moment, whatever was true when it was frozen.

    Marketing to people without a valid consent, the deleted too; anything to an address
    that is not the person's any more; and what somebody they may be the same person as
    does not want.
    """
    marketing = Message.purpose == "marketing"
    no_consent = and_(marketing, or_(Contact.id.is_(None), Contact.consent != "opted_in"))
    gone = identity.not_theirs()
    doubted = or_(
        and_(marketing, Message.contact_id.in_(identity.in_doubt("marketing"))),
        Message.contact_id.in_(identity.in_doubt("all")),
    )
    why = case(
        (gone, _text("number_changed")),
        (no_consent, _text("no_consent")),
        else_=_text("identity_doubt"),
    )
    return (
        select(Message.id, why)
        .outerjoin(
            Contact,
            and_(
                Contact.account_id == Message.account_id, Contact.id == Message.contact_id
            ),
        )
        .where(
            Message.account_id == current_account(),
            Message.id.in_(batch.ids),
            or_(no_consent, gone, doubted),
        )
    )


@dataclass(frozen=True, slots=True)
class _Among:
    """Who is meant, and why somebody was left out when the list was made."""

    there: ColumnElement[bool]
    reason: ColumnElement[Any] | None = None


def _among(segment: Rule, listed: Listed) -> _Among:
    if listed is None:
        return _Among(segments.condition(segment))
    chosen = listed.subquery("listed")
    return _Among(Contact.id == chosen.c.contact_id, chosen.c.reason)


def _values(variables: Variables) -> tuple[ColumnElement[Any], ColumnElement[bool]]:
    """Build the JSON of all variables, and the condition that one has no value."""
    pairs: list[Any] = []
    missing: list[ColumnElement[bool]] = []
    for name, given in sorted(variables.items()):
        filling = Filling.of(given)
        value = segments.value_of(filling.source)
        if filling.fallback:
            value = func.coalesce(value, _text(filling.fallback))
        else:
            missing.append(value.is_(None))
        pairs += [_text(name), func.coalesce(value, "")]
    if not pairs:
        return func.jsonb_build_object(), false()
    return func.jsonb_build_object(*pairs), or_(false(), *missing)


def _reason(
    purpose: str, about: str, proof: type[Consent], missing: ColumnElement[bool]
) -> ColumnElement[str]:
    marketing = purpose == "marketing"
    scope: suppression.Scope = "marketing" if marketing else "all"
    silenced = or_(
        Contact.id.in_(suppression.contacts(scope)),
        Contact.phone_idx.in_(suppression.addresses(scope)),
    )
    rules = [
        (Contact.phone.is_(None), _text("invalid_address")),
        (silenced, _text("opted_out")),
    ]
    if marketing:
        rules += [
            (Contact.consent == "opted_out", _text("opted_out")),
            (Contact.consent != "opted_in", _text("no_consent")),
            (proof.id.is_(None), _text(standing.UNPROVEN)),
        ]
        if (stopped := standing.who_stopped(about)) is not None:
            rules.append((Contact.id.in_(stopped), _text(standing.TOPIC_STOPPED)))
    rules.append((Contact.id.in_(identity.in_doubt(scope)), _text("identity_doubt")))
    return case(*rules, (missing, _text("missing_variable")), else_=_text(""))


def _text(value: str) -> ColumnElement[str]:
    return cast(value, Text)
