"""The log of deeds as people read it: filtered, page by page by key, and as a file."""

import csv
import datetime as dt
import io
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Select, and_, literal, or_, select, tuple_

from clarion.base import crypto, db, keyset
from clarion.base.errors import Invalid
from clarion.base.patience import planned_anew
from clarion.base.words import _, lazy
from clarion.tenancy import audit
from clarion.tenancy.models import Account, AuditEntry

PAGE = 50
PART = 1_000
PLATFORM = crypto.PLATFORM  # whose deeds belong to no account
Form = Literal["csv", "json"]
KINDS = {"csv": "text/csv", "json": "application/x-ndjson"}
ENDINGS = {"csv": "csv", "json": "jsonl"}
VERBS = {
    "row.added": lazy("%(thing)s added"),
    "row.changed": lazy("%(thing)s changed"),
    "row.removed": lazy("%(thing)s removed"),
    "row.added_many": lazy("%(thing)s: many added at once"),
    "row.changed_many": lazy("%(thing)s: many changed at once"),
    "row.removed_many": lazy("%(thing)s: many removed at once"),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for; empty means everything.

    Attributes:
        account: only this account's; `PLATFORM` for deeds that belong to none.
        name: the deed's name, or its beginning (`console.account`).
        actor: whose, as the log labels them (`staff:7`), or part of the name, or of the
            name of who stood behind.
        row: the thing it happened to (`account:…`).
        since: from this day.
        until: to this day, inclusive.
        deeds_only: without single changes of rows, and pages that were only used.
        after: id of the last entry of the page before.
    """

    account: UUID | None = None
    name: str = ""
    actor: str = ""
    row: str = ""
    since: dt.date | None = None
    until: dt.date | None = None
    deeds_only: bool = False
    after: UUID | None = None

    @property
    def fields(self) -> dict[str, str]:
        """Name what is asked for, as fields of a form; without the page."""
        given = {k: v for k, v in asdict(self).items() if v and k != "after"}
        return {k: "1" if v is True else str(v) for k, v in given.items()}

    @property
    def narrow(self) -> bool:
        """Say whether anything but an account is asked for."""
        return any(self.fields.keys() - {"account", "deeds_only"})


@dataclass(frozen=True, slots=True)
class Deed:
    """One entry as a page shows it."""

    id: UUID
    at: dt.datetime
    name: str
    words: str
    actor: str
    actor_name: str
    behind: str | None
    reason: str | None
    address: str
    request_id: str
    row: str
    account_id: UUID | None
    account_name: str
    changes: list[tuple[str, Any, Any]]

    @property
    def who(self) -> str:
        """Name who did it, for somebody who knows no names of jobs."""
        machine = self.actor.startswith("job:") or self.actor == "command"
        by_itself = machine or not self.actor_name
        return _kind(self.actor) if by_itself else self.actor_name


def page(asked: Asked, limit: int = PAGE) -> tuple[list[Deed], UUID | None]:
    """Read one page, newest first, and the id that begins the next."""
    planned_anew()
    rows = db.session().execute(_query(asked, limit + 1)).all()
    found = [_deed(*row) for row in rows[:limit]]
    return found, found[-1].id if len(rows) > limit else None


def asked_for(
    given: Any, *, account: UUID | None = None, deeds_only: bool | None = None
) -> Asked:  # Any: a form's or an address's fields
    """Read what an address or a form asks for; raises `Invalid`.

    Args:
        given: the fields, with `get`.
        account: the only account that may be read; left out, `given` says whose.
        deeds_only: left out, `given` says so.
    """
    return Asked(
        account=account or ident(given.get("account")),
        name=given.get("name", "")[:80],
        actor=given.get("actor", "")[:120].strip(),
        row=given.get("row", "")[:120],
        since=day(given.get("since"), "since"),
        until=day(given.get("until"), "until"),
        deeds_only=bool(given.get("deeds_only")) if deeds_only is None else deeds_only,
        after=ident(given.get("after")),
    )


def day(text: str | None, field: str) -> dt.date | None:
    """Read a day from an address; raises `Invalid`."""
    if not text:
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError as e:
        raise Invalid("day_invalid", _("Write the day as 2027-03-31."), field=field) from e


def ident(text: str | None) -> UUID | None:
    """Read an id from an address; raises `Invalid`."""
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError as e:
        raise Invalid("id_invalid", _("This is not an id."), field="account") from e


def said(name: str, row: str) -> str:
    """Say what was done, in words; of a row, what sort of thing it is."""
    verb = VERBS.get(name)
    if verb is None:
        return audit.words(name)
    table = row.partition(":")[0]
    thing = audit.noun(table) or table.replace("_", " ").capitalize()
    return verb % {"thing": thing}


# --- as a file


def written(
    asked: Asked, form: Form, scope: Callable[[], AbstractContextManager[Any]]
) -> Iterator[str]:
    """Write what is asked for, a part at a time, each read in a transaction of its own.

    Args:
        asked: what is wanted.
        form: a table for a spreadsheet, or one JSON object a line.
        scope: enters the scope of who asks; a request's own is over by then.
    """
    if form == "csv":
        yield "\ufeff" + _rows([HEAD])
    after = None
    while True:
        with scope(), db.transaction():
            found, after = page(replace(asked, after=after), PART)
        if form == "csv":
            yield _rows([_cells(deed) for deed in found])
        else:
            yield "".join(f"{json.dumps(_object(deed))}\n" for deed in found)
        if after is None:
            return


HEAD = [
    "at", "what", "name", "row", "who", "actor", "behind", "reason", "address", "account",
    "request", "before", "after", "id",
]  # fmt: skip


def _cells(deed: Deed) -> list[str]:
    before = {name: old for name, old, _new in deed.changes if old is not None}
    after = {name: new for name, _old, new in deed.changes}
    return [
        deed.at.isoformat(), deed.words, deed.name, deed.row, deed.actor_name, deed.actor,
        deed.behind or "", deed.reason or "", deed.address, str(deed.account_id or ""),
        deed.request_id, json.dumps(before), json.dumps(after), str(deed.id),
    ]  # fmt: skip


def _object(deed: Deed) -> dict[str, Any]:
    changes = {name: [old, new] for name, old, new in deed.changes}
    plain = {"id": str(deed.id), "at": deed.at.isoformat(), "changes": changes}
    return asdict(deed) | plain | {"account_id": str(deed.account_id or "") or None}


def _rows(rows: list[list[str]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows([_harmless(cell) for cell in row] for row in rows)
    return out.getvalue()


def _harmless(cell: str) -> str:
    """Put a mark before what a spreadsheet would run."""
    return f"'{cell}" if cell[:1] in tuple("=+-@\t\r\n") and cell else cell


# --- reading


def _query(asked: Asked, most: int) -> Select[Any]:
    m, filters = AuditEntry, _filters(asked)
    condition = and_(*filters) if filters else None
    wanted = keyset.chosen(m.id, m.at, condition, beyond=_beyond(asked), most=most)
    return (
        select(m, Account.name)
        .outerjoin(Account, Account.id == m.account_id)
        .where(m.id.in_(wanted))
        .order_by(m.at.desc(), m.id.desc())
    )


def _beyond(asked: Asked) -> list[Any]:
    """Say where the entries of the page begin and end, in the order of an index."""
    m, out = AuditEntry, []
    if asked.account is not None:
        out.append(of(asked.account))
    if asked.since:
        out.append(m.at >= _midnight(asked.since))
    if asked.until:
        out.append(m.at < _midnight(asked.until + dt.timedelta(days=1)))
    if asked.after:
        last = select(m.at).where(m.id == asked.after).correlate(None).scalar_subquery()
        out.append(tuple_(m.at, m.id) < tuple_(last, literal(asked.after)))
    return out


def _filters(asked: Asked) -> list[Any]:
    m, out = AuditEntry, []
    if asked.name:
        out.append(m.name.startswith(asked.name, autoescape=True))
    if asked.deeds_only:
        out += [m.name.not_like("row.%"), m.name != "request.sent"]
    if asked.actor:
        parts = (
            c.icontains(asked.actor, autoescape=True) for c in (m.actor_name, m.behind)
        )
        out.append(or_(m.actor == asked.actor, *parts))
    if asked.row:
        out.append(m.row == asked.row)
    return out


def of(chain_id: UUID) -> Any:
    """Keep the entries of one chain."""
    m = AuditEntry
    return m.account_id.is_(None) if chain_id == PLATFORM else m.account_id == chain_id


def _midnight(date: dt.date) -> dt.datetime:
    return dt.datetime.combine(date, dt.time.min, dt.UTC)


def _deed(entry: AuditEntry, account_name: str | None) -> Deed:
    changes = [
        (name, *(pair if isinstance(pair, list) and len(pair) == 2 else [None, pair]))
        for name, pair in sorted(entry.changes.items())
        if pair not in ([None, ""], [None, None])  # an empty field of something new
    ]
    return Deed(
        entry.id,
        entry.at,
        entry.name,
        said(entry.name, entry.row or ""),
        entry.actor,
        entry.actor_name,
        entry.behind,
        entry.reason,
        entry.address,
        entry.request_id,
        entry.row or "",
        entry.account_id,
        account_name or "",
        changes,
    )


def _kind(actor: str) -> str:
    return {
        "job": _("Clarion, by itself"),
        "webhook": _("The provider"),
        "command": _("The operator"),
        "nobody": _("Somebody not signed in"),
    }.get(actor.partition(":")[0], actor)
