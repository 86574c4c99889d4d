"""The Transport protocol and the dataclasses that cross it.

A transport knows one message: no loop, no sleep, no retry, no semaphore, no row.
`wire.py` of a plugin is pure (bytes in, dataclass out), `answers.py` is data
(provider code → verdict), the engine does everything else.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable
from uuid import UUID

# --- what goes out


@dataclass(frozen=True, slots=True)
class Channel:
    """One connection to a provider, opened for the engine.

    Attributes:
        id: our id of the connection.
        config: what is not secret (`base_url`, `api_version`, `waba_id`).
        secrets: opened secrets (`access_token`, `app_secret`, `verify_token`).
    """

    id: UUID
    config: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a template and its filled-in variables, name → text, in order."""

    kind: Literal["header", "body", "button"]
    variables: Mapping[str, str]
    index: int = 0  # for buttons: position
    button: Literal["url", "quick_reply", ""] = ""


FREE = "text"
"""The variable of a nameless template's body: words written freely."""


@dataclass(frozen=True, slots=True)
class TemplateUse:
    """An approved template and what is filled in. `language` as the provider names it.

    One without a name is no template of the provider's: its body's variable `FREE` is sent
    free-form, in an open conversation.
    """

    name: str
    language: str
    parts: tuple[Part, ...] = ()
    parameter_format: Literal["named", "positional"] = "named"


@dataclass(frozen=True, slots=True)
class TemplateButton:
    """A button of a template. The address of a `url` button may end in a variable."""

    kind: Literal["quick_reply", "url"]
    text: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class TemplateText:
    """The wording of a template, to be judged by the provider. `{{name}}` is a variable.

    `samples` gives each variable a value that a reviewer can read.
    """

    name: str
    language: str
    category: Literal["marketing", "utility"]
    body: str
    header: str = ""
    footer: str = ""
    buttons: tuple[TemplateButton, ...] = ()
    samples: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TemplateVerdict:
    """What the provider says about a template now.

    `category` is the provider's own, which may differ from the one asked for; `body` is
    the text it keeps, empty when it does not say.
    """

    provider_id: str
    status: Literal["in_review", "approved", "rejected", "paused", "disabled"]
    reason: str = ""
    category: str = ""
    body: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one person.

    Attributes:
        id: the ledger's id.
        reference: our callback token, echoed by the provider; no personal data.
        sender: the provider's id of the sending number.
        to: `+` and country code, or a business-scoped user id.
        to_kind: which of the two.
        template: set for template messages, else `text` is sent free-form.
    """

    id: UUID
    reference: str
    sender: str
    to: str
    to_kind: Literal["phone", "bsuid"] = "phone"
    template: TemplateUse | None = None
    text: str = ""

    @property
    def free_text(self) -> str:
        """What is sent free-form; empty when a template is used."""
        if self.template is None or self.template.name:
            return self.text if self.template is None else ""
        body = next((p for p in self.template.parts if p.kind == "body"), None)
        return body.variables.get(FREE, "") if body else ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took the message; `held` when it says it holds it for review."""

    provider_id: str
    held: bool = False


class Verdict(Exception):
    """How a transport says that a message was not accepted."""

    code: str = ""


class Rejected(Verdict):
    """Refused for good. Never retried by a machine.

    `reason` is a stable name the interface has words for; `suppress` asks the engine to
    stop writing to this person (`marketing` or `all`).
    """

    def __init__(
        self,
        reason: str,
        code: str = "",
        *,
        suppress: Literal["marketing", "all"] | None = None,
        detail: str = "",
    ) -> None:
        super().__init__(f"{reason} ({code}) {detail}".strip())
        self.reason, self.code, self.suppress, self.detail = reason, code, suppress, detail


class Busy(Verdict):
    """Not now. The row goes back to queued and the named scope slows down.

    `throttles`: it was too fast, so the sender goes on at half its rate; else it waits.
    """

    def __init__(
        self,
        scope: Literal["sender", "pair", "token"],
        retry_after: float,
        code: str = "",
        *,
        throttles: bool = False,
    ) -> None:
        super().__init__(f"{scope} busy, {retry_after}s ({code})")
        self.scope, self.retry_after, self.code = scope, retry_after, code
        self.throttles = throttles


class Halted(Verdict):
    """Something bigger than this message is wrong: row back to queued, scope pauses."""

    def __init__(
        self,
        scope: Literal["template", "sender", "channel"],
        reason: str,
        code: str = "",
        detail: str = "",
    ) -> None:
        super().__init__(f"{scope}: {reason} ({code}) {detail}".strip())
        self.scope, self.reason, self.code, self.detail = scope, reason, code, detail


# --- what comes in


@dataclass(frozen=True, slots=True)
class RawWebhook:
    """A provider's request, untouched. Header names are lower case."""

    body: bytes
    headers: Mapping[str, str]
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Piece:
    """One event of a webhook, found by its unique key only.

    `kind` decides the order of processing: replies before statuses before the rest.
    `payload` is JSON-ready and all that `parse` needs. `sender` and `business` are the
    provider's ids of our number and of the business it belongs to, empty where the event
    names none: an event about somebody else's is not believed.
    """

    key: str
    kind: Literal["inbound", "status", "other"]
    payload: Mapping[str, Any]
    sender: str = ""
    business: str = ""


@dataclass(frozen=True, slots=True)
class StatusUpdate:
    """What became of a message we sent. `reference` is our own token, echoed."""

    provider_id: str
    status: Literal["sent", "delivered", "read", "failed"]
    at: dt.datetime
    reference: str | None = None
    verdict: Verdict | None = None  # for failed: the same table as synchronous answers
    code: str = ""
    pricing: Mapping[str, Any] | None = None
    recipients: tuple[tuple[str, str], ...] = ()  # (kind, value) the event names


