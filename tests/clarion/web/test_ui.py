"""The kit draws, escapes and keeps the content policy, in every template of ours."""

import importlib.util
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from clarion.base.errors import Misconfigured
from clarion.messaging import models as messaging
from clarion.web import ui
from clarion.web.states import STATES
from clarion.web.themes import chain, themes, themes_home

ROOT = Path(__file__).parents[3]
FRONTEND = ROOT / "platform/clarion/web/frontend"
_spec = importlib.util.spec_from_file_location(
    "clarion_test_kit", Path(__file__).parent / "kit.py"
)
kit = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(kit)

PAGES = ["/", "/sign-in", "/error/404", "/error/500", "/console-page"]
BAD_MARKUP = {
    "style attribute": re.compile(r"\sstyle\s*="),
    "style element": re.compile(r"<style\b"),
    "inline handler": re.compile(r"\son[a-z]{3,}\s*=\s*[\"'{]"),
    "inline script": re.compile(
        r"<script(?![^>]*\bsrc=)(?![^>]*type=\"application/json\")"
    ),
    "script address": re.compile(r"javascript:"),
    "htmx that needs eval": re.compile(r"hx-on|hx-(?:vals|headers)=[\"']js:"),
    "marked safe": re.compile(r"\|\s*safe\b|\bMarkup\("),
    "autoescape off": re.compile(r"autoescape\s+false"),
    "physical side": re.compile(
        r"[\"'\s](?:float|text|m|p|border|rounded)-(?:left|right)\b"
    ),
}


def our_templates():
    return sorted(
        path
        for root in ("platform", "plugins", "themes")
        for path in (ROOT / root).rglob("*.html")
        if "node_modules" not in path.parts and "dist" not in path.parts
    )


@pytest.fixture(scope="module")
def client():
    return kit.make_app().test_client()


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    ("theme", "lang"), [("plain", ""), ("ocean", "pt_BR"), ("plain", "ar")]
)
def test_every_frame_draws_signed_in_and_not(page, theme, lang):
    for signed_in in (True, False):
        answer = kit.make_app(theme, lang, signed_in=signed_in).test_client().get(page)

        assert answer.status_code == (int(page[-3:]) if "error" in page else 200)
        assert answer.text.count("<h1") == 1
        assert ("themes/ocean/theme.css?v=" in answer.text) == (theme == "ocean")
        for name, pattern in BAD_MARKUP.items():
            assert not pattern.search(answer.text), name


def test_every_public_macro_is_in_the_gallery():
    source = (ROOT / "platform/clarion/web/templates/ui/macros.html").read_text()
    names = {n for n in re.findall(r"{% macro (\w+)\(", source) if not n.startswith("_")}
    shown = (Path(__file__).parent / "gallery.html").read_text()

    assert names
    assert {n for n in names if f"m.{n}(" not in shown} == {"csrf", "icon"}


def test_what_people_type_is_escaped(client):
    text = client.get("/").text

    assert "&lt;b&gt;João&lt;/b&gt;" in text
    assert "<b>João</b>" not in text
    assert "&lt;b&gt;That did not work.&lt;/b&gt;" in text
    assert "&lt;script&gt;x&lt;/script&gt;" in text


def test_whatsapp_marks_become_markup_and_nothing_else():
    drawn = ui.wa_text("*a* _b_ ~c~ ```d``` {{e_f}} 2*3*4 snake_case_name <i>&\"'")

    assert drawn == (
        "<b>a</b> <i>b</i> <s>c</s> <code>d</code> <mark>{{e_f}}</mark> 2*3*4"
        " snake_case_name &lt;i&gt;&amp;&#34;&#39;"
    )


def test_a_field_ties_help_and_error_to_its_input(client):
    text = client.get("/").text

    assert re.search(
        r'<input[^>]*aria-describedby="name-help name-error"[^>]*id="name"', text
    )
    assert 'id="name-error"' in text
    assert 'aria-invalid="true"' in text
    assert "Give the campaign a name." in text


def test_pills_name_states_and_let_others_pass(client):
    with client.application.test_request_context():
        assert ui.pill("running") == '<span class="pill info live">Sending</span>'
        assert ui.pill("GREEN") == '<span class="pill ok">High quality</span>'
        assert ui.pill("new_thing") == '<span class="pill idle">New thing</span>'
        assert ui.pill("x", "<b>", "bad") == '<span class="pill bad">&lt;b&gt;</span>'


def test_every_state_of_the_ledger_has_a_word_and_a_tone():
    for state in (*messaging.STATES, *messaging.CAMPAIGN_STATES):
        assert state in STATES, state
    assert {tone.split()[0] for tone, _ in STATES.values()} == {
        "ok",
        "info",
        "warn",
        "bad",
        "idle",
    }


def test_times_and_numbers_speak_the_readers_language():
    moment = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    with kit.make_app(lang="pt_BR").test_request_context():
        assert ui.num(1234567) == "1.234.567"
        assert ui.percent(961, 1000) == "96,1%"
        assert "09:30" in ui.when(moment)
        assert ui.ui_lang() == "pt-BR"
        assert ui.day(moment.date()) == "1 de mar. de 2026"
    with kit.make_app().test_request_context():
        assert ui.num(1234567) == "1,234,567"
        assert ui.num(None) == ui.percent(1, 0) == "—"
        assert "2026-03-01 12:30 UTC" in ui.when(moment)
        assert ui.size(20_000_000) == "20.0 MB"
    with kit.make_app(lang="ar").test_request_context():
        assert ui.ui_dir() == "rtl"


