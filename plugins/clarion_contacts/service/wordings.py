"""The words people agree to: kept once each, and read for what they have to say."""

import hashlib
import re
import unicodedata
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from clarion.base import clock, db
from clarion.base.errors import Invalid
from clarion.base.words import _
from clarion.tenancy.models import Account
from clarion.tenancy.scope import current_account
from clarion_contacts.models import Wording

LONGEST = 4_000
_MESSAGES = re.compile(
    # stems, without accents and in small letters: message, news, offer, write to, WhatsApp
    r"messag|mensag|mensaj|messagg|nachricht|bericht|viest|zprav|wiadomosc|mesaj|melding"
    r"|besked|meddelande|viesti|uzenet|sporocil|poruk|pesan|tin nhan|ujumbe|news|noved"
    r"|novidad|notic|nouvell|neuigkeit|nieuws|novosti|nyhed|nyhet|uutis|offer|ofert|angebot"
    r"|oferta|offre|aanbieding|whats ?app|sms|newsletter|updates?|сообщен|повідомлен|новост"
    r"|новин|съобщен|μηνυμ|رساله|رسائل|رسالة|پیام|הודע|संदेश|বার্তা|செய்தி|సందేశ|ข้อความ"
    r"|消息|信息|訊息|通知|メッセージ|お知らせ|메시지|소식"
)
_FORMS = frozenset((
    "gmbh", "ag", "kg", "ug", "ohg", "mbh", "co", "ltd", "limited", "inc", "llc",
    "corp", "company", "sa", "sas", "sarl", "srl", "spa", "bv", "nv", "ab", "as", "oy",
    "aps", "sl", "slu", "lda", "ltda", "eireli", "me", "cia", "pvt", "pte", "the",
    "and", "und", "y", "e", "et", "da", "de", "do", "der", "die", "das", "la", "le",
))  # fmt: skip


def keep_wording(text: str) -> UUID:
    """Store the words somebody agreed to, each text once; returns their id."""
    said = text.strip()
    digest = hashlib.sha256(said.encode()).digest()
    row = insert(Wording).values(
        id=db.new_id(), text=said, digest=digest, version=f"{clock.now():%Y-%m-%d}"
    )
    db.session().execute(row.on_conflict_do_nothing())
    query = select(Wording.id).where(
        Wording.account_id == current_account(), Wording.digest == digest
    )
    return db.session().execute(query).scalar_one()


def lint(text: str, business: str | None = None) -> list[str]:
    """Say what words that ask for consent lack; an empty list when they say it all.

    They name the business, as it is called in the settings or by a word of its name, and
    say that messages will come: that is what messaging policies ask for.
    """
    said = plain(text)
    missing = []
    name = business_name() if business is None else business
    if not _names(said, name):
        missing.append(
            _("It does not name your business, “%(name)s”: say who will write.", name=name)
        )
    if not (_MESSAGES.search(said) or _MESSAGES.search(_as_written(text))):
        missing.append(
            _("It does not say that messages will come, as in “messages by WhatsApp”.")
        )
    return missing


def require(text: str) -> None:
    """Refuse words we would show to people when they lack something."""
    if not text.strip():
        raise Invalid(
            "consent_wording", _("Write the words they agreed to."), field="wording"
        )
    if len(text) > LONGEST:
        raise Invalid(
            "consent_wording_long",
            _("At most 4,000 letters: only the sentence they agreed to."),
            field="wording",
        )
    if missing := lint(text):
        raise Invalid("consent_wording_lacks", " ".join(missing), field="wording")


def business_name() -> str:
    """Say what this account's business is called."""
    query = select(Account.name).where(Account.id == current_account())
    return str(db.session().scalar(query) or "")


def plain(text: str) -> str:
    """Bring letters to one form: without case, accents and ornaments."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    kept = "".join(s for s in folded if not _is_accent(s))
    return " ".join("".join(s if s.isalnum() else " " for s in _composed(kept)).split())


def _as_written(text: str) -> str:
    """Keep the marks that are part of a word in scripts of India, and of Arabic."""
    return unicodedata.normalize("NFC", text).casefold()


def _is_accent(sign: str) -> bool:
    """Only the accents of Latin and Greek letters; other scripts need their marks."""
    return "\u0300" <= sign <= "\u036f"


def _composed(text: str) -> str:
    # vowel signs are marks, not letters: they stay with the word they stand in
    composed = unicodedata.normalize("NFC", text)
    return "".join(s if unicodedata.category(s)[0] != "M" else "\u02bc" for s in composed)


def _names(said: str, business: str) -> bool:
    name = plain(business)
    if not name:
        return True
    if f" {name} " in f" {said} " or name in said:
        return True
    words = [word for word in name.split() if word not in _FORMS and len(word) > 1]
    return bool(words) and all(word in said.split() for word in words)
