"""What happens about lost second factors by itself: everybody is told, and the wait ends."""

from typing import Final
from uuid import UUID

from clarion.base import db
from clarion.tenancy import factors, mail_change, recovery
from clarion.tenancy.changes import Recovery
from clarion.tenancy.recovery import Asker
from clarion.work import mails
from clarion.work.jobs import job

ENDED: Final = ("stopped", "refused", "lapsed")


def ask(who: Asker, words: str) -> None:
    """Ask that lost second factors be removed, and tell every address of theirs."""
    with factors.as_system():
        row = recovery.ask(who, words)
        tell.later(row.id, "asked")


def stop(token: str) -> bool:
    """Stop it by the link of a mail; False when that leads nowhere any more."""
    with factors.as_system():
        row = recovery.stoppable(token)
        if row is None or recovery.stop(row.id) is None:
            return False
        tell.later(row.id, "stopped")
        return True


def stop_by_factor(subject: str) -> bool:
    """Stop what somebody asked who has just shown a factor: nothing is lost."""
    with factors.as_system():
        row = recovery.open_of(subject)
        if row is None or recovery.stop(row.id) is None:
            return False
        tell.later(row.id, "stopped")
        return True


@job(queue="default", idempotent=True, system=True)
def tell(recovery_id: UUID, stage: str) -> None:
    """Tell every address what has happened, once; each mail's link stops it."""
    row = recovery.telling(recovery_id, stage)
    if row is not None:
        _write(row, stage)


@job(queue="default", idempotent=True, alone=True, system=True)
def settle() -> None:
    """Warn a day before, remove when the wait is over, close what nobody decided."""
    with db.transaction():
        soon, true, late = recovery.due()
    for one in soon:
        with db.transaction():
            if recovery.warn(one):
                tell.later(one, "soon")
    for one in true:
        with db.transaction():
            if recovery.come_true(one):
                tell.later(one, "done")
    for one in late:
        with db.transaction():
            if recovery.lapse(one):
                tell.later(one, "lapsed")


def _write(row: Recovery, stage: str) -> None:
    console = row.subject.startswith("s:")
    values = {"link": "/console/security/" if console else "/security/"}
    if stage == "asked":
        values |= {"device": row.device, "address": row.address}
    elif stage in ("approved", "soon"):
        values["at"] = f"{row.due_at:%Y-%m-%d %H:%M}"
    elif stage in ENDED:
        values["how"] = stage
    if stage in ("asked", "approved", "soon"):
        token = recovery.stop_link(row, stage)
        path = f"/console/sign/lost/stop?token={token}"
        values["link"] = path if console else f"/lost/stop/{token}"
    kind = f"recovery_{'ended' if stage in ENDED else stage}"
    for to in mail_change.addresses(row.subject, row.email):
        mails.post(kind, to, name=row.name, language=row.language, **values)
