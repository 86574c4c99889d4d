"""Pages about lanes, jobs and webhooks in a real browser: policy, accessibility, a phone."""

import pytest
from playwright.sync_api import expect
from sqlalchemy import delete, select
from tests.clarion.console.test_console_browser import (  # noqa: F401 -- fixtures
    base,
    browser_context_args,
    browser_type_launch_args,
    faults,
    staff,
    tenant,
)

from clarion.base import db
from clarion.messaging import channels
from clarion.messaging.contract import RawWebhook
from clarion.messaging.models import Channel
from clarion.tenancy.actor import Actor
from clarion.tenancy.scope import account_scope, staff_scope
from clarion.testing.console import acting
from clarion.work import jobs, presence, stops, webhooks
from clarion.work.jobs import job
from clarion.work.models import DeadJob, LaneStop, WebhookInbox

pytestmark = pytest.mark.browser


@job(queue="bulk", idempotent=True)
def broken() -> None:
    """Fail."""
    raise RuntimeError("the disk is full")


@pytest.fixture
def busy(tenant, ada, monkeypatch):  # noqa: F811 -- the fixture above
    """A house with something on every one of these pages; answers their addresses."""
    payload = {"actor": tenant.actor.to_json(), "args": {"import_id": str(db.new_id())}}
    for attempt in (jobs.TRIES, jobs.TRIES, 2):
        jobs.run(broken.path, payload, attempt)
    body = (
        b'{"object": "whatsapp_business_account", "entry": [{"id": "9900", "changes":'
        b' [{"field": "messages", "value": {"metadata": {"phone_number_id": "5550147"},'
        b' "messages": [{"from": "5511987654321", "id": "wamid.%b", "type": "text",'
        b' "timestamp": "1790000000", "text": {"body": "Hello"}}]}}]}]}'
    ) % db.new_id().hex.encode()
    with account_scope(tenant.id, tenant.actor):
        channel = db.session().scalars(select(Channel.id)).one()
    pieces = list(channels.transports()["whatsapp_cloud"].split(RawWebhook(body, {})))
    with monkeypatch.context() as other:
        other.setitem(webhooks._handlers, "messaging", lambda _found: 1 / 0)
        webhooks.receive("messaging", tenant.id, channel, pieces)
        webhooks.apply_now(tenant.id)
    presence.tell("worker-1:4711", 0.0, relay=True)
    with staff_scope(acting(ada)), db.transaction():
        dead = db.session().scalars(
            select(DeadJob.id).where(DeadJob.account_id == tenant.id).limit(1)
        )
        job_id = dead.one()
    with db.apart(stops.SYSTEM) as orm:
        mine = WebhookInbox.account_id == tenant.id
        hook = orm.scalars(select(WebhookInbox.id).where(mine)).one()
    yield [
        "/console/queues/",
        "/console/queues/lanes/bulk",
        "/console/queues/lanes/inbound",
        "/console/queues/failed",
        f"/console/queues/failed/{job_id}",
        "/console/webhooks/",
        f"/console/webhooks/received?account={tenant.id}",
        f"/console/webhooks/received/{hook}",
    ]
    with staff_scope(Actor("staff", "1", "Test")), db.transaction() as orm:
        orm.execute(delete(LaneStop))


def test_pausing_says_why_and_goes_on(staff, base, busy):  # noqa: F811
    staff.goto(f"{base}/console/queues/")
    staff.get_by_role("link", name="Long work").click()
    staff.get_by_label("Reason").first.fill("The disk is full.")
    staff.get_by_role("button", name="Pause").click()
    expect(staff.get_by_role("status").first).to_contain_text("The lane is paused")
    expect(staff.locator("#content .pill").first).to_have_text("Paused")
    expect(staff.locator("#content")).to_contain_text("The disk is full.")

    staff.goto(f"{base}/console/queues/")
    expect(staff.locator("#content")).to_contain_text("The disk is full.")

    staff.get_by_role("link", name="Long work").click()
    staff.get_by_role("button", name="Resume").click()
    expect(staff.get_by_role("status").first).to_contain_text("The lane goes on")
    expect(staff.locator("#content")).not_to_contain_text("The disk is full.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_these_pages_are_accessible_and_fit_a_phone(staff, base, busy, scheme):  # noqa: F811
    staff.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    for path in busy:
        assert staff.goto(base + path).status == 200, path
        assert faults(staff) == [], path
        staff.set_viewport_size({"width": 390, "height": 844})
        wider = staff.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wider <= 0, path
        staff.set_viewport_size({"width": 1360, "height": 860})
