"""Verify a downloaded log of Clarion: python clarion_verify.py LOG [HEAD …].

This file needs nothing but Python 3.10. LOG is the file from the page "Activity"; each HEAD is
a file with a head that was mailed to you (or `-`, to paste it). A log by itself shows what was
changed inside it. Only a head that you kept shows that its end was cut off, or that all of it
was written anew: give the newest one that you have.

Clarion walks its own chains by the same class.
"""

import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

FIELDS = (
    "id", "account_id", "at", "name", "row", "actor", "actor_name", "behind", "reason",
    "address", "request_id", "changes",
)  # fmt: skip
"""What is signed of an entry, in this order. Never changed: old entries must stay readable."""
START = bytes(32)
SHIFTS = 1_000  # places by which what follows a removed part is looked for
RUN = 12  # misplaced entries that are tried in each other's places
VERSION = 1


# --- walking along a chain


class Finding(NamedTuple):
    """What was done to a chain, and where."""

    kind: str  # deleted, changed, inserted, moved, cut, rolled back, forged head
    seq: int
    text: str


class _Misfit(NamedTuple):
    last: bytes
    seq: int
    content: bytes
    stored: bytes
    fault: str


class Walk:
    """Follows a chain from place to place and names what does not fit.

    Args:
        step: computes the hash of a place from the hash before, its number and content.
        noun: what stands in the chain, as it is called in findings.
        signed: whether the caller proves each content by itself, so that one which fits
            nowhere was moved, not changed.
        length: the place from which the walk goes on; 0 at the beginning.
        last: the hash there.
    """

    def __init__(
        self,
        step: Callable[[bytes, int, bytes], bytes],
        *,
        noun: str = "entry",
        signed: bool = True,
        length: int = 0,
        last: bytes = START,
    ) -> None:
        self.step, self.noun, self.signed = step, noun, signed
        self.length = length
        self.last: bytes | None = last
        self.found: list[Finding] = []
        self._shift = 0
        self._misfits: list[_Misfit] = []

    def meet(self, seq: int, content: bytes | None, stored: bytes, fault: str = "") -> None:
        """Take the next place; `content` is None, or `fault` says what is wrong with it."""
        if seq <= self.length:
            self._say("moved", seq)
            return
        if seq > self.length + 1:
            self._settle(0)
            self._say("deleted", self.length + 1, seq - 1)
            self.last = None  # unknown
        self.length = seq
        if content is None:
            self._settle(0)
            self._say("deleted", seq)
        elif self.last is not None and not self._fits(seq, content, stored):
            self._misfits.append(_Misfit(self.last, seq, content, stored, fault))
        elif fault:
            self._say(fault, seq)
        self.last = stored

    def compare(self, seq: int, *, same: bool) -> None:
        """Compare with what somebody knew about this place before."""
        if not same:
            text = (
                f"{self.noun} {seq} ended another chain: something up to there was changed,"
                " or an older copy was put back and written on"
            )
            self.found.append(Finding("rolled back", seq, text))

    def end(self, known: int = 0, kept: int = 0) -> list[Finding]:
        """Come to the end and return all findings, in their order.

        Args:
            known: a length that somebody outside knew the chain to have.
            kept: the greatest length that stands beside the chain itself: when that knows
                of nothing more either, all of it is older.
        """
        self._settle(0)
        if self.length < kept:
            text = f"what came after {self.noun} {self.length} was cut off"
            self.found.append(Finding("cut", self.length, text))
        elif self.length < known:
            text = (
                f"an older copy was put back: it ends with {self.noun} {self.length},"
                f" and {self.noun} {known} was known"
            )
            self.found.append(Finding("rolled back", self.length, text))
        return self.found

    def _fits(self, seq: int, content: bytes, stored: bytes) -> bool:
        assert self.last is not None  # noqa: S101 -- said by the caller
        at = seq + self._shift
        if self.step(self.last, at, content) == stored:
            self._settle(0)
            return True
        if 0 < len(self._misfits) <= RUN:  # was something taken out before, or put in?
            for distance in range(1, SHIFTS + 1):
                for by in (distance, -distance):
                    if self.step(self.last, max(at + by, 0), content) == stored:
                        self._shift += by
                        self._settle(by)
                        return True
        return False

    def _settle(self, by: int) -> None:
        """Name the places that did not fit, now that one fits again, moved `by` places."""
        run, self._misfits = self._misfits, []
        if not run:
            return
        first, last = run[0].seq, run[-1].seq
        if by > 0:
            many = f"{by} {self._nouns(by)} before {self.noun} {first}"
            were = "was" if by == 1 else "were"
            text = f"{many} {were} deleted, and what follows was renumbered"
            self.found.append(Finding("deleted", first, text))
        elif by < 0:
            self._say("inserted", first, first - by - 1)
        elif any(one.fault for one in run):
            for one in run:
                if one.fault:
                    self._say(one.fault, one.seq)
        elif self.signed or self._fit_elsewhere(run):
            moved = self._out_of_place(run) or [first, last]
            self._say("moved", moved[0], moved[-1])
        else:
            for one in run:
                self._say("changed", one.seq)

    def _fit_elsewhere(self, run: list[_Misfit]) -> bool:
        some = run[:RUN]
        stored = {one.stored for one in some}
        places = [(one.last, where.seq + self._shift) for one in some for where in some]
        return any(
            self.step(last, seq, one.content) in stored
            for last, seq in places
            for one in some
        )

    def _out_of_place(self, run: list[_Misfit]) -> list[int]:
        """Leave out who only follows somebody that was moved."""
        hashes = {one.stored for one in run} | {run[0].last}
        return [
            one.seq
            for one in run
            if len(run) > RUN
            or all(
                self.step(last, one.seq + self._shift, one.content) != one.stored
                for last in hashes
            )
        ]

    def _say(self, kind: str, first: int, last: int = 0) -> None:
        words = {
            "deleted": ("was deleted", "were deleted"),
            "changed": ("was changed", "were changed"),
            "inserted": ("was inserted", "were inserted"),
            "moved": ("is not where it was", "are not where they were"),
        }[kind]
        if last > first:
            text = f"{self._nouns(2)} {first} to {last} {words[1]}"
        else:
            text = f"{self.noun} {first} {words[0]}"
        self.found.append(Finding(kind, first, text))

    def _nouns(self, count: int) -> str:
        if count == 1:
            return self.noun
        return f"{self.noun[:-1]}ies" if self.noun.endswith("y") else f"{self.noun}s"


