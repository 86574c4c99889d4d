"""What happened to campaigns."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from clarion.work.events import Event


@dataclass(frozen=True, slots=True)
class CampaignLaunched(Event):
    """Somebody committed a campaign to being sent; its audience is frozen next."""

    name: ClassVar[str] = "campaigns.campaign.launched"
    public: ClassVar[bool] = True
    draft_id: UUID


@dataclass(frozen=True, slots=True)
class CampaignNotStarted(Event):
    """A launched campaign did not begin and is a draft again: too late, or not the same."""

    name: ClassVar[str] = "campaigns.campaign.not_started"
    public: ClassVar[bool] = True
    draft_id: UUID
    reason: str


@dataclass(frozen=True, slots=True)
class CheckWanted(Event):
    """Somebody wants to see what becomes of each person of a draft; a worker looks."""

    name: ClassVar[str] = "campaigns.check.wanted"
    check_id: UUID


@dataclass(frozen=True, slots=True)
class ListForgotten(Event):
    """The list of a dry run is not needed any more; its rows are deleted."""

    name: ClassVar[str] = "campaigns.list.forgotten"
    check_id: UUID