def test_url_with_keeps_the_filters():
    with kit.make_app().test_request_context("/x?tag=a&tag=b&page=2"):
        assert ui.url_with(page=3) == "/x?tag=a&tag=b&page=3"
        assert ui.url_with(page=None, tag=None) == "/x"


def test_only_a_choice_makes_the_theme_known(client):
    assert 'data-theme-pref="auto"' in client.get("/").text
    assert not [h for h in client.get("/").headers.getlist("Set-Cookie") if "theme" in h]
    for value, shown in (("dark", "dark"), ('"><script>', "auto")):
        client.set_cookie(ui.THEME_COOKIE, value)
        assert f'data-theme-pref="{shown}"' in client.get("/").text
    client.delete_cookie(ui.THEME_COOKIE)


def test_static_files_are_compressed_and_kept_for_ever(client):
    with client.application.test_request_context():
        address = ui.asset("app.css")

    answer = client.get(address, headers={"Accept-Encoding": "br"})

    assert answer.headers["Content-Encoding"] == "br"
    assert "immutable" in answer.headers["Cache-Control"]
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert client.get("/ui/dist/../../ui.py").status_code == 404
    assert client.get("/ui/dist/nothing.js").status_code == 404


def test_assets_follow_the_place_of_the_application(client):
    with client.application.test_request_context(base_url="http://x/console"):
        assert ui.asset("app.js").startswith("/console/ui/dist/app-")


def test_a_plugins_files_change_their_address_with_their_text(tmp_path):
    app = kit.make_app()
    (tmp_path / "a.js").write_text("1")
    ui.add_static(app, "shop", tmp_path)

    with app.test_request_context():
        address = ui.plugin_asset("shop", "a.js")

    assert address.startswith("/plugins/shop/a.js?v=")
    assert app.test_client().get(address).text == "1"


def test_slots_are_filled_by_whoever_answers():
    app = kit.make_app()
    ui.init_ui(app, slots=lambda place, context: [f"<p>{place}</p>"] * context["n"])
    draw = app.jinja_env.from_string("{{ slot('overview', n=2) }}")

    with app.test_request_context():
        assert draw.render() == "<p>overview</p><p>overview</p>"


def test_words_for_scripts_are_on_every_page(client):
    used = set()
    for path in (FRONTEND / "src").rglob("*.js"):
        used |= set(re.findall(r"\bt\(\s*'(\w+)'", path.read_text()))
        used |= set(re.findall(r"\d{3}: '(\w+)'", path.read_text()))
    used |= {"gone", "signedOut", "tooLarge", "failed"}
    for page in PAGES:
        block = re.search(
            r'id="ui-strings">(.*?)</script>', client.get(page).text, re.DOTALL
        )
        assert used == set(json.loads(block[1]))


@pytest.mark.parametrize("path", our_templates(), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_template_keeps_the_content_policy(path):
    text = re.sub(r"{#.*?#}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)

    for name, pattern in BAD_MARKUP.items():
        found = pattern.search(text)
        assert not found, f"{name}: {found[0].strip()}"


def test_every_icon_that_is_asked_for_exists():
    known = {*kit.icon_names(), "mark", "mark-console"}
    asked = set()
    for path in our_templates():
        asked |= set(re.findall(r"\bicon\('([\w-]+)'", path.read_text()))
    for root in ("platform", "plugins"):
        for path in (ROOT / root).rglob("*.py"):
            asked |= set(re.findall(r"\bicon=\"([\w-]+)\"", path.read_text()))

    assert asked
    assert asked <= known


def test_our_css_names_no_physical_side():
    physical = re.compile(
        r"(?:margin|padding|border)-(?:left|right)|^\s*(?:left|right)\s*:|float: (?:left|right)",
        re.MULTILINE,
    )
    files = [*(FRONTEND / "src/css").glob("*.css"), *themes_home().glob("*/theme.css")]

    assert len(files) > 4
    for path in files:
        assert not physical.search(path.read_text()), path.name


def test_themes_hold_tokens_only_and_leave_states_alone():
    for theme in themes().values():
        css = theme.folder / "theme.css"
        text = (
            re.sub(r"/\*.*?\*/", "", css.read_text(), flags=re.DOTALL)
            if css.is_file()
            else ""
        )
        names = re.findall(r"^\s*([\w-]+)\s*:", text, re.MULTILINE)
        assert {n for n in names if not n.startswith(("--ui-", "--tblr-"))} <= set()
        assert not [n for n in names if re.match(r"--ui-(ok|info|warn|bad|idle)", n)]


def test_a_theme_finds_its_parents_and_refuses_circles(tmp_path):
    assert [t.key for t in chain("ocean")] == ["ocean", "plain"]
    with pytest.raises(Misconfigured) as missing:
        chain("nowhere")
    assert missing.value.code == "theme_missing"
    for name, parent in (("a", "b"), ("b", "a")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "theme.toml").write_text(
            f'name = "{name}"\nparent = "{parent}"\nmodes = ["light"]\n'
        )
    with pytest.raises(Misconfigured) as circle:
        chain("a", tmp_path)
    assert circle.value.code == "theme_circle"


def test_the_lock_file_names_no_registry():
    lock = json.loads((FRONTEND / "package-lock.json").read_text())

    assert [name for name, one in lock["packages"].items() if "resolved" in one] == []
    assert [n for n, one in lock["packages"].items() if n and "integrity" not in one] == []
