"""Two accounts with everything in them, and browsers: what the generated attack works with."""

import datetime as dt
import itertools
import re
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from html import unescape
from typing import Any
from uuid import uuid4

from sqlalchemy import create_engine, select, text
from werkzeug.test import Client

from clarion.base import db, walls
from clarion.messaging.contract import TemplateVerdict
from clarion.messaging.models import Campaign, Message, Sender
from clarion.tenancy import devices, team
from clarion.tenancy.models import Invitation, Membership
from clarion.tenancy.scope import account_scope
from clarion.testing import fixtures, rows
from clarion.testing.authenticator import options_in
from clarion.testing.factories import PASSWORD, make_account, make_sender

SAFE = ("GET", "HEAD")
SYSTEM = db.Entry("clarion_system", None, "test")


@dataclass
class World:
    """An account in which everything exists once, and where to find it."""

    tenant: Any
    canary: str
    content: str
    ids: dict[str, Any] = field(default_factory=dict)

    def __getattr__(self, name):
        try:
            return self.__dict__["ids"][name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def id(self):
        return self.tenant.id

    @property
    def person_id(self):
        return self.tenant.person_id


def make_world(database, canary):
    """Fill an account through the verbs its people would use, then what only machines write.

    `canary` stands in what staff may see (names of accounts and people), `content` in what
    is the customer's own.
    """
    content = f"{canary}content"
    tenant = make_account(f"{canary} Ltd")
    world = World(tenant, canary, content)
    sender_id = make_sender(tenant)
    with account_scope(tenant.id, tenant.actor):
        _people(world, content)
        _consent(world, content, sender_id)
        _template(world, content)
        _import(world, content)
        world.ids["sender_id"] = sender_id
        _campaigns(world)
        _team(world)
        with db.transaction() as orm:
            world.ids["channel_id"] = orm.get(Sender, sender_id).channel_id
    _machines(database, world)
    return world


def _people(world, content):
    from clarion_contacts import service

    made = []
    with db.transaction():
        for number in range(3):
            details = service.Details(
                name=f"{content} {number}",
                phone=f"+5511 9{20_000_000 + number:08d}",
                email=f"{content}{number}@example.org",
            )
            one = service.add(details)
            service.opt_in(one.id, method="shop", source=content, wording=f"Yes {content}")
            made.append(one.id)
        service.tag(made[:1], [f"tag {content}"])
        world.ids["tag_id"] = service.tags()[0].id
        rule = {"op": "tag", "tag": str(world.tag_id)}
        world.ids["segment_id"] = service.save_segment(rule, f"{content} segment").id
        world.ids["snapshot_id"] = service.freeze(world.segment_id)
        gathered = service.add_list(f"{content} list", about=content)
        service.enlist(made[:1], gathered.id)
        world.ids["list_id"] = gathered.id
        world.ids["field_id"] = service.add_field(f"{content} field", "text").id
        everybody = service.Filters()
        world.ids["view_id"] = service.save_view(f"{content} view", everybody)
        world.ids["bulk_id"] = service.go(service.ask("export", everybody).id, {}).id
        service.write_members(world.snapshot_id)
        world.ids["identifier_id"] = service.addresses(service.get(made[0]))[0].id
        for mark in "ab":
            twin = service.Details(
                name=f"{content} {mark}", email=f"{content}{mark}@example.org"
            )
            made.append(service.add(twin).id)
        stays = service.merge(*made[3:])
        world.ids["merge_id"] = service.merges_of(stays)[0].id
    world.ids["contact_ids"] = made[:3]


def _consent(world, content, sender_id):
    """A form people sign up with, a topic, and what somebody asked on their own page."""
    from clarion_contacts import service

    with db.transaction():
        form = service.keep_signup(
            name=content,
            wording=f"I want messages from {world.canary} Ltd",
            by_mail=True,
            word=content[:40],
            sender_id=sender_id,
        )
        topic = service.keep_topic(content, f"About {content}", [content])
        service.request(world.contact_ids[0], "copy", f"All of {content}")
        (asked,) = service.requests()
    world.ids |= {"signup_id": form.id, "topic_id": topic.id, "request_id": asked.id}


def _template(world, content):
    from clarion_templates import service
    from clarion_templates.rendering import Content

    with db.transaction():
        words = Content(
            name="early_access",
            body=f"Hi {{{{first_name}}}}, {content} opens today.",
            category="marketing",
            samples={"first_name": "Ana"},
        )
        view = service.create(words)
        service.submit(view.id)
        service.judge(view.id, TemplateVerdict(uuid4().hex, "approved"))
        other = Content(
            name="a_draft", body=f"Hi {content}", category="marketing", samples={}
        )
        service.create(other)
    world.ids["template_id"] = view.id


def _import(world, content):
    from clarion_contacts import service

    text = (
        "phone;name;city\n"
        f"+5511912340001;{content} one;Recife\n"
        f"+5511912340002;{content} two;Natal\n"
        "12;Dee;Recife\n"
    )
    with db.transaction():
        row = service.upload(f"{content}.csv", text.encode())
        service.match(
            row.id, {int(at): said for at, said in row.mapping.items()}, country="BR"
        )
        service.attest(
            row.id,
            source="web_form",
            place=f"https://{content}.example/newsletter",
            agreed_on=dt.date(2025, 3, 1),
            wording=f"I want news from {content}",
            typed_name="Marina Lopes",
        )
        service.check(row.id)
    run_jobs()
    world.ids["import_id"] = row.id


def _campaigns(world):
    from clarion_campaigns import service

    with db.transaction():
        left = service.create(f"{world.canary} draft", uuid4().hex)
        first = service.create(f"{world.canary} launched", uuid4().hex)
        first = service.choose_message(first.id, world.template_id, world.sender_id)
        service.launch(first.id, "once")
    run_jobs()
    world.ids["campaign_id"] = db.session().scalar(select(Campaign.id))
    world.ids["message_id"] = db.session().scalar(select(Message.id))
    world.ids |= {"draft_id": left.id, "launched_id": first.id}


def _team(world):
    with db.transaction() as orm:
        world.ids["token"] = team.invite(f"{world.canary}-invited@example.org", "member")
        world.ids["invitation_id"] = orm.scalar(select(Invitation.id))
        world.ids["membership_id"] = orm.scalar(select(Membership.id))


def _machines(database, world):
    """Give every table of an account at least one row of it."""
    engine = create_engine(database.superuser_url)
    with engine.begin() as connection:
        filler = rows.Filler(connection, world.id, world.content)
        for name, model in sorted(walls.models().items()):
            table = model.__table__
            if model.wall.kind == "platform":
                continue
            here = select(table).where(table.c.account_id == world.id).limit(1)
            if row := connection.execute(here).mappings().first():
                filler._parents[name] = dict(row)
        for name, model in sorted(walls.models().items()):
            if model.wall.kind != "platform" and name not in filler._parents:
                # what staff write about an account, they may read
                ours = (
                    "account_",
                    "announcement_",
                    "misuse_",
                    "access_",
                    "support_",
                    "campaign_hold",
                    "sender_grade",
                )
                filler.canary = world.canary if name.startswith(ours) else world.content
                filler.add(model.__table__)
        for key in ("account_measure", "misuse_flag", "misuse_flag_appeal"):
            mine = text(f"SELECT id FROM {key} WHERE account_id = :a")
            name = f"{key.rpartition('_')[2]}_id"
            world.ids[name] = connection.scalar(mine, {"a": world.id})
        shown = (  # its owners can read it
            "UPDATE misuse_flag SET shown_at = clarion_now(), parts = '[]'"
            " WHERE account_id = :a"
        )
        connection.execute(text(shown), {"a": world.id})
        connection.execute(
            text("UPDATE misuse_standing SET parts = '[]' WHERE account_id = :a"),
            {"a": world.id},
        )
        chosen = text("SELECT plan_id FROM account_plan WHERE account_id = :a")
        world.ids["plan_id"] = connection.scalar(chosen, {"a": world.id})
        for name in ("support_window", "access_grant", "access_question"):
            world.ids[f"{name.split('_')[1]}_id"] = filler._parents[name]["id"]
        world.ids["announcement_id"] = _announced(connection, filler, world.canary)
        mine = text("SELECT id FROM webhook_inbox WHERE account_id = :a LIMIT 1")
        world.ids["webhook_id"] = connection.scalar(mine, {"a": world.id})
    engine.dispose()


def _announced(connection, filler, canary):
    """The announcement that the filler made for the account; it has English words, as all."""
    made = filler._parents["announcement_notice"]["announcement_id"]
    connection.execute(
        text(
            "INSERT INTO announcement_text (announcement_id, language, title, text)"
            " VALUES (:i, 'en', :c, :c) ON CONFLICT DO NOTHING"
        ),
        {"i": made, "c": canary},
    )
    return made


def run_jobs():
    """Run what the verbs left in the outbox, apart from what talks to a provider."""
    while batch := [one for one in fixtures._due() if "dispatch" not in one[0]]:
        for path, payload in batch:
            fixtures._run(path, payload)


def run_what_was_left():
    """Run the jobs the attack left in the outbox, however they end."""
    for path, payload in fixtures._due():
        if "dispatch" in path or "channel" in path:
            continue
        with suppress(Exception):
            fixtures._run(path, payload)


def demote(database, tenant, role):
    engine = create_engine(database.superuser_url)
    table = Membership.__table__
    with engine.begin() as connection:
        connection.execute(
            table.update().where(table.c.account_id == tenant.id).values(role=role)
        )
    engine.dispose()


DIGESTS = {}
"""The last of each sum, with the transactions that were over when it was made."""


def digest(root, world, *, only=lambda _model: True, seen=True):
    """Sum up every row of an account, of its people, and of the jobs that wait for it."""
    parts = [
        f"SELECT '{name}', md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {name} t"
        " WHERE account_id = :a"
        for name, model in sorted(walls.models().items())
        if model.wall.kind != "platform" and only(model)
    ]
    if only is not CONTENT:
        parts.append("SELECT 'account', md5(t::text) FROM account t WHERE id = :a")
        cut = "" if seen else " - 'last_seen_at'"
        parts.append(
            f"SELECT 'person', md5(string_agg((to_jsonb(t){cut})::text, '|' ORDER BY id))"
            " FROM person t WHERE id IN"
            " (SELECT person_id FROM membership WHERE account_id = :a)"
        )
        parts.append(
            "SELECT 'person_factor', md5(string_agg("
            "(to_jsonb(t) - 'used_at' - 'counter')::text, '|' ORDER BY id))"
            " FROM person_factor t WHERE subject IN"
            " (SELECT 'p:' || person_id FROM membership WHERE account_id = :a)"
        )
        parts.append(
            "SELECT 'outbox', md5(string_agg(t::text, '|' ORDER BY seq)) FROM outbox t"
            " WHERE payload->'actor'->>'account_id' = :a::text"
        )
    query = " UNION ALL ".join(parts).replace(":a::text", "CAST(:a AS text)")
    with root.connect() as connection:
        # nobody has written since this was summed up: then it is what it was
        written = connection.scalar(text("SELECT pg_current_snapshot()::text"))
        key = (world.id, query)
        if DIGESTS.get(key, ("", {}))[0] != written:
            rows = connection.execute(text(query), {"a": world.id}).tuples().all()
            DIGESTS[key] = written, dict(rows)
    return dict(DIGESTS[key][1])


def CONTENT(model):
    return model.wall.kind == "content"


# --- browsers


NETWORKS = itertools.count(1)
DEVICES = {}
"""The passkeys of those who have one, by person."""


def network():
    number = next(NETWORKS)  # of their own: doors count how often one network comes
    return f"10.{number // 256}.{number % 256}.7"


class Browser:
    """Asks like a browser. The token of the form is that of its session."""

    def __init__(self, address="203.0.113.7"):
        self.client = Client(application())
        self.address, self._token = address, None

    def ask(self, method, path, *, form=None, token=None, query=None, headers=None):
        given = {
            "Accept": "text/html",
            "Host": "127.0.0.1",
            "User-Agent": "Mozilla/5.0 (X11; Linux) Firefox/140.0",
            **(headers or {}),
        }
        if method not in SAFE:
            form = dict(form or {})
            if token is not False:
                form["csrf_token"] = self.token
        return self.client.open(
            path,
            method=method,
            data=form,
            query_string=query,
            headers=given,
            environ_base={"REMOTE_ADDR": self.address},
        )

    def get(self, path, **more):
        return self.ask("GET", path, **more)

    @property
    def token(self):
        if self._token is None:
            for page in ("/profile", "/sign-in", "/", "/console/sign/in"):
                if page.startswith("/console") is not self.console:
                    continue
                found = re.search(
                    r'name="csrf-token" content="([^"]+)"', self.get(page).text
                )
                if found:
                    self._token = unescape(found[1])
                    break
        return self._token

    console = False

    def sign_in(self, tenant):
        subject = f"p:{tenant.person_id}"
        key = devices.remember(subject, "", device="Firefox on Linux", address=self.address)
        self.client.set_cookie("clarion-device", key, domain="127.0.0.1")
        if tenant.person_id in DEVICES:
            options = options_in(self.get("/sign-in").text)
            form = {"credential": DEVICES[tenant.person_id].get(options)}
            answer = self.ask("POST", "/sign-in/passkey", form=form)
        else:
            form = {"email": tenant.email, "password": PASSWORD}
            answer = self.ask("POST", "/sign-in", form=form)
        assert answer.status_code == 302, answer.text
        self._token = None
        return self


class StaffBrowser(Browser):
    """The same, at the other door."""

    console = True

    def sign_in(self, colleague):
        options = options_in(self.get("/console/sign/in").text)
        form = {"credential": colleague.device.get(options)}
        answer = self.ask("POST", "/console/sign/in/passkey", form=form)
        assert answer.status_code == 302, answer.text
        self._token = None
        page = self.get("/console/security/").text  # every role has this one
        self._token = unescape(re.search(r'name="csrf-token" content="([^"]+)"', page)[1])
        return self


@cache
def apps():
    """Both applications, made once."""
    from clarion.web.app import joined

    return joined()


def application():
    from clarion.web.app import wrapped

    return wrapped(apps())
