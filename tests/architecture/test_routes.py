"""The generated attack: every route of both applications, with another account's real ids.

For each rule of both URL maps and each kind of caller: the answer is a refusal, nothing of
the victim stands in it, and every row of the victim is as it was. A route whose parameter
nobody listed here fails the build, and so does one that does not say who may open it.
"""

import importlib.util
import itertools
import re
import sys
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, select, text, update
from werkzeug.test import Client

from clarion.base import clock, db
from clarion.messaging.models import Message
from clarion.plugging.manager import plugins
from clarion.support import acting, grants, windows
from clarion.tenancy import access, factors
from clarion.tenancy.models import ConsoleSession, PortalSession
from clarion.tenancy.scope import account_scope, staff_scope
from clarion.testing.authenticator import registered
from clarion.testing.console import acting as acting_as
from clarion.testing.console import make_role, make_staff
from clarion.testing.factories import make_account
from clarion.web.staff import SEEDED, sync

_spec = importlib.util.spec_from_file_location(
    "clarion_attack_world", Path(__file__).with_name("world.py")
)
world_of = sys.modules[_spec.name] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(world_of)

from clarion_attack_world import (
    CONTENT,
    DEVICES,
    SAFE,
    SYSTEM,
    Browser,
    StaffBrowser,
    application,
    apps,
    demote,
    digest,
    make_world,
    network,
    run_what_was_left,
)

REFUSED = (401, 403, 404)

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

NOT_ROWS = {
    ("portal", "token"): "a secret of 256 bits; whoever holds it may use it, once",
    ("portal", "name"): "of a step, or of a plugin",
    ("portal", "form"): "of a file: csv or xlsx",
    ("portal", "way"): "of joining: page or chat",
    ("console", "name"): "of a plugin",
    ("console", "ticket"): "a secret of 256 bits, of use in the browser that asked for it",
    ("console", "word"): "what one session of the portal made up",
    ("console", "kind"): "of a quota",
    ("console", "where"): "of a code: whose it is",
    ("console", "code"): "of a provider, or a reason's name",
    ("portal", "where"): "of a code: whose it is",
    ("portal", "code"): "of a provider, or a reason's name",
    ("console", "lane"): "of the machinery: nobody's",
    ("console", "key"): "of a job that waits, shown masked; whoever may look may see all",
}
"""Parameters that name no row of an account."""

ROWS = {
    ("portal", "account_id"): lambda w: w.id,
    ("portal", "announcement_id"): lambda w: w.announcement_id,
    ("console", "announcement_id"): lambda w: w.announcement_id,
    ("portal", "bulk_id"): lambda w: w.bulk_id,
    ("portal", "campaign_id"): lambda w: w.campaign_id,
    ("portal", "channel_id"): lambda w: w.channel_id,
    ("portal", "contact_id"): lambda w: w.contact_ids[0],
    ("portal", "draft_id"): lambda w: w.launched_id,
    ("portal", "factor_id"): lambda w: w.factor_id,
    ("portal", "flag_id"): lambda w: w.flag_id,
    ("console", "flag_id"): lambda w: w.flag_id,
    ("console", "appeal_id"): lambda w: w.appeal_id,
    ("console", "measure_id"): lambda w: w.measure_id,
    ("console", "account_id"): lambda w: w.id,
    ("console", "campaign_id"): lambda w: w.campaign_id,
    ("console", "factor_id"): lambda w: w.factor_id,
    ("console", "session_id"): lambda w: w.session_id,
    ("console", "network_id"): lambda w: w.id,
    ("console", "recovery_id"): lambda w: w.id,
    ("console", "job_id"): lambda w: w.id,
    ("console", "webhook_id"): lambda w: w.webhook_id,
    ("ConsolePluginPanel", "account_id"): lambda w: w.id,
    ("campaigns.step", "draft_id"): lambda w: w.draft_id,
    ("campaigns.save", "draft_id"): lambda w: w.draft_id,
    ("campaigns.rail", "draft_id"): lambda w: w.draft_id,
    ("campaigns.delete", "draft_id"): lambda w: w.draft_id,
    ("portal", "field_id"): lambda w: w.field_id,
    ("console", "plan_id"): lambda w: w.plan_id,
    ("portal", "identifier_id"): lambda w: w.identifier_id,
    ("portal", "grant_id"): lambda w: w.grant_id,
    ("portal", "window_id"): lambda w: w.window_id,
    ("console", "contact_id"): lambda w: w.contact_ids[0],
    ("console", "grant_id"): lambda w: w.grant_id,
    ("console", "question_id"): lambda w: w.question_id,
    ("portal", "import_id"): lambda w: w.import_id,
    ("portal", "invitation_id"): lambda w: w.invitation_id,
    ("portal", "membership_id"): lambda w: w.membership_id,
    ("portal", "list_id"): lambda w: w.list_id,
    ("portal", "merge_id"): lambda w: w.merge_id,
    ("portal", "message_id"): lambda w: w.message_id,
    ("portal", "other_id"): lambda w: w.contact_ids[1],
    ("portal", "request_id"): lambda w: w.request_id,
    ("portal", "segment_id"): lambda w: w.segment_id,
    ("portal", "sender_id"): lambda w: w.sender_id,
    ("portal", "session_id"): lambda w: w.session_id,
    ("portal", "signup_id"): lambda w: w.signup_id,
    ("portal", "snapshot_id"): lambda w: w.snapshot_id,
    ("portal", "tag_id"): lambda w: w.tag_id,
    ("portal", "template_id"): lambda w: w.template_id,
    ("portal", "topic_id"): lambda w: w.topic_id,
    ("portal", "view_id"): lambda w: w.view_id,
    ("console", "chain"): lambda w: w.id,
    ("ConsoleAccountScreen", "pk"): lambda w: w.id,
    ("ConsolePersonScreen", "pk"): lambda w: w.person_id,
    ("ConsoleRolePanel", "pk"): lambda _: 1,
    ("ConsoleSenderScreen", "pk"): lambda w: w.sender_id,
    ("ConsoleStaffScreen", "pk"): lambda _: 1,
}
"""How each parameter of a route is found in an account's world."""

