"""What the door does out of sight: everybody gets the same answer, the outcome by mail."""

from clarion.base import db
from clarion.tenancy import mail_change, people
from clarion.work import mails
from clarion.work.jobs import job


@job(queue="default", idempotent=True, alone=True, system=True)
def welcome(letter: str, closed: str) -> None:
    """Mail a link to somebody new, or tell somebody known that they have an account."""
    asked = mails.unsealed(closed, letter)
    email, language = asked["email"], asked.get("language", "")
    token = people.sign_up(email)
    with db.transaction():
        if token is None:
            mails.post("known", email, language=language, link="/sign-in")
        else:
            mails.post("confirm", email, language=language, link=f"/confirm/{token}")


@job(queue="default", idempotent=True, alone=True, system=True)
def reset(letter: str, closed: str) -> None:
    """Mail a link for a new password, if there is somebody with this address."""
    asked = mails.unsealed(closed, letter)
    email = asked["email"]
    found = people.request_reset(email)
    if found is not None:
        token, chosen = found
        language = chosen or asked.get("language", "")
        with db.transaction():
            mails.post("reset", email, language=language, link=f"/reset/{token}")


@job(queue="default", idempotent=True, alone=True, system=True)
def move(letter: str, closed: str) -> None:
    """Mail a link to somebody's next address; who has that address already is told so."""
    asked = mails.unsealed(closed, letter)
    subject, new = asked["subject"], asked["new"]
    with db.transaction():
        if mail_change.known(new):
            mail_change.close(subject)
            mails.post("move_known", new, link="/sign-in")
            return
        token = mail_change.begin(subject, asked["old"], new)
        link = f"/security/address/{token}"
        mails.post("move", new, name=asked["name"], link=link)
