"""A visitor of the portal without a browser: pages, forms, cookies; no scripts, no shortcuts.

Forms are read from the page and sent back with everything that stands in them, hidden
tokens included, as a browser does.
"""

import http.client
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin, urlsplit
from urllib.request import HTTPCookieProcessor, Request, build_opener

from clarion.base.errors import ClarionError

SECONDS = 60
LONGEST_TOLD = 600
VOID_TEXT = frozenset({"script", "style", "template", "head"})


class Lost(ClarionError):
    """A page was not what a visitor expected; says which, and what stood on it."""


@dataclass(slots=True)
class Form:
    """One form of a page, as it stands there.

    Attributes:
        action: the address it goes to.
        method: `get` or `post`.
        id: of the element, for inputs that stand elsewhere.
        fields: what is filled in, in order; a name may come more than once.
        names: everything that can be filled in, buttons included.
        files: names of file inputs.
        options: what can be chosen, by name: (value, words beside it).
        buttons: (name, value) of the buttons that send it.
    """

    action: str
    method: str
    id: str = ""
    fields: list[tuple[str, str]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    options: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)

    def option(self, name: str, words: str) -> str:
        """Return the value of the choice that has these words beside it."""
        found = [v for v, said in self.options.get(name, ()) if words in said]
        if not found:
            raise Lost("choice_missing", f"There is no choice “{words}” for {name}.")
        return found[0]


@dataclass(frozen=True, slots=True)
class Page:
    """An answer of the portal."""

    url: str
    status: int
    headers: http.client.HTTPMessage
    body: str

    def forms(self) -> list[Form]:
        """Read the forms of the page."""
        reader = _Forms(self.url)
        reader.feed(self.body)
        reader.close()
        return reader.forms

    def form(self, *names: str) -> Form:
        """Find the form that has all of these fields; raises `Lost`."""
        for one in self.forms():
            if one.names >= set(names):
                return one
        raise Lost("form_missing", f"{self.url} has no form with {', '.join(names)}.")

    def form_to(self, ending: str) -> Form:
        """Find the form that goes to an address with this ending; raises `Lost`."""
        for one in self.forms():
            if urlsplit(one.action).path.endswith(ending):
                return one
        raise Lost("form_missing", f"{self.url} has no form to {ending}. {self.words()}")

    def words(self) -> str:
        """Return what can be read on the page, in short."""
        reader = _Words()
        reader.feed(self.body)
        return " ".join(" ".join(reader.found).split())[:LONGEST_TOLD]

    @property
    def path(self) -> str:
        """Return the address without the host."""
        return urlsplit(self.url).path


class Visitor:
    """Somebody with a cookie jar, who stays signed in."""

    def __init__(self, portal: str) -> None:
        self.portal = portal
        self._open = build_opener(HTTPCookieProcessor(CookieJar()))

    def get(self, path: str) -> Page:
        """Look at a page, following where it leads; raises `Lost` for an error page."""
        return self._answered(Request(urljoin(self.portal, path)))  # noqa: S310 -- our own

    def send(
        self,
        form: Form,
        changes: Mapping[str, str] | None = None,
        *,
        button: tuple[str, str] | None = None,
        files: Mapping[str, tuple[str, bytes]] | None = None,
    ) -> Page:
        """Fill in a form and send it; what is not named stays as it stands there."""
        changed = changes or {}
        unknown = changed.keys() - form.names
        if unknown:
            raise Lost("field_missing", f"{form.action} has no field {', '.join(unknown)}.")
        pairs = [(n, v) for n, v in form.fields if n not in changed and n not in form.files]
        pairs += list(changed.items())
        pairs += [button] if button else form.buttons[:1] if len(form.buttons) == 1 else []
        headers = {"Origin": self.portal, "Referer": f"{self.portal}/"}
        headers["Sec-Fetch-Site"] = "same-origin"
        if files:
            body, kind = _multipart(pairs, files)
        else:
            body, kind = urlencode(pairs).encode(), "application/x-www-form-urlencoded"
        headers["Content-Type"] = kind
        asked = Request(form.action, body, headers, method="POST")  # noqa: S310 -- our own
        return self._answered(asked)

    def _answered(self, request: Request) -> Page:
        try:
            reply = self._open.open(request, timeout=SECONDS)
        except HTTPError as error:
            reply = error
        with reply:
            text = reply.read().decode(errors="replace")
            page = Page(reply.url or request.full_url, reply.status, reply.headers, text)
        if page.status >= 400:
            said = f"{request.get_method()} {request.full_url} answered {page.status}:"
            raise Lost("page_refused", f"{said} {page.words()}")
        return page


