"""Write the reference pages that come from the code.

    python dev/reference.py

`tests/architecture/test_docs.py` fails when a page is not what this would write.
"""

import inspect
import re
from pathlib import Path

from clarion.plugging import hookspecs

TOP = Path(__file__).resolve().parents[1]
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


PAGES = {"docs/reference/hooks.md": hooks_page}


def main() -> None:
    """Write every page."""
    for path, write in PAGES.items():
        (TOP / path).parent.mkdir(parents=True, exist_ok=True)
        (TOP / path).write_text(write())
        print(path)


if __name__ == "__main__":
    main()
