"""The generated attack: every route of both applications, with another account's real ids.

For each rule of both URL maps and each kind of caller: the answer is a refusal, nothing of
the victim stands in it, and every row of the victim is as it was. A route whose parameter
nobody listed here fails the build, and so does one that does not say who may open it.
"""

import itertools
import re
from collections import Counter
from uuid import uuid4

import pytest
from sqlalchemy import select, text
from tests.architecture.attack import (
    LEFT,
    ROLES,
    SPENT,
    Caller,
    Route,
    asked,
    attack,
    body,
    changed,
    guard,
    is_sensitive,
    judge,
    routes,
    to_the_door,
)
from tests.architecture.world import (
    CONTENT,
    DEVICES,
    SAFE,
    Browser,
    application,
    apps,
    digest,
    make_world,
    network,
    run_what_was_left,
)
from werkzeug.test import Client

from clarion.base import clock, db
from clarion.messaging.models import Message
from clarion.plugging.manager import plugins
from clarion.tenancy import factors
from clarion.tenancy.scope import account_scope

# --- who may: lists that change only on purpose

PUBLIC = {
    "portal": {
        "auth.accept_as_new",
        "auth.confirm",
        "auth.device",
        "auth.device_again",
        "auth.forgot",
        "auth.invitation",
        "auth.passkey",
        "auth.reset",
        "auth.second",
        "auth.sent",
        "auth.sign_in",
        "auth.sign_out",
        "auth.sign_up",
        "contacts.ask",
        "contacts.choose",
        "contacts.confirm",
        "contacts.decline",
        "contacts.join",
        "contacts.joining",
        "contacts.stop",
        "contacts.stop_all",
        "contacts.you",
        "lost.ask",
        "lost.stop",
        "lost.undo",
        "portal.home",
        "support.ended",
        "support.enter",
    },
    "console": {
        "ConsoleLostPanel.ask",
        "ConsoleLostPanel.stop",
        "ConsoleLostPanel.undo",
        "ConsoleStartPanel.start",
        "SignIn.device",
        "SignIn.device_again",
        "SignIn.login",
        "SignIn.logout",
        "SignIn.passkey",
        "SignIn.second",
    },
}
"""Routes that anybody may open. The portal's home leads strangers to the door."""


# --- the walk

SIGNED_IN = ("member", "manager", "owner", "view as, to look", "view as, to act")
"""Who is somebody in the portal, of another account; everybody else is a stranger there."""

PORTAL_CALLERS = (
    *SIGNED_IN, "anonymous", "ended session", "expired session", "staff", "view as, over",
)  # fmt: skip


@pytest.mark.parametrize("kind", PORTAL_CALLERS)
def test_portal_routes_refuse_other_peoples_ids(kind, worlds, callers, root):
    victim, caller = worlds.victim, callers[kind]
    assert caller.browser.token  # they sign in before the rows are summed up
    before, wrong = digest(root, victim), []
    for route in routes("portal"):
        path = route.own(victim)
        answer = attack(route, caller.browser, path, victim)
        foreign = bool(route.rows)
        if route.endpoint == "auth.accept":  # bound to the address it was sent to
            path = path.replace("no-such-token", victim.token)
            answer = attack(route, caller.browser, path, victim)
            foreign = True
        stranger = kind not in SIGNED_IN and not guard(route).startswith("public")
        found = judge(route, answer, victim, foreign=foreign or stranger)
        if (after := digest(root, victim)) != before:
            found.append(f"changed {', '.join(changed(before, after))}")
            before = after
        wrong += [f"{route.name}: {one}" for one in found]
        spent = ("support.end", "auth.sign_out") if kind.startswith("view") else SPENT
        if kind in SIGNED_IN and route.endpoint.startswith(spent):
            caller.renew()

    assert not wrong, "\n".join(wrong)


def test_other_peoples_rows_beside_own(database, worlds, root):
    """An own row in the address and a foreign one in the same address or in the form."""
    run_what_was_left()
    victim, attacker = worlds.victim, make_world(database, "zqmallory")
    browser = Browser(network()).sign_in(attacker.tenant)
    before, wrong, tried = digest(root, victim), [], 0
    own = digest(root, attacker)
    for route in routes("portal"):
        if route.endpoint.startswith(SPENT):  # the attack before this one has tried those
            continue
        for chosen in itertools.product((attacker, victim), repeat=len(route.rows)):
            whose = dict(zip(route.rows, chosen, strict=True))
            path = route.path({p: whose.get(p, attacker) for p in route.parameters})
            foreign = victim in chosen
            if not foreign and route.method in SAFE:
                continue
            answer = attack(route, browser, path, victim, attacker)
            found = judge(route, answer, victim, foreign=foreign)
            if (after := digest(root, victim)) != before:
                found.append(f"changed {', '.join(changed(before, after))}")
                before = after
            then, own = own, digest(root, attacker)
            if answer.status_code >= 400 and (mine := changed(then, own, LEFT)):
                found.append(f"refused, and changed {', '.join(mine)} of one's own")
            wrong += [f"{route.name}: {one}" for one in found]
            tried += 1

    assert not wrong, "\n".join(wrong)
    assert tried > len([r for r in routes("portal") if r.rows])
    run_what_was_left()
    assert digest(root, victim) == before