# --- what everybody can compute: entries and digests


def canonical(entry: Mapping[str, Any]) -> bytes:
    """Write what is signed of an entry in its one form; its values are JSON's already."""
    signed = [entry[name] for name in FIELDS]
    return json.dumps(signed, sort_keys=True, separators=(",", ":")).encode()


def digests(chain: UUID) -> Callable[[bytes, int, bytes], bytes]:
    """Return the public step of a chain: anybody can compute it, without a key."""
    place = chain.bytes

    def step(last: bytes, seq: int, content: bytes) -> bytes:
        inside = hashlib.sha256(content).digest()
        return hashlib.sha256(last + place + seq.to_bytes(8, "big") + inside).digest()

    return step


class Head(NamedTuple):
    """Where a chain ended once, signed: so many entries, with this digest."""

    chain: UUID
    seq: int
    digest: bytes
    at: str
    key: bytes = b""
    signature: bytes = b""

    def statement(self) -> bytes:
        """Return the bytes that are signed."""
        said = ("clarion log head", self.chain, self.seq, self.digest.hex(), self.at)
        return "\n".join(map(str, said)).encode()

    def text(self) -> str:
        """Write it as it stands in a mail."""
        return "\n".join(
            (
                "-----BEGIN CLARION LOG HEAD-----",
                f"chain: {self.chain}",
                f"entries: {self.seq}",
                f"digest: {self.digest.hex()}",
                f"at: {self.at}",
                f"key: {self.key.hex()}",
                f"signature: {self.signature.hex()}",
                "-----END CLARION LOG HEAD-----",
            )
        )

    def told(self) -> dict[str, Any]:
        """Write it as it stands on a line of a log; `head_of` reads it."""
        return {
            "chain": str(self.chain),
            "entries": self.seq,
            "digest": self.digest.hex(),
            "at": self.at,
            "key": self.key.hex(),
            "signature": self.signature.hex(),
        }

    def genuine(self) -> bool:
        """Check the signature by the key that the head names."""
        return verified(self.key, self.statement(), self.signature)


HEAD = re.compile(
    r"BEGIN CLARION LOG HEAD-*[\s>]*chain:\s*(?P<chain>[0-9a-f-]{36})"
    r"[\s>]*entries:\s*(?P<seq>\d{1,18})[\s>]*digest:\s*(?P<digest>[0-9a-f]{64})"
    r"[\s>]*at:\s*(?P<at>\S{1,40})[\s>]*key:\s*(?P<key>[0-9a-f]{64})"
    r"[\s>]*signature:\s*(?P<signature>[0-9a-f\s>]{128,200}?)[\s>]*-*END CLARION LOG HEAD"
)


def heads(text: str) -> list[Head]:
    """Find the heads in a mail, quoted or not."""
    found = []
    for one in HEAD.finditer(text):
        signature = re.sub(r"[\s>]", "", one["signature"])
        if len(signature) == 128:
            found.append(
                Head(
                    UUID(one["chain"]),
                    int(one["seq"]),
                    bytes.fromhex(one["digest"]),
                    one["at"],
                    bytes.fromhex(one["key"]),
                    bytes.fromhex(signature),
                )
            )
    return found


