"""The chain of consent: what is written down is sealed, and whatever changes it is seen.

Events are written as they come, by people one at a time and by imports in sets; a job
seals them seconds later, each account's in one chain. Nobody who writes waits for it.
"""

import datetime as dt
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import RowMapping, Select, and_, exists, func, insert, select
from sqlalchemy.orm import aliased

from clarion.base import crypto, db
from clarion.base.telemetry import logger
from clarion.tenancy.scope import current_account
from clarion.tenancy.verifier import START, Walk
from clarion_contacts.models import Consent, Contact, Import, Wording
from clarion_contacts.records import ConsentCheck, ConsentLink

log = logger(__name__)
State = Literal["sealed", "waiting", "broken"]
WINDOW = dt.timedelta(days=1)
LOCK = 5  # class of advisory locks: one sealer an account
PART = 2_000
AT_ONCE = 200_000  # events in one transaction
CHECKS = 60  # earlier walks that are asked


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a walk along a chain found.

    Attributes:
        events: how many are in the chain.
        erased: how many of them went with the person they were about.
        waiting: how many are not sealed yet.
        broken: the first place that is not as it was written; empty when all is well.
        head: the last hash, for whoever keeps it elsewhere.
    """

    events: int
    erased: int
    waiting: int
    broken: str
    head: bytes


def seal(window: dt.timedelta | None = WINDOW) -> int:
    """Append what is in no chain yet to this account's; returns how many, at most `AT_ONCE`.

    Harmless when called twice: one sealer at a time, and an event has one place. The
    daily run looks without a window.
    """
    key = func.hashtext(str(current_account()))
    if not db.session().scalar(select(func.pg_try_advisory_xact_lock(LOCK, key))):
        return 0
    loose = _events().where(~_linked())
    if window is not None:
        loose = loose.where(Consent.created_at > func.clarion_now() - window)
    loose = loose.order_by(Consent.created_at, Consent.id).limit(AT_ONCE)
    # right after a list was taken in the planner knows of no links yet, and would look
    # through all of them for each event
    db.session().execute(select(func.set_config("enable_nestloop", "off", True)))
    seq, last, done = *_head(), 0
    step = _step()
    rows = db.session().execute(loose.execution_options(yield_per=PART)).mappings()
    for part in rows.partitions():
        links = []
        for row in part:
            digest = _digest(row)
            seq, last = seq + 1, step(last, seq + 1, digest)
            links.append(
                {"id": row["id"], "contact_id": row["contact_id"], "seq": seq,
                 "digest": digest, "hash": last}
            )  # fmt: skip
        db.session().execute(insert(db.table_of(ConsentLink)), links)
        done += len(links)
    return done


def accounts_with_loose() -> list[UUID]:
    """Find the accounts with events of the last day that are in no chain; system scope."""
    query = select(Consent.account_id).where(
        Consent.created_at > func.clarion_now() - WINDOW, ~_linked()
    )
    return list(db.session().scalars(query.distinct()))


def verify() -> Verdict:
    """Walk this account's chain from its first event; raises nothing, says what is wrong.

    What an earlier walk found at the end must still be there: else a tail was cut off.
    """
    walk, known, erased = Walk(_step(), noun="event"), _known(), 0
    query = _walk().order_by(ConsentLink.seq).execution_options(yield_per=PART)
    for row in db.session().execute(query).mappings():
        seq, last = row["link_seq"], row["link_hash"]
        walk.meet(seq, row["link_digest"], last, _fault(row))
        erased += row["id"] is None
        if seq in known:
            walk.compare(seq, same=known[seq] == last)
    found = walk.end(kept=max(known, default=0))
    query = select(func.count()).select_from(Consent)
    mine = Consent.account_id == current_account()
    waiting = db.session().scalar(query.where(mine, ~_linked())) or 0
    broken = found[0].text if found else ""
    if broken:
        log.critical("consent.chain_broken", where=[one.text for one in found])
    return Verdict(walk.length, erased, int(waiting), broken, walk.last or START)


def states(consent_ids: Iterable[UUID]) -> dict[UUID, State]:
    """Say of events whether each is sealed, in its place, and as it was written."""
    ids, before = list(consent_ids), aliased(ConsentLink)
    query = (
        _walk(ConsentLink.id.in_(ids))
        .add_columns(before.hash.label("before_hash"))
        .outerjoin(
            before,
            and_(
                before.account_id == ConsentLink.account_id,
                before.seq == ConsentLink.seq - 1,
            ),
        )
    )
    found: dict[UUID, State] = dict.fromkeys(ids, "waiting")
    step = _step()
    for row in db.session().execute(query).mappings():
        seq, digest = row["link_seq"], row["link_digest"]
        last = START if seq == 1 else row["before_hash"]
        placed = last is not None and step(last, seq, digest) == row["link_hash"]
        found[row["link_id"]] = "sealed" if placed and not _fault(row) else "broken"
    return found


# --- reading


def _events() -> Select[Any]:
    """Select events with everything that is signed: their words and their list too."""
    query = select(*_SIGNED).select_from(Consent)
    return _told(query).where(Consent.account_id == current_account())


def _told(query: Select[Any]) -> Select[Any]:
    """Join to events their words, and the list they came with."""
    return query.outerjoin(
        Wording,
        and_(Wording.account_id == Consent.account_id, Wording.id == Consent.wording_id),
    ).outerjoin(
        Import,
        and_(Import.account_id == Consent.account_id, Import.id == Consent.import_id),
    )


def _walk(chosen: Any = None) -> Select[Any]:
    """Select links with the events they sealed, as far as those still exist."""
    person = exists().where(
        Contact.account_id == ConsentLink.account_id, Contact.id == ConsentLink.contact_id
    )
    query = (
        select(
            *_SIGNED,
            ConsentLink.id.label("link_id"),
            ConsentLink.seq.label("link_seq"),
            ConsentLink.digest.label("link_digest"),
            ConsentLink.hash.label("link_hash"),
            person.label("person"),
        )
        .select_from(ConsentLink)
        .outerjoin(
            Consent,
            and_(
                Consent.account_id == ConsentLink.account_id, Consent.id == ConsentLink.id
            ),
        )
    )
    query = _told(query).where(ConsentLink.account_id == current_account())
    return query if chosen is None else query.where(chosen)


def _linked() -> Any:
    # the column is named: the system's role may read no more of a link
    return (
        select(ConsentLink.id)
        .where(ConsentLink.account_id == Consent.account_id, ConsentLink.id == Consent.id)
        .exists()
    )


def _known() -> dict[int, bytes]:
    """Read where the chain ended when it was walked before."""
    query = select(ConsentCheck.events, ConsentCheck.head).where(
        ConsentCheck.account_id == current_account(), ConsentCheck.events > 0
    )
    newest = query.order_by(ConsentCheck.created_at.desc()).limit(CHECKS)
    return {events: bytes(head) for events, head in db.session().execute(newest)}


def _head() -> tuple[int, bytes]:
    query = select(ConsentLink.seq, ConsentLink.hash).where(
        ConsentLink.account_id == current_account()
    )
    last = db.session().execute(query.order_by(ConsentLink.seq.desc()).limit(1)).first()
    return (last.seq, last.hash) if last else (0, START)


# --- signing


_OWN = (
    "id", "account_id", "contact_id", "action", "purpose", "channel", "topic_id", "method",
    "source", "wording_id", "agreed_on", "import_id", "row_number", "file_digest", "idxs",
    "evidence", "evidence_ref", "created_at", "created_by",
)  # fmt: skip
_SIGNED = (
    *(getattr(Consent, name) for name in _OWN),
    Wording.text.label("words"),
    Import.attested_by,
    Import.attested_at,
    Import.attestation_version,
    Import.attestation_digest,
)
_NAMES = (
    *_OWN, "words", "attested_by", "attested_at", "attestation_version", "attestation_digest",
)  # fmt: skip


def _digest(row: RowMapping) -> bytes:
    """Sign what an event says, in its one form; the words themselves, not their digest."""
    body = json.dumps([_plain(row[name]) for name in _NAMES], separators=(",", ":"))
    key = crypto.signing_key("consent", current_account())
    return hmac.digest(key, body.encode(), "sha256")


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, int | str):
        return value
    if isinstance(value, bytes | memoryview):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat(timespec="microseconds")
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return str(value)


def _step() -> Callable[[bytes, int, bytes], bytes]:
    key = crypto.signing_key("consent chain", current_account())

    def step(last: bytes, seq: int, digest: bytes) -> bytes:
        return hmac.digest(key, last + seq.to_bytes(8, "big") + digest, "sha256")

    return step


def _fault(row: RowMapping) -> str:
    """Name what is wrong with the event of a link by itself; gone with its person is right."""
    if row["id"] is None:
        return "deleted" if row["person"] else ""
    return "" if hmac.compare_digest(_digest(row), row["link_digest"]) else "changed"
