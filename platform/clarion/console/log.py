"""The log of deeds as staff read it: of one account or all, with the state of its chain."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select

from clarion.base import clock, db
from clarion.base.errors import NotFound
from clarion.base.words import _
from clarion.tenancy import access, audit, chain, deeds
from clarion.tenancy.deeds import PLATFORM, Asked, Deed, Form
from clarion.tenancy.models import Account, AuditEntry, AuditHead, AuditLink
from clarion.tenancy.scope import current_actor, staff_scope
from clarion.work import notices

PAGE = deeds.PAGE


@dataclass(frozen=True, slots=True)
class Chain:
    """How far a chain has grown.

    Attributes:
        id: the account, or `PLATFORM`.
        name: of the account; empty for the platform.
        length: entries in it.
        sealed_at: when the last was added.
        loose: entries of the last day that are in no chain yet.
        signed: the length that was signed last.
        signed_at: when that was.
    """

    id: UUID
    name: str
    length: int
    sealed_at: dt.datetime | None
    loose: int
    signed: int
    signed_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of deeds; `places` says where each stands in its chain."""

    deeds: list[Deed]
    after: UUID | None
    chain: Chain
    places: dict[UUID, int]


def page(asked: Asked) -> Page:
    """Read one page of the log and the state of its chain."""
    access.require("console.audit")
    found, after = deeds.page(asked, PAGE)
    ids = [one.id for one in found]
    places = select(AuditLink.entry_id, AuditLink.seq).where(AuditLink.entry_id.in_(ids))
    placed = dict(db.session().execute(places).tuples().all())
    return Page(found, after, state(asked.account or PLATFORM), placed)


def latest(*, account_id: UUID | None = None, row: str = "", limit: int = 20) -> list[Deed]:
    """List the latest deeds of an account, or about one thing."""
    return deeds.page(Asked(account=account_id, row=row), limit)[0]


def state(chain_id: UUID) -> Chain:
    """Say how long a chain is, when it was sealed and signed, and what is not in it yet."""
    orm = db.session()
    name = orm.scalar(select(Account.name).where(Account.id == chain_id))
    last = select(AuditLink.seq, AuditLink.sealed_at).where(AuditLink.chain == chain_id)
    end = orm.execute(last.order_by(AuditLink.seq.desc()).limit(1)).first()
    newest = select(AuditHead.seq, AuditHead.at).where(AuditHead.chain == chain_id)
    head = orm.execute(newest.order_by(AuditHead.seq.desc()).limit(1)).first()
    loose = (
        select(func.count())
        .select_from(AuditEntry)
        .outerjoin(AuditLink, AuditLink.entry_id == AuditEntry.id)
        .where(
            deeds.of(chain_id),
            AuditEntry.at > clock.now() - dt.timedelta(days=1),
            AuditLink.entry_id.is_(None),
        )
    )
    length, sealed_at = end.tuple() if end else (0, None)
    signed, signed_at = head.tuple() if head else (0, None)
    waiting = orm.scalar(loose) or 0
    return Chain(chain_id, name or "", length, sealed_at, waiting, signed, signed_at)


def check(chain_id: UUID) -> list[str]:
    """Walk a chain from its start; names everything that is not as it was."""
    access.require("console.audit")
    audit.record("console.audit.checked", chain=str(chain_id))
    return [one.text for one in chain.verify(db.session(), chain_id).found]


def export(asked: Asked, form: Form) -> Iterator[str]:
    """Take what a filter shows out of the console, as a table or as JSON lines."""
    access.require("console.audit_export")
    fields, account = sorted(asked.fields), str(asked.account or "")
    audit.record("console.audit.exported", form=form, account=account, filtered_by=fields)
    notices.exported(lambda: _("part of the log"), link="/console/log/")
    who = current_actor()
    return deeds.written(asked, form, lambda: staff_scope(who))


def download(chain_id: UUID) -> Iterator[str]:
    """Take a whole chain out of the console, for `clarion_verify.py`."""
    access.require("console.audit_export")
    name = "Clarion"
    if chain_id != PLATFORM:
        found = db.session().scalar(select(Account.name).where(Account.id == chain_id))
        if found is None:
            raise NotFound("account_unknown", _("There is no such account."))
        name = found
    audit.record("console.audit.downloaded", chain=str(chain_id))
    notices.exported(lambda: _("the log with its chain"), link="/console/log/")
    return chain.written(chain_id, name)


audit.label("console.audit.checked", "Checked the chain of the log")
audit.label("console.audit.exported", "Exported part of the log")
audit.label("console.audit.downloaded", "Downloaded the log with its chain")
