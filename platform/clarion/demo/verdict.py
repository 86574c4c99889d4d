"""Do the ledger and what people really received agree? Message by message, or not at all."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select

from clarion.base import db
from clarion.messaging import orders, references, suppression
from clarion.messaging.models import Attempt, Campaign, Message
from clarion.tenancy.scope import current_account
from clarion.work.models import WebhookInbox

TAKEN = ("accepted", "sent", "delivered", "read", "held")
ARRIVED = ("delivered", "read")
Receipt = Mapping[str, Any]  # Any: JSON of the simulator


@dataclass(frozen=True, slots=True)
class Row:
    """One message as the ledger knows it. `provider_id`: the provider took an attempt."""

    id: UUID
    address: str
    state: str
    provider_id: str | None


@dataclass(slots=True)
class Verdict:
    """What a campaign came to, and every disagreement between ledger and receipts.

    Attributes:
        figures: what is printed.
        duplicates: receipts beyond the first of a message.
        lost: messages the provider took, says the ledger, that nobody received.
        strangers: receipts of messages that are in no ledger row.
        unfounded: messages received although the ledger says they were not sent.
        differing: received, but number, provider's id or outcome are not the ledger's.
        open: messages on which the last word is not spoken.
    """

    figures: dict[str, Any] = field(default_factory=dict)
    duplicates: int = 0
    lost: int = 0
    strangers: int = 0
    unfounded: int = 0
    differing: int = 0
    open: int = 0

    @property
    def agrees(self) -> bool:
        """Whether nothing differs and nothing is open."""
        faults = (self.duplicates, self.lost, self.strangers, self.unfounded)
        return not any((*faults, self.differing, self.open))


def order_of(name: str) -> UUID:
    """Find the send order of a campaign by its name."""
    found = db.session().scalar(select(Campaign.id).where(Campaign.name == name))
    assert found is not None  # noqa: S101 -- its page has said that it finished
    return found


def compare(order_id: UUID, receipts: Iterable[Receipt]) -> Verdict:
    """Compare a campaign's ledger rows with the receipts of its messages."""
    rows = {row.id: row for row in _rows(order_id)}
    received, verdict = _by_message(receipts), Verdict()
    for message_id, copies in received.items():
        row = rows.get(message_id) if message_id else None
        verdict.duplicates += len(copies) - 1
        if row is None:
            verdict.strangers += 1
        elif row.provider_id is None and row.state not in TAKEN:
            verdict.unfounded += 1
        elif not _alike(row, copies[0]):
            verdict.differing += 1
    for row in rows.values():
        taken = row.state in TAKEN or row.provider_id is not None
        verdict.lost += taken and row.id not in received
        verdict.open += row.state not in (*ARRIVED, "failed", "suppressed")
    verdict.figures = _figures(order_id, rows.values(), received)
    return verdict


def settled() -> bool:
    """Say whether every event that providers sent is applied."""
    waiting = select(WebhookInbox.id).where(
        WebhookInbox.account_id == current_account(), WebhookInbox.applied_at.is_(None)
    )
    return db.session().scalar(waiting.limit(1)) is None


def silenced(numbers: Iterable[str]) -> bool:
    """Say whether none of these numbers may be written to any more."""
    return all(suppression.is_suppressed("phone", number) for number in numbers)


def answered(numbers: Iterable[str]) -> bool:
    """Say whether each of these people's STOP was answered, and the provider has it."""
    taken = select(Message.address).where(
        Message.id.in_(_answers()), Message.state.in_(TAKEN)
    )
    return set(numbers) <= set(db.session().scalars(taken))


def apart(
    receipts: Iterable[Receipt],
) -> tuple[list[Receipt], list[Receipt]]:
    """Part receipts into those of campaigns and those of answers to a STOP."""
    answers = set(db.session().scalars(_answers()))
    parts: tuple[list[Receipt], list[Receipt]] = ([], [])
    for receipt in receipts:
        ours = references.read_reference(receipt["reference"])
        parts[bool(ours and ours[0] in answers)].append(receipt)
    return parts


