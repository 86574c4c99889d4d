"""One answer to a STOP, in the conversation that the person has just opened, and no offer in it.

A stranger gets none: nobody may be made of what they wrote.
"""

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from clarion.base import db, words
from clarion.base.words import _
from clarion.messaging import answers, stopwords
from clarion.tenancy.models import Account
from clarion.tenancy.scope import current_account


def say(
    sender_id: UUID,
    contact_id: UUID,
    named: Sequence[tuple[str, str]],
    said: str,
    at: dt.datetime,
) -> None:
    """Order the one answer to a person's STOP; the caller holds the person's lock.

    Args:
        sender_id: the number they wrote to, which answers.
        contact_id: who it was.
        named: the (kind, value) pairs their message carries.
        said: their words, for the language.
        at: when they wrote.
    """
    answers.say(
        "STOP",
        _("Answers to STOP"),
        _words(said),
        sender_id=sender_id,
        contact_id=contact_id,
        named=named,
        at=at,
    )


def _words(said: str) -> str:
    """Write the answer in the language of the word they used, else in the account's."""
    query = select(Account.name, Account.language).where(Account.id == current_account())
    name, own = db.session().execute(query).one()
    spoken = [one for one in stopwords.languages(said) if one in words.languages()]
    with words.speaking(own if own in spoken or not spoken else spoken[0]):
        return _(
            "You will get no more offers from %(account)s here. If you change your mind,"
            " write START.",
            account=name,
        )
