"""Somebody moves to a new number: from the simulated phone through the door to the contact."""

from sqlalchemy import select
from tests.clarion.web.test_intake import channel, knock  # noqa: F401 -- fixtures

from clarion.base import db
from clarion.messaging.models import Identifier
from clarion.work import webhooks
from clarion_contacts import service
from clarion_contacts.service import Details
from clarion_whatsapp_cloud.tests.kit import SECRETS, receiving

OLD, NEW = "+5511981230001", "+5511981230002"


def test_a_number_change_reaches_the_contact(account, simulator, knock, run_jobs):  # noqa: F811 -- a fixture
    with db.transaction():
        ana = service.add(Details(name="Ana Lima", phone=OLD)).id
        service.opt_in(ana, method="shop", source="till 3", wording="Yes, write to me.")
    with receiving() as receiver:
        simulator.post(
            "callback",
            url=receiver.url,
            app_secret="test-secret",
            verify_token=SECRETS["verify_token"],
            **{"for": "5550147"},
        )
        simulator.post("number", **{"from": OLD, "to": "5550147", "new": NEW})
        (sent,) = receiver.wait(lambda got: got)

    forged = knock(sent.body.replace(b"0002", b"0003"), sent.headers["x-hub-signature-256"])
    taken = knock(sent.body, sent.headers["x-hub-signature-256"])
    webhooks.apply_now(account.id)
    run_jobs()

    assert (forged.status_code, taken.status_code) == (403, 200)
    db.session().expire_all()
    contact = service.get(ana)
    assert (contact.phone, contact.consent) == (NEW, "opted_in")
    former = select(Identifier.value).where(Identifier.valid_to.is_not(None))
    assert db.session().scalars(former.where(Identifier.kind == "phone")).all() == [OLD]
