"""Mails to owners about a review: that campaigns wait, what was decided, what was asked."""

from uuid import UUID

from sqlalchemy import select

from clarion.base import db
from clarion.tenancy.models import Account, Membership, Person
from clarion.tenancy.scope import current_account
from clarion.work import mails


def owners(
    kind: str, flag_id: UUID | None, account_id: UUID | None = None, **said: str
) -> None:
    """Write to each owner of an account, in their own words; leaves when this commits.

    Args:
        kind: of mail.
        flag_id: the case the link leads to; without one, to the account's home.
        account_id: whose owners; those of the present account when left out.
        said: what this kind of mail says besides.
    """
    link = f"/review/{flag_id}" if flag_id else "/"
    query = (
        select(Person.email, Person.name, Person.language, Account.name)
        .join(Membership, Membership.person_id == Person.id)
        .join(Account, Account.id == Membership.account_id)
        .where(
            Membership.account_id == (account_id or current_account()),
            Membership.role == "owner",
        )
    )
    for email, name, language, account in db.session().execute(query).tuples().all():
        mails.post(
            kind, email, name=name, language=language, link=link, account=account, **said
        )
