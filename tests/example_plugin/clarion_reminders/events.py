"""What this plugin tells others, after commit."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from clarion.work.events import Event


@dataclass(frozen=True, slots=True)
class ReminderDue(Event):
    """A reminder's day has come. Told once."""

    name: ClassVar[str] = "reminders.reminder.due"
    public: ClassVar[bool] = True
    reminder_id: UUID
    contact_id: UUID
