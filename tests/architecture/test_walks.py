"""Walks of all routes by those who are let in: one's own people, and support with a grant.

`test_routes` shows that nobody gets at another account. Here a refusal leaves one's own
rows alone too, support that may only look changes nothing, and what is odd, too long or
nested without end is refused by name.
"""

import dataclasses
import itertools
import re
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.architecture.attack import (
    LEFT,
    Caller,
    asked,
    attack,
    body,
    changed,
    guard,
    is_sensitive,
    judge,
    openers,
    routes,
    to_the_door,
)
from tests.architecture.world import (
    CONTENT,
    DEVICES,
    SAFE,
    Browser,
    apps,
    demote,
    digest,
    network,
)

from clarion.base import walls
from clarion.plugging.manager import plugins
from clarion.tenancy import factors
from clarion.web.screens import Screen
from clarion_contacts.service import Filters

LOOKED = LEFT | {"access_entry": "support's looks and tries are in the customer's log"}


REVEAL = "contacts.reveal"
OPENERS = ["owner", "operations", "support", "compliance"]
"""The roles that may ask for access to an account."""
TOP = Path(__file__).resolve().parents[2]
FILTERS = {one.name for one in dataclasses.fields(Filters)}
"""What the list of people reads from its address by the names of a class."""


def one_of(root, query, **given):
    with root.connect() as connection:
        return connection.scalar(query, given)


# --- one's own rows, after a refusal


def seated(database, host, role):
    """The host's own person, in another role than usual."""
    demote(database, host.tenant, role)
    return Browser(network()).sign_in(host.tenant)


@pytest.mark.parametrize("role", ["member", "manager"])
def test_what_a_role_may_not_changes_nothing_of_its_own(role, database, host, root):
    """Plausible forms about own rows; each is refused by the role alone."""
    browser, wrong, tried = seated(database, host, role), [], 0
    may = plugins().permissions("portal")
    before = digest(root, host)
    try:
        for route in routes("portal"):
            needed = may.get(guard(route))
            if route.method in SAFE or needed is None or role in needed.roles:
                continue
            answer = attack(route, browser, route.own(host), host)
            tried += 1
            if answer.status_code != 403:
                wrong.append(f"{route.name}: {answer.status_code}")
            if found := changed(before, after := digest(root, host), LEFT):
                wrong.append(f"{route.name}: changed {found}")
            before = after
    finally:
        demote(database, host.tenant, "owner")

    assert not wrong, "\n".join(wrong)
    assert tried > 10


def test_own_pages_show_nobody_elses_rows(host, worlds):
    """Lists, searches, choices of forms, previews and files, asked with foreign ids."""
    browser, wrong, seen = Browser(network()).sign_in(host.tenant), [], 0
    for route in routes("portal"):
        if route.method not in SAFE:
            continue
        answer = browser.get(route.own(host), query=asked(worlds.victim))
        found = judge(route, answer, worlds.victim, foreign=False)
        wrong += [f"{route.name}: {one}" for one in found]
        seen += host.canary in answer.text

    assert not wrong, "\n".join(wrong)
    assert seen > 10  # the same pages do show their own


# --- support, with a grant on the very account


def turns(callers, scope):
    """Support of each role that may have a grant, one route after the other."""
    every = [callers[f"{scope} as {role}"] for role in openers()]
    assert all(one.browser.token for one in every)
    return itertools.cycle(every)


def test_support_that_may_look_changes_nothing(host, callers, root):
    """In the portal as its owner: every route, own ids, plausible forms."""
    turn, wrong, shown = turns(callers, "view"), [], 0
    before = digest(root, host)
    for route in routes("portal"):
        caller = next(turn)
        answer = attack(route, caller.browser, route.own(host), host)
        shown += host.content in answer.text
        if answer.status_code >= 500:
            wrong.append(f"{route.name}: {answer.status_code}")
        if "attachment" in answer.headers.get("Content-Disposition", ""):
            wrong.append(f"{route.name}: a file to take away")  # it would outlast the grant
        if route.method in SAFE:
            continue  # what it changed is seen after the next one that is not
        ends = route.endpoint in ("support.end", "auth.sign_out")
        public = guard(route).startswith("public")
        if not ends and answer.status_code not in ((403, 404) if public else (403,)):
            wrong.append(f"{route.name}: {answer.status_code}")
        own = {"access_grant": "it ended itself"} if ends else {}
        if found := changed(before, after := digest(root, host), LOOKED | own):
            wrong.append(f"{route.name}, or a page before it: changed {found}")
        before = after
        if ends:
            caller.renew()
            assert caller.browser.token
            before = digest(root, host)

    assert not wrong, "\n".join(wrong)
    assert shown > 10
    assert not changed(before, digest(root, host), LOOKED)