@pytest.mark.parametrize(
    "kind", ["anonymous", "owner", "staff without permissions", "expired staff session"]
)
def test_console_routes_refuse_who_has_no_business_there(kind, worlds, callers, root):
    victim, caller = worlds.victim, callers[kind]
    before, wrong = digest(root, victim), []
    for route in routes("console"):
        own = guard(route) == "member" and kind.startswith("staff") and not route.rows
        open_to_all = own or guard(route) == "public"
        path = route.own(victim)
        browser = caller.browser
        answer = attack(route, browser, path, victim)
        found = judge(route, answer, victim, foreign=not open_to_all)
        if (after := digest(root, victim)) != before:
            found.append(f"changed {', '.join(changed(before, after))}")
            before = after
        wrong += [f"{route.name}: {one}" for one in found]
        if open_to_all:
            caller.renew()

    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_reaches_what_it_may_and_nothing_else(role, worlds, callers, root):
    """Every rule and method, as staff of one role and without a grant.

    What the role may not is refused by name; of content nothing is shown or changed.
    """
    world, caller = worlds.bystander, callers[f"role {role}"]
    may = {n for n, one in plugins().permissions("console").items() if role in one.roles}
    before, wrong = digest(root, world, only=CONTENT), []
    for route in routes("console"):
        said = guard(route)
        if said == "own":
            said = apps().console.view_functions[route.endpoint].__self__.permission
        if said in ("public", "member") or (said in may and route.method not in SAFE):
            continue  # what staff may do is tried once, with every permission
        answer = attack(route, caller.browser, route.own(world), world)
        found = judge(route, answer, world, foreign=False, words=[world.content])
        if said not in may and answer.status_code != 403:
            found.append(f"{answer.status_code} without {said}")
        if said in may and answer.status_code not in (200, 302, 303, 404, 422):
            found.append(f"{answer.status_code} with {said}")
        wrong += [f"{route.name}: {one}" for one in found]

    assert not wrong, "\n".join(wrong)
    assert digest(root, world, only=CONTENT) == before


@pytest.mark.parametrize("kind", ["staff", "staff with a grant elsewhere"])
def test_staff_see_and_change_no_content(kind, worlds, callers, root):
    """Staff with every permission, without a grant here; one elsewhere opens nothing."""
    world, caller = worlds.bystander, callers[kind]
    before, wrong = digest(root, world, only=CONTENT), []
    for route in routes("console"):
        if guard(route) == "public":
            continue
        path = route.own(world)
        answer = attack(route, caller.browser, path, world)
        found = judge(route, answer, world, foreign=False, words=[world.content])
        if digest(root, world, only=CONTENT) != before:
            found.append("changed content")
        wrong += [f"{route.name}: {one}" for one in found]
        if "staff" in path and route.method not in SAFE:
            caller.renew()

    assert not wrong, "\n".join(wrong)


# --- sensitive acts: AUTH-11


@pytest.mark.parametrize("realm", ["portal", "console"])
def test_sensitive_acts_ask_again_who_it_is(realm, worlds, callers, root):
    """Eleven minutes after the last proof every one of them leads to the proof, undone."""
    victim = worlds.victim
    with clock.freeze() as began:
        mine = (
            callers["staff"].make()
            if realm == "console"
            else Browser(network()).sign_in(victim.tenant)
        )
        _ = mine.token
        clock.advance(minutes=11)
        before, wrong, tried = digest(root, victim), [], 0
        for route in filter(is_sensitive, routes(realm)):
            tried += 1
            answer = attack(route, mine, route.own(victim), victim)
            place = answer.headers.get("Location", "")
            if answer.status_code != 303 or "/again" not in place:
                wrong.append(f"{route.name}: {answer.status_code} {place}")
            if (after := digest(root, victim)) != before:
                wrong.append(f"{route.name}: changed something")
                before = after
        assert began

    assert not wrong, "\n".join(wrong)
    assert tried > 15


