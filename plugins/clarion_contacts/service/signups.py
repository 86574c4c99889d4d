"""Sign-up forms: their words, their public address, and the word people write."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import UUID

from sqlalchemy import and_, func, select

from clarion.base import db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.settings import settings
from clarion.base.words import _
from clarion.messaging import channels, stopwords
from clarion.tenancy import access, audit
from clarion.tenancy.models import Account
from clarion.tenancy.scope import current_account
from clarion_contacts.models import Wording
from clarion_contacts.records import Joining, Signup
from clarion_contacts.service import links, wordings

MOST = 50
LONGEST_WORD = 40
_YES = (
    "yes", "yes please", "y", "ok", "okay", "confirm", "ja", "ja bitte", "ja gerne",
    "sim", "si", "sí", "oui", "da", "tak", "ano", "áno", "evet", "igen", "kyllä",
    "jah", "jā", "taip", "nai", "ναι", "да", "так", "є", "نعم", "بله", "כן", "हाँ",
    "हां", "जी हाँ", "হ্যাঁ", "ஆம்", "అవును", "ใช่", "ya", "có", "oo", "ndiyo", "是",
    "是的", "好", "好的", "はい", "네", "예",
)  # fmt: skip
YES = frozenset(map(stopwords.plain, _YES))
"""What says yes when it is the whole message."""

audit.label("contacts.signup.kept", "Changed a sign-up form")
audit.label("contacts.signup.retired", "Closed a sign-up form")


@dataclass(frozen=True, slots=True)
class SignupLine:
    """A sign-up form with its words, its public address, and how it goes."""

    id: UUID
    name: str
    wording: str
    version: str
    by_mail: bool
    word: str
    token: str
    chat: str
    pending: int
    confirmed: int
    closed: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """What the public page of a form shows."""

    id: UUID
    business: str
    wording: str
    by_mail: bool
    word: str
    chat: str


def signups() -> list[SignupLine]:
    """List the sign-up forms, open ones first, with how many people came; one query each."""
    access.require("contacts.view")
    counted = (
        select(
            Joining.signup_id,
            func.count().filter(Joining.state == "pending").label("pending"),
            func.count().filter(Joining.state == "confirmed").label("confirmed"),
        )
        .where(Joining.account_id == current_account())
        .group_by(Joining.signup_id)
        .subquery()
    )
    query = (
        select(Signup, Wording, counted.c.pending, counted.c.confirmed)
        .join(Wording, _its_words())
        .outerjoin(counted, counted.c.signup_id == Signup.id)
        .where(Signup.account_id == current_account())
        .order_by(Signup.retired_at.is_not(None), Signup.id.desc())
    )
    numbers = {one.id: one.number for one in channels.senders()}
    return [
        SignupLine(
            id=row.id,
            name=row.name,
            wording=wording.text,
            version=wording.version,
            by_mail=row.by_mail,
            word=row.word,
            token=links.sign("form", row.id),
            chat=chat_link(numbers.get(row.sender_id, ""), row.word),
            pending=pending or 0,
            confirmed=confirmed or 0,
            closed=row.retired_at is not None,
        )
        for row, wording, pending, confirmed in db.session().execute(query)
    ]


def signup_link(signup_id: UUID, way: str) -> tuple[str, str]:
    """Return an open form's name and the link that is printed: `page`, or `chat`."""
    access.require("contacts.view")
    form = shown(signup_id)
    page = f"{settings().public_url}/contacts/join/{links.sign('form', signup_id)}"
    link = {"page": page, "chat": form.chat}.get(way, "")
    if not link:
        raise NotFound("signup_way_unknown", _("Nobody can join by this form like that."))
    return get_signup(signup_id).name, link


