"""Webhooks as staff see them: facts, a shape under a grant, and applied once more."""

import json
from uuid import UUID

import pytest
from sqlalchemy import func, select
from tests.clarion.messaging.conftest import number

from clarion.base import db
from clarion.base.errors import Conflict
from clarion.console import webhooks as verbs
from clarion.messaging import channels
from clarion.messaging.contract import RawWebhook
from clarion.messaging.models import Channel, InboundMessage, Orphan, Suppression
from clarion.support import grants, windows
from clarion.support.models import AccessEntry
from clarion.tenancy.models import AuditEntry
from clarion.tenancy.scope import account_scope, staff_scope
from clarion.testing.console import Browser, acting, make_role, make_staff, statements
from clarion.testing.factories import make_account, make_sender
from clarion.work import replaying, webhooks
from clarion.work.models import WebhookInbox

SENDER = "5550147"
PHONE = "+55" + "11987" + "654321"
WORDS = " ".join(["meet", "me", "at", "nine"])
CANARIES = (PHONE, PHONE[1:], WORDS, "Ana Lima")


@pytest.fixture
def tenant(web, clean):
    """An account with one connection."""
    tenant = make_account("Vila Azul")
    with account_scope(tenant.id, tenant.actor):
        make_sender(tenant)
    return tenant


def value(**what):
    return {
        "messaging_product": "whatsapp", "metadata": {"phone_number_id": SENDER}, **what
    }  # fmt: skip


def reply(text, phone=PHONE):
    digits = phone.lstrip("+")
    one = {"from": digits, "id": f"wamid.{db.new_id()}", "timestamp": "1790000000",
           "type": "text", "text": {"body": text}}  # fmt: skip
    return value(
        contacts=[{"wa_id": digits, "profile": {"name": "Ana Lima"}}], messages=[one]
    )


def status(wamid, what="delivered"):
    one = {
        "id": wamid,
        "status": what,
        "timestamp": "1790000000",
        "recipient_id": PHONE[1:],
    }
    return value(statuses=[one])


def store(tenant, *values):
    """Store what a provider told, and answer the new rows' ids."""
    entry = [{"id": "9900", "changes": [{"field": "messages", "value": v} for v in values]}]
    body = json.dumps({"object": "whatsapp_business_account", "entry": entry}).encode()
    with account_scope(tenant.id, tenant.actor):
        channel = db.session().scalars(select(Channel.id)).one()
    pieces = list(channels.transports()["whatsapp_cloud"].split(RawWebhook(body, {})))
    known = set(rows(tenant))
    webhooks.receive("messaging", tenant.id, channel, pieces)
    return [one for one in rows(tenant) if one not in known]


def rows(tenant):
    with account_scope(tenant.id, tenant.actor):
        query = select(WebhookInbox).order_by(WebhookInbox.seq)
        return {row.id: row for row in db.session().scalars(query)}


def read(tenant, what):
    with account_scope(tenant.id, tenant.actor):
        return db.session().scalar(what)


def break_it(monkeypatch):
    def handler(found):
        told = json.dumps([one.payload for one in found])
        raise RuntimeError(f"cannot read {told}")

    monkeypatch.setitem(webhooks._handlers, "messaging", handler)


def give_up(tenant, monkeypatch, *values):
    """Let webhooks fail until they are given up; the handler is whole again afterwards."""
    ids = store(tenant, *values)
    with monkeypatch.context() as broken:
        break_it(broken)
        webhooks.apply_now(tenant.id)
    assert [rows(tenant)[one].tries for one in ids] == [webhooks.TRIES] * len(ids)
    return ids


def seen(desk, path):
    page = desk.get(path)
    assert page.status_code == 200, path
    return page.text


# --- what is shown


def test_nothing_a_person_wrote_shows_without_an_access(desk, tenant, monkeypatch):
    [failed] = give_up(tenant, monkeypatch, reply(WORDS))
    [fine] = store(tenant, reply(WORDS))

    for path in (f"?account={tenant.id}", f"/{failed}", f"/{fine}"):
        page = seen(desk, f"/console/webhooks/received{path}")
        assert [one for one in CANARIES if one in page] == [], path
        assert "wamid" not in page  # it holds a number
        assert "Vila Azul" in page
    page = seen(desk, f"/console/webhooks/received/{failed}")
    assert "RuntimeError: cannot read ••••" in page
    assert "Given up" in page and "It is the customer’s" in page
    kept = rows(tenant)[failed].result
    assert kept.startswith("RuntimeError: cannot read ••••")
    assert [one for one in CANARIES if one in kept] == []


