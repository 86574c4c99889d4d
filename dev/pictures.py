"""Take the pictures of the README and of the tutorials, as things are now.

    python dev/pictures.py

Starts a demo in a scratch folder, follows `docs/tutorial/first-campaign.md` through it and
takes each picture where the tutorial shows it. Then it sends a large campaign, and takes the
campaign's page and the console while the messages leave. Writes `docs/pictures/`.
"""

import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import browser
import tutorial
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from clarion.base import services
from clarion.testing.demo import Demo

PICTURES = tutorial.TOP / "docs" / "pictures"
FIRST_CAMPAIGN = tutorial.TOP / "docs" / "tutorial" / "first-campaign.md"
ARGS = ["--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
DESK = ViewportSize(width=1280, height=800)
NARROW_DESK = ViewportSize(width=1120, height=700)
PHONE = ViewportSize(width=390, height=844)
LARGE = "Summer workshop"  # the draft that dev/seed.py leaves: to everybody
HALF = re.compile(r"^(5[5-9]|6\d)%$")
CHART_SECOND = 47  # of a minute: halfway through, the chart has a first minute to show
TALLEST, TALLEST_PHONE = 1_150, 1_400
SETTLE_MS = 700  # for what moves: a chart, a bar, a toast
HEIGHT = """(tallest) => {
  const all = document.documentElement.scrollHeight
  const cards = [...document.querySelectorAll('main .card')].filter((e) => !e.closest('aside'))
  const ends = cards.map((e) => e.getBoundingClientRect().bottom + scrollY + 8)
  return all <= tallest ? all : Math.round(Math.max(0, ...ends.filter((end) => end <= tallest)))
}"""  # down to the end of a card, if not of the page


def main() -> int:
    """Take them all; answers the exit code."""
    chromium = browser.find()
    if chromium is None:
        print("Pictures need Chromium; see dev/browser.py.", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="clarion-pictures-") as name:
        home = Path(name) / "home"
        Path(name).chmod(0o755)  # the servers' user must reach it
        demo = Demo.started(home)
        try:
            with sync_playwright() as play:
                one = play.chromium.launch(executable_path=chromium, args=ARGS)
                walk(one, demo)
                show(one, demo)
        finally:
            demo.end()
            services.remove(home)
    return 0


def walk(one: Browser, demo: Demo) -> None:
    """Follow the tutorial and take its pictures."""
    page = opened(one, NARROW_DESK)
    reader = tutorial.Reader(page, demo.doors())
    for step in tutorial.steps(FIRST_CAMPAIGN):
        if step.picture:
            take(page, step.picture)
        else:
            reader.follow(step.text)


def show(one: Browser, demo: Demo) -> None:
    """Take the README's pictures while a campaign to everybody is on its way."""
    marina, ada = (demo.people()[door] for door in ("portal", "console"))
    desk, dark = opened(one, DESK), opened(one, DESK, color_scheme="dark")
    phone, console = opened(one, PHONE), opened(one, DESK)
    for page in (desk, dark, phone):
        enter(page, demo.address("Portal") + "sign-in", *marina)
    enter(console, demo.address("Console"), *ada, code=demo.code())
    launch(desk)
    for page in (dark, phone):
        page.goto(desk.url)
    expect(desk.locator(".ui-progress .big").first).to_have_text(HALF)
    console.goto(demo.address("Console"))
    for page, name in (
        (desk, "campaign-light"),
        (console, "console-light"),
        (dark, "campaign-dark"),
        (phone, "campaign-phone"),
    ):
        take(page, PICTURES / f"{name}.png", settle=0)


def opened(one: Browser, size: ViewportSize, **more: Any) -> Page:
    """Open a page of its own, in which nothing moves without need."""
    context = one.new_context(
        viewport=size,
        reduced_motion="reduce",
        locale="en-US",
        **more,
    )
    page = context.new_page()
    page.set_default_timeout(tutorial.PATIENCE_MS)
    expect.set_options(timeout=tutorial.PATIENCE_MS)
    return page


def enter(page: Page, address: str, email: str, password: str, code: str = "") -> None:
    """Sign in, at either door; at the console's with a code."""
    page.goto(address)
    page.locator("main input:visible").first.fill(email)
    page.locator("main [name=password]").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    if code:
        page.locator("#code").fill(code)
        page.get_by_role("button", name="Confirm").click()
    page.locator("#side").wait_for(state="attached")


def launch(page: Page) -> None:
    """Send the large campaign, at a good second."""
    main_part = page.locator("main")
    page.locator("#side").get_by_role("link", name="Campaigns", exact=True).click()
    main_part.get_by_role("link", name=LARGE).click()
    main_part.get_by_role("link", name="Review").click()
    main_part.get_by_role("button", name="Look at everybody").click()
    send = main_part.get_by_role("button", name=re.compile("^Send to"))
    send.wait_for()
    typed = page.locator("#typed")
    if typed.count():
        typed.fill(re.sub(r"\D", "", page.locator("#reached").inner_text()))
    time.sleep((CHART_SECOND - time.time()) % 60)
    send.click()
    page.locator("#ui-confirm").get_by_role("button", name=re.compile("^Send to")).click()
    page.locator("live-region").wait_for()
    page.goto(page.url)  # without the words that it is on its way


def take(page: Page, path: Path, settle: int = SETTLE_MS) -> None:
    """Take one picture: the whole page, down to a height that still reads well."""
    size = page.viewport_size or DESK
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement?.blur()")
    tallest = TALLEST_PHONE if size["width"] < DESK["width"] / 2 else TALLEST
    height = max(page.evaluate(HEIGHT, tallest), size["height"])
    page.set_viewport_size({"width": size["width"], "height": height})
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(settle)
    page.screenshot(path=path, animations="disabled")
    page.set_viewport_size(size)
    print(path.relative_to(tutorial.TOP), flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
