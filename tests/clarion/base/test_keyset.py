"""A page of a list is the same, whatever part of the rows was looked at first."""

import datetime as dt

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from clarion.base import db, keyset
from clarion.base.keyset import Asked
from clarion.tenancy.actor import Actor
from clarion.tenancy.models import Account
from clarion.tenancy.scope import staff_scope, system_scope

ADA = Actor("staff", "9001", "Ada")
DAY = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
NAMES = ("Shop Ana", "Clinic Ana", "shop", "Bakery", "100% Shop", "A_Shop", "Ana")
SIZE = 5


@pytest.fixture(scope="module")
def rows(database):
    """Make thirty accounts of a country of their own, many alike."""
    made = []
    with system_scope(ADA), db.transaction() as orm:
        for n in range(30):
            state = "closed" if n % 11 == 0 else "active"
            when = DAY + dt.timedelta(days=n // 4)
            later = when if n % 3 else None
            name = NAMES[n % len(NAMES)]
            made.append(
                Account(
                    name=name, country="QX", state=state, created_at=when, updated_at=later
                )
            )
        orm.add_all(made)
        orm.flush()
        found = [(m.id, m.name, m.state, m.created_at, m.updated_at) for m in made]
    return found


def plainly(rows, word, state, column, falling):
    """Say which rows there are, in order, without a database."""
    at = {"name": 1, "created_at": 3, "updated_at": 4}[column]
    early = dt.datetime(1, 1, 1, tzinfo=dt.UTC)
    inside = str.startswith if len(word) < keyset.SHORT else str.__contains__
    found = [
        one
        for one in rows
        if inside(one[1].lower(), word.lower()) and state in ("", one[2])
    ]
    key = lambda one: (one[at] if one[at] is not None else early, one[0])  # noqa: E731
    return [one[0] for one in sorted(found, key=key, reverse=falling)]


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    word=st.sampled_from(["", "shop", "ana", "zzqq", "0%", "_", "s", "sh", "SHOP A"]),
    state=st.sampled_from(["", "closed", "active"]),
    column=st.sampled_from(["name", "created_at", "updated_at"]),
    falling=st.booleans(),
    near=st.sampled_from([1, 7, 20, 1000]),
    cap=st.sampled_from([3, 1000]),
)
def test_leafing_on_and_back_shows_every_row_once(
    rows, monkeypatch, word, state, column, falling, near, cap
):
    monkeypatch.setattr(keyset, "NEAR", near)
    monkeypatch.setattr(keyset, "CAP", cap)
    query = keyset.containing(
        select(Account).where(Account.country == "QX"), Account.name, word
    )
    if state:
        query = query.where(Account.state == state)
    expected = plainly(rows, word, state, column, falling)
    order = getattr(Account, column)

    def leaf(**more):
        with staff_scope(ADA), db.transaction() as orm:
            found = keyset.read(
                orm, query, Account.id, Asked(order, falling, **more), size=SIZE
            )
            return [row.id for row in found.rows], found

    seen, last = leaf()
    assert last.count == min(len(expected), cap + 1)
    while last.after is not None:
        page, last = leaf(after=last.after)
        seen += page
    assert seen == expected
    while last.before is not None:
        page, last = leaf(before=last.before)
        at = expected.index(page[0])
        assert page == expected[at : at + len(page)]
    assert not expected or page_is_first(last, expected)


def page_is_first(last, expected):
    return last.rows[0].id == expected[0]