def _answers() -> Select[tuple[UUID]]:
    return select(Message.id).where(
        Message.account_id == current_account(), Message.purpose == "service"
    )


def imported() -> dict[str, Any]:
    """Read what the import said it did; the core knows the table, not the plugin."""
    table = db.Base.metadata.tables["contacts_import"]
    query = select(table).where(table.c.account_id == current_account())
    row = db.session().execute(query).mappings().one()
    states = row["counts"].get("states", {})
    return {
        "rows_read": row["row_count"],
        "contacts": row["result"]["created"],
        "refused_rows": dict(sorted(row["counts"].get("reasons", {}).items())),
        "duplicate_rows": states.get("duplicate", 0),
        "suppressed_rows": states.get("suppressed", 0),
    }


def numbers(order_id: UUID, state: str, limit: int) -> list[str]:
    """List some people's numbers by what became of their message."""
    query = select(Message.address).where(
        Message.campaign_id == order_id, Message.state == state
    )
    return list(db.session().scalars(query.order_by(Message.address).limit(limit)))


def consenting(limit: int) -> list[str]:
    """List the numbers of some contacts that may be written to."""
    table = db.Base.metadata.tables["contacts_contact"]
    query = select(table.c.phone).where(
        table.c.account_id == current_account(), table.c.consent == "opted_in"
    )
    return list(db.session().scalars(query.order_by(table.c.phone.desc()).limit(limit)))


# --- private


def _rows(order_id: UUID) -> list[Row]:
    attempt = (
        select(Attempt.message_id, func.max(Attempt.provider_id).label("provider_id"))
        .group_by(Attempt.message_id)
        .subquery()
    )
    query = (
        select(Message.id, Message.address, Message.state, attempt.c.provider_id)
        .outerjoin(attempt, attempt.c.message_id == Message.id)
        .where(Message.campaign_id == order_id)
    )
    return [Row(*row) for row in db.session().execute(query)]


def _by_message(receipts: Iterable[Receipt]) -> dict[UUID | None, list[Receipt]]:
    found: dict[UUID | None, list[Receipt]] = defaultdict(list)
    for receipt in receipts:
        ours = references.read_reference(receipt["reference"])
        found[ours[0] if ours else None].append(receipt)
    return found


def _alike(row: Row, receipt: Receipt) -> bool:
    """Same person, same id, and the same end: arrived or failed."""
    number = "".join(c for c in row.address if c.isdigit())
    known = "".join(c for c in str(receipt["to"]) if c.isdigit())
    arrived = row.state in ARRIVED if receipt["delivered"] else row.state == "failed"
    return known == number and receipt["wamid"] == row.provider_id and arrived


def _figures(
    order_id: UUID, rows: Iterable[Row], received: Mapping[Any, list[Receipt]]
) -> dict[str, Any]:
    progress = orders.progress(order_id)
    taken = [r for r in rows if r.state in TAKEN or r.provider_id is not None]
    failures: Counter[str] = Counter()
    for one in orders.failures(order_id):
        failures[one.code or one.reason] += one.count
    took = 0.0
    if progress.started_at and progress.finished_at:
        took = (progress.finished_at - progress.started_at).total_seconds()
    return {
        "audience": progress.audience,
        "left_out": dict(sorted(orders.left_out(order_id).items())),
        "accepted": len(taken),
        "delivered": progress.delivered + progress.read,
        "read": progress.read,
        "failed": dict(sorted(failures.items())),
        "unknown": progress.unknown + progress.needs_decision,
        "suppressed": progress.suppressed,
        "receipts": sum(map(len, received.values())),
        "messages_per_s": round(len(taken) / took, 1) if took else 0.0,
        "sending_seconds": round(took, 3),
    }
