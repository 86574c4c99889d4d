"""People on their way through a sign-up: asked once, proven by a second yes, or forgotten.

By mail: a person types an address, and a link that was sent there confirms it. By message:
a person writes the form's word to the number, is asked, and answers yes. Until then there
is a pending row and no contact.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from clarion.base import clock, db, limits, words
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.settings import settings
from clarion.base.words import _
from clarion.messaging import address, answers, identifiers, ledger, stopwords, suppression
from clarion.messaging.heard import Heard
from clarion.tenancy import audit
from clarion.tenancy import preferences as chosen
from clarion.tenancy.models import Account
from clarion.tenancy.scope import current_account, current_actor
from clarion.work import mails, outbox
from clarion_contacts.events import ContactAdded, ContactOptedIn
from clarion_contacts.models import Consent, Contact, Wording
from clarion_contacts.records import Joining, Signup
from clarion_contacts.service import gauging, links, wordings
from clarion_contacts.service.consent import LIFTED, find_locked, silenced, store
from clarion_contacts.service.signups import YES, Shown, get_signup, shown, wording_text

PER_ADDRESS = limits.Limit("contacts.join.address", 3, 3_600)
PER_NETWORK = limits.Limit("contacts.join.network", 30, 3_600)
PER_FORM = limits.Limit("contacts.join.form", 600, 3_600)

audit.label("contacts.signup.confirmed", "Confirmed a sign-up")


@dataclass(frozen=True, slots=True)
class _Asked:
    """Whom to ask: by which way, where, and whose address it is if we know."""

    method: str
    to: tuple[str, str]
    known: UUID | None
    name: str = ""
    asked_id: UUID | None = None


def join_by_mail(signup_id: UUID, email: str, name: str, language: str) -> None:
    """Note that somebody typed an address, and send the link that confirms it there.

    Says the same whoever it is: known, unknown, or on the do-not-contact list, to whom
    nothing is sent.
    """
    form = shown(signup_id)
    if not form.by_mail:
        raise NotFound("link_unknown", _("This link does not work, or is too old."))
    try:
        said = address.normalise("email", email)
    except Invalid as refused:
        raise Invalid(refused.code, refused.text, field="email") from None
    idx = identifiers.index("email", said)
    limits.hit(PER_NETWORK, current_actor().address)
    limits.hit(PER_FORM, str(signup_id))
    limits.hit(PER_ADDRESS, idx.hex())
    _require_room()  # of everybody alike: a refusal tells nothing about the address
    if suppression.is_suppressed("email", said):
        return
    known = identifiers.find("email", said)
    row = _pending(
        signup_id, _Asked("mail", ("email", said), known, " ".join(name.split())[:200])
    )
    end = row.expires_at
    mails.post(
        "signing_up",
        said,
        language=language,
        account=form.business,
        wording=form.wording,
        hours=str(hours()),
        link=f"/contacts/join/confirm/{links.sign('confirm', row.id, until=end)}",
        unsubscribe=f"/contacts/decline/{links.sign('decline', row.id)}",
    )


def asked(joining_id: UUID) -> Shown | None:
    """Read what a confirmation is about; None when it is over or was given already."""
    query = select(Joining).where(
        Joining.account_id == current_account(),
        Joining.id == joining_id,
        Joining.method == "mail",
        Joining.state == "pending",
        Joining.expires_at > func.clarion_now(),
    )
    row = db.session().scalar(query)
    if row is None:
        return None
    try:
        form = shown(row.signup_id)
    except NotFound:
        return None
    text = db.session().scalar(
        select(Wording.text).where(
            Wording.account_id == current_account(), Wording.id == row.wording_id
        )
    )
    return Shown(form.id, form.business, str(text), form.by_mail, form.word, form.chat)


def confirm_by_mail(joining_id: UUID, language: str) -> str:
    """Take the second yes: the link was opened and the button pressed. Once.

    Returns the link to the person's own page.
    """
    row = _locked(joining_id)
    if row is None or row.method != "mail" or asked(joining_id) is None:
        raise Conflict("link_over", _("This link was used already or is too old."))
    if _is_new(row):
        _require_room()
    contact_id = _confirm(row, "web_form", f"joining:{row.id}", ("email", "whatsapp"))
    page = links.page_of(contact_id)
    mails.post(
        "signed_up",
        row.address,
        language=language,
        account=wordings.business_name(),
        link=f"/contacts/you/{page}",
        unsubscribe=f"/contacts/stop/{links.sign('stop', contact_id)}",
    )
    return page


# --- by message


def listen(heard: Heard) -> None:
    """Take what a person wrote as a step of a sign-up, if it is one. Harmless twice.

    The form's word, alone, begins it; yes, alone, ends it; what means STOP never does.
    """
    said, to = stopwords.plain(heard.text), _one_spelling(heard)
    if heard.meaning in ("stop", "maybe") or not said or to is None:
        return
    idxs = [identifiers.index(kind, value) for kind, value in heard.named]
    ledger.lock_contacts(set(identifiers.find_many(idxs).values()), idxs)
    if said in YES:
        _answered(heard, idxs)
    elif (signup := _by_word(said, heard.sender_id)) is not None:
        _begun(signup, heard, to)


def _one_spelling(heard: Heard) -> tuple[str, str] | None:
    to = answers.address_of(heard.named)
    if to is None or to[0] != "phone":
        return to
    return "phone", address.normalise("phone", to[1])


def _begun(signup: Signup, heard: Heard, to: tuple[str, str]) -> None:
    known = heard.contact_id or identifiers.find(*to)
    if known is None and gauging.lacks_room(1):
        _say_full(heard, db.new_id(), signup.id)
        return
    row = _pending(signup.id, _Asked("message", to, known, asked_id=heard.id))
    business = wordings.business_name()
    text = wording_text(signup)
    _answer(
        heard,
        row.contact_id,
        f"sign-up {signup.id}",
        lambda: _(
            "%(account)s: “%(wording)s” Is that right? Answer YES, and you are signed up."
            " Answer nothing, and nothing comes.",
            account=business,
            wording=text,
        ),
    )


def _answered(heard: Heard, idxs: Sequence[bytes]) -> None:
    query = (
        select(Joining)
        .where(
            Joining.account_id == current_account(),
            Joining.address_idx.in_(list(idxs)),
            Joining.method == "message",
            Joining.state == "pending",
            Joining.expires_at > func.clarion_now(),
        )
        .order_by(Joining.created_at.desc())
        .limit(1)
    )
    row = db.session().scalar(query.with_for_update())
    if row is None:
        return
    if _is_new(row) and gauging.lacks_room(1):
        _say_full(heard, row.contact_id, row.signup_id)
        return
    row.said_id = heard.id
    contact_id = _confirm(
        row, "inbound_message", f"inbound_message:{heard.id}", ("whatsapp",), heard.named
    )
    page = f"{settings().public_url}/contacts/you/{links.page_of(contact_id)}"
    business = wordings.business_name()
    _answer(
        heard,
        contact_id,
        f"yes {row.signup_id}",
        lambda: _(
            "You are signed up for messages from %(account)s. Write STOP whenever you have"
            " enough. Choose what you get: %(page)s",
            account=business,
            page=page,
        ),
    )


def _answer(heard: Heard, contact_id: UUID, kind: str, text: Any) -> None:
    """Answer in the account's language, in the conversation the person has opened."""
    if heard.sender_id is None:
        return
    query = select(Account.language).where(Account.id == current_account())
    with words.speaking(db.session().scalar(query)):
        answers.say(
            kind,
            _("Answers to sign-ups"),
            text(),
            sender_id=heard.sender_id,
            contact_id=contact_id,
            named=heard.named,
            at=heard.at,
        )