def keep_signup(
    *,
    name: str,
    wording: str,
    by_mail: bool,
    word: str = "",
    sender_id: UUID | None = None,
    signup_id: UUID | None = None,
) -> Signup:
    """Add a sign-up form, or change one; new words are a new version of them.

    Who agreed before agreed to the words of then: their events point at those.
    """
    access.require("contacts.consent")
    row = get_signup(signup_id, lock=True) if signup_id else _new()
    said, asked = " ".join(name.split())[:80], stopwords.plain(word)
    if not said:
        raise Invalid("signup_name", _("Give the form a name."), field="name")
    wordings.require(wording)
    _check_word(asked, row.id)
    if not (by_mail or asked):
        raise Invalid(
            "signup_way",
            _("Choose at least one way: by e-mail, or by a word."),
            field="word",
        )
    row.name, row.by_mail, row.word = said, by_mail, asked
    row.sender_id = _sender(sender_id) if asked else None
    row.wording_id = wordings.keep_wording(wording)
    db.session().add(row)
    db.session().flush()
    audit.record("contacts.signup.kept", row, by_mail=by_mail, by_word=bool(asked))
    return row


def close_signup(signup_id: UUID) -> None:
    """Close a form: nobody can join by it any more. Who has stays."""
    access.require("contacts.consent")
    row = get_signup(signup_id, lock=True)
    row.retired_at = func.clarion_now()
    audit.record("contacts.signup.retired", row)


def get_signup(signup_id: UUID, *, lock: bool = False) -> Signup:
    """Read a form of this account."""
    query = select(Signup).where(
        Signup.account_id == current_account(), Signup.id == signup_id
    )
    found = db.session().scalar(query.with_for_update() if lock else query)
    if found is None:
        raise NotFound("signup_unknown", _("There is no such sign-up form."))
    return found


def wording_text(signup: Signup) -> str:
    """Return the words of a form as they are now."""
    query = select(Wording.text).where(
        Wording.account_id == current_account(), Wording.id == signup.wording_id
    )
    return str(db.session().scalar(query) or "")


def shown(signup_id: UUID) -> Shown:
    """Read what the public page of an open form shows; `NotFound` as for a wrong link."""
    query = (
        select(Signup, Wording.text, Account.name)
        .join(Wording, _its_words())
        .join(Account, Account.id == Signup.account_id)
        .where(
            Signup.account_id == current_account(),
            Signup.id == signup_id,
            Signup.retired_at.is_(None),
        )
    )
    found = db.session().execute(query).first()
    if found is None:
        raise NotFound("link_unknown", _("This link does not work, or is too old."))
    row, text, business = found
    numbers = {one.id: one.number for one in channels.senders()}
    chat = chat_link(numbers.get(row.sender_id, ""), row.word)
    return Shown(row.id, business, text, row.by_mail, row.word, chat)


def chat_link(number: str, word: str) -> str:
    """Write the link that opens a conversation with the word in it."""
    if not (number and word):
        return ""
    return f"https://wa.me/{number.lstrip('+')}?text={quote(word.upper())}"


def _its_words() -> Any:
    return and_(Wording.account_id == Signup.account_id, Wording.id == Signup.wording_id)


def _new() -> Signup:
    query = select(func.count()).select_from(Signup)
    mine = Signup.account_id == current_account()
    if (db.session().scalar(query.where(mine, Signup.retired_at.is_(None))) or 0) >= MOST:
        raise Conflict("signups_many", _("Close a form first: fifty can be open at once."))
    return Signup(id=db.new_id())


def _check_word(word: str, own: UUID) -> None:
    if not word:
        return
    if len(word) > LONGEST_WORD:
        raise Invalid("signup_word", _("At most 40 letters."), field="word")
    if stopwords.read(word) is not None or word in YES:
        raise Invalid(
            "signup_word_taken",
            _("This word means something already: STOP, START or yes. Choose another."),
            field="word",
        )
    query = select(Signup.id).where(
        Signup.account_id == current_account(),
        Signup.word == word,
        Signup.id != own,
        Signup.retired_at.is_(None),
    )
    if db.session().scalar(query) is not None:
        raise Conflict(
            "signup_word_used", _("Another form has this word already."), field="word"
        )


def _sender(sender_id: UUID | None) -> UUID:
    known = [one.id for one in channels.senders()]
    if sender_id is not None and sender_id in known:
        return sender_id
    raise Invalid(
        "signup_sender", _("Choose the number people write the word to."), field="sender_id"
    )
