"""Write the reference pages that come from the code.

    python dev/reference.py

`tests/architecture/test_docs.py` fails when a page is not what this would write.
"""

import contextlib
import dataclasses
import importlib
import inspect
import re
import textwrap
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

from sqlalchemy import LargeBinary

from clarion.base import walls
from clarion.base.db import Base
from clarion.base.trails import NoTrail
from clarion.plugging import hookspecs

TOP = Path(__file__).resolve().parents[1]
MODELS = (
    "clarion.tenancy.models", "clarion.base.limits", "clarion.work.models",
    "clarion.messaging.models", "clarion.messaging.countries", "clarion.messaging.hours",
    "clarion.messaging.instance", "clarion.messaging.prices", "clarion.messaging.twins",
    "clarion.messaging.parts", "clarion.messaging.wishes", "clarion.messaging.holds",
    "clarion.support.models", "clarion.announcing.models", "clarion.misuse.models",
    "clarion.tenancy.plugins",
)  # fmt: skip
STRANGE = ("reminders_",)  # the example plugin, where it happens to be installed
HEADINGS = ("When", "For", "Return", "Must", "Used by")
KINDS = {
    "register": (
        "Once, at boot. Return declarations; no database, no request. What raises here stops"
        " the start, with the plugin's name: half a plugin cannot be taken back."
    ),
    "before": (
        "In the transaction of what is about to happen, for accounts that have the plugin on."
        " No network. What raises keeps the act from happening, and so does a plugin that had"
        " such a hook at the last release and cannot be loaded now."
    ),
    "render": (
        "While a page is drawn. Return markup made by a template, or nothing. What raises draws"
        " nothing and is logged."
    ),
}


def hooks() -> dict[str, tuple[str, str, dict[str, str]]]:
    """Read every hook: its signature, its sentence, and what stands under its headings."""
    found = {}
    for name, hook in vars(hookspecs).items():
        if not hasattr(hook, "clarion_spec"):
            continue
        text = inspect.getdoc(hook) or ""
        said = [
            (one[1], " ".join(one[2].split()))
            for one in re.finditer(
                rf"^({'|'.join(HEADINGS)})\s+(.+?)(?=^(?:{'|'.join(HEADINGS)})\s|\Z)",
                text,
                re.MULTILINE | re.DOTALL,
            )
        ]
        if tuple(heading for heading, _ in said) != HEADINGS:
            raise ValueError(
                f"{name}: its docstring needs {', '.join(HEADINGS)}, in this order"
            )
        found[name] = (str(inspect.signature(hook)), text.partition("\n")[0], dict(said))
    return found


def hooks_page() -> str:
    """Write `docs/reference/hooks.md`."""
    out = [
        "# Hooks",
        "",
        "Written by `python dev/reference.py` from `platform/clarion/plugging/hookspecs.py`.",
        "A plugin implements a hook with `@hookimpl` in its `plugin.py`, and imports what is",
        "heavy inside it. To react to something that has happened, subscribe to its event.",
    ]
    every = hooks()
    for kind, about in KINDS.items():
        out += ["", f"## {kind}", "", about]
        for name, (signature, sentence, said) in every.items():
            if not name.startswith(f"{kind}_"):
                continue
            plain = signature.replace('"', "").replace("'", "")
            out += ["", f"### {name}", "", f"`{name}{plain}`", "", sentence, ""]
            out += ["| | |", "|---|---|"]
            out += [
                f"| {heading} | {words.replace('|', chr(92) + '|')} |"
                for heading, words in said.items()
            ]
    return "\n".join(out) + "\n"


def contract_page() -> str:
    """Write `docs/reference/contacts.md`."""
    contract = importlib.import_module("clarion_contacts.contract")
    lead, _sep, more = (inspect.getdoc(contract) or "").partition("\n")
    out = [
        "# Contacts, for other plugins",
        "",
        "Written by `python dev/reference.py` from `plugins/clarion_contacts/contract.py`.",
        f"Version {contract.VERSION}.",
        "",
        lead,
        *_prose(more),
    ]
    for part, names in contract.PARTS.items():
        out += ["", f"## {part}"]
        for name in names:
            out += ["", f"### {name}", "", *_described(name, getattr(contract, name))]
    return "\n".join(out) + "\n"


def contract_shape(contract: ModuleType) -> str:
    """Write down every signature and every column of a contract, a line each."""
    out = []
    for name in contract.__all__:
        one = getattr(contract, name)
        if dataclasses.is_dataclass(one):
            out += [f"{name}.{f.name}: {_type(f.type)}" for f in dataclasses.fields(one)]
        elif inspect.isfunction(one):
            out.append(f"{name}{_signature(one)}")
        elif name not in ("PARTS", "VERSION"):
            out.append(f"{name} = {_short(str(one))}")
    return "\n".join(out) + "\n"


def _described(name: str, one: Any) -> list[str]:
    if inspect.isfunction(one):
        head = f"`{name}{_signature(one)}`"
    elif dataclasses.is_dataclass(one):
        fields = ", ".join(f"{f.name}: {_type(f.type)}" for f in dataclasses.fields(one))
        head = f"`{name}({fields})`"
    else:
        return [f"`{_short(str(one))}`"]
    return [head, "", *_prose(inspect.getdoc(one) or "")]


