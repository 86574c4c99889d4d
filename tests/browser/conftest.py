"""A browser that remembers everything that went wrong on the pages it showed."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import TimeoutError as Late
from playwright.sync_api import expect

REPORT = """
addEventListener('securitypolicyviolation', (e) =>
  window.clarionReport(`${e.violatedDirective} refused ${e.blockedURI} at ${e.sourceFile}`))
"""
FITS = """() => document.documentElement.scrollWidth <=
  document.documentElement.clientWidth"""
WHO = """(width) => [...document.querySelectorAll('body *')]
  .filter((e) => e.getBoundingClientRect().right > width && !e.closest('.table-responsive'))
  .map((e) => `${e.tagName}.${e.className}`).slice(-4)"""
WIDTHS = (390, 320)
PATIENCE = 20_000  # milliseconds until something must be on a page: machines are busy

expect.set_options(timeout=PATIENCE)


class Witness:
    """One browser context, and what its pages complained of."""

    def __init__(self, context, base, *, narrow=True):
        self.context, self.base, self.narrow = context, base, narrow
        self.faults: list[str] = []
        self.seen: set[tuple[str, str]] = set()
        context.expose_binding("clarionReport", lambda _from, text: self._add("CSP", text))
        context.add_init_script(REPORT)
        context.on("console", self._console)
        context.on("weberror", lambda error: self._add("script", str(error.error)))
        context.on("response", self._response)
        self.page = context.new_page()

    def goto(self, path):
        self.page.goto(self.base + path if path.startswith("/") else path)

    def look(self, state=""):
        """Find nothing to complain of on this page, and nothing wider than a phone.

        Each kind of page is looked at once, and once more in each state that is named.
        """
        path = self.page.url.removeprefix(self.base)
        kind = (re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|[?].*", "…", path), state)
        if kind in self.seen:
            return
        self.seen.add(kind)
        found = Axe().run(self.page).response["violations"]
        named = [(v["id"], [n["target"] for n in v["nodes"]]) for v in found]
        assert named == [], path
        assert self.page.locator("h1").count() == 1, path
        if self.narrow:
            self._fits(path)

    def _fits(self, path):
        size = self.page.viewport_size
        for width in WIDTHS:
            self.page.set_viewport_size({"width": width, "height": 800})
            try:  # a chart takes a moment to follow
                self.page.wait_for_function(FITS, timeout=3_000)
            except Late:
                raise AssertionError(
                    (path, width, self.page.evaluate(WHO, width))
                ) from None
        self.page.set_viewport_size(size)

    def _console(self, message):
        if message.type in ("error", "warning"):
            self._add("console", message.text)

    def _response(self, response):
        if response.status >= 500:
            self._add("answer", f"{response.status} {response.url}")

    def _add(self, kind, text):
        self.faults.append(f"{kind}: {text}")


@pytest.fixture
def witness(new_context, product, request):
    """Open a browser in a colour scheme; at the end, nothing may have gone wrong."""
    opened = []

    def open_(scheme="light", **more):
        context = new_context(color_scheme=scheme, **more)
        one = Witness(context, product.url, narrow=scheme == "light")
        one.page.set_default_timeout(PATIENCE)
        opened.append(one)
        return one

    yield open_
    assert [one.faults for one in opened if one.faults] == [], product.logs()
