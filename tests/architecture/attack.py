"""The generated attack: the routes, what stands in their addresses and forms, and who calls."""

import json
import re
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from tests.architecture.world import SAFE, apps

from clarion.plugging.manager import plugins
from clarion.tenancy import access
from clarion.web.staff import SEEDED

REFUSED = (401, 403, 404)

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
        "chosen": json.dumps({"ids": [str(i) for i in ids], "on_list": str(world.list_id)}),
        "list": str(world.list_id), "list_id": str(world.list_id), "other": one,
        "field_id": str(world.field_id), "snapshot": str(world.snapshot_id),
        "view_id": str(world.view_id), "merge_id": str(world.merge_id),
    }  # fmt: skip


def asked(world):
    """The same ids, as a list's address could hold them, and what could be searched for."""
    given = body(world)
    names = (
        "tag", "after", "before", "person", "template", "account", "contact", "id", "list",
        "segment", "sender", "campaign_id", "import_id", "chosen",
    )  # fmt: skip
    found = {name: given.get(name, str(world.contact_ids[0])) for name in names}
    like = world.canary[:-2]  # what is found would show the whole word
    return found | {
        "on_list": given["list"],
        "tags": given["tag_id"],
        "q": like,
        "words": like,
    }


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


LEFT = {
    "audit_entry": "what was refused is in the log",
    "audit_head": "the log's chain is sealed now and then",
}
"""What a refused request may leave among the rows of whoever asked."""

OPEN = "console.support_open"


def is_sensitive(route):
    """What asks again: by its manifest, or because the route says so itself."""
    app = apps().portal if route.realm == "portal" else apps().console
    said = getattr(app.view_functions[route.endpoint], "fresh", None)
    return access.sensitive(guard(route)) if said is None else said


def changed(before, after, but=()):
    """Name the tables whose rows are not what they were, but for those that may be."""
    return [t for t in sorted(after) if t not in but and after[t] != before.get(t)]


def openers():
    """The seeded roles that may ask for access to an account."""
    return [r for r in ROLES if r in plugins().permissions("console")[OPEN].roles]
