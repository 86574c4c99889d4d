"""A template's wording: its variables, what is wrong with it, and how it reads filled in.

Pure. `{{name}}` is the only mark; it is found by a tokenizer and never executed, so a
text that a customer typed can do nothing but be shown.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal
from urllib.parse import urlsplit

from clarion.base.errors import Invalid
from clarion.base.words import _

NAME_MAX, HEADER_MAX, BODY_MAX, FOOTER_MAX = 512, 60, 1024, 60
BUTTON_MAX, URL_MAX, BUTTONS, URLS = 25, 2000, 10, 2
VARIABLE_MAX, SAMPLE_MAX = 60, 200
LANGUAGES = (
    "af", "sq", "ar", "az", "bn", "bg", "ca", "zh_CN", "zh_HK", "zh_TW", "hr", "cs", "da",
    "nl", "en", "en_GB", "en_US", "et", "fil", "fi", "fr", "ka", "de", "el", "gu", "ha",
    "he", "hi", "hu", "id", "ga", "it", "ja", "kn", "kk", "rw_RW", "ko", "ky_KG", "lo",
    "lv", "lt", "mk", "ms", "ml", "mr", "nb", "fa", "pl", "pt_BR", "pt_PT", "pa", "ro",
    "ru", "sr", "sk", "sl", "es", "es_AR", "es_ES", "es_MX", "sw", "sv", "ta", "te", "th",
    "tr", "uk", "ur", "uz", "vi", "zu",
)  # fmt: skip

_NAME = re.compile(rf"[a-z0-9_]{{1,{NAME_MAX}}}")
_VARIABLE = re.compile(rf"[a-z][a-z0-9_]{{0,{VARIABLE_MAX - 1}}}")
_MARK = re.compile(r"\{\{([^{}]*)\}\}|\{\{|\}\}")
_WAY_OUT = re.compile(
    r"\b(stop|unsubscribe|opt.?out|salir|baja|sair|parar|arr[eê]t|abmelden|stopp?)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Button:
    """A button: a quick reply, or a web address whose end may be a variable."""

    kind: Literal["quick_reply", "url"]
    text: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """Everything a person writes about one template."""

    name: str = ""
    language: str = "en_US"
    category: str = "marketing"
    header: str = ""
    body: str = ""
    footer: str = ""
    buttons: tuple[Button, ...] = ()
    samples: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a text: plain words, a variable's name, or a mark that is wrong."""

    kind: Literal["text", "variable", "stray"]
    value: str


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at before submitting, with the field it belongs to.

    `level`: `bad` blocks, `warn` does not, `ok` is fine and said so.
    """

    level: Literal["ok", "warn", "bad"]
    field: str
    text: str


# --- variables


def tokens(text: str) -> Iterator[Token]:
    """Cut a text into words, variables and marks that are none."""
    at = 0
    for found in _MARK.finditer(text):
        if found.start() > at:
            yield Token("text", text[at : found.start()])
        at = found.end()
        name = found[1]
        if name is not None and _VARIABLE.fullmatch(name.strip()):
            yield Token("variable", name.strip())
        else:
            yield Token("stray", found[0])
    if at < len(text):
        yield Token("text", text[at:])


def names(text: str) -> tuple[str, ...]:
    """List the variables of a text, each once, in order of appearance."""
    return tuple(dict.fromkeys(t.value for t in tokens(text) if t.kind == "variable"))


def variables(content: Content) -> tuple[str, ...]:
    """List the variables of all parts, each once: header, body, then buttons."""
    texts = (content.header, content.body, *(b.url for b in content.buttons))
    return tuple(dict.fromkeys(n for text in texts for n in names(text)))


def canonical(text: str) -> str:
    """Write variables without blanks inside: `{{ name }}` becomes `{{name}}`."""
    return "".join(
        f"{{{{{t.value}}}}}" if t.kind == "variable" else t.value for t in tokens(text)
    )


def render(text: str, values: Mapping[str, str]) -> str:
    """Fill a text in.

    Raises:
        Invalid: a mark that is no variable, or a variable without a value.
    """
    out = []
    for token in tokens(text):
        if token.kind == "stray":
            raise Invalid("template_mark", _stray(token.value))
        if token.kind == "variable" and not values.get(token.value):
            raise Invalid(
                "variable_missing", _("There is no value for “%(name)s”.", name=token.value)
            )
        out.append(values[token.value] if token.kind == "variable" else token.value)
    return "".join(out)


def preview(text: str, values: Mapping[str, str]) -> str:
    """Fill in what is known and leave the rest as it is written, for the eye only."""
    return "".join(
        values.get(t.value) or f"{{{{{t.value}}}}}" if t.kind == "variable" else t.value
        for t in tokens(text)
    )


# --- what a campaign sends


def parts(content: Content) -> list[dict[str, Any]]:
    """List the parts that carry variables, in the form of a send order."""
    found: list[dict[str, Any]] = []
    for kind, text in (("header", content.header), ("body", content.body)):
        if names(text):
            found.append({"kind": kind, "variables": list(names(text))})
    found += [
        {"kind": "button", "index": at, "button": "url", "variables": list(names(b.url))}
        for at, b in enumerate(content.buttons)
        if names(b.url)
    ]
    return found


# --- checks


def checks(content: Content) -> list[Check]:
    """Look at everything the provider looks at, and say what is fine too."""
    found = list(problems(content))
    if not any(c.field == "body" for c in found):
        found.append(Check("ok", "body", _("The text can be submitted as it is.")))
    if not any(c.field == "samples" for c in found) and variables(content):
        found.append(Check("ok", "samples", _("Every variable has a sample.")))
    if content.category == "marketing" and _has_way_out(content):
        found.append(Check("ok", "footer", _("It says how to stop getting messages.")))
    order = {"bad": 0, "warn": 1, "ok": 2}
    return sorted(found, key=lambda c: order[c.level])


def problems(content: Content) -> Iterator[Check]:
    """Yield what blocks a submission, and what a reviewer may stumble over."""
    yield from _about_identity(content)
    yield from _about_header(content.header)
    yield from _about_body(content.body)
    yield from _about_footer(content)
    yield from _about_buttons(content.buttons)
    yield from _about_samples(content)


def _about_identity(content: Content) -> Iterator[Check]:
    if not content.name:
        yield Check("bad", "name", _("Give the template a name."))
    elif not _NAME.fullmatch(content.name):
        said = _("The name may hold small letters, digits and underscores only.")
        yield Check("bad", "name", said)
    if content.language not in LANGUAGES:
        yield Check("bad", "language", _("WhatsApp does not know this language."))
    if content.category not in ("marketing", "utility"):
        yield Check("bad", "category", _("Choose marketing or utility."))


def _about_header(text: str) -> Iterator[Check]:
    yield from _about_marks("header", text)
    yield from _too_long("header", _("The header"), text, HEADER_MAX)
    if len(names(text)) > 1:
        said = _("The header may hold one variable only.")
        yield Check("bad", "header", said)
    if "\n" in text:
        yield Check("bad", "header", _("The header must be one line."))
    if any(mark in text for mark in "*_~`") and not names(text):
        said = _("The header is shown bold already; marks like * are printed as they are.")
        yield Check("warn", "header", said)


def _about_body(text: str) -> Iterator[Check]:
    if not text.strip():
        yield Check("bad", "body", _("Write the message."))
        return
    yield from _about_marks("body", text)
    yield from _too_long("body", _("The message"), text, BODY_MAX)
    pieces = [t for t in tokens(text) if t.kind != "text" or t.value.strip()]
    if pieces[0].kind == "variable":
        said = _("The message may not begin with a variable. Put a word before it.")
        yield Check("bad", "body", said)
    if pieces[-1].kind == "variable":
        said = _("The message may not end with a variable. Put a word after it.")
        yield Check("bad", "body", said)
    for one, next_one in pairwise(pieces):
        if one.kind == next_one.kind == "variable":
            said = _(
                "“%(one)s” and “%(next)s” stand side by side. Put a word between them.",
                one=one.value,
                next=next_one.value,
            )
            yield Check("bad", "body", said)
    words = sum(len(t.value.split()) for t in pieces if t.kind == "text")
    count = sum(t.kind == "variable" for t in pieces)
    if count and words < 2 * count + 1:
        said = _("Few words for so many variables: WhatsApp may refuse it. Write more.")
        yield Check("warn", "body", said)


def _about_footer(content: Content) -> Iterator[Check]:
    text = content.footer
    yield from _too_long("footer", _("The footer"), text, FOOTER_MAX)
    if any(t.kind != "text" for t in tokens(text)):
        yield Check("bad", "footer", _("The footer may not hold variables."))
    if "\n" in text:
        yield Check("bad", "footer", _("The footer must be one line."))
    if content.category == "marketing" and not _has_way_out(content):
        said = _("Say how to stop, for example “Reply STOP to opt out” in the footer.")
        yield Check("warn", "footer", said)


def _about_buttons(buttons: tuple[Button, ...]) -> Iterator[Check]:
    if len(buttons) > BUTTONS:
        said = _("A template may have %(count)s buttons.", count=BUTTONS)
        yield Check("bad", "buttons", said)
    kinds = [b.kind for b in buttons]
    if kinds.count("url") > URLS:
        said = _("A template may have %(count)s links.", count=URLS)
        yield Check("bad", "buttons", said)
    switches = sum(a != b for a, b in pairwise(kinds))
    if switches > 1:
        said = _("Keep quick replies together: all before, or all after the links.")
        yield Check("bad", "buttons", said)
    labels = [b.text.strip().casefold() for b in buttons]
    if len(set(labels)) < len(labels):
        yield Check("bad", "buttons", _("Two buttons say the same."))
    if len(buttons) >= 4 or switches:
        said = _("WhatsApp on a computer does not show this set of buttons.")
        yield Check("warn", "buttons", said)
    for at, button in enumerate(buttons, 1):
        yield from _about_button(at, button)


def _about_button(at: int, button: Button) -> Iterator[Check]:
    if not button.text.strip():
        yield Check("bad", "buttons", _("Button %(at)s has no words.", at=at))
    if len(button.text) > BUTTON_MAX:
        said = _("Button %(at)s is longer than %(max)s letters.", at=at, max=BUTTON_MAX)
        yield Check("bad", "buttons", said)
    if any(t.kind != "text" for t in tokens(button.text)):
        said = _("The words of button %(at)s may not hold variables.", at=at)
        yield Check("bad", "buttons", said)
    if button.kind == "url":
        yield from _about_address(at, button.url)


def _about_address(at: int, url: str) -> Iterator[Check]:
    found = list(tokens(url))
    if any(t.kind == "stray" for t in found):
        said = _("The address of button %(at)s has a broken variable.", at=at)
        yield Check("bad", "buttons", said)
    marks = [i for i, t in enumerate(found) if t.kind == "variable"]
    if len(marks) > 1 or (marks and marks[0] != len(found) - 1):
        said = _("The address of button %(at)s may hold one variable, at its end.", at=at)
        yield Check("bad", "buttons", said)
    fixed = found[0].value if found and found[0].kind == "text" else ""
    if not _is_address(fixed) or len(url) > URL_MAX:
        said = _("Button %(at)s needs an address that begins with https://.", at=at)
        yield Check("bad", "buttons", said)


def _is_address(text: str) -> bool:
    try:
        parsed = urlsplit(text.strip())
    except ValueError:
        return False
    return parsed.scheme in ("https", "http") and "." in (parsed.hostname or "")


def _about_samples(content: Content) -> Iterator[Check]:
    for name in variables(content):
        sample = content.samples.get(name, "").strip()
        if not sample:
            said = _("Give “%(name)s” a sample, so that a reviewer can read it.", name=name)
            yield Check("bad", "samples", said)
        elif len(sample) > SAMPLE_MAX or "\n" in sample or "{{" in sample:
            said = _("The sample of “%(name)s” must be one short line.", name=name)
            yield Check("bad", "samples", said)


def _about_marks(where: str, text: str) -> Iterator[Check]:
    strays = dict.fromkeys(t.value for t in tokens(text) if t.kind == "stray")
    for mark in strays:
        yield Check("bad", where, _stray(mark))


def _stray(mark: str) -> str:
    if mark in ("{{", "}}"):
        return _("A variable is not closed: write it like {{first_name}}.")
    shown = mark.strip("{} ")[:40]
    return _(
        "“%(mark)s” is no variable: use small letters, digits and underscores, and begin"
        " with a letter.",
        mark=shown,
    )


def _too_long(where: str, what: str, text: str, limit: int) -> Iterator[Check]:
    if len(text) > limit:
        said = _(
            "%(what)s has %(count)s letters; %(max)s are allowed.",
            what=what,
            count=len(text),
            max=limit,
        )
        yield Check("bad", where, said)


def _has_way_out(content: Content) -> bool:
    texts: Iterable[str] = (
        content.body,
        content.footer,
        *(b.text for b in content.buttons),
    )
    return any(_WAY_OUT.search(text) for text in texts)
