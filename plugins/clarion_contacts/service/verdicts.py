"""What the database knows about judged rows: new, changed, same, twice, or opted out."""

from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Text,
    and_,
    case,
    cast,
    func,
    literal,
    or_,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from clarion.base import db
from clarion.messaging import suppression
from clarion.messaging.models import Identifier
from clarion.tenancy.scope import current_account
from clarion_contacts.importing import key_of, ours
from clarion_contacts.models import Contact, Import, ImportRow, List, Listing, Tag, Tagging
from clarion_contacts.service import uploads

PLAIN = (
    "name", "first_name", "last_name", "language", "country", "timezone", "email",
)  # fmt: skip


def settle(import_id: UUID) -> None:
    """Finish the dry run: a verdict for every row, counted. Nothing else is written."""
    row = uploads.get(import_id, lock=True)
    if row.state != "checking":
        return
    judge_rows(row)
    row.counts = {**row.counts, **counted(row)}
    row.state, row.beat_at = "checked", func.clarion_now()
    row.progress = row.row_count


def judge_rows(row: Import) -> None:
    """Give every readable row the verdict that is true now; repeatable.

    Rows are staged as new, and most are: only those with another verdict are written.
    """
    plan_for_sets()
    verdict = _judged(row).subquery("verdict")
    db.session().execute(
        update(ImportRow)
        .where(ImportRow.account_id == current_account(), ImportRow.id == verdict.c.id)
        .values(
            state=verdict.c.state,
            contact_id=verdict.c.contact_id,
            twin=verdict.c.twin,
            reason=case(
                (verdict.c.state == "duplicate", "phone_duplicate"),
                (verdict.c.state == "suppressed", "opted_out"),
                else_="",
            ),
        )
        .execution_options(synchronize_session=False)
    )


def plan_for_sets() -> None:
    """Tell the planner, until the transaction ends, that sets are joined here.

    Rows staged a moment ago are not in its statistics: it would take a million of them
    for none, and look each one up by reading a whole table (measured: minutes).
    """
    for name, value in (("enable_nestloop", "off"), ("work_mem", "64MB"), ("jit", "off")):
        db.session().execute(select(func.set_config(name, value, True)))


def counted(row: Import) -> dict[str, Any]:
    """Count rows by verdict, the refused by reason, and who will have consent."""
    mine = and_(ImportRow.account_id == current_account(), ImportRow.import_id == row.id)
    query = (
        select(
            ImportRow.state,
            ImportRow.reason,
            func.count(),
            func.count().filter(grants(row)),
            func.count().filter(ImportRow.notes > 0),
        )
        .where(mine)
        .group_by(ImportRow.state, ImportRow.reason)
    )
    states: dict[str, int] = {}
    reasons: dict[str, int] = {}
    agreed = noted = 0
    for state, reason, number, granted, remarks in db.session().execute(query):
        states[state] = states.get(state, 0) + number
        if state == "invalid":
            reasons[reason] = number
        if state in ("new", "changed", "same"):
            agreed += granted
            noted += remarks
    return {"states": states, "reasons": reasons, "agreed": agreed, "noted": noted}


def grants(row: Import) -> ColumnElement[bool]:
    """Say which rows bring consent: all attested ones, or those whose column says yes."""
    if row.consent_source in ("", "none"):
        return literal(False)
    said = {one.partition(":")[0] for one in row.mapping.values()}
    return ImportRow.said == "yes" if "consent" in said else literal(True)


def wanted_tags(row: Import) -> ColumnElement[Any]:
    """Give the keys of all tags a row brings: its own, and those chosen for the list."""
    if not row.tags:
        return ImportRow.tags.expression
    return ImportRow.tags.op("||")(cast([key_of(tag) for tag in row.tags], JSONB))


def wanted_lists(row: Import) -> ColumnElement[Any]:
    """Give the keys of all lists a row is to be on: its own, and those chosen for all."""
    if not row.lists:
        return ImportRow.lists.expression
    return ImportRow.lists.op("||")(cast([key_of(name) for name in row.lists], JSONB))


def brings(row: Import, name: str) -> ColumnElement[bool]:
    """Say whether a row changes a plain field of the contact it belongs to."""
    new, old = getattr(ImportRow, name), getattr(Contact, name)
    if row.overwrite and (name != "country" or name in row.mapping.values()):
        return and_(new != "", new != old)
    return and_(new != "", old == "")


def merged(row: Import) -> ColumnElement[Any]:
    """Give the contact's own fields after the import."""
    if row.overwrite:
        return Contact.attributes.op("||")(ImportRow.attributes)
    return ImportRow.attributes.op("||")(Contact.attributes)


