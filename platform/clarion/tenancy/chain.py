"""The log's chains: one an account, sealed seconds after the writing, with signed heads.

Inside, each link is a hash under a key that the database's owner does not have. For people
outside the same entries have a digest that anybody can compute; where it stands each day is
signed and mailed. `verifier` walks along both, and as a file also without Clarion.
"""

import datetime as dt
import hmac
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import RowMapping, Select, func, insert, select
from sqlalchemy.orm import Session

from clarion.base import clock, crypto, db
from clarion.base.telemetry import logger
from clarion.tenancy import audit, verifier
from clarion.tenancy.models import AuditEntry, AuditHead, AuditLink
from clarion.tenancy.verifier import Finding, Head, Walk

log = logger(__name__)
SEALER_LOCK = 7001
SEALED_AT_ONCE = 2_000
PART = 1_000
UNSIGNED = b"not written by Clarion"
"""Stands before the signature of an entry that was forged before it was sealed."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a walk along a chain found.

    Attributes:
        length: how many entries are in it.
        found: what was done to it; empty when all is as it was written.
        digest: where the public digest ended; None when that cannot be known.
    """

    length: int
    found: list[Finding]
    digest: bytes | None


# --- sealing


def seal(window: dt.timedelta | None = dt.timedelta(days=1)) -> int:
    """Append to each account's chain what is in none yet, part by part; return how many."""
    done = 0
    while some := seal_some(window):
        done += some
        if some < SEALED_AT_ONCE:
            break
    return done


def seal_some(window: dt.timedelta | None = dt.timedelta(days=1)) -> int:
    """Append the oldest loose entries to their chains; return how many.

    One sealer at a time; writers never wait for it. New entries are found by anti-join,
    never by "after the last", because a slow transaction commits behind its successors.
    `SEALED_AT_ONCE` at most, so that a backlog neither holds a worker for long nor is
    lost with it. An entry without a true signature is sealed as what it is: forged.
    """
    with db.apart(db.Entry("clarion_system", None, "job:audit.seal")) as orm:
        if not orm.scalar(select(func.pg_try_advisory_xact_lock(SEALER_LOCK))):
            return 0
        linked = select(AuditLink.seq).where(AuditLink.entry_id == AuditEntry.id)
        loose = select(db.table_of(AuditEntry)).where(~linked.exists())
        if window:  # the daily run looks without one
            loose = loose.where(AuditEntry.at > clock.now() - window)
        loose = loose.order_by(AuditEntry.at, AuditEntry.id).limit(SEALED_AT_ONCE)
        chains: dict[UUID, list[RowMapping]] = {}
        for row in orm.execute(loose).mappings():
            chains.setdefault(row["account_id"] or crypto.PLATFORM, []).append(row)
        for chain, rows in chains.items():
            _append(orm, chain, rows)
        return sum(map(len, chains.values()))


def _append(orm: Session, chain: UUID, rows: Iterable[RowMapping]) -> None:
    (seq, last), links, step = end(orm, chain), [], _step(chain)
    for row in rows:
        seq += 1
        last = step(last, seq, row["mac"] if _true(row) else UNSIGNED + row["mac"])
        links.append({"chain": chain, "seq": seq, "entry_id": row["id"], "hash": last})
    with audit.writing():
        orm.connection().execute(insert(db.table_of(AuditLink)), links)


def end(orm: Session, chain: UUID) -> tuple[int, bytes]:
    """Return the end of a chain: its length and last hash."""
    links = select(AuditLink.seq, AuditLink.hash).where(AuditLink.chain == chain)
    last = orm.execute(links.order_by(AuditLink.seq.desc()).limit(1)).first()
    return (last.seq, last.hash) if last else (0, verifier.START)


# --- verifying


def verify(orm: Session, chain: UUID, given: Iterable[Head] = ()) -> Report:
    """Walk a chain from its start and name everything that is not as it was written.

    Args:
        orm: a session that may read all entries of the chain.
        chain: the account, or `crypto.PLATFORM`.
        given: heads that somebody kept elsewhere; only they show that the whole database
            was put back to an older copy, or that its owner cut a tail off and the heads
            beside it.
    """
    outside = [one for one in given if one.chain == chain]
    kept = heads(orm, chain)
    good = {one.seq: one.digest for one in kept if _ours(one)}
    strange = [one for one in (*kept, *outside) if not _ours(one)]
    known = {**good, **{one.seq: one.digest for one in outside if _ours(one)}}
    walk = Walk(_step(chain))
    digest = _walk(orm, chain, walk, verifier.START, known)
    most = max((one.seq for one in outside), default=0)
    found = walk.end(known=most, kept=max(good, default=0))
    for one in strange:
        text = f"the head of entry {one.seq} is not one that this Clarion signed"
        found.append(Finding("forged head", one.seq, text))
    if found:
        log.critical("audit.chain_broken", chain=str(chain), kinds=[f.kind for f in found])
    return Report(walk.length, found, digest)


def _walk(
    orm: Session, chain: UUID, walk: Walk, digest: bytes, known: Mapping[int, bytes]
) -> bytes | None:
    """Lead a walk over the rest of a chain; returns the public digest at its end."""
    public = verifier.digests(chain)
    query = links(chain, walk.length).execution_options(yield_per=PART)
    whole = True
    for row in orm.execute(query).mappings():
        content, fault = _content(row, walk)
        walk.meet(row["seq"], content, row["hash"], fault)
        whole = whole and not walk.found and content is not None
        if whole:
            digest = public(digest, row["seq"], verifier.canonical(audit.plain(row)))
            if walk.length in known:
                walk.compare(walk.length, same=known[walk.length] == digest)
    return digest if whole else None


