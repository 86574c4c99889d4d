"""What happened to templates."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from clarion.work.events import Event


@dataclass(frozen=True, slots=True)
class TemplateSubmitted(Event):
    """A version was handed over for review; its words never change from here on."""

    name: ClassVar[str] = "templates.template.submitted"
    template_id: UUID


@dataclass(frozen=True, slots=True)
class TemplateJudged(Event):
    """The provider changed what may be done with a template."""

    name: ClassVar[str] = "templates.template.judged"
    public: ClassVar[bool] = True
    template_id: UUID
    state: str
