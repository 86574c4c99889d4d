"""Two contacts that are one person: seen side by side, merged, and two again for 30 days.

Messages that left keep the id they were sent under, so that no campaign's result changes;
`lineage` leads from it to the contact it is part of now.
"""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import and_, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from clarion.base import db
from clarion.base.errors import Conflict, NotFound
from clarion.base.words import _
from clarion.messaging import identifiers, identity, ledger, suppression, twins
from clarion.messaging.models import Suppression
from clarion.tenancy import access, audit
from clarion.tenancy.scope import current_account, current_actor
from clarion.work import outbox
from clarion_contacts.events import ContactsMerged, ContactsParted
from clarion_contacts.models import (
    Consent,
    Contact,
    Import,
    List,
    Listing,
    Merge,
    Tag,
    Tagging,
)
from clarion_contacts.service import lineage
from clarion_contacts.service.consent import store
from clarion_contacts.service.identity import repair
from clarion_contacts.service.people import locked

UNDOABLE = dt.timedelta(days=30)
FIELDS = (
    "name", "first_name", "last_name", "phone", "email", "language", "country", "timezone",
)  # fmt: skip
PROOF = (
    "action", "purpose", "method", "source", "wording_id", "agreed_on", "import_id",
    "row_number", "file_digest",
)  # fmt: skip
ATTRIBUTE = "attributes."
HELD: tuple[tuple[Any, str, Any], ...] = (  # Any: mapped classes
    (Tagging, "tag_id", Tag),
    (Listing, "list_id", List),
)

audit.label("contacts.contact.merged", "Merged two contacts")
audit.label("contacts.contact.parted", "Took a merge of two contacts back")


@dataclass(frozen=True, slots=True)
class Choice:
    """One field of both contacts. `theirs_first` when only the other one has a value."""

    key: str
    one: str
    other: str
    theirs_first: bool

    @property
    def differs(self) -> bool:
        """Say whether there is anything to choose."""
        return self.one != self.other


@dataclass(frozen=True, slots=True)
class Preview:
    """Two contacts side by side, and what would become of them as one.

    `one` stays: the contact that was added first. `consent` is what the merged contact
    would have; `silent` that nobody may write to it.
    """

    one: Contact
    other: Contact
    choices: list[Choice]
    consent: str
    silent: bool
    one_silent: bool
    other_silent: bool
    addresses: list[tuple[str, str]]
    tags: list[str]
    lists: list[str]


@dataclass(frozen=True, slots=True)
class Past:
    """A merge that can still be taken back."""

    id: UUID
    name: str
    at: dt.datetime
    until: dt.datetime


def preview(contact_id: UUID, other_id: UUID) -> Preview:
    """Show what merging two contacts would make of them. A fixed number of queries."""
    access.require("contacts.view")
    one, other = _pair(contact_id, other_id)
    quiet = _silent([one, other])
    tags, lists = (
        list(db.session().scalars(_named(held, key, named, [one.id, other.id])))
        for held, key, named in HELD
    )
    return Preview(
        one=one,
        other=other,
        choices=_choices(one, other),
        consent=_consent(one, other, silent=bool(quiet)),
        silent=bool(quiet),
        one_silent=one.id in quiet,
        other_silent=other.id in quiet,
        addresses=[
            (at.kind, at.value) for who in (one, other) for at in identifiers.of(who.id)
        ],
        tags=tags,
        lists=lists,
    )


