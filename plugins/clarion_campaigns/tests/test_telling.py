"""What the team is told by mail while nobody looks: once, in words, to those it concerns."""

import datetime as dt
import email
import email.policy

import pytest

from clarion.base import db
from clarion.base.settings import settings
from clarion.messaging import hours
from clarion.tenancy.actor import COMMAND
from clarion.tenancy.models import Membership, Person
from clarion.tenancy.scope import system_scope
from clarion_campaigns import jobs, service

NOON = dt.datetime(2027, 3, 1, 12, tzinfo=dt.UTC)
HALF_PAST = dt.datetime(2027, 3, 1, 10, 30)  # in São Paulo: 13:30 UTC


@pytest.fixture
def at(later):
    later.set(NOON)
    return later.set


@pytest.fixture
def team(shop):
    """A manager who reads German, and a member: both are somebody else than the owner."""
    found = {}
    with system_scope(COMMAND), db.transaction() as orm:
        for role, language in (("manager", "de"), ("member", "")):
            one = db.new_id()
            found[role] = f"{role}-{one.hex}@example.org"
            orm.add(
                Person(
                    id=one,
                    name=role.title(),
                    email=found[role],
                    language=language,
                    confirmed_at=NOON,
                )
            )
            orm.flush()
            orm.add(Membership(account_id=shop.id, person_id=one, role=role))
    return found


@pytest.fixture
def mails(run_jobs):
    """Deliver what waits, and return the mails that are new since the last look."""
    seen = set(settings().mail_folder.glob("*.eml"))

    def new():
        run_jobs()
        fresh = set(settings().mail_folder.glob("*.eml")) - seen
        seen.update(fresh)
        letters = [
            email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            for path in fresh
        ]
        return {
            str(one["To"].addresses[0].addr_spec): (str(one["Subject"]), one.get_content())
            for one in letters
        }

    return new


def planned(shop, people=3):
    shop.people(people)
    draft = shop.draft()
    with db.transaction():
        return service.choose_time(draft.id, local=HALF_PAST, zone="America/Sao_Paulo")


def launch(draft):
    with db.transaction():
        return service.launch(draft.id, "first")


def four_eyes():
    with db.transaction():
        hours.change(
            opens=0,
            closes=1440,
            weekdays=range(7),
            per_day=9,
            per_week=9,
            approve_above=1,
        )


def state(draft):
    with db.transaction():
        found = service.get(draft.id)
    return found.state, found.state_reason


def test_a_missed_start_is_told_to_those_who_can_plan_it_anew(shop, team, at, mails):
    draft = launch(planned(shop))
    assert mails() == {}

    at(draft.starts_at + dt.timedelta(hours=4))
    for _ in range(3):
        jobs.start_late()
    told = mails()

    assert set(told) == {shop.tenant.email, team["manager"]}
    subject, text = told[shop.tenant.email]
    assert subject == "Casa Verde: “Early access” did not begin"
    assert "until it was too late. Nothing was sent." in text
    assert f"/campaigns/{draft.id}/step/review" in text
    jobs.start_late()
    assert mails() == {}


def test_a_start_that_is_refused_is_told_too(shop, team, at, mails):
    draft = launch(planned(shop))
    with db.transaction() as orm:
        from clarion_templates.models import Template

        orm.get_one(Template, shop.template_id).state = "paused"

    at(draft.starts_at)
    jobs.start_late()

    assert "not approved any more" in mails()[shop.tenant.email][1]


def test_a_waiting_approval_is_told_to_those_who_may_give_it(shop, team, at, mails):
    four_eyes()
    draft = launch(planned(shop))

    told = mails()

    assert draft.state == "submitted"
    assert set(told) == {team["manager"]}  # who asked knows; a member may not approve
    subject, text = told[team["manager"]]
    assert "Early access" in subject
    assert f"/campaigns/{draft.id}" in text
    assert "3" in text


def test_what_nobody_approved_in_time_is_a_draft_again(shop, team, at, mails):
    four_eyes()
    draft = launch(planned(shop))
    mails()

    at(draft.starts_at + dt.timedelta(minutes=90))
    jobs.start_late()
    assert mails() == {}
    assert state(draft) == ("submitted", "")  # two hours late is soon enough

    at(draft.starts_at + dt.timedelta(hours=2, minutes=1))
    jobs.start_late()
    told = mails()
    assert state(draft) == ("draft", "approval_late")
    assert "nobody approved it" in told[shop.tenant.email][1]
