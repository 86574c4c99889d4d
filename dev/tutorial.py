"""Read a tutorial, and do in a browser what it tells its reader.

Steps are the numbered lines. Each sentence in them is one of `SENTENCES`, where bold is what
stands on the screen and code is what the reader types; a sentence with neither is talk. So
the page cannot say what is not so: `tests/journeys/test_first_campaign_tutorial.py` follows
it, and `dev/pictures.py` takes its pictures on the way.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

TOP = Path(__file__).resolve().parents[1]
PATIENCE_MS = 60_000
STEP = re.compile(r"^(\d+)\. (.+(?:\n {2,}.+)*)", re.MULTILINE)
PICTURE = re.compile(r"^!\[[^\]]+\]\((\S+)\)$", re.MULTILINE)
SENTENCE = re.compile(r"(?:`[^`]*`|\*\*.+?\*\*|[^.`*])+\.(?= |$)|\S.*")
BOLD, CODE = re.compile(r"\*\*(.+?)\*\*"), re.compile(r"`([^`]+)`")
INTO = re.compile(r"`([^`]+)` into \*\*(.+?)\*\*")
SAYS = """(words) => document.body.innerText.replace(/\\s+/g, ' ').includes(words)"""


@dataclass(frozen=True, slots=True)
class Step:
    """A sentence to follow, or a picture to take (`picture` is its path), with its line."""

    line: int
    text: str
    picture: Path | None = None


def steps(path: Path) -> Iterator[Step]:
    """Read the steps and pictures of a tutorial, in their order."""
    text = path.read_text()
    found = [*STEP.finditer(text), *PICTURE.finditer(text)]
    for match in sorted(found, key=lambda one: one.start()):
        line = text.count("\n", 0, match.start()) + 1
        if match.re is PICTURE:
            yield Step(line, match[0], (path.parent / match[1]).resolve())
            continue
        for sentence in SENTENCE.findall(" ".join(match[2].split())):
            yield Step(line, sentence)


class Reader:
    """Somebody who does what is written, in one browser page."""

    def __init__(self, page: Page, doors: dict[str, str]) -> None:
        """Sit down. `doors`: the addresses that the demo printed, by name."""
        self.page, self.doors = page, doors
        page.set_default_timeout(PATIENCE_MS)

    def follow(self, text: str) -> None:
        """Do what a sentence says; raises `ValueError` when it cannot be understood."""
        for begin, do in self._verbs():
            if text.startswith(begin):
                do(text)
                return
        if BOLD.search(text) or CODE.search(text):
            raise ValueError(f"no such kind of sentence: {text}")

    def _verbs(self) -> tuple[tuple[str, Callable[[str], None]], ...]:
        return (
            ("Go to the address beside", self._go),
            ("Open", self._menu),
            ("Press", self._press),
            ("In the conversation of", self._answer),
            ("Choose the file", self._file),
            ("Choose", self._choose),
            ("Tick", self._tick),
            ("Write", self._write),
            ("You see", self._see),
        )

    # --- what a reader does

    def _go(self, text: str) -> None:
        [door] = CODE.findall(text)
        self.page.goto(self.doors[door])

    def _menu(self, text: str) -> None:
        [name] = BOLD.findall(text)
        self.page.locator("#side").get_by_role("link", name=name, exact=True).click()

    def _press(self, text: str) -> None:
        for name in BOLD.findall(text):
            self._pressable(name).click()

    def _pressable(self, name: str) -> Locator:
        dialog = self.page.locator("dialog[open]")
        place = dialog if dialog.count() else self.page.locator("main")
        button = place.get_by_role("button", name=name, exact=True)
        return button.or_(place.get_by_role("link", name=name, exact=True)).first

    def _answer(self, text: str) -> None:
        who, name = BOLD.findall(text)
        phone = self.page.locator(".phone", has=self.page.get_by_text(who, exact=True))
        phone.get_by_role("button", name=name, exact=True).click()

    def _file(self, text: str) -> None:
        [path] = CODE.findall(text)
        self.page.locator("main input[type=file]").set_input_files(TOP / path)

    def _choose(self, text: str) -> None:
        option, label = BOLD.findall(text)
        choice = self.page.get_by_label(label)
        words = [one for one in choice.locator("option").all_inner_texts() if option in one]
        if len(words) != 1:
            raise ValueError(f"{option} is {words} under {label}")
        choice.select_option(label=words[0])

    def _tick(self, text: str) -> None:
        [label] = BOLD.findall(text)
        self.page.locator("main").get_by_label(label).first.check()

    def _write(self, text: str) -> None:
        pairs = INTO.findall(text)
        if len(pairs) != len(BOLD.findall(text)) or not pairs:
            raise ValueError(f"what goes where? {text}")
        for words, label in pairs:
            self.page.locator("main").get_by_label(label).first.fill(words)

    def _see(self, text: str) -> None:
        if not BOLD.search(text):
            raise ValueError(f"what does one see? {text}")
        for words in BOLD.findall(text):
            expect(self.page.locator("h1")).to_have_count(1)
            self.page.wait_for_function(SAYS, arg=words)