def test_support_that_may_act_does_nothing_sensitive(host, callers, root):
    """STAFF-05, AUD-04: refused whatever the role, and the customer reads that it was."""
    turn, wrong, tried = turns(callers, "act"), [], 0
    denied = text(
        "SELECT count(*) FROM access_entry WHERE account_id = :a AND deed = 'denied'"
    )
    count = one_of(root, denied, a=host.id)
    before = digest(root, host)
    for route in routes("portal"):
        if not (is_sensitive(route) or guard(route) == "person"):
            continue
        answer = attack(route, next(turn).browser, route.own(host), host)
        tried += 1
        if answer.status_code != 403:
            wrong.append(f"{route.name}: {answer.status_code}")
        now = one_of(root, denied, a=host.id)
        if now != count + 1:
            wrong.append(f"{route.name}: {now - count} entries in the customer's log")
        count = now
        if found := changed(before, after := digest(root, host), LOOKED):
            wrong.append(f"{route.name}: changed {found}")
        before = after

    assert not wrong, "\n".join(wrong)
    assert tried > 30


# --- lists: what is not offered is not asked


def words_of(models):
    """The names of all columns, as an address could ask for them."""
    return sorted({column.name for one in models for column in one.__table__.columns})


def screens():
    views = {
        getattr(view, "__self__", None)
        for name, view in apps().console.view_functions.items()
        if name.endswith(".list")
    }
    return sorted(
        (v for v in views if isinstance(v, Screen)), key=lambda v: type(v).__name__
    )


def test_screens_sort_and_filter_by_what_they_offer(callers, host):
    """WALL-14: every mapped column and relation, in every list of the console."""
    browser, wrong, refused, taken = callers["staff"].browser, [], 0, 0
    for screen in screens():
        path = f"{screen.route_base}/"
        names = {
            *screen.model.__mapper__.columns.keys(),
            *screen.model.__mapper__.relationships.keys(),
        }
        for name in sorted(names | {"password", "account.name"}):
            for key, value, offered in (
                ("sort", f"-{name}", name in screen.order_columns),
                (f"_flt_0_{name}", "zq", name in screen.search_columns),
                (f"_flt_9_{name}", "zq", False),
            ):
                status = browser.get(path, query={key: value}).status_code
                if status != (200 if offered else 422):
                    wrong.append(f"{path}?{key}: {status}")
                refused, taken = refused + (not offered), taken + offered

    assert not wrong, "\n".join(wrong)
    assert min(refused, taken) > 10


SAID = re.compile(r'\bargs(?:\.get\(|\.getlist\(|\[)"(\w+)"')
LINKS = re.compile(r'href="(/[^"?]*[0-9a-f]{8}-[0-9a-f-]{27}[^"?]*)')


@pytest.mark.parametrize("realm", ["portal", "console"])
def test_columns_nobody_offers_narrow_no_list(realm, host, callers):
    """WALL-14: their names in an address are refused, or say nothing at all."""
    mine = (
        callers["staff"].browser
        if realm == "console"
        else Browser(network()).sign_in(host.tenant)
    )
    sources = [
        p.read_text() for top in ("platform", "plugins") for p in (TOP / top).rglob("*.py")
    ]
    offered = {name for source in sources for name in SAID.findall(source)} | FILTERS
    names = [n for n in words_of(walls.models().values()) if n not in offered]
    asked_for = {
        **dict.fromkeys(names, "zq"),
        "sort": "password",
        "order": "phone",
        "limit": "1",
    }
    wrong, lists = [], 0
    for route in routes(realm):
        if route.method not in SAFE or route.rows or "token" in route.parameters:
            continue
        path = route.own(host)
        plain = mine.get(path)
        found = LINKS.findall(
            plain.text
        )  # read whole: some are written while they are read
        answer = mine.get(path, query=asked_for)
        also = LINKS.findall(answer.text)
        lists += len(found) > 1
        if answer.status_code == 422:
            continue
        if answer.status_code != plain.status_code or also != found:
            wrong.append(f"{route.name}: {answer.status_code}, {len(found)} > {len(also)}")

    assert not wrong, "\n".join(wrong)
    assert lists > 3
    assert len(names) > 100