def _multipart(
    pairs: list[tuple[str, str]], files: Mapping[str, tuple[str, bytes]]
) -> tuple[bytes, str]:
    mark = secrets.token_hex(16)
    parts = []
    for name, value in pairs:
        head = f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
        parts.append(f"{head}{value}\r\n".encode())
    for name, (file, raw) in files.items():
        head = (
            f'--{mark}\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"'
        )
        parts.append(f"{head}\r\nContent-Type: text/csv\r\n\r\n".encode() + raw + b"\r\n")
    parts.append(f"--{mark}--\r\n".encode())
    return b"".join(parts), f"multipart/form-data; boundary={mark}"


class _Forms(HTMLParser):
    """Collects forms; inputs that stand outside name theirs with `form=`."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._url = url
        self._here: Form | None = None
        self._outside: dict[str, Form] = {}
        self._select: tuple[Form, str, bool] | None = None
        self._option: tuple[str, bool] | None = None
        self._area: tuple[Form, str] | None = None
        self._label: tuple[Form, str, str] | None = None
        self._text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            action = urljoin(self._url, given.get("action", "") or self._url)
            method = given.get("method", "get").lower()
            self._here = self._outside.pop(given.get("id", "\0"), None) or Form("", "")
            self._here.action, self._here.method = action, method
            self._here.id = given.get("id", "")
            self.forms.append(self._here)
        elif tag in ("input", "select", "textarea", "button"):
            owner = self._owner(given)
            if owner is not None and "disabled" not in given:
                self._control(tag, given, owner)
        elif tag == "option" and self._select is not None:
            self._end_option()
            self._option, self._text = (given.get("value", "\0"), "selected" in given), ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._here = None
        elif tag == "option":
            self._end_option()
        elif tag == "select" and self._select is not None:
            self._end_option()
            form, name, chosen = self._select
            choices = form.options.get(name, [])
            if not chosen and choices:  # a browser shows the first
                form.fields.append((name, choices[0][0]))
            self._select = None
        elif tag == "textarea" and self._area is not None:
            form, name = self._area
            form.fields.append((name, self._text.removeprefix("\n")))
            self._area = None
        elif tag == "label" and self._label is not None:
            form, name, value = self._label
            form.options.setdefault(name, []).append((value, " ".join(self._text.split())))
            self._label = None

    def handle_data(self, data: str) -> None:
        self._text += data

    def _owner(self, given: dict[str, str]) -> Form | None:
        wanted = given.get("form")
        if wanted is None:
            return self._here
        for one in self.forms:
            if one.id == wanted:
                return one
        return self._outside.setdefault(wanted, Form("", ""))

    def _control(self, tag: str, given: dict[str, str], form: Form) -> None:
        name, kind = given.get("name", ""), given.get("type", "")
        if tag == "button":
            if kind in ("", "submit"):
                form.buttons += [(name, given.get("value", ""))] if name else []
            return
        if not name:
            return
        form.names.add(name)
        if tag == "select":
            self._select, self._option = (form, name, False), None
        elif tag == "textarea":
            self._area, self._text = (form, name), ""
        elif kind == "file":
            form.files.add(name)
        elif kind in ("radio", "checkbox"):
            value = given.get("value", "on")
            self._label, self._text = (form, name, value), ""
            if "checked" in given:
                form.fields.append((name, value))
        elif kind not in ("submit", "button", "image", "reset"):
            form.fields.append((name, given.get("value", "")))

    def _end_option(self) -> None:
        if self._select is None or self._option is None:
            return
        (form, name, chosen), (value, selected) = self._select, self._option
        words = " ".join(self._text.split())
        value = words if value == "\0" else value
        form.options.setdefault(name, []).append((value, words))
        if selected:
            form.fields.append((name, value))
        self._select, self._option = (form, name, chosen or selected), None


class _Words(HTMLParser):
    """Collects what can be read in the main part of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._hidden, self._main = 0, 0

    def handle_starttag(self, tag: str, _attrs: Any) -> None:  # Any: the base class's
        self._hidden += tag in VOID_TEXT
        self._main += tag == "main"

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in VOID_TEXT
        self._main -= tag == "main"

    def handle_data(self, data: str) -> None:
        if not self._hidden and (self._main or not self.found):
            self.found.append(data)


def link_in(text: str, part: str) -> str:
    """Find the address in a mail that has this part in its path; raises `Lost`."""
    found = re.search(rf"https?://\S*{re.escape(part)}\S+", text)
    if not found:
        raise Lost("link_missing", f"The mail has no link with {part}.")
    return found[0]
