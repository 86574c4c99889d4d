"""The main job in a real browser, by clicking: from signing up to a second campaign."""

import base64
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from clarion.base import clock
from clarion.tenancy import totp
from clarion.testing.product import APP_SECRET, TOKEN, VERIFY_TOKEN

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
LIST = Path(__file__).resolve().parents[2] / "dev" / "demo_contacts.csv"
PASSWORD = "nine green shutters open"
WORDING = "Yes, Casa Verde may write to me about offers by WhatsApp."
FIRST, SECOND = "Spring early access", "Last days of spring"
BODY = "Hi {{first_name}}! Our spring collection is here, for you before anybody else."
REASONS = (
    "Cannot be reached on WhatsApp",
    "After a day the campaign's page offers a follow-up.",
)
STAFF = "ada@example.org"
LONG = 90_000
HIDE = """(hidden) => {
  Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden })
  document.dispatchEvent(new Event('visibilitychange'))
}"""
REST = ("/contacts/new", "/contacts/tags", "/team/", "/usage/", "/activity", "/settings/")
REST += ("/settings/plugins", "/settings/plugins/contacts", "/settings/sending/")
REST += ("/security/", "/profile")


class Marina:
    """She has a shop, a list of customers, and a browser."""

    def __init__(self, witness, product, line):
        self.witness, self.product, self.page = witness, product, witness.page
        self.line = line

    # --- small things people do

    def press(self, name, role="button", **more):
        self.page.get_by_role(role, name=name, **more).click()

    def fill(self, **fields):
        for name, value in fields.items():
            self.page.locator(f"main [name='{name}']").fill(value)

    def heading(self, text):
        expect(self.page.get_by_role("heading", level=1)).to_have_text(text)

    def menu(self, name):
        self.page.locator("#side").get_by_role("link", name=name, exact=True).click()

    def agree(self, button):
        """Say yes in the dialog that asks."""
        dialog = self.page.locator("#ui-confirm")
        expect(dialog).to_be_visible()
        dialog.get_by_role("button", name=button).click()

    # --- the way in

    def sign_up(self, email):
        self.witness.goto("/")
        self.witness.look()
        self.page.locator("main").get_by_role("link", name="Create an account").click()
        self.heading("Create an account")
        self.witness.look()
        self.fill(email=email)
        self.press("Send me the link")
        self.heading("Look into your mail")
        self.witness.look()
        self.witness.goto(self.product.mailed(email, "/confirm/"))
        self.heading("Nearly done")
        self.witness.look()
        self.fill(name="Marina Lopes", password=PASSWORD, account_name="Casa Verde")
        self.page.locator("#country + .ts-wrapper .ts-control").click()
        self.page.keyboard.type("Braz")
        self.page.locator("#country-ts-dropdown [data-value=BR]").click()
        self.press("Create the account")
        self.heading("Overview")
        expect(self.page.get_by_text("Get ready")).to_be_visible()
        self.witness.look()

    def sign_out(self):
        self.press(re.compile("^Menu of"))
        self.press("Sign out")
        self.heading("Sign in")

    def sign_in_by_keyboard(self, email):
        """Nothing but keys: the field has the focus, Enter sends."""
        keys = self.page.keyboard
        self.witness.goto("/sign-in")
        expect(self.page.locator("[name=email]")).to_be_focused()
        self.witness.look()
        keys.type(email)
        keys.press("Tab")
        keys.type(PASSWORD)
        keys.press("Enter")
        self.heading("Overview")

    # --- what has to be there before a campaign

    def connect(self, rate):
        self.menu("Senders")
        self.heading("Senders")
        self.witness.look()
        self.page.get_by_role("link", name="Connect a number").first.click()
        self.heading("Connect a number")
        self.page.get_by_text("More", exact=True).click()
        self.witness.look("more")
        self.fill(
            name="Casa Verde",
            number=self.line.number,
            provider_id=self.line.id,
            waba_id=self.line.waba,
            access_token=TOKEN,
            app_secret=APP_SECRET,
            verify_token=VERIFY_TOKEN,
            rate_per_s=rate,
            base_url=self.product.simulator.url,
        )
        self.press("Connect")
        self.heading("Casa Verde")
        expect(self.page.locator(".pill").first).to_have_text("Active")
        self.witness.look()
        channel = self.page.url.rstrip("/").rpartition("/")[2]
        self.product.subscribe(self.line, f"/in/whatsapp_cloud/{channel}")

    def take_in(self, path, new):
        self.menu("Import")
        self.page.get_by_role("link", name="Import a list").first.click()
        self.heading("Import contacts")
        self.witness.look()
        self.page.locator("main input[type=file]").set_input_files(path)
        self.press("Upload")
        self.heading("Match columns")
        row = self.page.locator("tr", has_text="Telefone")
        expect(row.locator(".pill")).to_have_text("Sure")
        self.page.get_by_label("Numbers without a country code are from").select_option(
            "BR"
        )
        expect(self.page.get_by_text("+55").first).to_be_visible()
        self.witness.look()
        self.press("Continue to consent")
        self.heading("Consent")
        self.witness.look()
        self.page.locator("[name=source][value=shop]").check()
        self.fill(place="Casa Verde, Rua das Flores 12", agreed_on="2026-03-01")
        self.fill(wording=WORDING, typed_name="Marina Lopes")
        self.press("Confirm and check the list")
        self.heading("Check")
        start = self.page.get_by_role("button", name=f"Import {new} people")
        expect(start).to_be_visible(timeout=LONG)
        self.witness.look()
        start.click()
        self.heading("Import")
        done = self.page.get_by_text("The list was imported.")
        expect(done).to_be_visible(timeout=LONG)
        expect(self.page.locator(".kpi", has_text="Added").locator(".v")).to_have_text(new)
        self.witness.look()
        self.press("Show contacts", "link")
        self.heading("Contacts")
        expect(self.page.get_by_text(f"{new} people")).to_be_visible()
        self.witness.look()
        self.page.locator("main tbody .row-main").first.click()
        expect(self.page.get_by_text("Agreed, by an imported list").first).to_be_visible()
        self.witness.look()

    def write_template(self, name):
        self.menu("Templates")
        self.heading("Templates")
        self.witness.look()
        self.page.get_by_role("link", name="New template").first.click()
        self.heading("New template")
        bubble = self.page.locator("#beside .bubble")
        self.fill(name=name, body=BODY, footer="Reply STOP to opt out")
        expect(bubble).to_contain_text("Our spring collection is here")
        sample = self.page.get_by_label("first_name")
        sample.fill("Ana")
        expect(bubble).to_contain_text("Hi Ana!")
        expect(sample).to_be_focused()  # the preview is drawn around the one who types
        self.witness.look()
        self.press("Save draft")
        self.heading(re.compile(f"^{name}"))
        self.press("Submit for review…")
        self.agree("Submit for review")
        pill = self.page.locator("main .pill").first
        expect(pill).to_have_text("Approved", timeout=LONG)
        self.witness.look("approved")

    def jump(self):
        """Go places by keys: the palette, and two letters."""
        keys = self.page.keyboard
        keys.press("Control+k")
        expect(self.page.get_by_role("dialog", name="Command palette")).to_be_visible()
        self.witness.look("palette")
        keys.type("temp")
        expect(self.page.locator("[role=option][aria-selected=true]")).to_contain_text(
            "Templates"
        )
        keys.press("Enter")
        self.heading("Templates")
        keys.press("g")
        keys.press("c")
        self.heading("Campaigns")

    # --- a segment

    def build_segment(self, name):
        """Mostly by keys: the new rule has the focus, and the number follows."""
        self.menu("Segments")
        self.heading("Segments")
        self.witness.look("none")
        self.page.get_by_role("link", name="New segment").click()
        self.heading("New segment")
        self.witness.look()
        self.fill(name=name)
        self.page.get_by_label("What rule 1 asks").select_option(label="Phone number")
        self.page.get_by_label("How rule 1 compares").select_option(label="is known")
        count = self.page.locator("#people .big")
        expect(count).to_be_visible()
        everybody = number(count)
        self.page.get_by_role("button", name="Add a rule").press("Enter")
        expect(self.page.get_by_label("What rule 2 asks")).to_be_focused()
        self.page.get_by_label("What rule 2 asks").select_option(label="Name")
        self.page.get_by_label("Value of rule 2").fill("nobody is called so")
        expect(count).to_have_text("0")
        self.press("Put rule 2 into a group of its own")
        expect(self.page.get_by_label("What rule 2.1 asks")).to_be_focused()
        self.witness.look("nested")
        self.press("Remove rule 2.1")
        expect(count).to_have_text(f"{everybody:,}")
        self.press("Save segment")
        self.heading(name)
        self.witness.look("saved")
        self.menu("Segments")
        expect(self.page.locator("main tbody .num").first).to_have_text(f"{everybody:,}")
        self.witness.look()

    # --- a campaign

    def prepare(self, name, template, segment=""):
        self.menu("Campaigns")
        self.heading("Campaigns")
        self.witness.look()
        self.page.get_by_role("link", name="New campaign").first.click()
        self.heading("New campaign")
        self.witness.look()
        self.fill(name=name)
        self.press("Continue")
        self.heading(name)
        self.page.locator("label", has_text=f"{template} ·").click()
        self.page.get_by_label("Sent from").select_option(
            label=f"Casa Verde {self.line.number}"
        )
        expect(self.page.locator("#rail .bubble")).to_contain_text("Our spring collection")
        self.witness.look()
        self.press("Save and continue")
        expect(self.page.get_by_text("Who gets it", exact=True)).to_be_visible()
        if segment:
            self.page.get_by_label("People", exact=True).select_option(label=segment)
            expect(self.page.locator("#rail")).to_contain_text("Saved")
        self.witness.look(segment)
        self.press("Save and continue")
        self.page.get_by_label("Filled with").select_option(label="First name")
        self.page.get_by_label("Text, or fallback").fill("friend")
        self.witness.look()
        self.press("Save and continue")
        expect(self.page.get_by_text("When it begins")).to_be_visible()
        self.witness.look()
        self.press("Save and continue")
        expect(self.page.get_by_text("Every variable is filled.")).to_be_visible()
        self.witness.look()

    def allow_more(self):
        """One message a person and day is the rule; she changes it."""
        self.menu("Settings")
        self.press("Sending", "link", exact=True)
        self.fill(per_day="5", per_week="5")
        self.press("Save")
        expect(self.page.locator("[name=per_day]")).to_have_value("5")

    def launch(self):
        """Send, with the impatience of people: the button is hit twice."""
        self.press(re.compile("^Send to"))
        dialog = self.page.locator("#ui-confirm")
        expect(dialog).to_be_visible()
        self.witness.look("asked")
        dialog.get_by_role("button", name=re.compile("^Send to")).dblclick(
            no_wait_after=True
        )
        expect(self.page.locator("live-region")).to_be_visible()

    def see_it_move(self):
        """Watch the figures go up without touching the page."""
        big = self.page.locator(".ui-progress .big").first
        expect(big).to_have_text(re.compile(r"^[1-9]\d?%$"))
        seen = big.inner_text()
        expect(big).not_to_have_text(seen)
        self.witness.look("moving")

    def pause_and_resume(self):
        """Stop the flow by its key, make sure, and let it go on."""
        pill = self.page.locator("live-region .pill").first
        self.page.keyboard.press("p")
        expect(pill).to_have_text("Paused", timeout=LONG)
        self.witness.look("paused")
        self.look_elsewhere()
        self.press("Resume")
        expect(pill).not_to_have_text("Paused")

    def look_elsewhere(self):
        """A minute in another tab costs the server nothing; coming back is noticed."""
        page, asked = self.page, []
        page.clock.install()
        with page.expect_response("**/live"):
            page.reload()
        page.evaluate(HIDE, True)
        page.on("request", lambda r: asked.append(r.url) if "/live" in r.url else None)
        page.clock.run_for(60_000)
        assert asked == []
        with page.expect_response("**/live"):
            page.evaluate(HIDE, False)

    def watch(self):
        """Wait for the end; the page tells it by itself."""
        expect(self.page.locator("live-region[data-ui-live=done]")).to_be_attached(
            timeout=LONG
        )
        expect(self.page.locator("live-region .pill").first).to_have_text("Finished")
        expect(self.page.locator(".ui-progress .big").first).to_have_text("100%")
        expect(self.page.locator("#sr-status")).to_have_text("The campaign finished")
        self.page.locator(".ui-chart-box canvas").wait_for()
        self.witness.look("finished")

    def see_failures(self, reasons):
        """Read why some failed, and open who they are."""
        table = self.page.get_by_role("region", name="Failure reasons")
        expect(table.locator("tbody tr")).to_have_count(len(reasons))
        for reason in reasons:
            expect(table).to_contain_text(reason)
        people = number(table.locator("tbody tr").first.locator("td").nth(1))
        table.get_by_role("link", name=re.compile("^See the people")).first.click()
        self.heading("People")
        expect(self.page.locator("main tbody tr")).to_have_count(min(people, 50))
        expect(self.page.locator("main tbody .pill").first).to_have_text("Failed")
        self.witness.look("failed")

    def see_the_rest(self):
        """Look at the pages that are not on the way."""
        for path in ("/", *REST):
            self.witness.goto(path)
            self.witness.look()

    def hear_stop(self, phone):
        """Find the person silenced, on their own page."""
        self.menu("Contacts")
        self.page.locator("main [name=q]").fill(phone)
        self.press("Search", exact=True)
        self.page.locator("main tbody .row-main").click()
        expect(self.page.get_by_text("asked not to be contacted")).to_be_visible()
        self.witness.look("silenced")


