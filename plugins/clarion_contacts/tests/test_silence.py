"""The do-not-contact list outlives everything, and nothing an account can do lifts it."""

import hashlib
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import select

from clarion.base import crypto, db
from clarion.base.errors import ClarionError
from clarion.base.settings import settings
from clarion.messaging import identifiers, journal, orders, snapshot, suppression
from clarion.messaging.models import Message, Suppression
from clarion.tenancy.scope import account_scope
from clarion.testing.factories import make_sender
from clarion.testing.visitor import Visitor, portal
from clarion_contacts import service
from clarion_contacts.service import Details

CONSENT = {
    "method": "web_form",
    "source": "https://casaverde.example",
    "wording": "I want news from Casa Verde by WhatsApp.",
}
NUMBER, NEW_NUMBER = "+5511912340001", "+5511912340077"
TEMPLATE = {"name": "hello", "language": "en", "parts": [], "text": {}}


@pytest.fixture
def ana(account):
    """Somebody who agreed, and then said STOP."""
    with db.transaction():
        one = service.add(
            Details(name="Ana Lima", phone=NUMBER, email="ana@example.org")
        ).id
        service.opt_in(one, **CONSENT)
        identifiers.attach(one, [("bsuid", "BR.1234567890"), ("wa_id", NUMBER[1:])], "test")
    with db.transaction():
        suppression.suppress([("phone", NUMBER)], reason="stop")
    return one


def quiet(number=NUMBER):
    db.session().expire_all()
    with db.transaction():
        return suppression.is_suppressed("phone", number)


def standing():
    """Every row of the list, as it stands."""
    db.session().expire_all()
    with db.transaction() as orm:
        rows = orm.execute(
            select(
                Suppression.idx, Suppression.scope, Suppression.reason, Suppression.until
            ).order_by(Suppression.idx, Suppression.scope)
        )
        return [tuple(row) for row in rows]


def test_it_survives_a_new_import(ana, take_in, run_jobs):
    take_in(f"phone;name\n{NUMBER};Ana\n")

    assert quiet()
    assert service.count(service.everyone(), {}, "marketing").reached == 0


def test_it_survives_erasure_and_coming_back(ana, take_in, run_jobs):
    with db.transaction():
        service.delete([ana])
    run_jobs()
    assert quiet()

    take_in(f"phone;name\n{NUMBER};Ana\n")
    with db.transaction():
        by_mail = service.add(Details(name="Ana", email="ana@example.org")).id
        service.add_identifier(by_mail, "phone", NEW_NUMBER)

    assert quiet()
    assert quiet(NEW_NUMBER)  # her mail address is on the list, so the person is


def test_it_survives_another_number(ana):
    with db.transaction():
        service.edit(ana, Details(name="Ana", phone=NEW_NUMBER, email="ana@example.org"))

    assert quiet()
    assert quiet(NEW_NUMBER)


def test_it_survives_an_undone_import(account, take_in, run_jobs):
    import_id = take_in(f"phone;name\n{NUMBER};Ana\n")
    with db.transaction():
        suppression.suppress([("phone", NUMBER)], reason="stop")
    run_jobs()

    with db.transaction():
        service.undo(import_id)
    run_jobs()

    assert quiet()


def test_it_survives_a_restore(ana, account, database):
    """The database forgets; the side journal does not."""
    from sqlalchemy import create_engine, text

    entries = journal.read()[account.id]
    engine = create_engine(database.superuser_url)
    with engine.begin() as connection:
        connection.execute(
            text("DELETE FROM suppression WHERE account_id = :a"), {"a": account.id}
        )
    engine.dispose()
    assert not quiet()

    with db.transaction():
        suppression.replay(entries)

    assert quiet()


def test_it_survives_a_rotation_of_the_key_that_wraps_keys(ana, account, monkeypatch):
    """The key inside stays, and indexes are made with that one."""
    path = Path(settings().key_store) / f"{account.id}.key"
    blob, aad = path.read_bytes(), account.id.bytes
    old = AESGCM(hashlib.sha256(settings().key_bytes()).digest())
    inside = old.decrypt(blob[:12], blob[12:], aad)
    new = b"another key that wraps all others"
    monkeypatch.setattr(type(settings()), "key_bytes", lambda _self: new)
    fresh = AESGCM(hashlib.sha256(new).digest()).encrypt(b"0" * 12, inside, aad)
    try:
        path.write_bytes(b"0" * 12 + fresh)
        crypto.forget_keys()

        assert quiet()
    finally:
        path.write_bytes(blob)
        monkeypatch.undo()
        crypto.forget_keys()


@pytest.mark.parametrize("kind", ["phone", "wa_id", "bsuid", "email"])
@pytest.mark.parametrize("said_by", ["phone", "wa_id", "bsuid", "email"])
def test_a_stop_by_one_address_is_one_by_all(account, kind, said_by):
    """SUP-01: every pair."""
    values = {
        "phone": NUMBER, "wa_id": NUMBER[1:], "bsuid": "BR.1234567890",
        "email": "ana@example.org",
    }  # fmt: skip
    with db.transaction():
        one = service.add(Details(name="Ana", phone=NUMBER, email=values["email"])).id
        identifiers.attach(one, [(k, values[k]) for k in ("wa_id", "bsuid")], "test")
    with db.transaction():
        suppression.suppress([(said_by, values[said_by])], reason="stop")

    with db.transaction():
        assert suppression.is_suppressed(kind, values[kind])


def test_one_accounts_stop_is_no_others(ana, other_account):
    """SUP-05."""
    with account_scope(other_account.id, other_account.actor), db.transaction():
        theirs = service.add(Details(name="Ana", phone=NUMBER)).id
        service.opt_in(theirs, **CONSENT)

        assert not suppression.is_suppressed("phone", NUMBER)
    assert quiet()


