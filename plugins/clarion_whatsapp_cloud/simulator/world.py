"""What the provider knows: numbers, templates, open windows, who said stop."""

import random
import re
import time
from dataclasses import dataclass, field
from typing import Any

WINDOW_SECONDS = 24 * 3600
VARIABLE = re.compile(r"\{\{\s*([A-Za-z0-9_]+)\s*\}\}")


@dataclass(slots=True)
class Number:
    """A sending number."""

    id: str
    display: str
    waba: str
    name: str = "Simulated Business"
    quality: str = "GREEN"
    fields: dict[str, Any] = field(default_factory=dict)  # whatever a test wants to be told


@dataclass(slots=True)
class Template:
    """A template in one language, and the variables a message must fill in."""

    id: str
    waba: str
    name: str
    language: str
    category: str
    components: list[dict[str, Any]]
    named: bool = False
    status: str = "PENDING"
    reason: str = "NONE"
    header: tuple[str, ...] = ()
    body: tuple[str, ...] = ()
    urls: dict[int, tuple[str, ...]] = field(default_factory=dict)
    buttons: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.learn(self.components)

    def learn(self, components: list[dict[str, Any]]) -> None:
        """Take over new components and find their variables."""
        self.components = components
        self.header = variables(self.part("HEADER").get("text", ""))
        self.body = variables(self.part("BODY").get("text", ""))
        self.buttons = self.part("BUTTONS").get("buttons", [])
        found = (
            (at, variables(each.get("url", ""))) for at, each in enumerate(self.buttons)
        )
        self.urls = {at: names for at, names in found if names}

    def part(self, kind: str) -> dict[str, Any]:
        return next(
            (c for c in self.components if str(c.get("type", "")).upper() == kind), {}
        )

    def fill(self, kind: str, values: dict[str, str]) -> str:
        """Write the text of a part as the recipient sees it."""
        text = str(self.part(kind).get("text", ""))
        return VARIABLE.sub(lambda found: values.get(found[1], found[0]), text)

    def shown(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "language": self.language,
            "status": self.status,
            "category": self.category,
            "parameter_format": "NAMED" if self.named else "POSITIONAL",
            "components": self.components,
            "rejected_reason": self.reason,
            "quality_score": {"score": "UNKNOWN"},
        }


def variables(text: str) -> tuple[str, ...]:
    """Names of the variables of a text, each once, in order of appearance."""
    return tuple(dict.fromkeys(VARIABLE.findall(text)))


class World:
    """Everything the simulator remembers besides receipts and rules."""

    def __init__(self, waba: str, seed: int | None) -> None:
        self.waba = waba
        self.business = f"8800{waba}"  # all business accounts here belong to one business
        self.random = random.Random(seed)
        self.numbers: dict[str, Number] = {}
        self.templates: dict[tuple[str, str, str], Template] = {}
        self.by_id: dict[str, Template] = {}
        self.wabas: set[str] = {waba}
        self.windows: dict[tuple[str, str], float] = {}
        self.stopped: set[tuple[str, str]] = set()  # (waba, person): no marketing
        self._serial = 0
        self._born = f"{time.time_ns() & 0xFFFFFFFFFFFF:012X}{random.SystemRandom().randrange(1 << 32):08X}"

    def number(self, id_: str) -> Number:
        """Find a sending number; any id is one of ours unless a list was given."""
        found = self.numbers.get(id_)
        if found is None:
            display = "1555" + id_[-7:].rjust(7, "0")
            found = self.numbers[id_] = Number(id_, display, self.waba)
        return found

    def serial(self) -> int:
        self._serial += 1
        return self._serial

    def wamid(self) -> str:
        """An id no other message has, also after a restart; says nothing about anyone."""
        return f"wamid.HBgL{self._born}{self.serial():010X}AA=="

    def add_template(self, waba: str, given: dict[str, Any], status: str) -> Template:
        """Store a template in the provider's words; a new one under a name replaces it."""
        template = Template(
            id=str(given.get("id") or 900_000_000_000 + self.serial()),
            waba=waba,
            name=str(given["name"]),
            language=str(given.get("language", "en_US")),
            category=str(given.get("category", "MARKETING")).upper(),
            components=list(given.get("components", [])),
            named=str(given.get("parameter_format", "positional")).upper() == "NAMED",
            status=status,
        )
        self.wabas.add(waba)
        self.templates[waba, template.name, template.language] = template
        self.by_id[template.id] = template
        return template

    def remove_template(self, template: Template) -> None:
        self.templates.pop((template.waba, template.name, template.language), None)
        self.by_id.pop(template.id, None)

    def open_window(self, sender: str, person: str) -> None:
        self.windows[sender, person] = time.time() + WINDOW_SECONDS

    def window_open(self, sender: str, person: str) -> bool:
        return self.windows.get((sender, person), 0.0) > time.time()
