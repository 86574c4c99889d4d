"""What an account's people are told by mail because nobody is looking at the page.

Each reads it in their own language, once: the mail leaves when the transaction that made
it true commits.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import select

from clarion.base import db
from clarion.base.words import speaking
from clarion.tenancy import access, mail_change
from clarion.tenancy.models import Account, Membership, Person
from clarion.tenancy.scope import current_account, current_actor
from clarion.work import mails


@dataclass(frozen=True, slots=True)
class Notice:
    """What somebody is told: a subject and paragraphs, in the language spoken just now."""

    subject: str
    paragraphs: tuple[str, ...]


def tell(
    write: Callable[[str], Notice], *, needs: str, link: str, but: str = ""
) -> list[str]:
    """Write to everybody of this account who may do something about it.

    Args:
        write: makes the notice from the account's name; called once for each reader,
            while their language is spoken.
        needs: the permission of those who are told.
        link: a path of ours, where it can be done.
        but: the id of a person who knows it already.

    Returns:
        the ids of those who were told.
    """
    people = (
        select(Person.id, Person.email, Person.name, Person.language, Account.name)
        .join(Membership, Membership.person_id == Person.id)
        .join(Account, Account.id == Membership.account_id)
        .where(
            Membership.account_id == current_account(),
            Membership.role.in_(access.roles(needs)),
            Person.state == "active",
        )
        .order_by(Person.id)
    )
    told = []
    for person_id, email, name, language, account in db.session().execute(people).tuples():
        if str(person_id) == but:
            continue
        with speaking(language or None):
            said = write(account)
        mails.post(
            "notice",
            email,
            name=name,
            language=language,
            link=link,
            subject=said.subject,
            text="\n\n".join(said.paragraphs),
        )
        told.append(str(person_id))
    return told


def exported(what: Callable[[], str], *, link: str) -> None:
    """Write to who takes something out of Clarion, and to the account's owners.

    Nobody can turn that off: whoever has stolen a session is seen.

    Args:
        what: says what it is; called while the reader's language is spoken.
        link: a path of ours, where it can be looked at.
    """
    who, told = current_actor(), dict[str, tuple[str, str]]()
    if who.kind in ("person", "staff"):
        subject = f"{who.kind[0]}:{who.id}"
        for to in mail_change.addresses(subject, who.email):
            told[to] = (who.name, "")
    if who.account_id is not None:
        owners = (
            select(Person.email, Person.name, Person.language)
            .join(Membership, Membership.person_id == Person.id)
            .where(
                Membership.account_id == who.account_id,
                Membership.role == "owner",
                Person.state == "active",
            )
            .order_by(Person.id)
        )
        for email, name, language in db.session().execute(owners).tuples():
            told[email] = (name, language)
    for to, (name, language) in told.items():
        with speaking(language or None):
            said = what()
        mails.post(
            "exported", to, name=name, language=language, link=link, what=said, who=who.name
        )