def let_in(tenant, colleague):
    with account_scope(tenant.id, tenant.actor), db.transaction():
        windows.open_window(1, "view")
    with staff_scope(acting(colleague)), db.transaction():
        grants.ask(tenant.id, grants.Asked("support", "T-1", "import fails"))


def test_under_an_access_its_shape_shows_and_a_reveal_is_written_down(desk, ada, tenant):
    [one] = store(tenant, reply(WORDS))
    where = f"/console/webhooks/received/{one}"
    refused = desk.post(f"{where}/reveal", where)
    assert refused.status_code == 302 and str(tenant.id) in refused.headers["Location"]
    let_in(tenant, ada)

    page = seen(desk, where)

    assert [canary for canary in CANARIES if canary in page] == []
    assert "profile" in page and "•••• (" in page
    deeds = select(AccessEntry.deed).where(AccessEntry.row == f"webhook_id:{one}")
    with account_scope(tenant.id, tenant.actor):
        assert db.session().scalars(deeds).all() == ["screen"]

    clear = desk.post(f"{where}/reveal", where)

    assert WORDS in clear.text and PHONE[1:] in clear.text
    with account_scope(tenant.id, tenant.actor):
        assert "reveal" in db.session().scalars(deeds).all()
    stranger = make_account()
    [other] = store_of(stranger)
    assert "It is the customer’s" in seen(desk, f"/console/webhooks/received/{other}")


def store_of(stranger):
    with account_scope(stranger.id, stranger.actor):
        make_sender(stranger)
    return store(stranger, reply(WORDS))


def test_filters_find_what_they_say(desk, tenant, monkeypatch):
    [failed] = give_up(tenant, monkeypatch, reply("x"))
    [report] = store(tenant, status("wamid.f"))
    mine = f"account={tenant.id}"

    def listed(query):
        page = seen(desk, f"/console/webhooks/received?{mine}&{query}")
        return {one for one in (failed, report) if str(one) in page}

    assert listed("") == {failed, report}
    assert listed("state=failed") == {failed}
    assert listed("state=waiting") == {report}
    assert listed("state=applied") == set()
    assert listed("kind=status") == {report}
    assert listed("way=whatsapp_cloud") == {failed, report}
    assert listed("way=pigeon") == set()
    webhooks.apply_now(tenant.id)
    assert listed("state=applied") == {report}
    for bad in ("state=odd", "kind=odd"):
        assert desk.get(f"/console/webhooks/received?{bad}").status_code == 422
    assert desk.get("/console/webhooks/received?account=odd").status_code == 200
    assert desk.get(f"/console/webhooks/received/{db.new_id()}").status_code == 404


def test_the_list_is_read_by_key_and_asks_as_often_for_many(desk, ada, tenant, monkeypatch):
    monkeypatch.setattr(verbs, "PAGE", 2)
    path = f"/console/webhooks/received?account={tenant.id}"

    def count():
        seen(desk, path)
        with statements() as run:
            seen(desk, path)
        return len(run)

    for name in "abc":  # a page and more: fewer are counted with the page itself
        store(tenant, reply(name))
    once = count()
    ids = list(rows(tenant)) + [store(tenant, reply(str(n)))[0] for n in range(2)]

    assert count() == once
    found, asked = list[UUID](), verbs.Asked(account_id=tenant.id)
    with staff_scope(acting(ada)):
        while True:
            leaf = verbs.page(asked)
            found += [one.id for one in leaf.rows]
            if leaf.after is None:
                break
            asked = verbs.Asked(account_id=tenant.id, after=leaf.after)
        back = verbs.page(verbs.Asked(account_id=tenant.id, before=leaf.rows[0].id))
    assert found == ids[::-1]
    assert [one.id for one in back.rows] == found[2:4]


# --- again