# --- a downloaded log


def head_of(said: Mapping[str, Any]) -> Head:
    """Read a head from a line of a log."""
    return Head(
        UUID(said["chain"]),
        int(said["entries"]),
        bytes.fromhex(said["digest"]),
        str(said["at"]),
        bytes.fromhex(said["key"]),
        bytes.fromhex(said["signature"]),
    )


def check(lines: Iterable[str], known: Iterable[Head] = ()) -> tuple[int, list[Finding]]:
    """Walk through a downloaded log; return its length and what was done to it.

    Raises ValueError when it is no log of Clarion.
    """
    rows = _rows(lines)
    first = next(rows, {})
    if first.get("clarion_log") != VERSION:
        raise ValueError("This is not a log that Clarion wrote.")
    chain, kept, ended = UUID(first["chain"]), list[Head](), False
    outside = list(known)
    forged = [one for one in outside if one.chain != chain or not one.genuine()]
    trusted = {one.seq: one.digest for one in outside if one not in forged}
    signed = dict(trusted)
    keys = {one.key for one in outside if one not in forged} or {
        bytes.fromhex(first["key"])
    }
    walk = Walk(digests(chain), signed=False)
    for row in rows:
        if "head" in row:
            kept.append(one := head_of(row["head"]))
            if one.chain == chain and one.key in keys and one.genuine():
                signed.setdefault(one.seq, one.digest)
        elif "end" in row:
            ended = int(row["end"]) == walk.length
        else:
            digest = bytes.fromhex(row["digest"])
            walk.meet(int(row["seq"]), canonical(row["entry"]), digest)
            if walk.length in signed and not walk.found:
                walk.compare(walk.length, same=signed[walk.length] == digest)
    most = max([walk.length + (not ended), *(signed.keys() - trusted.keys())])
    found = walk.end(known=max(trusted, default=0), kept=most)
    forged += [h for h in kept if h.chain != chain or h.key not in keys or not h.genuine()]
    found += [_forged(one) for one in forged]
    return walk.length, found


def _forged(head: Head) -> Finding:
    text = f"the head of entry {head.seq} is not genuine, or is of another chain"
    return Finding("forged head", head.seq, text)


def _rows(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ValueError(f"Line {number} cannot be read.") from error
        if not isinstance(row, dict):
            raise ValueError(f"Line {number} cannot be read.")  # noqa: TRY004 -- of a file
        yield row


# --- Ed25519 (RFC 8032), for checking only: slow, and enough for a head

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT = pow(2, (P - 1) // 4, P)
_Point = tuple[int, int, int, int]


def verified(key: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether a signature of a message was made with the private half of this key."""
    if len(key) != 32 or len(signature) != 64:
        return False
    a, r = _point(key), _point(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L:
        return False
    hashed = hashlib.sha512(signature[:32] + key + message).digest()
    k = int.from_bytes(hashed, "little") % L
    left, right = _times(s, _BASE), _plus(r, _times(k, a))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (
        left[1] * right[2] - right[1] * left[2]
    ) % P == 0


def _plus(p: _Point, q: _Point) -> _Point:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _times(scalar: int, p: _Point) -> _Point:
    q: _Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            q = _plus(q, p)
        p, scalar = _plus(p, p), scalar >> 1
    return q


def _point(packed: bytes) -> _Point | None:
    y = int.from_bytes(packed, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


_base = _point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
assert _base is not None  # noqa: S101 -- a constant
_BASE: _Point = _base


# --- the command


def main(arguments: list[str]) -> int:
    """Verify a file; 0 when it is whole, 1 when not, 2 when it cannot be read."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)  # noqa: T201 -- this is a program
        return 2
    log, *files = arguments
    try:
        known = []
        for one in files:
            text = sys.stdin.read() if one == "-" else Path(one).read_text("utf-8")
            some = heads(text)
            if not some:
                raise ValueError(f"There is no head in {one}.")
            known += some
        with Path(log).open(encoding="utf-8") as lines:
            length, found = check(lines, known)
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"Cannot be read: {error}")  # noqa: T201
        return 2
    print(f"{length} entries; {len(known)} heads of yours.")  # noqa: T201
    for fault in found:
        print(f"✗ {fault.kind}: {fault.text}")  # noqa: T201
    if not found:
        newest = max((one.seq for one in known), default=0)
        print("✓ Whole: every entry is as it was written.")  # noqa: T201
        if not known:
            print("  Give a head that was mailed to you: without one, a copy that was")  # noqa: T201
            print("  written anew as a whole would not show.")  # noqa: T201
        elif newest < length:
            print(f"  Your newest head speaks for the first {newest}.")  # noqa: T201
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
