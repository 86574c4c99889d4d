"""Webhooks: stored before anybody says 200, once, sealed; one bad event stops no other."""

import threading
from types import SimpleNamespace

import pytest
from sqlalchemy import create_engine, func, select, text

from clarion.base import broker, db
from clarion.tenancy.models import Preference
from clarion.tenancy.scope import account_scope
from clarion.work import webhooks
from clarion.work.models import WebhookInbox

ENDPOINT = db.new_id()


def piece(key, kind="status", **payload):
    return SimpleNamespace(key=key, kind=kind, payload={"key": key, **payload})


@pytest.fixture
def applied(clean, monkeypatch):
    """A handler that keeps what it was given, and fails on what is bad."""
    pages = []

    def handler(events):
        for one in events:
            if one.payload.get("bad"):
                raise RuntimeError("cannot read this")
            name = f"{one.payload['key']}-{db.new_id().hex}"
            db.session().add(Preference(plugin="webhook", name=name[:60], value=one.kind))
        pages.append([one.payload["key"] for one in events])

    monkeypatch.setattr(webhooks, "_handlers", {"testing": handler})
    return pages


def receive(account, *pieces):
    return webhooks.receive("testing", account.id, ENDPOINT, pieces)


def stored(account):
    with account_scope(account.id, account.actor):
        rows = db.session().scalars(select(WebhookInbox).order_by(WebhookInbox.seq)).all()
        return {r.key: (r.applied_at is not None, r.tries, r.result) for r in rows}


def test_event_is_stored_sealed_and_rung(account, database):
    assert receive(account, piece("a", word="secret word")) == 1

    engine = create_engine(database.superuser_url)
    with engine.connect() as connection:
        query = "SELECT payload, w::text FROM webhook_inbox w WHERE account_id = :a"
        payload, row = connection.execute(text(query), {"a": account.id}).one()
    engine.dispose()
    assert b"secret word" not in payload
    assert "secret word" not in row
    assert broker.wait("status", 0.01)
    assert not broker.wait("inbound", 0.01)


def test_same_event_is_stored_once(account):
    assert receive(account, piece("a", "inbound"), piece("b", "inbound")) == 2
    assert receive(account, piece("b", "inbound"), piece("c", "inbound")) == 1

    assert set(stored(account)) == {"a", "b", "c"}


def test_statuses_that_come_together_are_one_row(account):
    one, two, other = piece("a"), piece("b"), piece("o", "other")

    assert receive(account, one, other, two, piece("a")) == 3
    assert receive(account, one, other, two) == 0
    assert receive(account, piece("b")) == 1

    with account_scope(account.id, account.actor):
        rows = db.session().execute(select(WebhookInbox.kind, WebhookInbox.events)).all()
    assert sorted(map(tuple, rows)) == [("other", 1), ("status", 1), ("status", 2)]


def test_repeated_events_ring_nobody(account):
    receive(account, piece("a"))
    assert broker.wait("status", 0.01)

    receive(account, piece("a"))

    assert not broker.wait("status", 0.01)


def test_a_key_of_any_length_and_any_letters_is_kept(account):
    odd = "wamid." + "é\x00" * 5_000

    assert receive(account, piece(odd), piece("b", "other")) == 2
    assert receive(account, piece(odd)) == 0


def test_nothing_is_nothing(account):
    assert receive(account) == 0


def test_key_of_one_account_is_free_in_another(account, other_account):
    assert receive(account, piece("a")) == 1
    assert receive(other_account, piece("a")) == 1


def test_deliveries_at_once_store_each_event_once(account):
    told, lock = [], threading.Lock()

    def deliver():
        for number in range(20):
            new = receive(
                account,
                piece(f"k{number}", "inbound"),
                piece(f"k{number + 1}", "inbound"),
            )
            with lock:
                told.append(new)

    callers = [threading.Thread(target=deliver) for _ in range(4)]
    for one in callers:
        one.start()
    for one in callers:
        one.join()

    assert sum(told) == 21 == len(stored(account))


def test_processing_applies_replies_before_statuses(account, applied):
    receive(account, piece("s1"), piece("o1", "other"), piece("r1", "inbound"))
    receive(account, piece("s2"), piece("r2", "inbound"))

    webhooks.apply_now(account.id)

    assert applied == [["r1", "r2"], ["s1", "s2"], ["o1"]]
    assert {state for state, *_ in stored(account).values()} == {True}


