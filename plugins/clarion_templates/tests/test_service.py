"""Templates from the first word to the provider's verdict, on a real database."""

import dataclasses
import threading
from uuid import uuid4

import pytest
from sqlalchemy import event, select

from clarion.base import db
from clarion.base.errors import Conflict, Forbidden, Invalid, NotFound
from clarion.messaging.contract import TemplateVerdict
from clarion.tenancy.scope import account_scope
from clarion.testing.factories import make_sender
from clarion_templates import jobs, service
from clarion_templates.rendering import Button, Content

CONTENT = Content(
    name="early_access",
    language="en_US",
    category="marketing",
    body="Hi {{ first_name }}! Early access is open today.",
    footer="Reply STOP to opt out",
    buttons=(Button("quick_reply", "Stop promotions"),),
    samples={"first_name": "Ana", "old": "gone"},
)


def but(**changes):
    return dataclasses.replace(CONTENT, **changes)


def made(content=CONTENT):
    with db.transaction():
        return service.create(content)


def submitted(tenant, content=CONTENT):
    make_sender(tenant)
    with db.transaction():
        return service.submit(service.create(content).id)


def judged(view, status="approved", **more):
    with db.transaction():
        service.judge(view.id, TemplateVerdict("77", status, **more))
        return service.get(view.id)


@pytest.fixture
def reviewer(account, simulator):
    make_sender(account, simulator.url)
    return simulator


def test_a_draft_is_kept_tidy(account):
    view = made()

    assert view.state == "draft"
    assert view.content.body == "Hi {{first_name}}! Early access is open today."
    assert view.content.samples == {"first_name": "Ana"}
    assert view.variables == ("first_name",)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"name": "Été"}, "template_name_invalid"),
        ({"language": "xx"}, "template_language_invalid"),
        ({"category": "authentication"}, "template_category_invalid"),
        ({"body": "x" * 4001}, "template_too_long"),
    ],
)
def test_what_cannot_be_kept_is_refused(account, changes, code):
    with pytest.raises(Invalid) as refused:
        made(but(**changes))

    assert refused.value.code == code
    assert service.listing() == []


def test_a_name_exists_once_in_a_language(account):
    made()

    with pytest.raises(Conflict) as refused:
        made()
    made(but(language="pt_BR"))

    assert refused.value.code == "template_name_taken"
    assert len(service.listing()) == 2


def test_a_draft_changes_until_somebody_else_changed_it(account):
    view = made()
    with db.transaction():
        service.edit(view.id, but(body="Hello you there."), view.revision)

    with pytest.raises(Conflict) as refused, db.transaction():
        service.edit(view.id, but(body="Mine instead."), view.revision)

    assert refused.value.code == "template_changed"
    assert service.get(view.id).content.body == "Hello you there."


def test_a_template_the_provider_would_refuse_is_not_submitted(account):
    make_sender(account)
    view = made(but(body="{{first_name}} hello"))

    with pytest.raises(Invalid) as refused, db.transaction():
        service.submit(view.id)

    assert refused.value.code == "template_invalid"
    assert refused.value.field == "body"
    assert service.get(view.id).state == "draft"


def test_without_a_number_nothing_can_be_submitted(account):
    view = made()

    with pytest.raises(Conflict) as refused, db.transaction():
        service.submit(view.id)

    assert refused.value.code == "template_no_channel"


def test_a_submitted_version_never_changes(account):
    view = submitted(account)

    for act in (
        lambda: service.edit(view.id, but(body="Other words."), view.revision),
        lambda: service.delete(view.id),
        lambda: service.submit(view.id),
    ):
        with pytest.raises(Conflict) as refused, db.transaction():
            act()
        assert refused.value.code == "template_not_draft"
    assert view.state == "in_review"


def test_the_next_version_has_a_name_of_its_own(account):
    view = judged(submitted(account))

    with db.transaction():
        again = service.duplicate(view.id)
        twice = service.duplicate(view.id)
        changed = service.edit(
            again.id, but(name="other", body="New words."), again.revision
        )

    assert twice.id == again.id
    assert (changed.name, changed.version, changed.provider_name) == (
        "early_access",
        2,
        "early_access_v2",
    )
    assert service.get(view.id).state == "approved"
    assert [v.version for v in service.versions(view)] == [2, 1]


def test_a_draft_cannot_be_duplicated_but_deleted(account):
    view = made()

    with pytest.raises(Conflict), db.transaction():
        service.duplicate(view.id)
    with db.transaction():
        service.delete(view.id)

    with pytest.raises(NotFound):
        service.get(view.id)


