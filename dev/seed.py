"""The people of the demo, made through the verbs that pages call; what is there is left.

    python dev/seed.py SIMULATOR_URL ACCESS_TOKEN WABA

`clarion demo` runs it at each start, beside a running worker: the first time it makes two
accounts, contacts, templates, a finished campaign and a draft; every time it tells the
simulator, which forgets, which numbers and templates there are and where we listen.
"""

import datetime as dt
import json
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from sqlalchemy import select

from clarion.base import clock, db
from clarion.base.errors import ClarionError, Conflict
from clarion.base.settings import settings
from clarion.boot import boot
from clarion.console import staffing
from clarion.messaging import channels
from clarion.messaging.models import Channel
from clarion.tenancy import factors, people, team, totp
from clarion.tenancy.actor import COMMAND, Actor
from clarion.tenancy.scope import account_scope, anonymous_scope
from clarion_campaigns import service as campaigns
from clarion_contacts import contract as contacts
from clarion_templates import service as templates
from clarion_templates.rendering import Button, Content
from clarion_whatsapp_cloud import wire

HERE = Path(__file__).parent
LIST = HERE / "demo_contacts.csv"
PASSWORD = "blue kettle on the stove"
SECRETS = {"app_secret": "demo-app-secret", "verify_token": "demo-verify-token"}
PATIENCE_SECONDS = 120.0
FATES = [
    {"match": {"suffix": "26"}, "fate": {"answer": "refuse", "code": 131026}},
    {"match": {"suffix": "49"}, "fate": {"statuses": {"fail": 131049}}},
]
"""Some messages fail, by the number's last digits, as some do in life."""

WELCOME = Content(
    name="spring_early_access",
    language="en_US",
    header="Spring at Casa Verde",
    body="Hi {{first_name}}! Our new plants are in. Come by before Saturday: for friends of"
    " the house the first pot is on us.",
    footer="Reply STOP to opt out",
    buttons=(
        Button("url", "See what is new", "https://casaverde.example/spring"),
        Button("quick_reply", "Stop promotions"),
    ),
    samples={"first_name": "Ana"},
)
ORDER = Content(
    name="order_ready",
    language="en_US",
    category="utility",
    body="Hi {{first_name}}, your order is ready. You can pick it up today until 19:00.",
    samples={"first_name": "Ana"},
)
NEXT = Content(
    name="summer_workshop",
    language="en_US",
    body="Hi {{first_name}}, our workshop on balcony gardens is on 12 June. Shall we keep you"
    " a seat?",
    footer="Reply STOP to opt out",
    buttons=(Button("quick_reply", "Keep me a seat"),),
    samples={"first_name": "Ana"},
)


@dataclass(frozen=True)
class Provider:
    """The simulator and how one of our accounts is known there."""

    url: str
    token: str
    waba: str
    number_id: str
    number: str
    name: str


def main() -> int:
    """Make what is missing; answers the exit code."""
    url, token, waba = sys.argv[1:4]
    boot()
    casa = Provider(url, token, waba, "109900110022", "+5511955500147", "Casa Verde")
    loja = Provider(url, token, f"{waba}7", "109900110077", "+5551955500190", "Loja Norte")
    tell(casa, "rules", rules=FATES, replace=True)
    try:
        marina = owner("marina@example.org", "Marina Lopes", "Casa Verde", "BR")
        with acting(marina):
            casa_verde(casa)
        tiago = owner("tiago@example.org", "Tiago Ramos", "Loja Norte", "BR")
        with acting(tiago):
            loja_norte(loja)
        secret = staff_member("ada@example.org", "Ada Okafor")
    except ClarionError as refused:
        print(f"The demo's data: {refused.text}", file=sys.stderr)
        return 1
    keep(
        {
            "portal": f"marina@example.org · {PASSWORD}",
            "console": f"ada@example.org · {PASSWORD}",
        },
        secret,
    )
    return 0


# --- who


def owner(email: str, name: str, account: str, country: str) -> people.SignedIn:
    """Find a person with their account, or make both."""
    try:
        with anonymous_scope(COMMAND):
            return people.create(
                email,
                name,
                PASSWORD,
                account,
                country=country,
                timezone="America/Sao_Paulo",
                language="en",
            )
    except Conflict:
        with anonymous_scope(COMMAND):
            return people.check(email, PASSWORD, "127.0.0.0")


