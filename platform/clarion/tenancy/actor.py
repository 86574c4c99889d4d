"""Who acts: a person, staff, a job, a webhook, the command line, a contact by their link."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal
from uuid import UUID

Kind = Literal["person", "staff", "job", "webhook", "command", "contact", "nobody"]
_SECRET = ("permissions", "email", "name", "account_name", "address")
_OF_A_REQUEST = ("grant_id", "access_id", "read_only")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who is acting in this context, for which account, and who stands behind them.

    Attributes:
        kind: what sort of actor; jobs keep the name of who caused them.
        id: the person's or staff member's id, as text; empty for processes.
        name: what a person reads in the log.
        account_id: the account acted for; None in the console and before sign-in.
        role: the membership's role, for persons.
        permissions: console permissions of a staff member.
        behind: staff member acting as this person (`staff:7 Ada`), if any.
        reason: why they do, in their own words.
        address: truncated client address.
        request_id: ties log, audit and error page together.
        grant_id: the grant under which somebody stands behind this person.
        access_id: the entry of the access log by which this request may read.
        read_only: whether the grant is for looking only.
    """

    kind: Kind
    id: str = ""
    name: str = ""
    email: str = ""
    account_id: UUID | None = None
    account_name: str = ""
    role: str = ""
    permissions: frozenset[str] = frozenset()
    behind: str | None = None
    reason: str | None = None
    address: str = ""
    request_id: str = ""
    grant_id: UUID | None = None
    access_id: UUID | None = None
    read_only: bool = False

    @property
    def label(self) -> str:
        """Name the actor for keys and columns: `person:<id>`."""
        return f"{self.kind}:{self.id}" if self.id else self.kind

    def as_job(self) -> "Actor":
        """Return the actor a job acts as: caused by this one, known by the same name."""
        label = self.id if self.kind == "job" else self.label
        return replace(self, kind="job", id=label, permissions=frozenset())

    def to_json(self) -> dict[str, Any]:
        """Write what a job payload carries: ids and the name of nobody."""
        data = asdict(self.as_job())
        for secret in (*_SECRET, *_OF_A_REQUEST):
            data.pop(secret)
        data["account_id"] = str(self.account_id) if self.account_id else None
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Actor":
        """Read what `to_json` wrote."""
        account = data.get("account_id")
        return cls(**{**data, "account_id": UUID(account) if account else None})


NOBODY = Actor("nobody")
COMMAND = Actor("command", name="command line")
SYSTEM_JOB = Actor("job", name="schedule")
WEBHOOK = Actor("webhook", name="provider")
CONTACT = Actor("contact", name="contact")
"""Whom an account writes to, on a page of their own: no permission is theirs."""