@pytest.mark.parametrize("purpose", ["marketing", "utility", "auth", "service"])
@pytest.mark.parametrize("scope", ["marketing", "all"])
def test_no_purpose_is_a_way_around(account, simulator, run_jobs, purpose, scope):
    """SUP-04: what the simulator got decides. Scope `marketing` lets the others through."""
    sender = make_sender(account, simulator.url)
    with db.transaction():
        one = service.add(Details(name="Ana", phone=NUMBER)).id
        service.opt_in(one, **CONSENT)
        bo = service.add(Details(name="Bo", phone="+5511912340002")).id
        service.opt_in(bo, **CONSENT)
        order = orders.create("Hello", purpose, sender, TEMPLATE)
        orders.start(order.id, service.audience(service.everyone(), {}, purpose))
    with db.transaction():  # after the list was frozen
        suppression.suppress([("phone", NUMBER)], scope=scope, reason="stop")

    run_jobs()

    got = {one["to"].lstrip("+") for one in simulator.receipts()}
    may = scope == "marketing" and purpose != "marketing"
    assert got == ({NUMBER[1:]} if may else set()) | {"5511912340002"}


def test_no_frozen_list_is_a_way_around(ana, account):
    with db.transaction() as orm:
        order = orders.create("Hello", "marketing", make_sender(account), TEMPLATE)
        snapshot.freeze(order.id, service.audience(service.everyone(), {}, "marketing"))
        row = orm.scalars(select(Message).where(Message.campaign_id == order.id)).one()

    assert (row.state, row.reason) == ("suppressed", "opted_out")


VERBS = {
    "opt_in": lambda one: service.opt_in(one, **CONSENT),
    "edit": lambda one: service.edit(one, Details(name="A", phone=NUMBER)),
    "other number": lambda one: service.edit(one, Details(name="A", phone=NEW_NUMBER)),
    "identifier": lambda one: service.add_identifier(one, "phone", NEW_NUMBER),
    "delete": lambda one: service.delete([one]),
    "opt_out": service.opt_out,
    "complain": service.complain,
    "stop": service.stop_everything,
    "choose": lambda one: service.choose(one, set()),
    "ask": lambda one: service.request(one, "copy", ""),
    "erasure": lambda one: service.request(one, "erasure", ""),
    "note_resumed": service.note_resumed,
    "note_suppressed": lambda one: service.note_suppressed(one, "stop"),
    "compare": lambda _one: service.compare(repair=True),
    "tend": lambda _one: service.tend(),
    "tag": lambda one: service.tag([one], ["VIP"]),
}


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_no_verb_lifts_a_stop(ana, run_jobs, verb):
    before = set(standing())

    with db.transaction():
        try:
            with db.session().begin_nested():
                VERBS[verb](ana)
        except ClarionError as refused:
            assert refused.code == "contact_suppressed"
    run_jobs()

    assert before <= set(standing()) or verb == "complain"
    assert quiet()


def test_no_page_lifts_a_stop(ana, account, run_jobs):
    """Every POST of every plugin, with this person's id in the address and in the form."""
    before, visitor = standing(), Visitor(account)
    visitor.get("/")
    body = {
        "rowid": str(ana), "contact": str(ana), "contact_id": str(ana), "id": str(ana),
        "consent": "opted_in", "state": "opted_in", "action": "grant", "phone": NUMBER,
        "name": "Ana", "kind": "phone", "value": NEW_NUMBER, "email": "ana@example.org",
        "method": "web_form", "source": "x", "wording": CONSENT["wording"], "until": "2020",
        "scope": "", "reason": "", "suppressed": "0", "resume": "1", "purpose": "utility",
    }  # fmt: skip
    skip = {"contacts.complained", "contacts.delete", "contacts.opt_out", "auth.sign_out"}
    tried = 0
    for rule in portal().url_map.iter_rules():
        if "POST" not in rule.methods or rule.endpoint in skip:
            continue
        if rule.endpoint.startswith(("settings.", "team.", "auth.", "portal.")):
            continue  # they know no contact
        values = {name: ana if name == "contact_id" else uuid4() for name in rule.arguments}
        values |= {
            name: word
            for name, word in {"token": service.page_of(ana), "name": "message"}.items()
            if name in rule.arguments
        }
        answer = visitor.post(rule.build(values)[1], **body)
        assert answer.status_code < 500, rule
        tried += 1
    run_jobs()

    assert tried > 25
    after = {row[:2]: row for row in standing()}
    for row in before:
        assert after[row[:2]][3] is None, row  # without an end, as before
    assert quiet()


REASONS = ("stop", "provider_stop", "block", "complaint", "unsubscribe", "manual", "legal")


@pytest.mark.parametrize("reason", REASONS)
def test_start_takes_back_only_what_is_the_persons_own(account, reason):
    with db.transaction():
        suppression.suppress([("phone", NUMBER)], reason=reason)
    with db.transaction():
        suppression.resume([("phone", NUMBER)], lifts=("stop", "maybe"))

    assert quiet() is (reason != "stop")


def test_it_is_kept_without_the_number(ana, account):
    """Nothing in the row leads back to the person who does not hold the key."""
    with db.transaction() as orm:
        row = orm.scalars(select(Suppression).where(Suppression.kind == "phone")).first()
        text = repr({c.name: getattr(row, c.name) for c in Suppression.__table__.columns})

    assert NUMBER not in text
    assert bytes(row.idx) == identifiers.index("phone", NUMBER)