@dataclass(frozen=True, slots=True)
class Inbound:
    """A message from a person. `identifiers`: every (kind, value) the event carries."""

    provider_id: str
    sender: str  # the provider's id of our number
    identifiers: tuple[tuple[str, str], ...]
    at: dt.datetime
    text: str = ""
    payload: str = ""  # of a quick-reply button
    kind: str = "text"
    profile_name: str = ""
    reply_to: str | None = None  # provider id of the message it answers


@dataclass(frozen=True, slots=True)
class Preference:
    """The person told the provider to stop or resume marketing from this business."""

    identifiers: tuple[tuple[str, str], ...]
    wants: Literal["stop", "resume"]
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class IdentityChange:
    """A person has another number or id now, says the provider.

    `before` is theirs no more, `after` is theirs now: (kind, value) pairs, as many as the
    event names. A name they only call themselves by belongs in neither.
    """

    before: tuple[tuple[str, str], ...]
    after: tuple[tuple[str, str], ...]
    at: dt.datetime
    what: Literal["number", "id"] = "number"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a provider allows from now on; what it does not say is None or empty.

    Attributes:
        number: whose rate: the number or its id at the provider.
        rate_per_s: messages a second.
        people_per_day: how many people may be written to in 24 hours, by all numbers of
            the business; `UNLIMITED` when there is no such limit.
        business: the provider's id of the business, when it proved that the number is its.
        at: when the provider said so, for what may arrive late; None is now.
    """

    number: str = ""
    rate_per_s: int | None = None
    people_per_day: int | None = None
    business: str = ""
    at: dt.datetime | None = None


UNLIMITED = -1


@dataclass(frozen=True, slots=True)
class Notice:
    """Anything else, kept for display: quality, limits, template states."""

    field: str
    subject: str  # template id, phone number id …
    event: str
    detail: Mapping[str, Any]
    limits: Limits | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """What the provider says about using something: stop, or go on.

    Attributes:
        scope: what it is about; `channel` is the account at the provider.
        subject: the template's name, or the number as the provider writes it or its id.
        language: of a template.
        stops: the reason to stop, as a refusal would name it; empty: no reason to.
        ends: reasons that are over by it.
        quality: a grade it gives: `green`, `yellow`, `red`; empty: none.
        until: when a stop ends, if the provider says so.
    """

    scope: Literal["template", "sender", "channel"]
    subject: str = ""
    language: str = ""
    stops: str = ""
    ends: frozenset[str] = frozenset()
    quality: str = ""
    until: dt.datetime | None = None


Update = StatusUpdate | Inbound | Preference | IdentityChange | Notice | Health


class Forged(Exception):
    """The webhook's signature or token is not the provider's. Nothing is believed."""


class Http(Protocol):
    """The outbound client the engine hands to a transport: declared hosts only.

    Raises `clarion.base.http.NotSent` when it failed before the first byte of the
    request left; anything else that escapes means the outcome is unknown.
    """

    async def post(
        self,
        url: str,
        *,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> "Reply": ...

    async def get(
        self, url: str, *, headers: Mapping[str, str] | None = None
    ) -> "Reply": ...


class Reply(Protocol):
    """An answer: status, headers (lower case) and whole body (size-limited)."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> bytes: ...


class Transport(Protocol):
    """A way to send and to hear back. One instance per process, without state."""

    name: str
    title: str
    hosts: tuple[str, ...]
    secret_fields: tuple[str, ...]
    config_fields: tuple[str, ...]
    business_field: str  # field of the configuration that `Piece.business` must equal

    async def send(self, channel: Channel, message: Message, http: Http) -> Accepted:
        """Hand one message over. Return `Accepted` or raise a `Verdict`."""
        ...

    async def check(self, channel: Channel, sender: str, http: Http) -> Mapping[str, Any]:
        """Ask the provider about a sending number. For `connect`.

        Answers `name`, `quality` and whatever else it says, and `limits`, a `Limits`.
        """
        ...

    def verify(self, channel: Channel, raw: RawWebhook) -> None:
        """Raise `Forged` unless the raw bytes are signed with the channel's secret."""
        ...

    def challenge(self, channel: Channel, query: Mapping[str, str]) -> str:
        """Answer the provider's subscription handshake, or raise `Forged`."""
        ...

    def split(self, raw: RawWebhook) -> Iterator[Piece]:
        """Find the events and their unique keys, and nothing more."""
        ...

    def parse(self, piece: Mapping[str, Any], kind: str) -> Iterator[Update]:
        """Read one piece's payload. Unknown events yield nothing, or a `Notice`."""
        ...


@runtime_checkable
class TemplateCatalogue(Protocol):
    """What a transport also offers when its provider judges templates before use."""

    async def submit_template(
        self, channel: Channel, template: TemplateText, http: Http
    ) -> TemplateVerdict:
        """Hand a template in for review. Raises a `Verdict` when it is refused at once."""
        ...

    async def template_status(
        self, channel: Channel, name: str, language: str, http: Http
    ) -> TemplateVerdict | None:
        """Ask what became of a template. `None`: the provider does not know it."""
        ...


@runtime_checkable
class Explaining(Protocol):
    """What a transport also offers when it can list the codes it knows.

    Attributes:
        source: address of the provider's own list of them.
    """

    source: str

    def codes(self) -> Mapping[str, Verdict | None]:
        """Say what each code of its table does, by code, or `200–299` for a range.

        `None`: the code leaves open what became of the message. From the very table that
        `send` and `parse` judge by, so that what is explained is what is done.
        """
        ...

    def verdict(self, code: str) -> Verdict | None:
        """Judge any code as an answer, also one that is in no table."""
        ...
