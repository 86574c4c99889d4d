"""Another e-mail address for a staff member: asked for here, moved by the link."""

from sqlalchemy import func, select

from clarion.base import db
from clarion.base.errors import Conflict
from clarion.base.words import _
from clarion.tenancy import factors, mail_change
from clarion.tenancy.scope import current_actor
from clarion.web.tables import User
from clarion.work import mails


def request(email: str) -> None:
    """Ask for another address of one's own; a link goes there.

    Raises:
        Invalid: it is no address, or the present one; Conflict: a colleague has it.
    """
    who = current_actor()
    subject = f"s:{who.id}"
    wanted = mail_change.check(subject, who.email, email)
    with factors.as_system() as orm:
        taken = select(User.id).where(
            (func.lower(User.email) == wanted) | (func.lower(User.username) == wanted)
        )
        if orm.scalar(taken.where(User.id != int(who.id))) is not None:
            raise Conflict(
                "staff_known", _("This address is a staff member's."), field="email"
            )
        token = mail_change.begin(subject, who.email, wanted)
        link = f"/console/security/address/confirm?token={token}"
        mails.post("move", wanted, name=who.name, link=link)


def move(key: str, email: str) -> None:
    """Write another address into a staff member's row; a `Mover`.

    Who signs in with the address as their name goes on doing so.
    """
    user = db.session().get_one(User, int(key), with_for_update={"of": User})
    if user.username == user.email:
        user.username = email
    user.email = email
