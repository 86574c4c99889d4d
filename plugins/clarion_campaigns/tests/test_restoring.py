"""After a restore, on screen: a banner, two people for held messages, doubted drafts."""

import pytest
from sqlalchemy import select

from clarion.base import db
from clarion.messaging import doubts
from clarion.messaging.models import Message
from clarion.tenancy.actor import COMMAND
from clarion.tenancy.models import Membership, Person
from clarion.tenancy.scope import system_scope
from clarion.testing.factories import Tenant
from clarion.testing.visitor import Visitor
from clarion_campaigns import jobs, service


@pytest.fixture
def held(sending_shop, run_jobs, request):
    """A campaign that was launched, not sent, and is held; asked about since."""
    draft = sending_shop.launched(3)
    with db.transaction():
        service.start(draft.id)
    request.getfixturevalue("after_restore")
    with db.transaction():
        assert doubts.hold() == 3
    return service.get(draft.id)


def ask_people():
    with db.transaction():
        doubts.ask()


def colleague(tenant):
    """Another manager of the same account."""
    other = Tenant(tenant.id, tenant.name, db.new_id(), f"{db.new_id().hex}@example.org")
    with system_scope(COMMAND), db.transaction() as orm:
        orm.add(
            Person(
                id=other.person_id,
                email=other.email,
                name="Rui Costa",
                password_hash=orm.scalars(
                    select(Person.password_hash).where(Person.id == tenant.person_id)
                ).one(),
                confirmed_at=tenant_confirmed(orm, tenant),
            )
        )
        orm.flush()
        orm.add(Membership(account_id=tenant.id, person_id=other.person_id, role="manager"))
    return other


def tenant_confirmed(orm, tenant):
    query = select(Person.confirmed_at).where(Person.id == tenant.person_id)
    return orm.scalars(query).one()


def test_every_page_says_that_nothing_is_sent(held, sending_shop):
    page = Visitor(sending_shop.tenant).get(f"/campaigns/{held.id}").text

    assert "The database was restored from a backup" in page
    assert "3 messages are in doubt after a restore" in page
    assert "Propose to send again" not in page
    assert "Resume" not in page


def test_one_person_does_not_resume_what_is_held(held, sending_shop):
    answer = Visitor(sending_shop.tenant).post(f"/campaigns/{held.id}/resume")

    assert answer.status_code == 409


def test_nobody_is_told_so_on_a_sound_database(sending_shop):
    page = Visitor(sending_shop.tenant).get("/campaigns/").text

    assert "restored from a backup" not in page


def test_one_proposes_and_another_confirms(held, sending_shop):
    ask_people()
    marina = Visitor(sending_shop.tenant)
    rui = Visitor(colleague(sending_shop.tenant))
    url = f"/campaigns/{held.id}/restored"

    marina.post(url, action="propose", choice="leave")
    page = marina.get(f"/campaigns/{held.id}").text
    refused = marina.post(url, action="confirm", choice="leave")
    assert "Marina Lopes proposes to leave them." in page
    assert "Another person of this account has to confirm it." in page
    assert refused.status_code == 409

    assert "Confirm…" in rui.get(f"/campaigns/{held.id}").text
    done = rui.post(url, action="confirm", choice="leave")
    assert "Decided for 3 people." in rui.get(done.location).text
    with db.transaction() as orm:
        assert set(orm.scalars(select(Message.state))) == {"failed"}


def test_the_buttons_for_one_person_do_not_decide_about_them(held, sending_shop):
    ask_people()
    with db.transaction() as orm:
        ids = list(orm.scalars(select(Message.id)))
    with db.transaction():
        service.decide(held.id, "resend", ids)

    with db.transaction() as orm:
        assert set(orm.scalars(select(Message.state))) == {"needs_decision"}


def test_a_draft_older_than_the_restore_needs_somebodys_word(sending_shop, request):
    sending_shop.people(2)
    draft = sending_shop.draft()
    request.getfixturevalue("after_restore")
    visitor = Visitor(sending_shop.tenant)
    review = f"/campaigns/{draft.id}/step/review"

    assert "It was not sent yet" in visitor.get(review).text
    visitor.post(f"/campaigns/{draft.id}/vouch")

    assert "It was not sent yet" not in visitor.get(review).text


def test_a_start_from_before_the_restore_becomes_a_draft(sending_shop, request):
    draft = sending_shop.launched(2)
    request.getfixturevalue("after_restore")

    with db.transaction():
        jobs.start(draft.id)

    with db.transaction():
        found = service.get(draft.id)
    assert (found.state, found.state_reason) == ("draft", "restored")
