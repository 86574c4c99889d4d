"""The look shared by portal and console: assets, icons, times, numbers and state pills.

Everything here is a Jinja global, never a context processor: Flask-AppBuilder renders
its widgets without running those. Nothing that a person typed is ever marked safe:
`Markup` appears only around markup of our own, and values are put in by `.format`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from hashlib import sha256
from json import loads
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import flask_babel
from babel import Locale
from flask import Flask, current_app, request
from markupsafe import Markup, escape
from whitenoise import WhiteNoise

from clarion.base.errors import Misconfigured
from clarion.web.states import state_of

STATIC: Final = Path(__file__).parent / "static"
THEME_COOKIE: Final = "clarion-theme"
HOUR: Final = 3600
NOTHING: Final = "—"

_HASHED: Final = re.compile(r"/ui/dist/[^/]+-[A-Z0-9]{8}\.\w+$")
_RTL: Final = frozenset({"ar", "fa", "he", "ur"})
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00$")
_NUMBER: Final = re.compile(r"\+[0-9]{6,15}$")
_UNITS: Final = ("kB", "MB", "GB")
_WHATSAPP: Final = (
    (re.compile(r"```(.+?)```", re.DOTALL), "code"),
    (re.compile(r"(?<!\w)\*(?=\S)([^*\n]+?)(?<=\S)\*(?!\w)"), "b"),
    (re.compile(r"(?<!\w)_(?=\S)([^_\n]+?)(?<=\S)_(?!\w)"), "i"),
    (re.compile(r"(?<!\w)~(?=\S)([^~\n]+?)(?<=\S)~(?!\w)"), "s"),
    (re.compile(r"(\{\{\s*[\w.|-]+\s*\}\})"), "mark"),
)

Slots = Callable[[str, dict[str, Any]], Iterable[str]]  # Any: whatever the page has to hand


def init_ui(app: Flask, *, brand: str = "Clarion", slots: Slots | None = None) -> None:
    """Give a Flask app the kit: static files under `/ui/` and the template globals.

    Static files are answered before Flask sees the request, compressed, and the hashed
    ones for ever. `slots(place, context)` answers what plugins draw at a place.
    """
    files = WhiteNoise(
        app.wsgi_app,
        max_age=HOUR,
        allow_all_origins=False,
        immutable_file_test=lambda _path, url: bool(_HASHED.search(url)),
        add_headers_function=_static_headers,
    )
    if STATIC.is_dir():
        files.add_files(str(STATIC), prefix="ui/")
    app.wsgi_app = files  # type: ignore[method-assign]
    app.extensions["clarion-ui"] = files

    env = app.jinja_env
    if "jinja2.ext.InternationalizationExtension" not in env.extensions:
        env.add_extension("jinja2.ext.i18n")
        env.install_null_translations(newstyle=True)  # type: ignore[attr-defined]
    env.globals.update(GLOBALS, brand=brand, slot=_slot(slots))
    env.filters.update(when=when, num=num, pill=pill)
    # Set by other rooms; the pages draw themselves without.
    for name, empty in NOBODY.items():
        env.globals.setdefault(name, empty)


def add_static(app: Flask, plugin: str, folder: Path) -> None:
    """Serve a plugin's `static/` under `/plugins/<plugin>/`; see `plugin_asset`."""
    app.extensions["clarion-ui"].add_files(str(folder), prefix=f"plugins/{plugin}/")
    marks = app.extensions.setdefault("clarion-plugin-assets", {})
    for path in folder.rglob("*"):
        if path.is_file():
            name = f"{plugin}/{path.relative_to(folder).as_posix()}"
            marks[name] = sha256(path.read_bytes()).hexdigest()[:12]


def plugin_asset(plugin: str, filename: str) -> str:
    """Address of a plugin's static file; it changes when the file does."""
    name = f"{plugin}/{filename}"
    mark = current_app.extensions.get("clarion-plugin-assets", {})[name]
    return f"{request.script_root}/plugins/{name}?v={mark}"