def test_only_an_approved_template_is_sent(account):
    view = submitted(account)

    with pytest.raises(Conflict) as refused:
        service.snapshot(view.id)

    assert refused.value.code == "template_not_approved"
    judged(view)
    assert service.snapshot(view.id) == {
        "name": "early_access",
        "language": "en_US",
        "parameter_format": "named",
        "parts": [{"kind": "body", "variables": ["first_name"]}],
        "text": {
            "header": "",
            "body": "Hi {{first_name}}! Early access is open today.",
            "footer": "Reply STOP to opt out",
            "buttons": [{"kind": "quick_reply", "text": "Stop promotions", "url": ""}],
        },
    }


def test_the_providers_category_counts(account):
    view = judged(submitted(account, but(category="utility")), category="marketing")

    assert (view.category, view.asked_category) == ("marketing", "utility")


def test_other_words_under_our_name_are_a_refusal(account):
    view = judged(submitted(account), body="Something else entirely")

    assert view.state == "rejected"
    assert "another name" in view.reason


@pytest.mark.parametrize("status", ["rejected", "paused", "disabled"])
def test_a_verdict_can_take_the_approval_back(account, status):
    view = judged(judged(submitted(account)), status, reason="ABUSIVE_CONTENT")

    assert view.state == status
    with pytest.raises(Conflict):
        service.snapshot(view.id)


def test_a_repeated_verdict_changes_nothing(account):
    first = judged(submitted(account))

    assert judged(first) == first


def test_the_provider_approves(account, reviewer, run_jobs):
    with db.transaction():
        view = service.submit(service.create(but(name=f"ok_{uuid4().hex[:8]}")).id)
    run_jobs()
    assert service.get(view.id).state in ("in_review", "approved")

    for _ in range(100):
        with db.transaction():
            jobs.check.later(view.id)
        run_jobs()
        if service.get(view.id).state == "approved":
            break
        threading.Event().wait(0.05)

    found = service.get(view.id)
    assert found.state == "approved"
    assert found.category == "marketing"


def test_the_provider_rejects_with_a_reason(account, reviewer, run_jobs):
    with db.transaction():
        view = service.submit(service.create(but(name=f"reject_{uuid4().hex[:8]}")).id)

    for _ in range(100):
        with db.transaction():
            jobs.check.later(view.id)
        run_jobs()
        if service.get(view.id).state == "rejected":
            break
        threading.Event().wait(0.05)

    found = service.get(view.id)
    assert found.state == "rejected"
    assert "WhatsApp refuses" in found.reason


def test_handing_in_twice_makes_one_template(account, reviewer, run_jobs):
    with db.transaction():
        view = service.submit(service.create(but(name=f"pending_{uuid4().hex[:8]}")).id)
    run_jobs()
    first = service.handover(view.id)

    for _ in range(3):
        with db.transaction():
            jobs.hand_in.later(view.id)
        run_jobs()

    assert first.provider_id
    assert service.handover(view.id) == first
    assert service.get(view.id).state == "in_review"


def test_a_cut_off_submission_is_found_again(account, reviewer, run_jobs):
    from sqlalchemy import update

    from clarion_templates.models import Template

    with db.transaction():
        view = service.submit(service.create(but(name=f"pending_{uuid4().hex[:8]}")).id)
    run_jobs()
    known = service.handover(view.id).provider_id
    with db.transaction() as orm:  # as if the process had died before it could write
        orm.execute(update(Template).values(provider_id=None))

    with db.transaction():
        jobs.hand_in.later(view.id)
    run_jobs()

    assert service.handover(view.id).provider_id == known


def test_a_revoked_token_gives_the_draft_back(account, simulator, run_jobs):
    from clarion.messaging import channels

    make_sender(account, simulator.url)
    with db.transaction():
        channels.rotate(channels.listing()[0].id, {"access_token": "revoked-token"})
        view = service.submit(service.create(but(name=f"t_{uuid4().hex[:8]}")).id)
    run_jobs()

    found = service.get(view.id)
    assert found.state == "draft"
    assert "Senders" in found.reason