def staff_member(email: str, name: str) -> str:
    """Make a staff member with the demo's password and an app; returns the app's secret.

    `clarion demo --code` stands for the app.
    """
    if secret := state().get("staff_secret"):
        return str(secret)
    link = staffing.first_token(email, name)
    token = parse_qs(urlsplit(link).query)["token"][0]
    subject = f"s:{staffing.set_password(token, PASSWORD, PASSWORD)}"
    made = factors.begin_app(subject)
    before = totp.step_at(clock.now()) - 1  # so that the present code is still good
    factors.confirm_app(subject, totp.code(made, before))
    return made.hex()


@contextmanager
def acting(who: people.SignedIn) -> Iterator[None]:
    """Act as an owner in their account, as pages do."""
    seat = who.seats[0]
    actor = Actor(
        "person",
        id=str(who.id),
        name=who.name,
        email=who.email,
        account_name=seat.account_name,
        role=seat.role,
    )
    with account_scope(seat.account_id, actor):
        yield


# --- the two accounts


def casa_verde(provider: Provider) -> None:
    """A shop with customers, a colleague, a finished campaign and one being written."""
    sender = connected(provider)
    colleague("rui@example.org", "Rui Tavares")
    spring, _order, summer = (approved(one) for one in (WELCOME, ORDER, NEXT))
    if not everybody():
        say("Casa Verde: importing 2,000 contacts …")
        take_in(LIST)
    if not campaign_names():
        say("Casa Verde: sending a campaign …")
        finished(sent("Spring early access", spring, sender, tag="vip"))
        drafted("Summer workshop", summer, sender)


def loja_norte(provider: Provider) -> None:
    """A second customer, so that the console has something to tell apart."""
    connected(provider)
    if everybody():
        return
    with db.transaction():
        for number, name in enumerate(("Célia Prado", "Davi Nunes", "Elza Matos")):
            details = contacts.Details(name=name, phone=f"+55519000001{number:02d}")
            one = contacts.add(details)
            contacts.opt_in(
                one.id,
                method="shop",
                source="At the counter",
                wording="Yes, write to me about new stock by WhatsApp.",
                agreed_on=clock.now().date(),
            )


# --- steps; each finds what an earlier run made


def connected(provider: Provider) -> UUID:
    """Connect the account's number, and acquaint the simulator with all of the account."""
    with db.transaction():
        if not channels.listing():
            number = channels.SenderIn(provider.number_id, provider.number, provider.name)
            config = {"waba_id": provider.waba, "base_url": provider.url}
            secrets = {"access_token": provider.token, **SECRETS}
            channels.connect("whatsapp_cloud", provider.name, config, secrets, [number])
    tell_numbers(provider)
    tell_templates(provider)
    with db.transaction():
        return channels.senders()[0].id


def tell_numbers(provider: Provider) -> None:
    """Tell the simulator whose numbers there are and where each reports back."""
    with db.transaction() as orm:
        # reading only: the secrets a person typed are in no view
        rows = {
            row.id: channels.opened(row).secrets for row in orm.scalars(select(Channel))
        }
        views = channels.listing()
    for view in views:
        if view.config.get("base_url") != provider.url:
            continue
        waba, secrets = view.config.get("waba_id", ""), rows[view.id]
        for sender in view.senders:
            tell(
                provider,
                "phones",
                id=sender.provider_id,
                display=sender.number,
                waba=waba,
                name=sender.name,
            )
        given = {name: secrets.get(name, "") for name in ("app_secret", "verify_token")}
        tell(provider, "callback", url=view.endpoint_url, **given, **{"for": waba})


def tell_templates(provider: Provider) -> None:
    """Hand the simulator what it had approved before it was started again."""
    with db.transaction():
        given = []
        for view in templates.listing(state="approved", limit=200):
            handed = templates.handover(view.id)
            if handed:
                text = wire.encode_template(handed.text)
                given.append({**text, "id": handed.provider_id, "waba": provider.waba})
    if given:
        tell(provider, "templates", templates=given)


def colleague(email: str, name: str) -> None:
    """Invite somebody and let them accept."""
    with db.transaction():
        members, _invited = team.listing()
        if any(one.email == email for one in members):
            return
        token = team.invite(email, "member")
    with anonymous_scope(COMMAND):
        team.accept_as_new(token, name=name, password=PASSWORD)