def test_stopping_a_number_asks_nobody_anything():
    """An emergency is not the moment to look for a password."""
    calm = {r.endpoint for r in routes("portal") if not is_sensitive(r)}
    assert "senders.pause" in calm


# --- what each leaves in the log: AUD-04


@pytest.fixture(scope="module")
def logged(root):
    def count():
        with root.connect() as connection:
            return connection.execute(text("SELECT count(*) FROM audit_entry")).scalar()

    return count


IMPOSSIBLE = {"ConsoleAnnouncementPanel.discard"}
"""Acts that say why they cannot be here: a draft that an account has already."""


@pytest.mark.parametrize("kind", ["portal", "console", "refused", "staff refused"])
def test_every_act_is_in_the_log(kind, database, worlds, callers, logged):
    """What went well, and what was refused, by everybody who is signed in."""
    run_what_was_left()
    realm = "console" if kind in ("console", "staff refused") else "portal"
    world, tried, silent = worlds.bystander, Counter(), []

    def own():
        if not factors.of(f"p:{world.person_id}").passkeys:  # it was removed on the way
            DEVICES.pop(world.person_id, None)
        return Browser(network()).sign_in(world.tenant)

    caller = {
        "portal": Caller(own),
        "console": callers["staff"],
        "refused": callers["member"],
        "staff refused": callers["staff without permissions"],
    }[kind]
    for route in routes(realm):
        if route.method in SAFE or guard(route).startswith("public"):
            continue
        if route.endpoint in IMPOSSIBLE:
            continue
        assert caller.browser.token
        before = logged()
        answer = attack(route, caller.browser, route.own(world), world)
        status, place = answer.status_code, answer.headers.get("Location", "")
        if to_the_door(answer) or "/again" in place:
            caller.renew()
        elif status < 400 or status in (403, 404):
            tried[status < 400] += 1
            if logged() == before:
                silent.append(f"{route.name}: {status}")
        if route.endpoint.startswith(SPENT) or "staff" in route.rule.rule:
            caller.renew()

    assert silent == []
    assert tried["refused" not in kind] > 5


# --- what makes the refusals mean something

LEADS_ON = {
    "auth.accept_as_new", "auth.confirm", "auth.invitation", "auth.reset", "campaigns.order",
    "campaigns.why", "contacts.confirm", "contacts.decline", "contacts.join",
    "contacts.joining", "contacts.stop", "contacts.you",
    "contacts.result", "contacts.show_import", "settings.plugin", "support.enter",
    "lost.moved", "lost.stop", "lost.undo",
}  # fmt: skip
"""GET routes that lead on, or say that a link is over, where others show a page."""


def test_the_victim_sees_it_all(worlds):
    """The same addresses show the victim their own rows: the ids are real."""
    victim = worlds.victim
    mine, wrong, seen = Browser(network()).sign_in(victim.tenant), [], Counter()
    for route in routes("portal"):
        if route.method != "GET":
            continue
        answer = mine.get(route.own(victim))
        good = (200, 302, 303) if route.endpoint in LEADS_ON or not route.rows else (200,)
        if route.endpoint in LEADS_ON and "token" in route.parameters:
            good = (200, 404, 410)
        if answer.status_code not in good:
            wrong.append(f"{route.name}: {answer.status_code}")
        seen[victim.content in answer.text] += 1

    assert not wrong, "\n".join(wrong)
    assert seen[True] > 10


@pytest.mark.parametrize("realm", ["portal", "console"])
def test_no_get_changes_anything(realm, worlds, callers, root):
    victim = worlds.victim
    mine = (
        callers["staff"].browser
        if realm == "console"
        else Browser(network()).sign_in(victim.tenant)
    )
    before, wrong = digest(root, victim, seen=False), []
    for route in routes(realm):
        if route.method != "GET":
            continue
        for method in SAFE:
            mine.ask(method, route.own(victim), query=asked(victim))
        if (after := digest(root, victim, seen=False)) != before:
            wrong.append(f"{route.name}: changed {', '.join(changed(before, after))}")
            before = after

    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("realm", ["portal", "console"])