WORDS = {
    "contacts.take_export": {"form": "csv"},
    "contacts.signup_code": {"way": "page"},
    "campaigns.step": {"name": "message"},
    "campaigns.save": {"name": "message"},
    "codes.show": {"where": "whatsapp_cloud", "code": "131026"},
    "ConsoleCodePanel.show": {"where": "whatsapp_cloud", "code": "131026"},
    "settings.plugin": {"name": "contacts"},
    "settings.switch": {"name": "contacts"},
    **{
        f"ConsolePluginPanel.{view}": {"name": "contacts"}
        for view in (
            "show",
            "off",
            "confirm",
            "keep",
            "on",
            "wake",
            "set_up",
            "bar",
            "unbar",
        )
    },
    "ConsoleStandingPanel.put": {"kind": "messages"},
    "ConsoleStandingPanel.lift": {"kind": "messages"},
}


@pytest.fixture(scope="module")
def worlds(database):
    """The victim, and a bystander whom staff may do something to."""
    made = SimpleNamespace(
        victim=make_world(database, "zqvictim"), bystander=make_world(database, "zqbystand")
    )
    for world in (made.victim, made.bystander):
        browser = Browser().sign_in(world.tenant)
        assert browser.get("/").status_code == 200
        with db.apart(SYSTEM) as orm:
            subject = f"p:{world.person_id}"
            query = select(PortalSession.id).where(PortalSession.subject == subject)
            world.ids["session_id"] = orm.scalars(query).first()
        DEVICES[world.person_id] = registered(subject, world.tenant.email)
        world.ids["factor_id"] = factors.of(subject).passkeys[0].id
    return made


@pytest.fixture(scope="module")
def root(database):
    engine = create_engine(database.superuser_url)
    yield engine
    engine.dispose()


# --- the walk


@dataclass(frozen=True)
class Route:
    """One rule with one of its methods."""

    realm: str
    rule: Any
    method: str

    @property
    def endpoint(self):
        return self.rule.endpoint

    @property
    def name(self):
        return f"{self.method} {self.rule.rule}"

    @property
    def parameters(self):
        return sorted(self.rule.arguments)

    def key(self, parameter):
        screen = self.endpoint.partition(".")[0]
        keys = ((place, parameter) for place in (self.endpoint, screen, self.realm))
        return next(
            (k for k in keys if k in ROWS or k in NOT_ROWS), (self.realm, parameter)
        )

    @property
    def rows(self):
        """The parameters that name a row of an account."""
        return [p for p in self.parameters if self.key(p) not in NOT_ROWS]

    def path(self, worlds):
        """The address; `worlds` says whose row stands for each parameter."""
        values = {}
        for parameter in self.parameters:
            key = self.key(parameter)
            if key in ROWS:
                values[parameter] = ROWS[key](worlds[parameter])
            elif key in NOT_ROWS:
                words = WORDS.get(self.endpoint, {})
                values[parameter] = words.get(parameter, f"no-such-{parameter}")
            else:
                raise AssertionError(
                    f"{self.name}: nobody said how to attack <{parameter}>; add it to ROWS"
                )
        return self.rule.build(values)[1] if values else self.rule.rule

    def own(self, world):
        return self.path(dict.fromkeys(self.parameters, world))