def approved(content: Content) -> UUID:
    """Write a template, hand it in, and wait for the provider's word."""
    with db.transaction():
        have = [one for one in templates.listing() if one.name == content.name]
        view = have[0] if have else templates.create(content)
        if view.state == "draft":
            say(f"Casa Verde: handing in the template {content.name} …")
            templates.submit(view.id)

    def judged() -> bool:
        state = templates.get(view.id).state
        if state not in ("in_review", "approved"):
            raise Conflict("seed_template", f"The template {content.name} is {state}.")
        return state == "approved"

    wait(judged)
    return view.id


def take_in(path: Path) -> None:
    """Import a list with every answer a person gives."""
    with db.transaction():
        row = contacts.upload(path.name, path.read_bytes())
        fields = {int(at): said for at, said in row.mapping.items()}
        contacts.match(row.id, fields, country="BR")
        contacts.attest(
            row.id,
            source="shop",
            place="Casa Verde, Rua das Flores 12",
            agreed_on=clock.now().date() - dt.timedelta(days=3),
            wording="Yes, Casa Verde may write to me about offers by WhatsApp.",
            typed_name="Marina Lopes",
        )
        contacts.check(row.id)
    wait(lambda: arrived(row.id, "checked"))
    with db.transaction():
        contacts.start(row.id)
    wait(lambda: arrived(row.id, "done"))


def arrived(import_id: UUID, state: str) -> bool:
    """Say whether an import is there; raises when it stopped."""
    row = contacts.describe(import_id).row
    if row.state == "failed":
        raise Conflict("seed_import", row.problem)
    return row.state == state


def sent(name: str, template_id: UUID, sender_id: UUID, tag: str) -> UUID:
    """Write a campaign to everybody with a tag, and launch it."""
    draft_id = drafted(name, template_id, sender_id, tag)
    with db.transaction():
        campaigns.launch(draft_id, key=name)
    return draft_id


def drafted(name: str, template_id: UUID, sender_id: UUID, tag: str = "") -> UUID:
    """Write a campaign down to its last step."""
    with db.transaction():
        draft = campaigns.create(name, key=name)
        campaigns.choose_message(draft.id, template_id, sender_id)
        chosen = [one.id for one in contacts.tags() if one.name == tag]
        campaigns.choose_people(draft.id, chosen, [])
        filling = {"source": "first_name", "fallback": "friend"}
        campaigns.fill_variables(draft.id, {"first_name": filling})
    return draft.id


def finished(draft_id: UUID) -> None:
    """Wait until every message of a campaign has left."""
    wait(lambda: campaigns.results(draft_id).state == "finished")


def everybody() -> int:
    """Count the account's contacts."""
    with db.transaction():
        return contacts.count(contacts.everyone(), {}, "utility").total


def campaign_names() -> list[str]:
    """List the account's campaigns."""
    with db.transaction():
        return [line.draft.name for line in campaigns.listing()]


# --- pieces


def wait(is_so: Callable[[], bool]) -> None:
    """Look until it is so; a worker does the work meanwhile."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        with db.transaction() as orm:
            if is_so():
                return
            orm.expire_all()
        if time.monotonic() > end:
            raise Conflict("seed_slow", "The worker does not come to an end; see its log.")
        time.sleep(0.1)


def tell(provider: Provider, what: str, **given: Any) -> None:
    """Call one of the simulator's controls."""
    request = urllib.request.Request(
        f"{provider.url}/_sim/{what}",
        json.dumps(given).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as reply:
        reply.read()


def state() -> dict[str, Any]:
    """Read what the demo keeps in its home."""
    path = settings().home / "demo.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def known() -> dict[str, str]:
    """Return who can sign in, as an earlier run wrote it down."""
    return dict(state().get("people", {}))


def keep(doors: dict[str, str], secret: str) -> None:
    """Write down who can sign in, for whoever started the demo."""
    path = settings().home / "demo.json"
    part = path.with_suffix(".part")
    part.touch(mode=0o600)
    given = {"people": doors, "staff_secret": secret}
    part.write_text(json.dumps(state() | given, indent=1))
    part.replace(path)


def say(text: str) -> None:
    """Tell whoever waits."""
    print(text, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