def asset(name: str) -> str:
    """Address of a built file by its plain name (`app.js`)."""
    return f"{request.script_root}/ui/dist/{manifest()[name]}"


@cache
def manifest() -> dict[str, str]:
    """Plain name → hashed file. Read once: restart the process after a build.

    Errors: Misconfigured when the front end was never built.
    """
    path = STATIC / "dist" / "manifest.json"
    if not path.is_file():
        raise Misconfigured(
            "frontend_missing", "The front end is not built. Run: python dev/frontend.py"
        )
    names: dict[str, str] = loads(path.read_text(encoding="utf-8"))
    return names


def icon(name: str, cls: str = "", label: str = "") -> Markup:
    """Draw an icon of the sprite; without a label it is hidden from screen readers."""
    known = Markup('role="img" aria-label="{}"').format(label) if label else None
    return Markup(
        '<svg class="icon {}" width="18" height="18" {}><use href="{}#{}"/></svg>'
    ).format(cls, known or Markup('aria-hidden="true"'), asset("icons.svg"), name)


def when(moment: datetime | None, empty: str = NOTHING) -> Markup:
    """Relative time for the eye, exact local time in the tooltip; readable without JS."""
    if moment is None:
        return Markup('<span class="sub">{}</span>').format(empty)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if _translated():
        text = f"{flask_babel.format_datetime(aware, 'medium')} {ui_tz()}"
    else:
        text = f"{aware.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return Markup('<time-ago datetime="{}">{}</time-ago>').format(aware.isoformat(), text)


def moment_in(value: object) -> datetime | None:
    """Answer the moment a value of the log stands for, if it is one written by a program."""
    text = value if isinstance(value, str) and _MOMENT.match(value) else None
    return datetime.fromisoformat(text) if text else None


def day(value: date | datetime | None) -> str:
    """Print a date in the reader's way; times are moved to the reader's zone first."""
    if value is None:
        return NOTHING
    return (
        flask_babel.format_date(value, "medium") if _translated() else f"{value:%Y-%m-%d}"
    )


def num(value: float | None) -> str:
    """Print a number with the reader's separators; nothing is a dash."""
    if value is None:
        return NOTHING
    return str(flask_babel.format_decimal(value)) if _translated() else f"{value:,}"


def percent(part: float, whole: float) -> str:
    """Print a share with one decimal; a share of nothing is a dash."""
    if not whole:
        return NOTHING
    share = part / whole
    if _translated():
        return str(flask_babel.format_percent(share, "#,##0.#%"))
    return f"{100 * share:.1f}%".replace(".0%", "%")


def size(count: int) -> str:
    """Print a number of bytes the way a person reads a file's size."""
    if count < 1000:
        return f"{count} B"
    value = float(count)
    for unit in _UNITS:
        value /= 1000
        if value < 1000 or unit == _UNITS[-1]:
            break
    return f"{num(round(value, 1))} {unit}"


def pill(state: object, label: str | None = None, tone: str | None = None) -> Markup:
    """Draw a state: a dot, a word, a tone. The word is translated here."""
    known, text = state_of(state)
    return Markup('<span class="pill {}">{}</span>').format(
        tone or known, label if label is not None else _text(text)
    )


def state_label(state: object) -> str:
    """Answer the word of a state alone, for sentences and CSV."""
    return _text(state_of(state)[1])


def phone(value: str | None) -> Markup:
    """Print a phone number or id: isolated from the text's direction, in even digits.

    A whole number is printed in its country's groups: +55 11 95550-0147.
    """
    shown = _in_groups(value) if value and _NUMBER.match(value) else value
    return Markup('<bdi class="num">{}</bdi>').format(shown or NOTHING)


@lru_cache(maxsize=10_000)
def _in_groups(number: str) -> str:
    import phonenumbers  # slow to import

    try:
        read = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return number
    form = phonenumbers.PhoneNumberFormat.INTERNATIONAL
    return str(phonenumbers.format_number(read, form))


