"""Raw webhooks are forgotten when their time is over: not a day earlier, none that waits."""

import datetime as dt

import pytest
from sqlalchemy import create_engine, func, select, text

from clarion.base import db
from clarion.base.settings import settings
from clarion.tenancy.actor import SYSTEM_JOB
from clarion.tenancy.scope import account_scope, system_scope
from clarion.work import purging
from clarion.work.models import WebhookInbox


@pytest.fixture
def put(account, other_account, database):
    """Store webhooks as old as wanted: applied so long ago, or never."""
    engine = create_engine(database.superuser_url)
    accounts = (account, other_account)

    def make(count, *, days, applied=True, tries=0):
        with engine.begin() as connection:
            connection.execute(
                text(
                    """
                    INSERT INTO webhook_inbox (id, account_id, endpoint_id, handler, key,
                      kind, payload, applied_at, created_at, tries, created_by)
                    SELECT gen_random_uuid(), (CAST(:accounts AS uuid[]))[1 + n % 2],
                      gen_random_uuid(), 'testing', gen_random_uuid()::text, 'status', '',
                      CASE WHEN :applied THEN clarion_now() - :age END,
                      clarion_now() - :age, :tries, ''
                    FROM generate_series(1, :count) n
                    """
                ),
                {
                    "accounts": [one.id for one in accounts],
                    "count": count,
                    "applied": applied,
                    "age": dt.timedelta(days=days),
                    "tries": tries,
                },
            )

    yield make
    engine.dispose()


def left(*tenants):
    found = 0
    for one in tenants:
        with account_scope(one.id, one.actor), db.transaction():
            query = select(func.count()).select_from(WebhookInbox)
            found += db.session().scalar(query)
    return found


def forget(run_jobs):
    with system_scope(SYSTEM_JOB):
        purging.forget_webhooks()
    return run_jobs()


def test_exactly_what_is_too_old_goes(account, other_account, put, run_jobs):
    days = settings().raw_event_days
    put(7, days=days + 0.01)
    put(5, days=days - 0.01)

    for _ in range(3):  # and again changes nothing
        forget(run_jobs)

    assert left(account, other_account) == 5


def test_what_waits_stays_and_what_cannot_be_applied_goes(
    account, other_account, put, run_jobs
):
    put(3, days=400, applied=False)
    put(4, days=400, applied=False, tries=5)

    forget(run_jobs)

    assert left(account, other_account) == 3


def test_it_goes_slice_by_slice(account, other_account, put, run_jobs, monkeypatch):
    monkeypatch.setattr(purging, "SLICE", 10)
    put(35, days=30)

    with system_scope(SYSTEM_JOB):
        purging.forget_webhooks()
    assert left(account, other_account) == 25
    assert run_jobs() == 3
    assert left(account, other_account) == 0
