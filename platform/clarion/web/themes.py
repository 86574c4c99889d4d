"""Where a template is looked for, and which colours a page has: theme, plugin, core.

A theme is a folder in `themes/`: `theme.toml` (name, parent, modes), `theme.css` (tokens
only) and, if it must, `templates/`. It is chosen for the whole site at start: Jinja
caches templates by name, so a choice per request would show the first theme for ever.
"""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from flask import Flask, request
from jinja2 import BaseLoader, ChoiceLoader, FileSystemLoader

from clarion.base.errors import Misconfigured

DEFAULT: Final = "plain"
TEMPLATES: Final = Path(__file__).parent / "templates"
_PACKAGE: Final = Path(__file__).resolve().parent.parent
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")


@dataclass(frozen=True, slots=True)
class Theme:
    """One theme as its `theme.toml` declares it."""

    key: str
    title: str
    parent: str
    modes: tuple[str, ...]
    folder: Path


def themes_home() -> Path:
    """Find `themes/`: inside the installed package, else at the top of the checkout."""
    installed = _PACKAGE / "_themes"
    return installed if installed.is_dir() else _PACKAGE.parent.parent / "themes"


def themes(home: Path | None = None) -> dict[str, Theme]:
    """List every theme that can be chosen, by its folder's name."""
    files = sorted((home or themes_home()).glob("*/theme.toml"))
    return {path.parent.name: _read(path) for path in files}


def chain(name: str, home: Path | None = None) -> list[Theme]:
    """List a theme and its parents, the theme itself first.

    Errors: Misconfigured when a theme is missing or names itself as an ancestor.
    """
    known = themes(home)
    found: list[Theme] = []
    wanted = name
    while wanted:
        if wanted not in known:
            raise Misconfigured(
                "theme_missing",
                f"There is no theme “{wanted}”. Known: {', '.join(known) or 'none'}.",
            )
        if any(theme.key == wanted for theme in found):
            raise Misconfigured(
                "theme_circle", f"The theme “{wanted}” is its own ancestor."
            )
        found.append(known[wanted])
        wanted = known[wanted].parent
    return found


def init_themes(
    app: Flask,
    name: str = DEFAULT,
    *,
    plugin_templates: Iterable[Path] = (),
    home: Path | None = None,
) -> None:
    """Choose the site's theme for one Flask app; call it after `init_ui`.

    Templates are then found in this order: the theme and its parents, plugins, the
    core, and last whatever blueprints bring (Flask-AppBuilder's own pages).
    """
    chosen = chain(name, home)
    loaders: list[BaseLoader] = [
        FileSystemLoader(theme.folder / "templates")
        for theme in chosen
        if (theme.folder / "templates").is_dir()
    ]
    loaders += [FileSystemLoader(folder) for folder in plugin_templates]
    loaders.append(FileSystemLoader(TEMPLATES))
    loaders.append(app.create_global_jinja_loader())
    app.jinja_env.loader = ChoiceLoader(loaders)

    styles = [_style(theme) for theme in reversed(chosen)]
    for theme in chosen:
        app.extensions["clarion-ui"].add_files(
            str(theme.folder), prefix=f"themes/{theme.key}/"
        )
    found = [style for style in styles if style]

    def theme_styles() -> list[str]:
        return [f"{request.script_root}{style}" for style in found]

    app.jinja_env.globals["theme_styles"] = theme_styles


def _style(theme: Theme) -> str:
    path = theme.folder / "theme.css"
    if not path.is_file():
        return ""
    mark = sha256(path.read_bytes()).hexdigest()[:12]
    return f"/themes/{theme.key}/theme.css?v={mark}"


def _read(path: Path) -> Theme:
    key = path.parent.name
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        theme = Theme(
            key, data["name"], data.get("parent", ""), tuple(data["modes"]), path.parent
        )
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as e:
        raise Misconfigured("theme_unreadable", f"{key}/theme.toml: {e}") from e
    if not _NAME.fullmatch(key) or not set(theme.modes) <= {"light", "dark"}:
        raise Misconfigured("theme_unreadable", f"{key}/theme.toml: bad name or modes")
    return theme
