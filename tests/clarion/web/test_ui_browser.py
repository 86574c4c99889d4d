"""The kit in a real browser: policy, accessibility, phone width, dialogs, palette, live parts."""

import importlib.util
import threading
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Response, request
from werkzeug.serving import make_server

_spec = importlib.util.spec_from_file_location(
    "clarion_test_kit", Path(__file__).parent / "kit.py"
)
kit = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(kit)

pytestmark = pytest.mark.browser

CHROMIUM = Path("/usr/bin/chromium")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    own = {"executable_path": str(CHROMIUM)} if CHROMIUM.exists() else {}
    return {**browser_type_launch_args, **own, "args": QUIET}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args):
    return {
        **browser_context_args,
        "viewport": {"width": 1360, "height": 860},
        "locale": "en-US",
        "timezone_id": "UTC",
        "reduced_motion": "reduce",
    }


@pytest.fixture
def serve():
    """Serve the gallery with a theme and a language; answers its address and what it got."""
    started = []

    def start(theme="plain", lang=""):
        app = kit.make_app(theme, lang)
        posts, polls = [], []

        @app.post("/<path:where>")
        def posted(where):
            posts.append((where, request.form.to_dict(flat=False)))
            return Response(status=204)

        @app.post("/refuse")
        def refuse():
            toast = '{"toast": {"text": "Give the list a name.", "level": "danger"}}'
            return Response("", 422, {"HX-Trigger": toast})

        def live():
            polls.append(request.headers.get("If-None-Match"))
            if len(polls) == 2:
                return Response(status=500)
            done = {"X-Live": "done"} if len(polls) > 2 else {}
            return Response("<p id='fresh'>fresh</p>", headers={"ETag": '"1"', **done})

        app.view_functions["live"] = live
        server = make_server("127.0.0.1", 0, app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        started.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}", posts, polls

    yield start
    for server, thread in started:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def errors(page):
    found = []
    page.on(
        "console",
        lambda m: found.append(m.text) if m.type in ("error", "warning") else None,
    )
    page.on("pageerror", lambda e: found.append(str(e)))
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("theme", "lang"), [("plain", ""), ("ocean", ""), ("plain", "ar")])
def test_no_violation_and_nothing_wider_than_a_phone(
    page, serve, errors, scheme, theme, lang
):
    base, _, polls = serve(theme, lang)
    polls += [None, None]  # the second answer is an error, which a slow machine would see
    page.emulate_media(color_scheme=scheme)
    for width in (1360, 390, 320):
        page.set_viewport_size({"width": width, "height": 860})
        for path in ("/", "/sign-in", "/console-page"):
            page.goto(base + path)
            if path == "/":
                page.wait_for_selector(".ui-chart-box canvas")
                page.wait_for_selector(".ts-control")
            wide = page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert wide == 0, (path, width)
            if width != 320:
                found = Axe().run(page).response["violations"]
                assert [(v["id"], [n["target"] for n in v["nodes"]]) for v in found] == []
    assert errors == []


def test_a_form_asks_and_a_large_one_wants_the_number(page, serve, errors):
    base, posts, _ = serve()
    page.goto(base)
    page.get_by_role("button", name="Send…").click()
    dialog = page.locator("#ui-confirm")
    ok = dialog.locator("[data-ok]")

    assert ok.is_disabled()
    assert "12,480 people" in dialog.inner_text()
    dialog.locator("input").fill("12480")
    with page.expect_request("**/send"):
        ok.click()

    assert posts == [("send", {"csrf_token": ["token"], "n": ["1"]})]
    page.goto(base)
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("button", name="Stop for good…").click()
    dialog.get_by_role("button", name="Cancel").click()
    assert len(posts) == 1
    assert errors == []


def test_ticked_rows_are_posted_together(page, serve):
    base, posts, _ = serve()
    page.goto(base)
    boxes = page.locator("input[name=rowid]")
    boxes.nth(0).click()
    boxes.nth(2).click(modifiers=["Shift"])

    assert page.locator(".bulk-bar [data-count]").inner_text() == "3"
    with page.expect_request("**/bulk"):
        page.locator("[data-bulk=tag]").click()

    where, form = posts[0]
    assert where == "bulk"
    assert form["rowid"] == ["0", "1", "2"]
    assert form["action"] == ["tag"]


