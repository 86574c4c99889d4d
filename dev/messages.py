"""Keep the catalogues: what every page, mail and log line says, in each language.

    python dev/messages.py             bring every catalogue up to date, say what is missing
    python dev/messages.py --new fr    begin a language
    python dev/messages.py --compile   make the .mo files that Clarion reads

A catalogue stands beside what it translates: the core's in `web/translations`, each
plugin's in its `translations`. English is what the code says. A sentence is found where it
stands in `_()` and its like, and in what a manifest declares.
"""

import argparse
import datetime as dt
import importlib
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from clarion.plugging.manifest import Plugin, about

TOP = Path(__file__).resolve().parent.parent
FUNCTIONS = {
    "_": None,
    "N_": None,
    "gettext": None,
    "lazy": None,
    "lazy_gettext": None,
    "ngettext": (1, 2),
    "label": (2,),  # of the audit log's entries
}
METHODS = [("**/templates/**.html", "jinja2"), ("**.py", "python")]
BESIDE = ("tests", "testing", "frontend", "static", "simulator", "migrations", "demo")
"""What stands in these folders is not shown to the people Clarion is for."""
NEVER = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
"""A date in every header: a catalogue changes when its words do, and never else."""
PLACES = re.compile(r"%\(\w+\)[sd]")


def main() -> int:
    """Do what the command line asks for; answers the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--new", metavar="LANGUAGE")
    parser.add_argument("--compile", action="store_true")
    asked = parser.parse_args()
    if asked.compile:
        return compile_all()
    if asked.new:
        for root in roots():
            path = catalogue(root, asked.new)
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, Catalog(asked.new))
    for root in roots():
        for path in catalogues(root):
            update(root, path)
            for fault in faults(root, path):
                sys.stdout.write(f"{path.relative_to(TOP)}: {fault}\n")
    return compile_all()


def roots() -> list[Path]:
    """List what has catalogues of its own: the core, and each plugin."""
    return [TOP / "platform/clarion", *sorted((TOP / "plugins").glob("clarion_*"))]


def catalogue(root: Path, language: str) -> Path:
    """Say where the words of a root stand in a language."""
    room = root / "web" if root.name == "clarion" else root
    return room / "translations" / language / "LC_MESSAGES" / "messages.po"


def catalogues(root: Path) -> list[Path]:
    """List the catalogues a root has."""
    return sorted(catalogue(root, "*").parents[2].glob("*/LC_MESSAGES/messages.po"))


@cache
def template(root: Path) -> Catalog:
    """Collect every sentence of a root, in the order a person comes across it."""
    found = Catalog()
    walk = extract_from_dir(
        root,
        METHODS,
        keywords=FUNCTIONS,
        directory_filter=lambda folder: Path(folder).name not in BESIDE,
    )
    for file, _line, message, comments, context in sorted(walk, key=lambda one: one[:2]):
        found.add(message, None, [(file, None)], (), (), comments, context=context)
    for sentence in sorted(declared(root)):
        found.add(sentence, None, [("plugin.py", None)])
    return found


def declared(root: Path) -> set[str]:
    """Collect what manifests say: titles, permissions, menu, cookies, hosts, what it is."""
    inside = (
        ["clarion.portal", "clarion.console"] if root.name == "clarion" else [root.name]
    )
    said: set[str] = set()
    for package in inside:
        module = importlib.import_module(f"{package}.plugin")
        said |= {*_said(module.plugin), about(module.__doc__ or "")}
    return said - {""}


def _said(plugin: Plugin) -> Iterator[str]:
    yield plugin.title
    yield from (one.title for one in (*plugin.permissions, *plugin.settings, *plugin.nav))
    yield from (one.section for one in plugin.nav)
    yield from (one.purpose for one in (*plugin.cookies, *plugin.hosts))
    for one in plugin.settings:
        yield from one.kind if isinstance(one.kind, tuple) else ()


def update(root: Path, path: Path) -> None:
    """Add what is new to a catalogue, and take out what nobody says any more."""
    kept = _read(path)
    kept.update(template(root), no_fuzzy_matching=True)
    kept.obsolete.clear()
    _write(path, kept)


def faults(root: Path, path: Path) -> list[str]:
    """Say what is wrong with a catalogue: missing, over, or with other places to fill."""
    has, wanted = _read(path), template(root)
    ids = {message.id for message in wanted if message.id}
    out = [f"not in the catalogue: {one!r}" for one in ids if one not in has]
    for message in has:
        if not message.id:
            continue
        if message.id not in ids:
            out.append(f"said nowhere: {message.id!r}")
        elif message.fuzzy or not all(_forms(message)):
            out.append(f"not translated: {message.id!r}")
        elif not _fits(message):
            out.append(f"other places to fill: {message.id!r}")
    return out


def _forms(message: Message) -> tuple[str, ...]:
    said = message.string
    return tuple(said) if isinstance(said, list | tuple) else (str(said),)


def _fits(message: Message) -> bool:
    """Say whether a translation has the places of the sentence; "one" may be in words."""
    ids = message.id if isinstance(message.id, list | tuple) else (message.id,)
    wanted = set(PLACES.findall(ids[-1]))
    given = [set(PLACES.findall(form)) for form in _forms(message)]
    return given[-1] == wanted and all(
        wanted - {"%(num)s"} <= one <= wanted for one in given
    )


def compile_all() -> int:
    """Make every .mo file that is missing or older than its catalogue."""
    for root in roots():
        for path in catalogues(root):
            made = path.with_suffix(".mo")
            if made.exists() and made.stat().st_mtime >= path.stat().st_mtime:
                continue
            fresh = made.with_suffix(".next")
            with fresh.open("wb") as file:
                write_mo(file, _read(path))
            fresh.replace(made)
    return 0


def _read(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=path.parents[1].name)


def _write(path: Path, catalog: Catalog) -> None:
    catalog.fuzzy = False
    catalog.project, catalog.version = "Clarion", "1"
    catalog.creation_date = catalog.revision_date = NEVER
    catalog.header_comment = "# Made by dev/messages.py; the translations are ours."
    with path.open("wb") as file:
        write_po(file, catalog, width=92, include_lineno=False, sort_by_file=False)


if __name__ == "__main__":
    sys.exit(main())
