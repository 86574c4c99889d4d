"""Each day the log's chains are signed where they end, and owners get that by mail.

What lies in their mailbox is out of reach of whoever runs the database.
"""

from uuid import UUID

from clarion.base import crypto, db
from clarion.base.words import _
from clarion.tenancy import chain
from clarion.tenancy.actor import SYSTEM_JOB
from clarion.tenancy.scope import account_scope
from clarion.work import notices
from clarion.work.jobs import job

NEEDS = "portal.log"


@job(queue="default", idempotent=True, alone=True, system=True)
def sign_all() -> None:
    """Find the chains that have grown since they were signed."""
    chain.seal(window=None)
    with db.transaction():
        for one in chain.grown():
            sign.later(one)


@job(queue="bulk", idempotent=True, system=True)
def sign(chain_id: UUID) -> None:
    """Sign where one chain ends; the letter about it leaves with the signature."""
    head = chain.sign(db.session(), chain_id)
    if head is not None and head.chain != crypto.PLATFORM:
        mail.later(chain_id, head.text(), head.seq)


@job(queue="bulk", idempotent=True, alone=True, system=True)
def mail(chain_id: UUID, text: str, entries: int) -> None:
    """Send owners the head of their log."""

    def write(account: str) -> notices.Notice:
        return notices.Notice(
            _("%(account)s: the head of your log", account=account),
            (
                _(
                    "Keep this mail. It shows later that nothing was taken out of the log"
                    " of %(account)s, which has %(count)s entries now, and nothing changed"
                    " in it: not by us either.",
                    account=account,
                    count=entries,
                ),
                text,
                _(
                    "To check it, download the log and the program beside it from this"
                    " page. The program runs on your own machine, without Clarion:"
                ),
            ),
        )

    with account_scope(chain_id, SYSTEM_JOB), db.transaction():
        notices.tell(write, needs=NEEDS, link="/activity")
