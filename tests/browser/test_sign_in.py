"""Passkeys in a real browser, with an authenticator made of software; and without scripts."""

import re

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
PASSWORD = "nine green shutters open"


class Key:
    """A passkey device inside Chromium: it verifies its person, unless told otherwise."""

    def __init__(self, page):
        self.cdp = page.context.new_cdp_session(page)
        self.cdp.send("WebAuthn.enable", {"enableUI": False})
        made = self.cdp.send(
            "WebAuthn.addVirtualAuthenticator",
            {
                "options": {
                    "protocol": "ctap2",
                    "transport": "internal",
                    "hasResidentKey": True,
                    "hasUserVerification": True,
                    "isUserVerified": True,
                    "automaticPresenceSimulation": True,
                }
            },
        )
        self.id = made["authenticatorId"]

    def verifies(self, yes):
        self.cdp.send(
            "WebAuthn.setUserVerified", {"authenticatorId": self.id, "isUserVerified": yes}
        )

    def present(self, yes):
        self.cdp.send(
            "WebAuthn.setAutomaticPresenceSimulation",
            {"authenticatorId": self.id, "enabled": yes},
        )


@pytest.fixture
def here(product):
    """The product under a name: browsers know no passkeys at a bare address."""
    return product.url.replace("127.0.0.1", "localhost")


def sign_up(one, product, here, email):
    page = one.page
    one.goto(f"{here}/sign-up")
    page.locator("main [name=email]").fill(email)
    page.get_by_role("button", name="Send me the link").click()
    one.goto(product.mailed(email, "/confirm/").replace("127.0.0.1", "localhost"))
    for name, value in (
        ("name", "Marina Lopes"),
        ("password", PASSWORD),
        ("account_name", "Casa Verde"),
    ):
        page.locator(f"main [name={name}]").fill(value)
    page.get_by_role("button", name="Create the account").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def sign_out(page):
    page.get_by_role("button", name=re.compile("^Menu of")).click()
    page.get_by_role("button", name="Sign out", exact=True).click()


def test_a_customer_makes_a_passkey_and_comes_in_by_it(witness, product, here):
    one = witness("light")
    page, key = one.page, Key(one.page)
    sign_up(one, product, here, "passkey@example.org")
    page.get_by_role("button", name=re.compile("^Menu of")).click()
    page.get_by_role("link", name="Security").click()
    one.look()

    page.locator("#passkeys").get_by_role("link", name="Add").click()
    one.look()
    page.locator("#name").fill("Laptop")
    page.get_by_role("button", name="Make the passkey").click()
    expect(page.locator(".codes li")).to_have_count(10)
    one.look("codes")
    page.get_by_role("link", name="I have kept them").click()
    expect(page.locator("#passkeys input[name=name]")).to_have_value("Laptop")

    key.present(False)  # else the browser offers it, and takes it, by itself
    sign_out(page)
    expect(page.get_by_role("button", name="Sign in with a passkey")).to_be_visible()
    one.look("with a passkey")
    key.present(True)
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def test_the_passkey_is_the_second_step_after_a_password(witness, product, here):
    one = witness("dark")
    page, key = one.page, Key(one.page)
    email = "second@example.org"
    sign_up(one, product, here, email)
    one.goto(f"{here}/security/passkey")
    page.get_by_role("button", name="Make the passkey").click()
    expect(page.locator(".codes li")).to_have_count(10)
    key.present(False)
    sign_out(page)
    page.locator("main [name=email]").fill(email)
    page.locator("main [name=password]").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Confirm that it is you")
    one.look()

    key.verifies(False)
    key.present(True)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_text("No passkey was used.")).to_be_visible()
    key.verifies(True)
    page.get_by_role("button", name="Use a passkey").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def test_the_browser_offers_the_passkey_by_itself(witness, product, here):
    """Conditional UI: nothing is pressed on the sign-in page."""
    one = witness("light")
    page, key = one.page, Key(one.page)
    sign_up(one, product, here, "offered@example.org")
    one.goto(f"{here}/security/passkey")
    page.get_by_role("button", name="Make the passkey").click()
    expect(page.locator(".codes li")).to_have_count(10)
    key.present(False)
    sign_out(page)
    expect(page.get_by_role("button", name="Sign in with a passkey")).to_be_visible()
    key.present(True)
    one.goto(f"{here}/sign-in")

    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def test_staff_set_up_a_passkey_before_anything_else(witness, product, here):
    link = product.command(
        "staff", "invite", "--email", "grace@example.org", "--name", "Grace Hopper"
    )
    one = witness("light")
    page, key = one.page, Key(one.page)
    one.goto(link.replace("127.0.0.1", "localhost"))
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("[name=again]").fill(PASSWORD)
    page.get_by_role("button", name="Save and sign in").click()
    expect(page.get_by_text("Set up a second factor first")).to_be_visible()
    page.locator("#passkeys").get_by_role("link", name="Add").click()
    one.look()
    page.get_by_role("button", name="Make the passkey").click()
    expect(page.locator(".codes li")).to_have_count(10)

    one.goto(f"{here}/console/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Today")
    key.present(False)
    sign_out(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Staff sign-in")
    one.look("with a passkey")
    key.present(True)
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Today")


def test_without_scripts_a_code_by_mail_opens_the_door(new_context, product, here):
    """The useful path without JavaScript: password and mailed code; no dead button."""
    plain = new_context(java_script_enabled=False)
    page = plain.new_page()
    product.command(
        "account", "create", "--name", "Casa", "--owner", "plain@example.org",
        "--password", PASSWORD,
    )  # fmt: skip
    page.goto(f"{here}/sign-in")
    expect(page.get_by_role("button", name="Sign in with a passkey")).to_have_count(0)
    page.locator("[name=email]").fill("plain@example.org")
    page.locator("[name=password]").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.locator("#code").fill(product.code("plain@example.org"))
    page.get_by_role("button", name="Confirm").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    plain.close()