# --- staff in the console, with a grant


@pytest.mark.parametrize("role", OPENERS)
def test_staff_with_a_grant_change_no_content(role, host, callers, root):
    """Content is read-only in the console whatever the scope of the grant.

    Who may look sees it masked, and every look stands in the customer's log.
    """
    caller, wrong, shown = callers[f"act by {role}"], [], 0
    assert caller.browser.token
    looks = text("SELECT count(*) FROM access_entry WHERE account_id = :a")
    before, count = digest(root, host, only=CONTENT), one_of(root, looks, a=host.id)
    may = {n for n, one in plugins().permissions("console").items() if role in one.roles}
    for route in routes("console"):
        if guard(route) not in {"own", *may}:
            continue  # refused by name: `test_routes`
        answer = attack(route, caller.browser, route.own(host), host)
        if answer.status_code >= 500:
            wrong.append(f"{route.name}: {answer.status_code}")
        now = one_of(root, looks, a=host.id)
        if host.content.encode() in answer.data:
            shown += 1
            if now == count:
                wrong.append(f"{route.name}: shows content, and nobody reads that it did")
        count = now
        if route.method in SAFE:
            continue
        if found := changed(before, after := digest(root, host, only=CONTENT)):
            wrong.append(f"{route.name}: changed {found}")
        before = after
        if "staff" in route.rule.rule:
            caller.renew()

    assert not wrong, "\n".join(wrong)
    assert (shown > 0) is (role in plugins().permissions("console")[REVEAL].roles)


def test_who_may_have_a_grant(database):
    """The walks above are made by all of them."""
    assert openers() == OPENERS


# --- what is odd, too long, or nested without end

ODD = {
    "shapes": '{"response": {"clientDataJSON": 5}, "ids": {"a": 1}, "tags": 7, "words": [[]]}',
    "signs": "\u00b2",  # a digit to `isdigit`, and no number
    "far": "9" * 400,
    "nested": "[" * 5_000,  # only where JSON is read: in all fields the form is too large
}
READ_AS_JSON = {"credential", "chosen"}
TYPED = re.compile(
    r'\bform(?:\.get\(|\.getlist\(|\[)"([^"{}]+)"|^    (\w+) = \w*Field\(', re.MULTILINE
)


def fields():
    """Every field that a form of ours may have, from the sources."""
    sources = [
        p.read_text() for top in ("platform", "plugins") for p in (TOP / top).rglob("*.py")
    ]
    return {one or other for source in sources for one, other in TYPED.findall(source)}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("realm", ["portal", "console"])
def test_odd_forms_are_refused_by_name(realm, kind, host, callers):
    """LIM-06, WEB-09: in every field of every form; never a failure."""
    caller = callers["staff"] if realm == "console" else Caller(partial(own, host))
    names = READ_AS_JSON if kind == "nested" else {*fields(), *body(host)}
    form, wrong, tried = dict.fromkeys(names, ODD[kind]), [], 0
    for route in routes(realm):
        if route.method in SAFE:
            continue
        assert caller.browser.token
        answer = caller.browser.ask(route.method, route.own(host), form=form)
        tried += 1
        if answer.status_code >= 500:
            wrong.append(f"{route.name}: {answer.status_code}")
        if to_the_door(answer) or "/again" in answer.headers.get("Location", ""):
            caller.renew()

    assert not wrong, "\n".join(wrong)
    assert tried > 80


def own(world):
    """A browser of the world's owner, with whatever they can still prove who they are."""
    if not factors.of(f"p:{world.person_id}").passkeys:
        DEVICES.pop(world.person_id, None)
    return Browser(network()).sign_in(world.tenant)


def test_there_are_many_fields():
    assert {"credential", "chosen", "email", "password"} <= fields()
    assert len(fields()) > 100