# --- an account that may have no more people


def _require_room() -> None:
    """Refuse a sign-up in words for the person: what the account may have is not theirs."""
    if gauging.lacks_room(1):
        raise Conflict("signup_full", _("Nobody new is taken here at present."))


def _is_new(row: Joining) -> bool:
    """Say whether confirming makes a contact."""
    owner = identifiers.find(row.kind, row.address) or row.contact_id
    query = select(Contact.id).where(
        Contact.account_id == current_account(), Contact.id == owner
    )
    return db.session().scalar(query) is None


def _say_full(heard: Heard, contact_id: UUID, signup_id: UUID) -> None:
    business = wordings.business_name()
    _answer(
        heard,
        contact_id,
        f"full {signup_id}",
        lambda: _(
            "%(account)s takes nobody new at present. Nothing comes.", account=business
        ),
    )


# --- both


def expire_joinings() -> int:
    """Forget the addresses of who never confirmed; returns how many."""
    rows = db.session().execute(
        update(Joining)
        .where(
            Joining.account_id == current_account(),
            Joining.state == "pending",
            Joining.expires_at <= func.clarion_now(),
        )
        .values(state="expired", address="", name="", settled_at=func.clarion_now())
        .returning(Joining.id)
        .execution_options(synchronize_session=False)
    )
    return len(rows.all())


