"""Contacts as a file that a spreadsheet reads and an import takes back unchanged.

Rows are kept by the thousand, sealed, as lists of cells; which kind of file they become is
chosen when it is downloaded. Memory stays flat, however many they are.
"""

import csv
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Date as SqlDate
from sqlalchemy import and_, cast, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from clarion.base import crypto, db
from clarion.base.errors import Conflict
from clarion.base.words import _
from clarion.messaging.models import Identifier
from clarion.tenancy import access, audit
from clarion.tenancy.scope import current_account, current_actor
from clarion_contacts.importing import kinds, ours
from clarion_contacts.models import Consent, Contact, List, Listing, Tag, Tagging
from clarion_contacts.records import Bulk, BulkPart
from clarion_contacts.service import fields, worksheet
from clarion_contacts.service.silence import silenced

Form = Literal["csv", "xlsx"]
MOST_ROWS = 1_048_575  # of a worksheet, below its heading


@dataclass(frozen=True, slots=True)
class Download:
    """A file on its way to somebody: its lines come one after another."""

    name: str
    type: str
    chunks: Iterator[bytes]


def written(part_id: UUID, contact_ids: Sequence[UUID]) -> tuple[bytes, list[UUID]]:
    """Write some people as rows, sealed; returns them, and who was still there."""
    found: list[UUID] = []
    lines: list[Any] = []
    for row in db.session().execute(_people(contact_ids)):
        lines.append([_plain_cells(row), row.attributes, str(row.id), row.ids or {}])
        found.append(row.id)
    body = zlib.compress(json.dumps(lines, ensure_ascii=False).encode(), 6)
    return crypto.seal(body, place=_place(part_id), account_id=current_account()), found


def download(bulk: Bulk, form: Form) -> Download:
    """Give a finished export as a file, to who asked for it."""
    access.require("contacts.export")
    if bulk.action != "export" or bulk.state != "done":
        raise Conflict("export_unfinished", _("The export is not finished."))
    if form == "xlsx" and bulk.total > MOST_ROWS:
        raise Conflict(
            "export_rows", _("A worksheet holds a million rows. Take the CSV file.")
        )
    audit.record("contacts.export.taken", bulk, people=bulk.total)
    keep = _Kept(bulk)
    name = f"contacts-{bulk.created_at:%Y-%m-%d}.{form}"
    if form == "csv":
        return Download(name, "text/csv; charset=utf-8", _csv(keep))
    numbers = [kind == "number" for kind in keep.kinds()]
    sheet = worksheet.workbook(keep.names(), numbers, keep.rows())
    return Download(name, worksheet.TYPE, sheet)


class _Kept:
    """The kept rows of an export, read part by part in transactions of their own."""

    def __init__(self, bulk: Bulk) -> None:
        self.bulk, self.account = bulk.id, current_account()
        self.entry = db.Entry("clarion_app", self.account, current_actor().label)
        known = [ours.Own(f.key, f.title, f.kind, tuple(f.choices)) for f in fields.known()]
        described = {one.key for one in known}
        loose, ids = set[str](), set[str]()
        for _cells, has, _id, *more in self._lines():
            loose |= has.keys()
            ids.update(*more)
        loose -= described
        self.own = known + [ours.Own(key, key, "text") for key in sorted(loose)]
        self.ids = [kind for kind in ours.IDS if kind in ids]

    def names(self) -> list[str]:
        """Headings, in order: what everybody has, the own fields, our mark."""
        return [*ours.PLAIN, *self.ids, *map(ours.heading, self.own), ours.MARK]

    def kinds(self) -> list[str]:
        """What each column holds: `phone`, or a kind of field."""
        plain = ["phone" if name == "phone" else "text" for name in ours.PLAIN]
        ids = ["phone" if kind == "wa_id" else "text" for kind in self.ids]
        return [*plain, *ids, *(one.kind for one in self.own), "text"]

    def rows(self) -> Iterator[list[str]]:
        """Rows of cells, in the order people came."""
        for plain, has, own_id, *more in self._lines():
            known = more[0] if more else {}  # an earlier release wrote none
            ids = (known.get(kind, "") for kind in self.ids)
            own = (kinds.written(has.get(one.key)) for one in self.own)
            yield [*plain, *ids, *own, own_id]

    def _lines(self) -> Iterator[Any]:
        number = 0
        while True:
            with db.apart(self.entry) as orm:
                query = select(BulkPart.id, BulkPart.body).where(
                    BulkPart.account_id == self.account,
                    BulkPart.bulk_id == self.bulk,
                    BulkPart.number == number,
                )
                part = orm.execute(query).first()
            if part is None or part.body is None:
                return
            sealed = crypto.unseal(
                part.body, place=_place(part.id), account_id=self.account
            )
            yield from json.loads(zlib.decompress(sealed))
            number += 1


def _csv(keep: _Kept) -> Iterator[bytes]:
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    phones = [kind == "phone" for kind in keep.kinds()]
    writer.writerow([ours.harmless(name) for name in keep.names()])
    yield "\ufeff".encode()
    for cells in keep.rows():
        writer.writerow(map(ours.cell, cells, phones))
        if out.tell() > 1 << 16:
            yield out.getvalue().encode()
            out.seek(0)
            out.truncate()
    yield out.getvalue().encode()


def _place(part_id: UUID) -> str:
    return f"contacts_bulk_part.body:{part_id}"


def _plain_cells(row: Any) -> list[str]:  # Any: a row of `_people`
    agreed = {"opted_in": str(row.on or "yes"), "opted_out": "no"}.get(row.consent, "")
    return [
        row.phone or "",
        row.name,
        row.first_name,
        row.last_name,
        row.email,
        row.language,
        row.country,
        row.timezone,
        ours.PARTED.join(row.tags or ()),
        ours.PARTED.join(row.lists or ()),
        "no" if row.quiet else agreed,
    ]


def _people(contact_ids: Sequence[UUID]) -> Any:
    def named(one: Any, on: Any, link: Any) -> Any:
        """Gather the names of what people have."""
        return (
            select(func.array_agg(aggregate_order_by(one.name, one.key)))
            .join(on, and_(on.account_id == one.account_id, link == one.id))
            .where(on.account_id == Contact.account_id, on.contact_id == Contact.id)
            .correlate(Contact)
            .scalar_subquery()
        )

    ids = (
        select(func.jsonb_object_agg(Identifier.kind, Identifier.value))
        .where(
            Identifier.account_id == Contact.account_id,
            Identifier.contact_id == Contact.id,
            Identifier.kind.in_(ours.IDS),
            Identifier.valid_to.is_(None),
        )
        .correlate(Contact)
        .scalar_subquery()
    )
    on = func.coalesce(Consent.agreed_on, cast(Consent.created_at, SqlDate))
    return (
        select(
            Contact.id,
            Contact.phone,
            Contact.name,
            Contact.first_name,
            Contact.last_name,
            Contact.email,
            Contact.language,
            Contact.country,
            Contact.timezone,
            Contact.consent,
            Contact.attributes,
            named(Tag, Tagging, Tagging.tag_id).label("tags"),
            named(List, Listing, Listing.list_id).label("lists"),
            ids.label("ids"),
            on.label("on"),
            silenced().label("quiet"),
        )
        .outerjoin(
            Consent,
            and_(
                Consent.account_id == Contact.account_id, Consent.id == Contact.consent_id
            ),
        )
        .where(Contact.account_id == current_account(), Contact.id.in_(contact_ids))
        .order_by(Contact.id)
    )