def test_processing_again_applies_nothing_again(account, applied):
    receive(account, piece("a"))
    webhooks.apply_now(account.id)

    webhooks.apply_now(account.id)

    assert applied == [["a"]]


@pytest.mark.parametrize("kind", ["status", "inbound"])
def test_bad_event_holds_up_no_other(account, applied, kind):
    """Statuses that came together are taken apart until the bad one is alone."""
    receive(account, piece("a", kind), piece("b", kind, bad=True), piece("c", kind))

    webhooks.apply_now(account.id)

    results = sorted(stored(account).values())
    bad = (False, webhooks.TRIES, "RuntimeError: cannot read this")
    whole = [(True, 0, "taken apart")] if kind == "status" else []
    assert results == [bad, (True, 0, "applied"), (True, 0, "applied"), *whole]
    assert account.id not in webhooks.pending()
    assert sorted(key for page in applied for key in page) == ["a", "c"]
    with account_scope(account.id, account.actor):
        rows = db.session().scalars(select(Preference.name)).all()
    assert sorted(name.partition("-")[0] for name in rows) == ["a", "c"]


def test_half_a_page_is_taken_back_before_it_is_tried_one_by_one(account, applied):
    """The bad one is last: what came before it in the page is not applied twice."""
    good = [piece(f"e{n}", "inbound") for n in range(5)]
    receive(account, *good, piece("z", "inbound", bad=True))

    webhooks.apply_now(account.id)

    with account_scope(account.id, account.actor):
        assert db.session().scalar(select(func.count()).select_from(Preference)) == 5


def test_workers_at_once_apply_each_event_once(account, applied):
    for n in range(40):
        receive(account, piece(f"e{n}"))
    workers = [
        threading.Thread(target=webhooks.apply_now, args=(account.id,)) for _ in range(4)
    ]
    for one in workers:
        one.start()
    for one in workers:
        one.join()

    assert sorted(key for page in applied for key in page) == sorted(
        f"e{n}" for n in range(40)
    )


def test_accounts_are_processed_apart(account, other_account, applied):
    receive(account, piece("mine"))
    receive(other_account, piece("theirs"))

    webhooks.apply_now(account.id)

    assert applied == [["mine"]]
    assert stored(other_account)["theirs"][0] is False


def test_pending_names_the_accounts_that_wait(account, other_account, applied):
    receive(account, piece("a"))
    receive(other_account, piece("b"))
    webhooks.apply_now(account.id)

    waiting = webhooks.pending()

    assert other_account.id in waiting
    assert account.id not in waiting


def test_event_that_was_never_stored_is_not_promised(account, database):
    """An endpoint of no account: the error leaves `receive`, so nobody says 200."""
    with pytest.raises(Exception, match="foreign key"):
        webhooks.receive("testing", db.new_id(), ENDPOINT, [piece("a")])


def test_no_backlog_of_statuses_delays_a_reply(account, applied):
    """Each lane has its own rows: what people write is applied while statuses wait."""
    for n in range(30):
        receive(account, piece(f"s{n}"))
    receive(account, piece("stop", "inbound"))

    assert webhooks.work("inbound")

    # other tests' accounts may wait in the same lane, so not "and nothing else"
    assert ["stop"] in applied
    assert not any(
        key.startswith("s") and key != "stop" for page in applied for key in page
    )
    assert account.id not in webhooks.pending("inbound")
    assert account.id in webhooks.pending("status")


def test_a_page_is_whole_rows_of_so_many_events_at_most(account, applied):
    for n in range(7):
        receive(account, *[piece(f"{n}.{m}") for m in range(800)])

    webhooks.apply_now(account.id)

    assert [len(page) for page in applied] == [2_400, 2_400, 800]


def test_a_webhook_larger_than_a_page_is_several_rows(account, applied):
    assert receive(account, *[piece(f"e{n}") for n in range(2_300)]) == 2_300

    webhooks.apply_now(account.id)

    with account_scope(account.id, account.actor):
        rows = db.session().scalars(select(WebhookInbox.events)).all()
    assert sorted(rows) == [300, 1_000, 1_000]
    assert [len(page) for page in applied] == [2_300]