def links(chain: UUID, after: int = 0) -> Select[Any]:
    """Select the places of a chain after one, with their entries as far as those exist."""
    return (
        select(AuditLink.seq, AuditLink.hash, *db.table_of(AuditEntry).columns)
        .outerjoin(AuditEntry, AuditEntry.id == AuditLink.entry_id)
        .where(AuditLink.chain == chain, AuditLink.seq > after)
        .order_by(AuditLink.seq)
    )


def _content(row: RowMapping, walk: Walk) -> tuple[bytes | None, str]:
    """Return what was sealed of an entry, and what is wrong with it as it is now."""
    if row["id"] is None:
        return None, "deleted"
    if _true(row):
        return row["mac"], ""
    forged = UNSIGNED + row["mac"]
    if walk.last and walk.step(walk.last, row["seq"], forged) == row["hash"]:
        return forged, "inserted"
    return row["mac"], "changed"


def _true(row: RowMapping) -> bool:
    return hmac.compare_digest(audit.mac(row), row["mac"])


def _step(chain: UUID) -> Callable[[bytes, int, bytes], bytes]:
    return partial(_next, crypto.signing_key("audit chain"), chain.bytes)


def _next(key: bytes, chain: bytes, last: bytes, seq: int, content: bytes) -> bytes:
    return hmac.digest(key, last + chain + seq.to_bytes(8, "big") + content, "sha256")


# --- heads


def grown() -> list[UUID]:
    """Find the chains that have grown since they were last signed; system scope."""
    signed = (
        select(AuditHead.chain, func.max(AuditHead.seq).label("seq"))
        .group_by(AuditHead.chain)
        .subquery()
    )
    query = (
        select(AuditLink.chain)
        .outerjoin(signed, signed.c.chain == AuditLink.chain)
        .group_by(AuditLink.chain, signed.c.seq)
        .having(func.max(AuditLink.seq) > func.coalesce(signed.c.seq, 0))
    )
    return list(db.session().scalars(query.order_by(AuditLink.chain)))


def sign(orm: Session, chain: UUID) -> Head | None:
    """Walk what was added since the last head, and sign where the chain ends now.

    Nothing is signed that is not as it was written: that is reported, and stays unsigned
    until somebody has looked. None also when nothing was added.
    """
    before = heads(orm, chain, newest=True)
    seq, digest = (before[0].seq, before[0].digest) if before else (0, verifier.START)
    query = select(AuditLink.hash).where(AuditLink.chain == chain, AuditLink.seq == seq)
    last = orm.scalar(query) if seq else verifier.START
    walk = Walk(_step(chain), length=seq, last=last or verifier.START)
    reached = _walk(orm, chain, walk, digest, {})
    if found := walk.end(kept=seq):
        log.critical("audit.chain_broken", chain=str(chain), kinds=[f.kind for f in found])
        return None
    if walk.length == seq or reached is None:
        return None
    at = clock.now().replace(microsecond=0)
    bare = Head(chain, walk.length, reached, at.isoformat(), public_key())
    made = bare._replace(signature=_private().sign(bare.statement()))
    row = {"chain": chain, "seq": made.seq, "digest": reached, "at": at}
    with audit.writing():
        table = insert(db.table_of(AuditHead))
        orm.connection().execute(
            table, row | {"key": made.key, "signature": made.signature}
        )
    return made


def heads(orm: Session, chain: UUID, *, newest: bool = False) -> list[Head]:
    """List the signed heads of a chain, newest first."""
    query = select(AuditHead).where(AuditHead.chain == chain)
    query = query.order_by(AuditHead.seq.desc()).limit(1 if newest else None)
    return [
        Head(one.chain, one.seq, one.digest, _written(one.at), one.key, one.signature)
        for one in orm.scalars(query)
    ]


def _written(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).isoformat()


def public_key() -> bytes:
    """Return the key that heads are checked with; the same for all of this installation."""
    return _private().public_key().public_bytes_raw()


def _private() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(crypto.signing_key("audit head"))


def _ours(head: Head) -> bool:
    return head.key == public_key() and head.genuine()


# --- the log as a file


def written(chain: UUID, name: str) -> Iterator[str]:
    """Write all of a chain as the file that `verifier.check` reads, line by line.

    Each part is read in a transaction of its own: a long download holds nothing. What is
    not sealed yet is not in it.
    """
    entry = db.Entry("clarion_system", None, "audit.download")
    with db.apart(entry) as orm:
        signed, (length, _last) = heads(orm, chain), end(orm, chain)
    told = {"clarion_log": verifier.VERSION, "chain": str(chain), "account": name}
    yield _line(told | {"entries": length, "key": public_key().hex()})
    for one in signed:
        yield _line({"head": one.told()})
    step, digest, seq = verifier.digests(chain), verifier.START, 0
    while seq < length:
        with db.apart(entry) as orm:
            rows = orm.execute(links(chain, seq).limit(PART)).mappings().all()
        if not rows:
            break
        for row in rows:
            seq = row["seq"]
            if row["id"] is None:
                continue  # its place stays empty, and so it shows
            told = audit.plain(row)
            digest = step(digest, seq, verifier.canonical(told))
            yield _line({"seq": seq, "digest": digest.hex(), "entry": told})
    yield _line({"end": seq})


def _line(told: Mapping[str, Any]) -> str:
    return json.dumps(told, separators=(",", ":")) + "\n"