def routes(realm):
    app = apps().portal if realm == "portal" else apps().console
    return [
        Route(realm, rule, method)
        for rule in sorted(app.url_map.iter_rules(), key=lambda r: (r.rule, r.endpoint))
        for method in sorted(rule.methods - {"HEAD", "OPTIONS"})
    ]


def guard(route):
    app = apps().portal if route.realm == "portal" else apps().console
    return getattr(app.view_functions[route.endpoint], "guard", "")


def body(world, own=None):
    """Plausible fields of any form, all about one account's rows."""
    ids = world.contact_ids if own is None else [own.contact_ids[0], *world.contact_ids]
    one = str(world.contact_ids[0])
    return {
        "rowid": [str(i) for i in ids],
        "contact": one, "contact_id": one, "person": one, "id": one,
        "tag": str(world.tag_id), "tags": "late", "tag_id": str(world.tag_id),
        "template": str(world.template_id), "template_id": str(world.template_id),
        "sender": str(world.sender_id), "sender_id": str(world.sender_id),
        "channel": str(world.channel_id), "channel_id": str(world.channel_id),
        "draft_id": str(world.draft_id), "campaign_id": str(world.launched_id),
        "import_id": str(world.import_id), "session_id": str(world.session_id),
        "membership_id": str(world.membership_id), "account": str(world.id),
        "invitation_id": str(world.invitation_id), "account_id": str(world.id),
        "person_id": str(world.person_id), "include": str(world.tag_id),
        "exclude": str(world.tag_id), "people": "tags", "segment": str(world.segment_id),
        "base": f"segment:{world.segment_id}", "act": "add 0", "0:group": "and",
        "0.0:what": "tag", "0.0:value": str(world.tag_id),
        "name": "Changed by somebody else", "text": "Changed", "value": "+5511999990000",
        "role": "owner", "action": "delete", "to": "opted_out", "then": "launch",
        "key": uuid4().hex, "revision": "1", "kind": "phone", "country": "BR",
        "language": "en", "timezone": "UTC", "reason": "because", "at": "1",
        "phone": "+5511999990001", "email": "attacker@example.org", "method": "shop",
        "source": "web_form", "wording": "words", "body": "Hi", "category": "marketing",
        "typed_name": "Mallory", "place": "https://example.org", "header": "y",
        "signup_id": str(world.signup_id), "topic_id": str(world.topic_id),
        "topic": str(world.topic_id), "request_id": str(world.request_id), "word": "late",
    }  # fmt: skip


def asked(world):
    """The same ids, as a list's address could hold them."""
    given = body(world)
    names = ("tag", "after", "before", "person", "template", "account", "contact", "id")
    return {name: given.get(name, str(world.contact_ids[0])) for name in names}


class Caller:
    """A kind of caller: makes browsers anew when an attack has used one up."""

    def __init__(self, make):
        self.make, self._now = make, None

    @property
    def browser(self):
        if self._now is None:
            self._now = self.make()
        return self._now

    def renew(self):
        self._now = None


