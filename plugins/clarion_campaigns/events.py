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