def test_unsafe_requests_need_the_token(realm, worlds, callers, root):
    """As the victim, and as staff who may: another site's form does nothing."""
    victim = worlds.victim
    mine = (
        callers["staff"].browser
        if realm == "console"
        else Browser(network()).sign_in(victim.tenant)
    )
    tokens = {
        "none": {"token": False},
        "of another session": {"token": False, "form": {"csrf_token": Browser().token}},
        "from another site": {"headers": {"Sec-Fetch-Site": "cross-site"}},
        "from another origin": {"headers": {"Origin": "https://evil.example"}},
    }
    before, wrong = digest(root, victim), []
    for route in routes(realm):
        if route.method in SAFE or guard(route) == "public_without_session":
            continue  # the address alone is the key there; nobody's session is used
        for what, given in tokens.items():
            form = body(victim) | given.get("form", {})
            more = {k: v for k, v in given.items() if k != "form"}
            answer = mine.ask(route.method, route.own(victim), form=form, **more)
            if answer.status_code not in (400, 403):
                wrong.append(f"{route.name}: token {what}: {answer.status_code}")
        if digest(root, victim) != before:
            wrong.append(f"{route.name}: changed something")
            before = digest(root, victim)

    assert not wrong, "\n".join(wrong)
    assert mine.get("/console/" if realm == "console" else "/").status_code == 200


@pytest.mark.parametrize("realm", ["portal", "console"])
def test_only_the_methods_of_a_route(realm, worlds, callers):
    victim = worlds.victim
    mine = callers["owner"].browser if realm == "portal" else callers["staff"].browser
    allowed = {}
    for route in routes(realm):
        allowed.setdefault(route.own(victim), set()).add(route.method)
    wrong = []
    for path, methods in allowed.items():
        for method in {"GET", "POST", "DELETE"} - methods:
            status = mine.ask(method, path).status_code
            if status not in (400, 401, 403, 404, 405):
                wrong.append(f"{method} {path}: {status}")

    assert not wrong, "\n".join(wrong)


# --- who may, said on every route


@pytest.mark.parametrize("realm", ["portal", "console"])
def test_every_route_says_who_may(realm, database):
    known = plugins().permissions(realm)
    always = {
        "public", "public_without_forms", "public_without_session", "person", "signed_in",
        "member",
    }  # fmt: skip
    unsaid = []
    for route in routes(realm):
        said = guard(route)
        if realm == "console" and said == "own":
            app = apps().console
            view = app.view_functions[route.endpoint].__self__
            said = view.permission
        if said not in always and said not in known:
            unsaid.append(f"{route.name} ({route.endpoint}): {said!r}")

    assert unsaid == []


@pytest.mark.parametrize("realm", ["portal", "console"])
def test_public_routes_are_listed(realm, database):
    found = {r.endpoint for r in routes(realm) if guard(r).startswith("public")}

    assert found - PUBLIC[realm] == set()


def test_no_other_way_in(database):
    """AUTH-14: FAB's own doors are not even there."""
    paths = [r.rule.rule for r in routes("console")]

    assert [p for p in paths if re.search(r"/(login|logout|register|api|swagger)", p)] == []
    assert [p for p in paths if not p.startswith("/console/")] == []


def test_unknown_parameters_fail(worlds):
    """A route that nobody listed here cannot pass unseen."""
    from werkzeug.routing import Map, Rule

    rule = Rule("/things/<uuid:thing_id>", endpoint="things.show", methods=["GET"])
    Map([rule])

    with pytest.raises(AssertionError, match="thing_id"):
        Route("portal", rule, "GET").own(worlds.victim)


# --- the doors that have no session


def test_intake_refuses_what_is_not_signed(worlds, root):
    victim = worlds.victim
    before = digest(root, victim)
    client = Client(application())
    for endpoint in (victim.channel_id, victim.sender_id, uuid4()):
        path = f"/in/whatsapp_cloud/{endpoint}"
        forged = {"X-Hub-Signature-256": "sha256=" + "0" * 64}

        assert client.post(path, json={"entry": []}).status_code == 403
        assert client.post(path, json={"entry": []}, headers=forged).status_code == 403
        assert client.get(path, query_string={"hub.mode": "subscribe"}).status_code == 403
    assert client.post("/in/nothing/here", json={}).status_code == 404
    assert digest(root, victim) == before


def test_health_tells_strangers_nothing(worlds):
    client = Client(application())
    far = {"X-Forwarded-For": "203.0.113.7"}
    for path in ("/healthz", "/readyz", "/metrics"):
        answer = client.get(path, headers=far)

        assert answer.status_code in (200, 404)
        assert worlds.victim.canary not in answer.text
        assert client.post(path).status_code == 405


def test_the_world_has_rows_everywhere(worlds, root):
    """Otherwise an unchanged digest would say nothing."""
    assert all(digest(root, worlds.victim, only=CONTENT).values())
    with account_scope(worlds.victim.id, worlds.victim.tenant.actor):
        states = db.session().scalars(select(Message.state)).all()
    assert states.count("queued") == 3
