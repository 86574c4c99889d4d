"""What the messaging room tells others, after commit."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from clarion.work.events import Event


@dataclass(frozen=True, slots=True)
class CampaignFinished(Event):
    """Nothing of a send order is left to be sent."""

    name: ClassVar[str] = "messaging.campaign.finished"
    public: ClassVar[bool] = True
    campaign_id: UUID


@dataclass(frozen=True, slots=True)
class CampaignStarted(Event):
    """A send order has its people; it may be held before the first message leaves."""

    name: ClassVar[str] = "messaging.campaign.started"
    campaign_id: UUID


@dataclass(frozen=True, slots=True)
class CampaignPaused(Event):
    """A send order was paused, by a person or because something is wrong."""

    name: ClassVar[str] = "messaging.campaign.paused"
    campaign_id: UUID
    reason: str


@dataclass(frozen=True, slots=True)
class BreakerOpened(Event):
    """Sending was stopped to prevent harm: a template, campaign, number or connection."""

    name: ClassVar[str] = "messaging.breaker.opened"
    kind: str
    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class AddressSuppressed(Event):
    """A person must not be written to any more; every identifier is silent already."""

    name: ClassVar[str] = "messaging.address.suppressed"
    public: ClassVar[bool] = True
    contact_id: UUID
    scope: str
    reason: str


@dataclass(frozen=True, slots=True)
class AddressResumed(Event):
    """The person asked to hear from the business again."""

    name: ClassVar[str] = "messaging.address.resumed"
    contact_id: UUID


@dataclass(frozen=True, slots=True)
class IdentityChanged(Event):
    """A person has another number or id; the old one is nobody's, silence came along."""

    name: ClassVar[str] = "messaging.identity.changed"
    public: ClassVar[bool] = True
    contact_id: UUID
    what: str


@dataclass(frozen=True, slots=True)
class IdentityDoubted(Event):
    """Two contacts may be one person; somebody has to decide."""

    name: ClassVar[str] = "messaging.identity.doubted"
    public: ClassVar[bool] = True
    contact_id: UUID
    other_id: UUID
    reason: str


@dataclass(frozen=True, slots=True)
class MessageReceived(Event):
    """A person wrote to one of our numbers."""

    name: ClassVar[str] = "messaging.message.received"
    public: ClassVar[bool] = True
    inbound_id: UUID


@dataclass(frozen=True, slots=True)
class ProviderNotice(Event):
    """A provider said something about a template, number or account."""

    name: ClassVar[str] = "messaging.provider.noticed"
    channel_id: UUID
    field: str
    subject: str
    event: str
    detail: str
