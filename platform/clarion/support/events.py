"""What happened between customers and support."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from clarion.work.events import Event


@dataclass(frozen=True, slots=True)
class QuestionAsked(Event):
    """A customer asked about an access of support; staff owe an answer."""

    name: ClassVar[str] = "support.question.asked"
    question_id: UUID
    grant_id: UUID


@dataclass(frozen=True, slots=True)
class EmergencyAsked(Event):
    """Staff want to look at an account without being let in; a colleague decides."""

    name: ClassVar[str] = "support.emergency.asked"
    grant_id: UUID