def merge(contact_id: UUID, other_id: UUID, *, take: Collection[str] = ()) -> UUID:
    """Make two contacts one; returns the id of the one that stays, the one added first.

    Args:
        contact_id: one of the two.
        other_id: the other one; which is which does not matter.
        take: keys of fields (`name`, `attributes.city`) to have from the one that goes.

    Every address is the merged contact's, silence of either is silence of both, and the
    consent to marketing stays only where both had agreed. Can be taken back for 30 days.
    """
    access.require("contacts.edit")
    ledger.lock_contacts([contact_id, other_id])
    for one_id in sorted((contact_id, other_id)):
        locked(one_id)
    one, other = _pair(contact_id, other_id)
    quiet = _silent([one, other])

    before = {"one": _kept(one), "other": _kept(other)}
    agreed = _consent(one, other, silent=bool(quiet))
    after = _chosen(one, other, take)
    held = {held.__tablename__: _give(held, key, other, one) for held, key, _of in HELD}
    other.phone, other.phone_idx, other.merged_into = None, None, one.id
    other.updated_at = func.clarion_now()
    db.session().flush()
    joined = identity.join(other.id, one.id)
    _set(one, after)
    repair(one)
    noted = _agree(one, agreed)
    row = Merge(
        id=db.new_id(),
        contact_id=one.id,
        merged_id=other.id,
        before={
            **before,
            "after": _kept(one),
            "joined": joined,
            "held": held,
        },
        events=noted,
    )
    db.session().add(row)
    twins.settle(one.id, other.id, "merged")
    audit.record("contacts.contact.merged", one, merged=other.id)
    outbox.publish(ContactsMerged(contact_id=one.id, merged_id=other.id))
    return one.id


def undo_merge(merge_id: UUID) -> tuple[UUID, UUID]:
    """Make two contacts of one again, each as it was; returns the ids of both.

    What was changed since stays with the one that stayed. Silence stays with both, and so
    does that somebody took back their consent since. Raises `Conflict` after 30 days, and
    while the contact is part of another, or another became part of it later.
    """
    access.require("contacts.edit")
    row = _merge(merge_id)
    ledger.lock_contacts([row.contact_id, row.merged_id])
    one = locked(row.contact_id)
    row = _merge(merge_id, lock=True)
    before = _undoable(row)
    other = _merged(row.merged_id)

    since = _said_since(one, row)
    other.merged_into = None
    identity.part(other.id, one.id, before["joined"], lineage.parts_of([other.id]))
    _set(one, _back(one, before))
    one.updated_at = other.updated_at = func.clarion_now()
    repair(one)  # a number has left the one before it comes to the other
    _readdress(other, before["other"])
    for held, key, of in HELD:
        _take_back(held, key, of, before["held"].get(held.__tablename__, {}))
    events, withdrawn = list(row.events), since == "withdraw"
    if since != "correct":
        events += _agree_again(one, before["one"], before["after"], withdrawn=withdrawn)
    events += _agree_again(other, before["other"], before["other"], withdrawn=withdrawn)
    row.events = events
    row.undone_at, row.undone_by = func.clarion_now(), current_actor().label
    row.before, row.kept = None, False
    audit.record("contacts.contact.parted", one, parted=other.id)
    outbox.publish(ContactsParted(contact_id=one.id, parted_id=other.id))
    return one.id, other.id


def merges_of(contact_id: UUID) -> list[Past]:
    """List what can be taken back of a contact: the last merge that is no older than that.

    Earlier ones can be once the later ones are.
    """
    table = db.table_of(Contact)
    query = (
        select(
            Merge.id,
            table.c.name,
            table.c.email,
            Merge.created_at,
            and_(Merge.kept, Merge.created_at > func.clarion_now() - UNDOABLE).label(
                "open"
            ),
        )
        .join(
            table,
            and_(table.c.account_id == Merge.account_id, table.c.id == Merge.merged_id),
        )
        .where(
            Merge.account_id == current_account(),
            Merge.contact_id == contact_id,
            Merge.undone_at.is_(None),
        )
        .order_by(Merge.created_at.desc(), Merge.id.desc())
        .limit(1)
    )
    return [
        Past(one.id, one.name or one.email, one.created_at, one.created_at + UNDOABLE)
        for one in db.session().execute(query)
        if one.open
    ]