def number(locator):
    """Read the number in a piece of the page."""
    return int(re.sub(r"\D", "", locator.inner_text()))


def cut(path, rows):
    """Make a shorter list."""
    lines = LIST.read_text(encoding="utf-8-sig").splitlines()
    path.write_text("\n".join(lines[: rows + 1]) + "\n", encoding="utf-8-sig")
    return path


def say_stop(browser, simulator):
    """Answer STOP on the first simulated phone, by its button; returns its number."""
    page = browser.new_page()
    page.goto(simulator.url)
    phone = page.locator(".phone").first
    who = phone.locator("bdi").inner_text()
    phone.get_by_role("button", name="STOP", exact=True).click()
    expect(page.locator(".phone").first.locator(".mine")).to_have_text("STOP")
    page.close()
    return who


def receipts(product, line, kind="template"):
    """Return the numbers that got a message of this kind from this line, one for each."""
    return [
        r["to"]
        for r in product.simulator.receipts()
        if r["sender"] == line.id and r["type"] == kind
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_main_job(witness, product, browser, tmp_path, scheme):
    """Clicks through everything; axe looks at each page on the way."""
    light = scheme == "light"
    line = product.line("Casa Verde", 147 if light else 148)
    person = Marina(witness(scheme), product, line)
    email = f"marina.{scheme}@example.org"

    person.sign_up(email)
    person.sign_out()
    person.sign_in_by_keyboard(email)
    person.connect(rate="40" if light else "20")
    if light:
        person.take_in(LIST, "1,700")
    else:
        person.take_in(cut(tmp_path / "people.csv", 200), "180")
    person.write_template("spring_early_access")
    person.build_segment("Has a number")

    person.jump()
    person.prepare(FIRST, "spring_early_access")
    reached = number(person.page.locator("#reached"))
    person.launch()
    person.see_it_move()
    if light:
        person.pause_and_resume()
    person.watch()
    first = receipts(product, line)
    assert len(first) == len(set(first))
    assert 0 < len(first) <= reached
    person.see_failures(REASONS if light else REASONS[:1])
    stopped = say_stop(browser, product.simulator)
    person.hear_stop(stopped)

    person.allow_more()
    person.prepare(SECOND, "spring_early_access", "Has a number")
    assert number(person.page.locator("#reached")) == reached - 1
    expect(person.page.locator("#rail")).to_contain_text("Said STOP")
    person.launch()
    person.watch()
    second = receipts(product, line)[len(first) :]
    assert stopped in first
    assert stopped not in second
    assert receipts(product, line, "text") == [stopped]  # the answer to STOP
    assert len(second) == len(set(second))
    person.menu("Campaigns")
    expect(person.page.locator("main tbody tr")).to_have_count(2)  # hit twice, sent once
    person.witness.look()
    person.see_the_rest()
    person.sign_out()


def test_staff_walk_through_the_console(witness, product):
    """Comes in by the one-time link, connects an app, opens every page, in both themes."""
    link = product.command("staff", "invite", "--email", STAFF, "--name", "Ada Okafor")
    for scheme in ("light", "dark"):
        one = witness(scheme)
        page = one.page
        if scheme == "light":
            one.goto(link)
            one.look()
            page.locator("[name=password]").fill(PASSWORD)
            page.locator("[name=again]").fill(PASSWORD)
            page.get_by_role("button", name="Save and sign in").click()
            one.look("without a second factor")
            page.get_by_role("button", name="Connect an app").click()
            one.look()
            typed = page.locator(".once code").inner_text().replace(" ", "")
            secret = base64.b32decode(typed)
            step = totp.step_at(clock.now())
            page.locator("#code").fill(totp.code(secret, step))
            page.get_by_role("button", name="Connect").click()
            expect(page.locator(".codes li")).to_have_count(10)
            one.look("codes")
            one.goto("/console/")
        else:
            one.goto("/console/")
            one.look()
            page.locator("main input:visible").first.fill(STAFF)
            page.locator("[name=password]").fill(PASSWORD)
            page.get_by_role("button", name="Sign in").click()
            one.look()
            page.locator("#code").fill(
                totp.code(secret, max(step + 1, totp.step_at(clock.now())))
            )
            page.get_by_role("button", name="Confirm").click()
            one.look()
            page.locator("#code").fill(product.code(STAFF))
            page.get_by_role("button", name="Confirm").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Today")
        menu = page.locator("#side a.nav-i")
        for at in range(menu.count()):
            menu.nth(at).click()
            expect(menu.nth(at)).to_have_attribute("aria-current", "page")
            one.look()
            # of one thing, not of another list
            things = "main tbody a[href^='/console/']:not([href*='?']):not([href$='/'])"
            first = page.locator(things).first
            if first.count():
                first.click()
                expect(page.locator(".crumbs")).to_be_visible()
                one.look()