def hours() -> int:
    """Say within how many hours a sign-up must be confirmed."""
    return max(1, int(chosen.value("contacts", "confirm_hours")))


def _pending(signup_id: UUID, who: _Asked) -> Joining:
    """Write who is asked, or find who was: asking again asks about the words of now."""
    signup = get_signup(signup_id)
    idx = identifiers.index(*who.to)
    ends = clock.now() + dt.timedelta(hours=hours())
    row = insert(Joining).values(
        id=db.new_id(),
        signup_id=signup_id,
        wording_id=signup.wording_id,
        contact_id=who.known or db.new_id(),
        method=who.method,
        kind=who.to[0],
        address=who.to[1],
        address_idx=idx,
        name=who.name,
        asked_id=who.asked_id,
        expires_at=ends,
    )
    row = row.on_conflict_do_update(
        index_elements=["account_id", "signup_id", "address_idx"],
        index_where=Joining.state == "pending",
        set_={
            "wording_id": signup.wording_id,
            "expires_at": ends,
            "asked_id": who.asked_id,
        },
    )
    made = db.session().scalars(
        row.returning(Joining), execution_options={"populate_existing": True}
    )
    return made.one()


def _confirm(
    row: Joining,
    method: str,
    evidence: str,
    wanted: tuple[str, ...],
    named: Sequence[tuple[str, str]] = (),
) -> UUID:
    """Write the grant: for the contact who has the address, or a new one.

    Who signs up by the number itself takes back their own STOP by it. A mail proves the
    mail address only: it gives consent for messages to a number that was known to be
    this person's, and lifts nothing.
    """
    owner = identifiers.find(row.kind, row.address) or row.contact_id
    ledger.lock_contacts([owner], [row.address_idx])
    contact = find_locked(owner) or _make(owner, row)
    row.contact_id, row.state, row.settled_at = contact.id, "confirmed", func.clarion_now()
    proven = [(k, v) for k, v in named if k != "username"] or [(row.kind, row.address)]
    identifiers.attach(contact.id, proven, "inbound" if named else "sign-up")
    if named:
        suppression.resume(proven, lifts=LIFTED)
    suppression.adopt([contact.id])
    quiet = silenced(contact)
    for channel in wanted:
        if channel == "whatsapp" and (quiet or not (contact.phone or named)):
            continue
        event = Consent(
            id=db.new_id(),
            contact_id=contact.id,
            action="grant",
            purpose="marketing",
            channel=channel,
            method=method,
            source=f"{get_signup(row.signup_id).name}"[:300],
            wording_id=row.wording_id,
            agreed_on=clock.now().date(),
            evidence_ref=evidence,
        )
        store(contact, event, "opted_in")
    contact.updated_at = func.clarion_now()
    audit.record("contacts.signup.confirmed", row, method=row.method)
    outbox.publish(ContactOptedIn(contact_id=contact.id, purpose="marketing"))
    return contact.id


def _make(contact_id: UUID, row: Joining) -> Contact:
    phone = row.address if row.kind == "phone" else None
    contact = Contact(
        id=contact_id,
        name=row.name,
        phone=phone,
        phone_idx=identifiers.index("phone", phone) if phone else None,
        email=row.address if row.kind == "email" else "",
        country=address.region_of(phone or ""),
    )
    db.session().add(contact)
    db.session().flush()
    outbox.publish(ContactAdded(contact_id=contact.id))
    return contact


def _locked(joining_id: UUID) -> Joining | None:
    query = select(Joining).where(
        Joining.account_id == current_account(), Joining.id == joining_id
    )
    return db.session().scalar(query.with_for_update())


def _by_word(said: str, sender_id: UUID | None) -> Signup | None:
    query = select(Signup).where(
        Signup.account_id == current_account(),
        Signup.word == said,
        Signup.retired_at.is_(None),
        (Signup.sender_id == sender_id) | Signup.sender_id.is_(None),
    )
    return db.session().scalar(query)
