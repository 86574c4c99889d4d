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
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from clarion.base import db
from clarion.messaging import suppression
from clarion.messaging.models import Identifier
from clarion.tenancy.scope import current_account
from clarion_contacts.models import Contact, Import, ImportRow, Tag, Tagging
from clarion_contacts.service import uploads
from clarion_contacts.service.tags import key_of

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
    """Give every readable row the verdict that is true now; repeatable."""
    plan_for_sets()
    verdict = _judged(row).subquery("verdict")
    db.session().execute(
        update(ImportRow)
        .where(
            ImportRow.account_id == current_account(),
            ImportRow.id == verdict.c.id,
            tuple_(ImportRow.state, ImportRow.contact_id, ImportRow.twin).is_distinct_from(
                tuple_(verdict.c.state, verdict.c.contact_id, verdict.c.twin)
            ),
        )
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
    """Select id, state, contact and twin of every readable row, as they are now."""
    account = current_account()
    owner = case(
        (Identifier.contact_id.is_(None), ImportRow.idx),
        else_=func.uuid_send(Identifier.contact_id),
    )
    found = (
        select(
            ImportRow.id.label("id"),
            ImportRow.line.label("line"),
            Identifier.contact_id.label("contact_id"),
            func.first_value(ImportRow.line)
            .over(partition_by=owner, order_by=ImportRow.line)
            .label("first"),
            or_(
                ImportRow.idx.in_(suppression.addresses()),
                func.coalesce(Identifier.contact_id.in_(suppression.contacts()), False),
            ).label("suppressed"),
        )
        .outerjoin(
            Identifier,
            and_(
                Identifier.account_id == account,
                Identifier.idx == ImportRow.idx,
                Identifier.valid_to.is_(None),
            ),
        )
        .where(
            ImportRow.account_id == account,
            ImportRow.import_id == row.id,
            ImportRow.state != "invalid",
        )
        .subquery("found")
    )
    held = _held(row)
    state = case(
        (found.c.line != found.c.first, "duplicate"),
        (found.c.suppressed, "suppressed"),
        (Contact.id.is_(None), "new"),
        (_differs(row, held), "changed"),
        else_="same",
    )
    query = (
        select(
            found.c.id.label("id"),
            cast(state, Text).label("state"),
            Contact.id.label("contact_id"),
            case((found.c.line != found.c.first, found.c.first)).label("twin"),
        )
        .select_from(found)
        .join(ImportRow, and_(ImportRow.account_id == account, ImportRow.id == found.c.id))
        .outerjoin(
            Contact, and_(Contact.account_id == account, Contact.id == found.c.contact_id)
        )
    )
    if held is None:
        return query
    return query.outerjoin(held, held.c.contact_id == found.c.contact_id)


def _differs(row: Import, held: Any) -> ColumnElement[bool]:
    rules = [
        *(brings(row, name) for name in PLAIN),
        merged(row) != Contact.attributes,
        and_(grants(row), Contact.consent == "none"),
        and_(ImportRow.said == "no", Contact.consent == "opted_in"),
    ]
    if held is not None:
        has = func.coalesce(held.c.tag_keys, func.jsonb_build_array())
        rules.append(~has.op("@>")(wanted_tags(row)))
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