def test_the_sweep_asks_about_quiet_reviews(account, reviewer, run_jobs, database):
    from sqlalchemy import create_engine, func, text, update

    from clarion_templates.models import Template

    with db.transaction():
        view = service.submit(service.create(but(name=f"pending_{uuid4().hex[:8]}")).id)
    run_jobs()
    with db.transaction() as orm:
        orm.execute(
            update(Template).values(
                provider_id=None, updated_at=func.clarion_now() - text("interval '1 hour'")
            )
        )
    # reviews that other tests left are not quiet: their providers are nowhere
    root = create_engine(database.superuser_url)
    with root.begin() as connection:
        connection.execute(
            update(Template.__table__)
            .where(Template.__table__.c.id != view.id)
            .values(updated_at=func.now())
        )
    root.dispose()

    from clarion.tenancy.actor import SYSTEM_JOB
    from clarion.tenancy.scope import system_scope

    with system_scope(SYSTEM_JOB):
        jobs.sweep()
    run_jobs()

    assert service.handover(view.id).provider_id


def test_the_providers_notice_rings_and_the_answer_counts(account, reviewer, run_jobs):
    from clarion.messaging.events import ProviderNotice
    from clarion.work import outbox

    with db.transaction():
        view = service.submit(service.create(but(name=f"ok_{uuid4().hex[:8]}")).id)
    run_jobs()
    given = service.handover(view.id)

    for _ in range(100):
        with db.transaction():  # what it says does not count: it may be late, or repeated
            outbox.publish(
                ProviderNotice(
                    channel_id=given.channel_id,
                    field="message_template_status_update",
                    subject=given.provider_id,
                    event="REJECTED",
                    detail="",
                )
            )
        run_jobs()
        if service.get(view.id).state == "approved":
            break
        threading.Event().wait(0.05)

    assert service.get(view.id).state == "approved"


def test_a_notice_about_something_else_is_not_for_us(account, run_jobs):
    view = judged(submitted(account))
    run_jobs()

    with db.transaction():
        jobs.heard(uuid4(), "phone_number_quality_update", "77")

    assert run_jobs() == 0
    assert service.get(view.id).state == "approved"


def test_a_member_may_look_but_not_write(account):
    view = made()

    with account_scope(account.id, account.member("member")):
        assert service.get(view.id).id == view.id
        for act in (
            lambda: service.create(CONTENT),
            lambda: service.edit(view.id, CONTENT, 1),
            lambda: service.submit(view.id),
            lambda: service.delete(view.id),
            lambda: service.duplicate(view.id),
        ):
            with pytest.raises(Forbidden):
                act()


def test_another_accounts_template_does_not_exist(account, other_account):
    view = made()

    with account_scope(other_account.id, other_account.actor):
        assert service.listing() == []
        for act in (
            lambda: service.get(view.id),
            lambda: service.snapshot(view.id),
            lambda: service.edit(view.id, CONTENT, 1),
            lambda: service.submit(view.id),
            lambda: service.delete(view.id),
            lambda: service.duplicate(view.id),
            lambda: service.judge(view.id, TemplateVerdict("1", "approved")),
        ):
            with pytest.raises(NotFound), db.transaction():
                act()
    assert service.get(view.id).state == "draft"


def test_two_clicks_submit_once(account):
    make_sender(account)
    view = made()
    results, start = [], threading.Barrier(2)

    def click():
        with account_scope(account.id, account.actor):
            start.wait()
            try:
                with db.transaction():
                    service.submit(view.id)
                results.append("ok")
            except Conflict as refused:
                results.append(refused.code)

    threads = [threading.Thread(target=click) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert sorted(results) == ["ok", "template_not_draft"]


def test_a_list_of_many_costs_one_query(account):
    for number in range(7):
        made(but(name=f"number_{number}"))
    seen = []
    event.listen(db.engine(), "before_cursor_execute", lambda *a: seen.append(a[2]))

    with db.transaction():
        views = service.listing()

    assert len(views) == 7
    assert len([s for s in seen if "templates_template" in s]) == 1


def test_a_list_can_be_searched_and_turned(account):
    for number in range(5):
        made(but(name=f"number_{number}"))

    first = service.listing(limit=2)
    rest = service.listing(after=first[-1].id)

    assert [v.name for v in first + rest] == [f"number_{n}" for n in (4, 3, 2, 1, 0)]
    assert [v.name for v in service.listing(search="_3")] == ["number_3"]
    assert service.listing(search="%") == []
    assert service.counts() == {"draft": 5}


def test_odd_links_are_counted_and_not_kept(account):
    from clarion.misuse.models import MisuseLink

    words = (
        "Hi {{ first_name }}! See https://bit.ly/3x and https://shop.example/sale today."
    )
    view = submitted(account, but(body=words))

    row = db.session().scalars(select(MisuseLink)).one()
    assert (row.template_id, row.links, row.odd, row.kinds) == (
        view.id,
        2,
        1,
        ["shortened"],
    )