def _prose(text: str) -> list[str]:
    """Set a docstring in Markdown: its lists of arguments become lists."""
    out: list[str] = []
    listing = False
    for line in textwrap.dedent(text).strip("\n").splitlines():
        listed = re.fullmatch(r"    (\w+): (.+)", line) if listing else None
        if listed:
            out.append(f"- `{listed[1]}`: {listed[2]}")
        elif re.fullmatch(r"(Args|Attributes|Returns):", line):
            listing = True
            out += [line, ""]
        elif listing and line.startswith("    "):
            out.append(f"  {line.strip()}")
        elif line.startswith("    "):
            out += ["```python", line.strip(), "```"]
        else:
            listing = listing and bool(line.strip())
            out.append(line)
    return out


def _signature(one: Any) -> str:
    return _short(str(inspect.signature(one)))


def _type(one: Any) -> str:
    plain = isinstance(one, type) and not get_args(one)
    return _short(one.__name__ if plain else str(one))


def _short(written: str) -> str:
    """Leave out the modules that names are from."""
    return re.sub(r"\b(?:[a-z_]\w*\.)+(?=[A-Za-z])", "", written)


TERMS = {
    "delete": "deleted",
    "shred": "unreadable with the account's key",
}


def personal_data() -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """Read what every table of core and plugins holds about people, column by column."""
    found: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for name, model in tables().items():
        columns = [
            (c.name, dict(c.info)) for c in model.__table__.columns if c.info.get("pd")
        ]
        if columns:
            found[name] = columns
    return found


def tables() -> dict[str, type[Base]]:
    """Load every table of core and plugins, by name."""
    for module in MODELS:
        importlib.import_module(module)
    for point in metadata.entry_points(group="clarion.plugins"):
        with contextlib.suppress(ModuleNotFoundError):  # a plugin without tables
            importlib.import_module(f"{point.value.rpartition('.')[0]}.models")
    found = sorted(walls.models().items())
    return {name: model for name, model in found if not name.startswith(STRANGE)}


def personal_data_page() -> str:
    """Write `docs/reference/personal-data.md`."""
    out = [
        "# Personal data",
        "",
        "Written by `python dev/reference.py` from the columns themselves: each says what it",
        "holds, whether an export has it, what an erasure does to it, how long it is kept",
        "(the row of the retention table in the privacy design), and whether logs may show",
        "it. Columns without personal data are not listed.",
    ]
    for table, columns in personal_data().items():
        out += ["", f"## {table}", ""]
        out += ["| column | class | exported | erasure | kept as | logs |"]
        out += ["|---|---|---|---|---|---|"]
        for name, info in columns:
            erase = info["erase"] or ""
            told = TERMS.get(erase) or f"kept: {erase.partition(':')[2]}"
            out.append(
                f"| `{name}` | `{info['pd']}` | {'yes' if info['export'] else 'no'}"
                f" | {told} | {info['retention']} | {info['log']} |"
            )
    return "\n".join(out) + "\n"


def log_page() -> str:
    """Write `docs/reference/log.md`."""
    kept, left = [], []
    for name, model in tables().items():
        trail = model.trail
        if isinstance(trail, NoTrail):
            left.append(f"| `{name}` | {trail.why} |")
            continue
        columns = {c.key: c for c in model.__table__.columns}
        hidden = [
            key
            for key, c in columns.items()
            if (c.info.get("log") != "ok" or isinstance(c.type, LargeBinary))
            and key not in trail.skip
        ]
        masked = ", ".join(f"`{key}`" for key in (*hidden, *trail.mask)) or "—"
        skipped = ", ".join(f"`{key}`" for key in trail.skip) or "—"
        kept.append(f"| `{name}` | {trail.noun} | {trail.many} | {masked} | {skipped} |")
    return "\n".join(
        [
            "# What changes leave in the log of deeds",
            "",
            "Written by `python dev/reference.py` from the tables themselves: each has a",
            "trail, or a reason why it has none. A changed row leaves an entry with what was",
            "before and after. Of some columns it says only *that* they changed; columns that",
            "change by themselves leave nothing. Many rows at once, and rows that are added",
            "without being read, leave one entry with their number (*counted*), or are",
            "*refused*.",
            "",
            "## With a trail",
            "",
            "| table | is called | many at once | shows only that it changed | leaves nothing |",
            "|---|---|---|---|---|",
            *kept,
            "",
            "## Without",
            "",
            "| table | why |",
            "|---|---|",
            *left,
            "",
        ]
    )


PAGES = {
    "docs/reference/hooks.md": hooks_page,
    "docs/reference/contacts.md": contract_page,
    "docs/reference/personal-data.md": personal_data_page,
    "docs/reference/log.md": log_page,
}


def main() -> None:
    """Write every page."""
    for path, write in PAGES.items():
        (TOP / path).parent.mkdir(parents=True, exist_ok=True)
        (TOP / path).write_text(write())
        print(path)
    contract = importlib.import_module("clarion_contacts.contract")
    shape = TOP / f"tests/architecture/contracts/contacts-{contract.VERSION}.txt"
    if not shape.exists():  # of a version that is in use nothing changes by itself
        shape.parent.mkdir(exist_ok=True)
        shape.write_text(contract_shape(contract))
        print(shape.relative_to(TOP))


if __name__ == "__main__":
    main()
