"""An account that is ready to send: a number, an approved template, people who agreed."""

from uuid import uuid4

import pytest

from clarion.base import db
from clarion.messaging import channels
from clarion.messaging.contract import TemplateVerdict
from clarion.tenancy.scope import account_scope
from clarion.testing.factories import make_account, make_sender
from clarion_campaigns import service
from clarion_contacts import contract as contacts
from clarion_templates import service as templates
from clarion_templates.rendering import Content

BODY = "Hi {{first_name}}! Early access is open today."


class Shop:
    """One account, and shortcuts through the verbs of its owner."""

    def __init__(self, tenant, url=""):
        self.tenant, self.id = tenant, tenant.id
        self.sender_id = make_sender(tenant, url)
        with self.inside():
            self.template_id = self.template()

    def inside(self, role="owner"):
        return account_scope(self.tenant.id, self.tenant.member(role))

    def template(
        self, name="early_access", body=BODY, status="approved", category="marketing"
    ):
        content = Content(name=name, body=body, category=category)
        wanted = {n: "Ana" for n in ("first_name", "code", "city") if n in body}
        content = Content(name=name, body=body, category=category, samples=wanted)
        with db.transaction():
            view = templates.create(content)
            if status != "draft":
                templates.submit(view.id)
                templates.judge(view.id, TemplateVerdict(uuid4().hex, status))
        return view.id

    def people(self, count, *, first=10_000_000, consent=True, name="Ana Lima", tag=""):
        made = []
        with db.transaction():
            for number in range(first, first + count):
                one = contacts.add(
                    contacts.Details(name=name, phone=f"+5511 9{number:08d}")
                )
                if consent:
                    contacts.opt_in(
                        one.id, method="shop", source="till", wording="Yes, please"
                    )
                made.append(one.id)
            if tag:
                contacts.tag(made, [tag])
        return made

    def draft(self, name="Early access"):
        with db.transaction():
            draft = service.create(name, str(uuid4()))
            return service.choose_message(draft.id, self.template_id, self.sender_id)

    def launched(self, people=3):
        self.people(people)
        draft = self.draft()
        with db.transaction():
            return service.launch(draft.id, "first")

    def pause_sender(self, reason="token_invalid"):
        with db.transaction():
            channels.pause_sender(self.sender_id, reason)


@pytest.fixture
def shop(clean):
    """The account, entered as its owner."""
    made = Shop(make_account())
    with made.inside():
        yield made


@pytest.fixture
def sending_shop(clean, simulator):
    """The same, sending to a real simulator."""
    made = Shop(make_account(), simulator.url)
    with made.inside():
        yield made


@pytest.fixture
def other_shop(clean):
    """Another account with everything the first has; not entered."""
    return Shop(make_account("Loja Norte"))
