"""The main job as a customer does it, page by page: sign up, connect, import, write, send."""

import time
from collections.abc import Callable
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

from clarion.base import clock
from clarion.demo.stage import Said, Stage, Stopped
from clarion.demo.visitor import Form, Lost, Page, Visitor, link_in

EMAIL, NAME, BUSINESS = "marina@example.org", "Marina Lopes", "Casa Verde"
PASSWORD = "nine green shutters open"  # noqa: S105 -- of a scratch account
NUMBER_ID, NUMBER = "109900110022", "+5511955500147"
APP_SECRET, VERIFY_TOKEN = "check-app-secret", "check-verify-token"
FASTEST = "1000"  # messages per second, the most the form takes
TEMPLATE, WORDS = (
    "spring_early_access",
    "Hi {{first_name}}! Our spring collection is here, for you before anybody else.",
)
LOOK_SECONDS, PATIENCE_SECONDS = 0.3, 300.0


class Customer:
    """Marina, who has a shop, a list of customers, and no patience for tricks."""

    def __init__(self, stage: Stage, said: Said) -> None:
        self.stage, self.said = stage, said
        self.visitor = Visitor(stage.ports.portal)

    def sign_up(self, mails: Path) -> None:
        """Make an account through the mailed link, then come in by the door."""
        self.said("signing up")
        page = self.visitor.get("/sign-up")
        self.visitor.send(page.form("email"), {"email": EMAIL})
        link = link_in(self._mail(mails), "/confirm/")
        page = self.visitor.get(link)
        given = {"name": NAME, "password": PASSWORD, "account_name": BUSINESS}
        given |= {"country": "BR", "timezone": "America/Sao_Paulo"}
        self.visitor.send(page.form("name", "password", "account_name"), given)
        self.visitor = Visitor(self.stage.ports.portal)  # another browser
        page = self.visitor.get("/sign-in")
        proof = {"email": EMAIL, "password": PASSWORD}
        self.visitor.send(page.form("email", "password"), proof)

    def connect(self, token: str, waba: str) -> str:
        """Connect the number; returns where the provider shall report back."""
        self.said("connecting the number")
        page = self.visitor.get("/senders/connect")
        given = {
            "name": BUSINESS,
            "number": NUMBER,
            "provider_id": NUMBER_ID,
            "waba_id": waba,
            "access_token": token,
            "app_secret": APP_SECRET,
            "verify_token": VERIFY_TOKEN,
            "rate_per_s": FASTEST,
            "base_url": self.stage.ports.whatsapp,
        }
        page = self.visitor.send(page.form("provider_id", "access_token"), given)
        return f"/in/whatsapp_cloud/{page.path.rstrip('/').rpartition('/')[2]}"

    def take_in(self, file: Path) -> None:
        """Import a list: upload, match, consent, check, import."""
        self.said(f"importing {file.name}")
        page = self.visitor.get("/contacts/imports/new")
        sent = {"file": (file.name, file.read_bytes())}
        page = self.visitor.send(page.form("file"), files=sent)
        form = page.form_to("/match")
        page = self.visitor.send(form, self._country(form))
        proof = {
            "source": "shop",
            "place": "Casa Verde, Rua das Flores 12",
            "agreed_on": clock.now().date().isoformat(),
            "wording": "Yes, Casa Verde may write to me about offers by WhatsApp.",
            "typed_name": NAME,
        }
        page = self.visitor.send(page.form("source", "wording"), proof)
        page = self._until(page.path, lambda one: any(_ends(one, "/start")), "checked")
        page = self.visitor.send(page.form_to("/start"))
        self._until(page.path, lambda one: any(_ends(one, "/undo")), "imported")

    def write_template(self) -> None:
        """Write a template, submit it, wait for the provider's word."""
        self.said("handing in the template")
        page = self.visitor.get("/templates/new")
        words = {"name": TEMPLATE, "body": WORDS, "footer": "Reply STOP to opt out"}
        page = self.visitor.send(page.form("name", "body"), words)
        form = page.form("name", "body")
        sample = {"sample-first_name": "Ana"}
        self.visitor.send(form, sample, button=("then", "submit"))
        end = time.monotonic() + PATIENCE_SECONDS
        while TEMPLATE not in self.visitor.get("/templates/?state=approved").body:
            if TEMPLATE in (page := self.visitor.get("/templates/?state=rejected")).body:
                raise Lost("template_rejected", page.words())
            self._pause(end, "The template is not approved.")

    def allow_more(self) -> None:
        """Let one person get more than one message a day: the next one comes at once."""
        self.said("allowing more than one message a day")
        form = self.visitor.get("/settings/sending/").form("per_day", "per_week")
        self.visitor.send(form, {"per_day": "9", "per_week": "9"})

    def send(self, name: str) -> str:
        """Write a campaign through the wizard and launch it; returns its address."""
        self.said(f"sending “{name}”")
        page = self.visitor.get("/campaigns/new")
        page = self.visitor.send(page.form("name", "key"), {"name": name})
        form = page.form("template", "sender")
        chosen = {
            "template": form.option("template", TEMPLATE),
            "sender": form.option("sender", NUMBER),
        }
        page = self.visitor.send(form, chosen)
        page = self.visitor.send(page.form_to("/step/audience"))
        form = page.form("source-first_name")
        filled = {"source-first_name": "first_name", "fallback-first_name": "friend"}
        page = self.visitor.send(form, filled)
        page = self.visitor.send(page.form_to("/step/when"))
        page = self.visitor.send(page.form_to("/launch"))
        return page.path

    def watch(self, address: str) -> None:
        """Watch the campaign's live part until it says that nothing will change."""
        end = time.monotonic() + PATIENCE_SECONDS
        while (page := self.visitor.get(f"{address}/live")).headers.get("X-Live") != "done":
            self._pause(end, f"{address} does not finish: {page.words()}")

    def _until(self, address: str, is_so: Callable[[Page], bool], what: str) -> Page:
        """Look at a page again and again until it is so."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not is_so(page := self.visitor.get(address)):
            if not _live(page):
                raise Lost("page_stuck", f"{address} is not {what}: {page.words()}")
            self._pause(end, f"{address} is not {what} after a long time: {page.words()}")
        return page

    def _pause(self, end: float, told: str) -> None:
        if time.monotonic() > end:
            raise Lost("page_slow", told)
        self.stage.children.look()
        if self.stage.stop.wait(LOOK_SECONDS):
            raise Stopped

    def _mail(self, folder: Path) -> str:
        """Wait for the only mail there is, and read it."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not (found := sorted(folder.glob("*.eml"))):
            self._pause(end, "No mail arrives.")
        mail = message_from_bytes(found[0].read_bytes(), policy=default)
        assert isinstance(mail, EmailMessage)  # noqa: S101 -- by that policy
        body = mail.get_body(("plain",))
        return str(body.get_content()) if body else ""

    @staticmethod
    def _country(form: Form) -> dict[str, str]:
        """Answer where bare numbers are from, if it is asked and was not guessed."""
        given = dict(form.fields).get("country", "")
        return {"country": given or "BR"} if "country" in form.names else {}


def _ends(page: Page, ending: str) -> list[bool]:
    return [one.action.endswith(ending) for one in page.forms()]


def _live(page: Page) -> bool:
    """Say whether the page has a part that asks for more by itself."""
    return "<live-region" in page.body