def forget_merges() -> int:
    """Forget what merged contacts were before, once it cannot be taken back any more."""
    gone = db.session().execute(
        update(Merge)
        .where(
            Merge.account_id == current_account(),
            Merge.kept,
            Merge.created_at <= func.clarion_now() - UNDOABLE,
        )
        .values(before=None, kept=False)
        .returning(Merge.id)
        .execution_options(synchronize_session=False)
    )
    return len(gone.all())


# --- both of them


def _pair(contact_id: UUID, other_id: UUID) -> tuple[Contact, Contact]:
    if contact_id == other_id:
        raise Conflict("contact_same", _("This is the same contact."))
    query = select(Contact).where(
        Contact.account_id == current_account(), Contact.id.in_([contact_id, other_id])
    )
    found = list(db.session().scalars(query.order_by(Contact.created_at, Contact.id)))
    if len(found) != 2:
        raise NotFound("contact_unknown", _("There is no such contact."))
    return found[0], found[1]


def _choices(one: Contact, other: Contact) -> list[Choice]:
    keys = [*FIELDS, *(ATTRIBUTE + key for key in {**one.attributes, **other.attributes})]
    made = [
        Choice(key, _shown(_value(one, key)), _shown(_value(other, key)), _empty(one, key))
        for key in keys
    ]
    return [choice for choice in made if choice.one or choice.other]


def _value(contact: Contact, key: str) -> Any:
    if key.startswith(ATTRIBUTE):
        return contact.attributes.get(key.removeprefix(ATTRIBUTE))
    return getattr(contact, key)


def _empty(contact: Contact, key: str) -> bool:
    return _value(contact, key) in (None, "")


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    return "" if value is None else str(value)


def _chosen(one: Contact, other: Contact, take: Collection[str]) -> dict[str, Any]:
    """Give the fields of the merged contact: one's own, the other's where it has none."""
    values: dict[str, Any] = {
        key: _value(other if key in take or _empty(one, key) else one, key)
        for key in FIELDS
    }
    attributes = dict(other.attributes)
    for key, value in one.attributes.items():
        if ATTRIBUTE + key not in take or key not in attributes:
            attributes[key] = value
    return {**values, "attributes": attributes}