def replay(desk, one, run_jobs):
    where = f"/console/webhooks/received/{one}"
    assert desk.post(f"{where}/replay", where).status_code == 303
    run_jobs()


def test_a_stop_that_could_not_be_applied_is_applied_once_however_often_one_clicks(
    desk, ada, tenant, monkeypatch, run_jobs
):
    phone = number(48_000_001)
    [one] = give_up(tenant, monkeypatch, reply("STOP", phone))
    stops_of = select(func.count()).select_from(Suppression)
    said = select(func.count()).select_from(InboundMessage)
    assert read(tenant, stops_of) == 0

    replay(desk, one, run_jobs)
    replay(desk, one, run_jobs)
    webhooks.apply_now(tenant.id)
    assert rows(tenant)[one].result == "applied"
    kept = read(tenant, stops_of), read(tenant, said)
    assert kept[0] >= 1 and kept[1] == 1
    at = rows(tenant)[one].applied_at

    replay(desk, one, run_jobs)  # refused: what a person wrote is applied once
    webhooks.apply_now(tenant.id)
    replaying.replay(tenant.id, one)  # and so does the job itself
    webhooks.apply_now(tenant.id)

    assert (read(tenant, stops_of), read(tenant, said)) == kept
    assert rows(tenant)[one].applied_at == at
    with staff_scope(acting(ada)), pytest.raises(Conflict, match="webhook_applied"):
        verbs.replay(one)


def test_a_report_may_be_applied_again_and_changes_nothing_twice(desk, tenant, run_jobs):
    [one] = store(tenant, status("wamid.nobodys"))
    webhooks.apply_now(tenant.id)
    kept = select(func.count()).select_from(Orphan)
    assert read(tenant, kept) == 1

    for _ in range(2):
        replay(desk, one, run_jobs)
        assert rows(tenant)[one].applied_at is None
        webhooks.apply_now(tenant.id)

    assert rows(tenant)[one].result == "applied"
    assert read(tenant, kept) == 1


def test_replaying_is_in_the_log(desk, ada, tenant, monkeypatch, run_jobs):
    [one] = give_up(tenant, monkeypatch, reply("x"))

    replay(desk, one, run_jobs)

    with staff_scope(acting(ada)):
        query = select(AuditEntry).where(AuditEntry.name == "console.webhook.replayed")
        found = [e for e in db.session().scalars(query) if e.changes.get("webhook")]
    mine = [e for e in found if e.changes["webhook"][1] == str(one)]
    assert [e.actor for e in mine] == [f"staff:{ada.id}"]


def test_all_of_a_kind_that_were_given_up_are_applied(desk, tenant, monkeypatch, run_jobs):
    many = [reply(f"hello {n}", number(48_100_000 + n)) for n in range(5)]
    ids = give_up(tenant, monkeypatch, *many)
    [report] = give_up(tenant, monkeypatch, status("wamid.s"))
    monkeypatch.setattr(replaying, "SLICE", 2)

    page = "/console/webhooks/received"
    assert "Apply all again" in seen(desk, page)
    assert desk.post(f"{page}/replay", page, kind="inbound").status_code == 303
    run_jobs()
    webhooks.apply_now(tenant.id)

    assert {rows(tenant)[one].result for one in ids} == {"applied"}
    assert read(tenant, select(func.count()).select_from(InboundMessage)) == 5
    assert rows(tenant)[report].tries == webhooks.TRIES
    assert desk.post(f"{page}/replay", page, kind="odd").status_code == 303
    assert "There is no such kind" in seen(desk, page)


def test_who_may_look_may_not_apply_or_reveal(web, ada, tenant, monkeypatch):
    [one] = give_up(tenant, monkeypatch, reply("x"))
    guest = Browser(web).sign_in(make_staff(make_role("console.webhooks")))
    where = f"/console/webhooks/received/{one}"

    assert f"{where}/replay" not in seen(guest, where)
    for path in (f"{where}/replay", f"{where}/reveal", "/console/webhooks/received/replay"):
        assert guest.post(path, where, kind="inbound").status_code == 403, path
    support = Browser(web).sign_in(make_staff("support"))
    assert support.get(where).status_code == 403