def test_the_palette_finds_pages_and_keys_jump(page, serve):
    base, _, _ = serve()
    page.goto(base)
    page.keyboard.press("Control+k")
    page.keyboard.type("camp")

    assert page.locator("[role=option]").all_inner_texts() == [
        "Campaigns\ng c",
        "New campaign\nc",
    ]
    page.keyboard.type("zzz")
    assert page.locator(".palette-list").inner_text() == "Nothing found"
    page.keyboard.press("Escape")
    page.wait_for_function("document.activeElement === document.body")
    page.keyboard.press("g")
    page.keyboard.press("o")
    page.wait_for_url("**/p")


def test_a_theme_is_remembered_only_when_chosen(page, serve):
    base, _, _ = serve()
    page.goto(base)
    assert page.context.cookies() == []
    page.get_by_role("button", name="Theme").click()
    page.get_by_role("button", name="Dark").click()

    assert page.locator("html").get_attribute("data-bs-theme") == "dark"
    assert {c["name"]: c["value"] for c in page.context.cookies()} == {
        "clarion-theme": "dark"
    }
    page.reload()
    assert page.locator("html").get_attribute("data-bs-theme") == "dark"


def test_a_live_part_says_when_it_is_stale_and_stops_when_done(page, serve):
    base, _, polls = serve()
    page.add_init_script(
        "window.setTimeout = ((f) => (run, ms) => f(run, ms / 10))(setTimeout)"
    )
    page.goto(base)
    page.wait_for_selector("#fresh")
    page.wait_for_selector("live-region.is-stale")
    shown = page.locator("live-region").get_attribute("data-ui-stale")
    page.wait_for_selector("live-region[data-ui-live=done]")

    assert shown == "Connection lost. Trying again…"
    assert page.locator("#sr-status").inner_text() == "Campaign finished"
    assert polls == [None, '"1"', '"1"']
    assert page.locator("live-region.is-stale").count() == 0


def test_toasts_and_refusals_of_fragments(page, serve):
    base, posts, _ = serve()
    page.goto(base)
    page.evaluate("window.ui.toast({text: '<b>Paused</b>', undo: '/undo'})")

    assert "<b>Paused</b>" in page.locator(".ui-toast").inner_text()
    with page.expect_request("**/undo") as sent:
        page.get_by_role("button", name="Undo").click()
    assert sent.value.headers["x-csrftoken"] == "token"
    page.evaluate("window.htmx.ajax('GET', '/error/403', {target: '#content'})")
    page.wait_for_selector(".ui-toast[role=alert]")
    page.evaluate("window.htmx.ajax('POST', '/refuse', {target: '#content'})")
    page.get_by_text("Give the list a name.").wait_for()
    assert page.locator("h1").inner_text() == "Black Friday early access"
    assert [where for where, _ in posts] == ["undo"]


def test_the_menu_of_a_phone_opens_and_closes(page, serve):
    base, _, _ = serve()
    page.set_viewport_size({"width": 390, "height": 860})
    page.goto(base)
    menu = page.get_by_role("button", name="Menu", exact=True)

    assert not page.locator("#side").is_visible()
    menu.click()
    page.locator("#side").wait_for(state="visible")
    assert menu.get_attribute("aria-expanded") == "true"
    page.keyboard.press("Escape")
    page.locator("#side").wait_for(state="hidden")


def test_an_upload_goes_by_the_form_and_says_too_large(page, serve, tmp_path):
    base, posts, _ = serve()
    page.goto(base)
    field = page.locator("ui-upload input[type=file]")
    (tmp_path / "large.csv").write_text("phone\n" + "1" * 50)
    (tmp_path / "small.csv").write_text("phone\n1")

    page.evaluate("document.querySelector('ui-upload').setAttribute('max-bytes', 20)")
    field.set_input_files(tmp_path / "large.csv")
    assert field.evaluate("f => f.validationMessage") == "This file is too large."
    field.set_input_files(tmp_path / "small.csv")
    assert field.evaluate("f => f.validationMessage") == ""
    page.evaluate(
        "document.querySelectorAll('#f [required]').forEach((x) => (x.required = false))"
    )
    with page.expect_request("**/save"):
        page.get_by_role("button", name="Save").click()
    page.wait_for_url("**/save")

    where, form = posts[0]
    assert where == "save"
    assert form["csrf_token"] == ["token"]
    assert form["body"] == ["Hi {{first_name}}"]