def _set(contact: Contact, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        setattr(contact, key, value)
    phone = contact.phone
    contact.phone_idx = identifiers.index("phone", phone) if phone else None
    contact.updated_at = func.clarion_now()
    db.session().flush()


def _kept(contact: Contact) -> dict[str, Any]:
    """Write down what a contact is, as JSON."""
    at, phone = contact.consent_at, contact.phone
    return {
        # of an earlier release: two spellings of one number, known by the first only
        "unowned": bool(phone) and identifiers.find("phone", phone or "") != contact.id,
        **{key: getattr(contact, key) for key in FIELDS},
        "attributes": dict(contact.attributes),
        "consent": contact.consent,
        "consent_id": str(contact.consent_id) if contact.consent_id else None,
        "consent_at": at.isoformat() if at else None,
    }


# --- consent and silence


def _silent(contacts: list[Contact]) -> set[UUID]:
    """Find which of these must not get marketing."""
    by_idx = {bytes(c.phone_idx): c.id for c in contacts if c.phone_idx is not None}
    query = suppression.contacts().with_only_columns(Suppression.contact_id)
    theirs = query.where(Suppression.contact_id.in_([c.id for c in contacts]))
    found = {one for one in db.session().scalars(theirs) if one}
    numbers = suppression.addresses().where(Suppression.idx.in_(list(by_idx)))
    return found | {by_idx[bytes(idx)] for idx in db.session().scalars(numbers)}


def _consent(one: Contact, other: Contact, *, silent: bool) -> str:
    """Name the stricter of two consents: agreed is who agreed twice and is not silent."""
    both = {one.consent, other.consent}
    if "opted_out" in both or (silent and "opted_in" in both):
        return "opted_out"
    return "opted_in" if both == {"opted_in"} else "none"


def _agree(contact: Contact, state: str) -> list[str]:
    """Write down that a merge made a consent stricter; its own proof stays otherwise."""
    if contact.consent == state:
        return []
    why = _("Merged with another contact")
    return _note(contact, "withdraw" if state == "opted_out" else "correct", state, why)


def _agree_again(
    contact: Contact, was: Mapping[str, Any], became: Mapping[str, Any], *, withdrawn: bool
) -> list[str]:
    """Give a contact the consent from before a merge, unless it was taken back since."""
    why = _("A merge was taken back")
    proof = (
        db.session().get(Consent, UUID(was["consent_id"])) if was["consent_id"] else None
    )
    if withdrawn or (proof is not None and _taken_back(proof)):
        if contact.consent != "opted_in":
            return []
        state = "opted_out" if withdrawn else "none"
        return _note(contact, "withdraw" if withdrawn else "correct", state, why)
    if was["consent"] == became["consent"] and contact.consent == was["consent"]:
        return []
    if proof is None:
        return _note(contact, "correct", "none", why)
    again = Consent(
        id=db.new_id(),
        contact_id=contact.id,
        **{name: getattr(proof, name) for name in PROOF},
    )
    store(contact, again, was["consent"])
    contact.consent_at = (
        dt.datetime.fromisoformat(was["consent_at"]) if was["consent_at"] else None
    )
    db.session().flush()
    return [str(again.id)]


def _taken_back(proof: Consent) -> bool:
    """Say whether the list a consent came with was taken back."""
    if proof.import_id is None:
        return False
    query = select(Import.state).where(
        Import.account_id == current_account(), Import.id == proof.import_id
    )
    return db.session().scalar(query) in ("undoing", "undone")


def _note(contact: Contact, action: str, state: str, source: str) -> list[str]:
    event = Consent(
        id=db.new_id(),
        contact_id=contact.id,
        action=action,
        purpose="marketing",
        method="team",
        source=source,
    )
    store(contact, event, state)
    return [str(event.id)]


def _said_since(contact: Contact, row: Merge) -> str:
    """Name what the person said last about marketing while they were one; empty: nothing."""
    both = or_(Merge.contact_id == contact.id, Merge.merged_id == contact.id)
    ours = select(Merge.events).where(Merge.account_id == current_account(), both)
    written = {UUID(one) for events in db.session().scalars(ours) for one in events}
    query = select(Consent.action).where(
        Consent.account_id == current_account(),
        Consent.contact_id == contact.id,
        Consent.purpose == "marketing",
        Consent.created_at >= row.created_at,
        Consent.id.not_in(written),
    )
    last = query.order_by(Consent.created_at.desc(), Consent.id.desc()).limit(1)
    return db.session().scalar(last) or ""


# --- tags and lists


def _named(held: Any, key: str, of: Any, ids: list[UUID]) -> Any:
    theirs = select(getattr(held, key)).where(
        held.account_id == current_account(), held.contact_id.in_(ids)
    )
    return (
        select(of.name)
        .where(of.account_id == current_account(), of.id.in_(theirs))
        .order_by(of.key)
    )


def _give(held: Any, key: str, other: Contact, one: Contact) -> dict[str, Any]:
    """Give the tags (or lists) of one contact to the other; returns what `_take_back` needs."""
    gone = db.session().execute(
        delete(held)
        .where(held.account_id == current_account(), held.contact_id == other.id)
        .returning(
            held.id, getattr(held, key), held.import_id, held.created_at, held.created_by
        )
        .execution_options(synchronize_session=False)
    )
    rows = [
        {
            "id": str(row.id),
            key: str(row[1]),
            "contact_id": str(other.id),
            "import_id": str(row.import_id) if row.import_id else None,
            "created_at": row.created_at.isoformat(),
            "created_by": row.created_by,
        }
        for row in gone
    ]
    added: list[str] = []
    if rows:
        wanted = [
            {"id": db.new_id(), "contact_id": one.id, key: UUID(row[key])}
            | (
                {"import_id": UUID(row["import_id"])}
                if row["import_id"]
                else {"import_id": None}
            )
            for row in rows
        ]
        made = insert(held).values(wanted).on_conflict_do_nothing().returning(held.id)
        added = [str(one_id) for one_id in db.session().scalars(made)]
    return {"gone": rows, "added": added}


def _take_back(held: Any, key: str, of: Any, given: Mapping[str, Any]) -> None:
    """Put tags (or lists) back where they were, if they still exist."""
    if not given:
        return
    db.session().execute(
        delete(held)
        .where(
            held.account_id == current_account(),
            held.id.in_([UUID(one) for one in given["added"]]),
        )
        .execution_options(synchronize_session=False)
    )
    there = set(
        db.session().scalars(
            select(of.id).where(
                of.account_id == current_account(),
                of.id.in_([UUID(row[key]) for row in given["gone"]]),
            )
        )
    )
    rows = [
        {
            "id": UUID(row["id"]),
            "contact_id": UUID(row["contact_id"]),
            key: UUID(row[key]),
            "import_id": UUID(row["import_id"]) if row["import_id"] else None,
            "created_at": dt.datetime.fromisoformat(row["created_at"]),
            "created_by": row["created_by"],
        }
        for row in given["gone"]
        if UUID(row[key]) in there
    ]
    if rows:
        db.session().execute(insert(held).values(rows).on_conflict_do_nothing())


# --- taking back


def _merge(merge_id: UUID, *, lock: bool = False) -> Merge:
    query = select(Merge).where(Merge.account_id == current_account(), Merge.id == merge_id)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    row = db.session().scalar(query)
    if row is None:
        raise NotFound("merge_unknown", _("There is no such merge."))
    return row


def _merged(contact_id: UUID) -> Contact:
    query = (
        select(Contact)
        .where(Contact.account_id == current_account(), Contact.id == contact_id)
        .with_for_update()
        .execution_options(populate_existing=True, merged=True)
    )
    contact = db.session().scalar(query)
    if contact is None:
        raise NotFound("contact_unknown", _("There is no such contact."))
    return contact


def _undoable(row: Merge) -> dict[str, Any]:
    if row.undone_at is not None:
        raise Conflict("merge_undone", _("Somebody has taken this back already."))
    age = select(func.clarion_now() - Merge.created_at).where(
        Merge.account_id == current_account(), Merge.id == row.id
    )
    if row.before is None or db.session().scalars(age).one() >= UNDOABLE:
        raise Conflict("merge_old", _("A merge can be taken back for 30 days only."))
    later = select(Merge.id).where(
        Merge.account_id == current_account(),
        Merge.contact_id == row.contact_id,
        Merge.undone_at.is_(None),
        Merge.id > row.id,
    )
    if db.session().scalar(later.limit(1)) is not None:
        raise Conflict(
            "merge_covered", _("Take the later merge of this contact back first.")
        )
    return dict(row.before)


def _back(one: Contact, before: Mapping[str, Any]) -> dict[str, Any]:
    """Give the fields from before; one that was changed since stays as it is now."""
    was, became = before["one"], before["after"]
    values = {
        key: was[key] if getattr(one, key) == became[key] else getattr(one, key)
        for key in FIELDS
    }
    attributes = {
        key: value
        for key, value in one.attributes.items()
        if became["attributes"].get(key) != value
    }
    attributes |= {
        key: value
        for key, value in was["attributes"].items()
        if one.attributes.get(key) == became["attributes"].get(key)
    }
    return {**values, "attributes": attributes}


def _readdress(other: Contact, was: Mapping[str, Any]) -> None:
    """Let the other contact have its number again, if that is still its own."""
    phone = was["phone"]
    if phone and (was["unowned"] or identifiers.find("phone", phone) == other.id):
        _set(other, {"phone": phone})
    if not was["unowned"]:
        repair(other)