@pytest.fixture(scope="module")
def callers(database, worlds):
    """Everybody who has no business in the victim's account."""

    def member(role):
        tenant = make_account("Mallory and friends")
        if role != "owner":
            demote(database, tenant, role)
        return Browser(network()).sign_in(tenant)

    def ended():
        mine = Browser(network()).sign_in(worlds.victim.tenant)
        kept = mine.client.get_cookie("clarion", domain="127.0.0.1").value
        assert mine.ask("POST", "/sign-out").status_code in (302, 303)
        again = Browser(mine.address)
        again.client.set_cookie("clarion", kept, domain="127.0.0.1")
        return again

    def staff(*names):
        colleague = make_staff(*names)
        return StaffBrowser(network()).sign_in(colleague)

    def too_old(browser, model):
        """Let the newest session of its kind be one that nobody has used for a month."""
        newest = select(model.id).order_by(model.created_at.desc()).limit(1)
        month = text("interval '31 days'")
        with db.apart(SYSTEM) as orm:
            row = orm.get(model, orm.scalar(newest))
            then = {
                "seen_at": model.seen_at - month,
                "created_at": model.created_at - month,
            }
            orm.execute(update(model).where(model.id == row.id).values(then))
        return browser

    def expired():
        return too_old(Browser(network()).sign_in(worlds.victim.tenant), PortalSession)

    def staff_expired():
        return too_old(staff("Admin"), ConsoleSession)

    def let_in(world_tenant, scope):
        """Staff with a live grant in an account; answers who, and the grant."""
        colleague = make_staff("Admin")
        with account_scope(world_tenant.id, world_tenant.actor), db.transaction():
            windows.open_window(1, scope)
        with staff_scope(acting_as(colleague)), db.transaction():
            asked = grants.Asked("support", "T-1", "looks", 30, scope)
            return colleague, grants.ask(world_tenant.id, asked).id

    def with_grant():
        colleague, _grant_id = let_in(make_account("Hosts of support"), "act")
        return StaffBrowser(network()).sign_in(colleague)

    def behind(scope, *, over=False):
        """Staff in the portal as a person of another account than the victim's."""
        guests = make_account("Mallory's guests")
        colleague, grant_id = let_in(guests, scope)
        with staff_scope(acting_as(colleague)), db.transaction():
            ticket = acting.ticket(guests.id, guests.person_id, "their browser")
        mine, path = Browser(network()), f"/support/enter/{ticket}"
        word = mine.get(path).headers["Location"].rpartition("/")[2]
        with staff_scope(acting_as(colleague)), db.transaction():
            proof = acting.vouch(ticket, word, "their browser")
        answer = mine.ask("POST", path, form={"proof": proof})
        assert answer.status_code == 303, answer.text
        mine._token = None
        assert mine.get("/").status_code == 200
        assert mine.token
        if over:
            with account_scope(guests.id, guests.actor), db.transaction():
                windows.revoke(grant_id)
        return mine

    sync()
    staff("Admin")  # somebody must always be left who may manage staff

    return {
        "anonymous": Caller(lambda: Browser(network())),
        "member": Caller(lambda: member("member")),
        "owner": Caller(lambda: member("owner")),
        "manager": Caller(lambda: member("manager")),
        "ended session": Caller(ended),
        "expired session": Caller(expired),
        "expired staff session": Caller(staff_expired),
        "staff with a grant elsewhere": Caller(with_grant),
        "view as, to look": Caller(lambda: behind("view")),
        "view as, to act": Caller(lambda: behind("act")),
        "view as, over": Caller(lambda: behind("view", over=True)),
        "staff": Caller(lambda: staff("Admin")),
        "staff without permissions": Caller(lambda: staff(make_role())),
    } | {f"role {name}": Caller(partial(staff, name)) for name in ROLES}


def judge(route, answer, world, *, foreign, words=None):
    """Say what is wrong with an answer to an attack."""
    wrong = []
    status = answer.status_code
    if status >= 500:
        wrong.append(f"{status}")
    if foreign and status not in REFUSED and not to_the_door(answer):
        wrong.append(f"{status} {answer.headers.get('Location', '')}")
    said = answer.data + str(answer.headers).encode()
    words = words or (world.canary, world.tenant.email)
    shown = [word for word in words if word.encode().lower() in said.lower()]
    return wrong + [f"shows {word}" for word in shown]


def to_the_door(answer):
    place = answer.headers.get("Location", "")
    return answer.status_code == 302 and re.match(
        r"(/sign-in|/console/sign/in)(\?|$)", place
    )


def attack(route, browser, path, world, own=None):
    """Call a route the way its form would."""
    if route.method in SAFE:
        return browser.ask(route.method, path, query=asked(world))
    return browser.ask(route.method, path, form=body(world, own))


SPENT = (
    "auth.", "portal.enter", "portal.password", "security.", "settings.", "team.",
)  # fmt: skip
"""Routes after which a caller may be signed out, or have switched something off."""

ROLES = SEEDED
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
            changed = [t for t in after if after[t] != before.get(t)]
            found.append(f"changed {', '.join(changed)}")
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
                changed = [t for t in after if after[t] != before.get(t)]
                found.append(f"changed {', '.join(changed)}")
                before = after
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
            changed = [t for t in after if after[t] != before.get(t)]
            found.append(f"changed {', '.join(changed)}")
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


def is_sensitive(route):
    """What asks again: by its manifest, or because the route says so itself."""
    app = apps().portal if route.realm == "portal" else apps().console
    said = getattr(app.view_functions[route.endpoint], "fresh", None)
    return access.sensitive(guard(route)) if said is None else said


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
            changed = [t for t in after if after[t] != before.get(t)]
            wrong.append(f"{route.name}: changed {', '.join(changed)}")
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