def _judged(row: Import) -> Any:  # Any: SQLAlchemy's Select of many
    """Select id, state, contact and twin of the rows whose verdict is another now."""
    first, owner = _firsts(row), _owner()
    held, on = _held(row), _listed(row)
    late: ColumnElement[bool] = ImportRow.line != first.c.line
    twin: ColumnElement[Any] = case((late, first.c.line))
    beside = _beside(row)
    if beside is not None:
        told = and_(ImportRow.phone == "", Contact.id.is_(None), beside.c.line.is_not(None))
        late, twin = or_(late, told), case((late, first.c.line), (told, beside.c.line))
    suppressed = or_(
        *(one.in_(suppression.addresses()) for one in _reached_by(row)),
        func.coalesce(Identifier.contact_id.in_(suppression.contacts()), False),
    )
    state = cast(
        case(
            (late, "duplicate"),
            (suppressed, "suppressed"),
            (Contact.id.is_(None), "new"),
            (_differs(row, held, on), "changed"),
            else_="same",
        ),
        Text,
    )
    query = (
        select(
            ImportRow.id.label("id"),
            state.label("state"),
            Contact.id.label("contact_id"),
            twin.label("twin"),
        )
        .select_from(ImportRow)
        .outerjoin(Identifier, _its_owner())
        .outerjoin(first, first.c.owner == owner)
        .outerjoin(
            Contact,
            and_(
                Contact.account_id == current_account(),
                Contact.id == Identifier.contact_id,
            ),
        )
        .where(
            *_readable(row),
            tuple_(state, Contact.id, twin).is_distinct_from(
                tuple_(ImportRow.state, ImportRow.contact_id, ImportRow.twin)
            ),
        )
    )
    if beside is not None:
        query = query.outerjoin(beside, beside.c.idx == ImportRow.idx)
    for one in (held, on):
        if one is not None:
            query = query.outerjoin(one, one.c.contact_id == Identifier.contact_id)
    return query


def _firsts(row: Import) -> Any:  # Any: a subquery
    """Find the people named more than once, and the line where each is named first."""
    owner = _owner().label("owner")
    return (
        select(owner, func.min(ImportRow.line).label("line"))
        .select_from(ImportRow)
        .outerjoin(Identifier, _its_owner())
        .where(*_readable(row))
        .group_by(owner)
        .having(func.count() > 1)
        .subquery("first")
    )


def _reached_by(row: Import) -> list[Any]:  # Any: columns
    """Give the indexes of whatever messages could go to; a STOP by one silences all."""
    if not without_numbers(row):
        return [ImportRow.idx]
    return [ImportRow.idx, ImportRow.wa_idx, ImportRow.bsuid_idx, ImportRow.parent_idx]


def _beside(row: Import) -> Any:  # Any: a subquery, or None where all have numbers
    """Find addresses a person has beside what names them, and the line that says so.

    A row of nothing but such an address is that person's, not somebody new.
    """
    if not without_numbers(row):
        return None
    each = [
        select(one.label("idx"), ImportRow.line).where(*_readable(row), one != ImportRow.idx)
        for one in (
            ImportRow.wa_idx, ImportRow.bsuid_idx, ImportRow.parent_idx, ImportRow.email_idx,
        )
    ]  # fmt: skip
    told = union_all(*each).subquery("told")
    query = select(told.c.idx, func.min(told.c.line).label("line")).group_by(told.c.idx)
    return query.subquery("beside")


def without_numbers(row: Import) -> bool:
    """Say whether somebody without a number can be in a list."""
    return ours.is_ours(row.names) or bool({*ours.IDS} & {*row.mapping.values()})


def _owner() -> ColumnElement[Any]:
    """Say whose row it is: the contact's who has the number, else the number's own."""
    return func.coalesce(func.uuid_send(Identifier.contact_id), ImportRow.idx)


def _its_owner() -> ColumnElement[bool]:
    return and_(
        Identifier.account_id == current_account(),
        Identifier.idx == ImportRow.idx,
        Identifier.valid_to.is_(None),
    )


def _readable(row: Import) -> tuple[ColumnElement[bool], ...]:
    return (
        ImportRow.account_id == current_account(),
        ImportRow.import_id == row.id,
        ImportRow.state != "invalid",
    )


def _differs(row: Import, held: Any, on: Any) -> ColumnElement[bool]:
    rules = [
        *(brings(row, name) for name in PLAIN),
        merged(row) != Contact.attributes,
        and_(grants(row), Contact.consent == "none"),
        and_(ImportRow.said == "no", Contact.consent == "opted_in"),
    ]
    if held is not None:
        has = func.coalesce(held.c.tag_keys, func.jsonb_build_array())
        rules.append(~has.op("@>")(wanted_tags(row)))
    if on is not None:
        has = func.coalesce(on.c.list_keys, func.jsonb_build_array())
        rules.append(~has.op("@>")(wanted_lists(row)))
    return or_(*rules)


def _held(row: Import) -> Any:  # Any: a subquery, or None where no tags come
    """Gather the keys of the tags people have, when the list brings tags at all."""
    if not (row.tags or row.counts.get("tags")):
        return None
    return (
        select(
            Tagging.contact_id.label("contact_id"),
            func.jsonb_agg(Tag.key).label("tag_keys"),
        )
        .join(Tag, and_(Tag.account_id == Tagging.account_id, Tag.id == Tagging.tag_id))
        .where(Tagging.account_id == current_account())
        .group_by(Tagging.contact_id)
        .subquery("held")
    )


def _listed(row: Import) -> Any:  # Any: a subquery, or None where no lists come
    """Gather the keys of the lists people are on, when the file brings lists at all."""
    if not (row.lists or row.counts.get("lists")):
        return None
    return (
        select(
            Listing.contact_id.label("contact_id"),
            func.jsonb_agg(List.key).label("list_keys"),
        )
        .join(List, and_(List.account_id == Listing.account_id, List.id == Listing.list_id))
        .where(Listing.account_id == current_account())
        .group_by(Listing.contact_id)
        .subquery("listed")
    )