def wa_text(text: str | None) -> Markup:
    """Draw *bold*, _italic_, ~struck~, ```code``` and {{placeholders}} as WhatsApp does.

    The text is escaped first; only these five marks become markup.
    """
    shown = str(escape(text or ""))
    for pattern, tag in _WHATSAPP:
        shown = pattern.sub(rf"<{tag}>\1</{tag}>", shown)
    return Markup(shown)  # noqa: S704 -- escaped above, plus five tags of our own


def initials(name: str | None) -> str:
    """Answer up to two letters for an avatar."""
    words = (name or "").split()
    return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper() or "?"


def url_with(**changes: object) -> str:
    """Address of this page with some query arguments changed; `None` removes one."""
    query = {key: values for key, values in request.args.lists() if key not in changes}
    kept = [(key, value) for key, values in query.items() for value in values]
    added = [(key, str(value)) for key, value in changes.items() if value is not None]
    tail = urlencode([*kept, *added])
    return f"{request.script_root}{request.path}{'?' if tail else ''}{tail}"


def ui_lang() -> str:
    """Answer the page's language as HTML writes it (`pt-BR`)."""
    return (
        str(flask_babel.get_locale() or "en").replace("_", "-") if _translated() else "en"
    )


def ui_dir() -> str:
    """Answer the page's direction, `ltr` or `rtl`."""
    return "rtl" if Locale.parse(ui_lang(), sep="-").language in _RTL else "ltr"


def ui_tz() -> str:
    """Answer the name of the reader's time zone."""
    return str(flask_babel.get_timezone() or "UTC") if _translated() else "UTC"


def theme_pref() -> str:
    """Answer light, dark or auto: what the person once chose by a click, else auto."""
    chosen = request.cookies.get(THEME_COOKIE, "auto")
    return chosen if chosen in {"light", "dark"} else "auto"


def _translated() -> bool:
    return "babel" in current_app.extensions


def _text(text: str) -> str:
    return flask_babel.gettext(text) if _translated() else text


def _slot(slots: Slots | None) -> Callable[..., Markup]:
    def slot(place: str, **context: Any) -> Markup:  # Any: whatever the page has to hand
        """Draw what plugins have to show at a place: pieces made by their templates."""
        pieces = slots(place, context) if slots else ()
        return Markup("").join(Markup(piece) for piece in pieces)  # noqa: S704 -- rendered by plugins' autoescaped templates

    return slot


def _static_headers(headers: Any, _path: str, _url: str) -> None:  # Any: wsgiref's Headers
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    headers["Content-Security-Policy"] = "default-src 'none'; style-src 'self'"


NOBODY: Final[Mapping[str, Callable[[], Any]]] = {  # Any: other rooms' own objects
    "current_actor": lambda: None,  # .name .email .account_name .role
    "nav_items": lambda: (),  # .title .icon .url .keys .section .current [.count]
    "account_choices": lambda: (),  # .name .url (POST) .current
    "user_menu": lambda: (),  # .title .icon .url
    "palette_items": lambda: (),  # {"t": title, "h": address, "k": keys, "g": group}
    "sign_out_url": lambda: "",
    "csrf_token": lambda: "",
    "environment": lambda: "",  # what the stripe over the console says
    "theme_styles": lambda: (),
    "restored": lambda: None,  # since when nothing is sent, after a restore
}

GLOBALS: Final = {
    "asset": asset,
    "plugin_asset": plugin_asset,
    "icon": icon,
    "when": when,
    "moment_in": moment_in,
    "day": day,
    "num": num,
    "percent": percent,
    "size": size,
    "pill": pill,
    "state_label": state_label,
    "phone": phone,
    "wa_text": wa_text,
    "initials": initials,
    "url_with": url_with,
    # the same under names that a macro's own name cannot hide
    "_icon": icon,
    "_when": when,
    "_num": num,
    "_pill": pill,
    "ui_lang": ui_lang,
    "ui_dir": ui_dir,
    "ui_tz": ui_tz,
    "theme_pref": theme_pref,
}
