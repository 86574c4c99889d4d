"""The compiler against a plain reading of the same rule, over random people and rules."""

import datetime as dt
import random
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from clarion.base import db
from clarion.base.errors import Invalid
from clarion.messaging import hours, identifiers, orders, suppression
from clarion.messaging.models import Attempt, Campaign, InboundMessage, Message
from clarion.testing.factories import make_sender
from clarion_contacts import segments
from clarion_contacts.models import (
    Consent,
    Contact,
    Field,
    Import,
    List,
    Listing,
    Tag,
    Tagging,
)
from clarion_contacts.records import Member, Segment, Snapshot
from clarion_contacts.segments import rules
from clarion_contacts.service.consent import keep_wording

PEOPLE, EXAMPLES = 40, 120
TEMPLATE = {"name": "hello", "language": "en", "parts": [], "text": {}}
NAMES = ("", "Ana Lima", "ANA", "Bo_b 100%", "José", "лена")
WORDS = ("", "an", "ANA", "_", "%", "100", "é", "Л", "zz", "+55")
CITIES = ("Recife", "recife", "São Paulo", "", None)


@dataclass
class Person:
    """Everything the database knows about one contact, as plain values."""

    id: UUID
    row: dict[str, Any]
    own: dict[str, Any]
    created_at: dt.datetime
    tags: set[str] = field(default_factory=set)
    lists: set[str] = field(default_factory=set)
    snapshots: set[str] = field(default_factory=set)
    events: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    wrote: list[dt.datetime] = field(default_factory=list)
    pressed: list[dt.datetime] = field(default_factory=list)  # of what they wrote
    suppressed: bool = False
    hashes: dict[str, int] = field(default_factory=dict)


@dataclass
class World:
    """A population, and the names rules may use."""

    people: list[Person]
    tags: list[str]
    lists: list[str]
    imports: list[str]
    wordings: list[str]
    campaigns: list[str]
    segments: dict[str, Any]
    snapshots: list[str]
    zone: ZoneInfo
    now: dt.datetime

    @property
    def today(self):
        return self.now.astimezone(self.zone).date()


# --- a plain reading of a rule: the words of `rules`, person by person


def fits(rule, who, world):
    op = rule["op"]
    if op == "and":
        return all(fits(one, who, world) for one in rule["of"])
    if op == "or":
        return any(fits(one, who, world) for one in rule["of"])
    if op in ("none", "not"):
        return not any(fits(one, who, world) for one in rule["of"])
    return READ[op](rule, who, world) != rule.get("not", False)


def read_field(rule, who, world):
    name, test = rule["field"], rule["test"]
    if name == "added_on":
        return day_fits(who.created_at.astimezone(world.zone).date(), rule, world)
    kind = rule.get("kind", "text") if name.startswith("attributes.") else "text"
    value = value_of(name, who)
    if kind == "number":
        value = value if isinstance(value, Decimal) else None
        return number_fits(value, rule)
    if kind == "yes_no":
        value = value if isinstance(value, bool) else None
        if test in ("empty", "filled"):
            return (value is None) == (test == "empty")
        return value is (test == "yes")
    text = (
        ""
        if value is None
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
    )
    if kind == "date":
        if test in ("empty", "filled"):
            return (text == "") == (test == "empty")
        try:
            return day_fits(dt.date.fromisoformat(text), rule, world)
        except ValueError:
            return False
    return text_fits(text, rule)


def value_of(name, who):
    if name == "first_name":
        return who.row["first_name"] or who.row["name"].split(" ")[0]
    if name.startswith("attributes."):
        value = who.own.get(name.removeprefix("attributes."))
        return Decimal(str(value)) if type(value) in (int, float) else value
    return who.row[name]


def text_fits(text, rule):
    test, low = rule["test"], text.lower()
    if test == "one_of":
        return low in [one.strip().lower() for one in rule["value"].split(",")]
    sought = rule.get("value", "").strip().lower()
    return {
        "empty": text == "",
        "filled": text != "",
        "is": low == sought,
        "is_not": low != sought,
        "contains": sought in low,
        "contains_not": sought not in low,
        "starts": low.startswith(sought),
    }[test]


def number_fits(value, rule):
    test = rule["test"]
    if test == "empty":
        return value is None
    if value is None:
        return test == "is_not"
    first = Decimal(str(rule.get("value", 0)))
    last = Decimal(str(rule.get("to", 0)))
    return {
        "filled": True,
        "is": value == first,
        "is_not": value != first,
        "lt": value < first,
        "le": value <= first,
        "gt": value > first,
        "ge": value >= first,
        "between": min(first, last) <= value <= max(first, last),
    }[test]


def day_fits(day, rule, world):
    test, days = rule["test"], dt.timedelta(days=rule.get("days", 0))
    if test == "last_days":
        return world.today - days <= day <= world.today
    if test == "next_days":
        return world.today <= day <= world.today + days
    if test == "anniversary":
        ahead = [world.today + dt.timedelta(days=n) for n in range(rule["days"] + 1)]
        met = {(one.month, one.day) for one in ahead}
        leap = {one.year for one in ahead if one.year % 4 == 0}
        if any((one.month, one.day) == (2, 28) and one.year not in leap for one in ahead):
            met.add((2, 29))
        return (day.month, day.day) in met
    first = dt.date.fromisoformat(rule["value"])
    if test == "between":
        last = dt.date.fromisoformat(rule["to"])
        return min(first, last) <= day <= max(first, last)
    return {"on": day == first, "before": day < first, "after": day > first}[test]


def read_consent(rule, who, world):
    purpose, part = rule.get("purpose", "marketing"), rule.get("part", "state")
    mine = [one for one in who.events if one["purpose"] == purpose]
    newest = mine[-1] if mine else None
    if purpose == "marketing":
        assert (newest is None) == (who.row["consent"] == "none")
    if part == "state":
        said = {"grant": "given", "import_attested": "given", "withdraw": "withdrawn"}
        return (said.get(newest["action"], "none") if newest else "none") == rule["value"]
    if newest is None:
        return False
    if part == "method":
        return newest["method"] == rule["value"]
    if part == "wording":
        return newest["wording"] == rule["value"]
    if part == "source":
        return text_fits(newest["source"], rule)
    noted = newest["at"].astimezone(world.zone).date()
    return day_fits(newest["agreed_on"] or noted, rule, world)


def read_campaign(rule, who, world):
    sent = {"accepted", "sent", "delivered", "read"}
    states = {
        "sent": sent,
        "replied": sent,
        "clicked": sent,
        "delivered": {"delivered", "read"},
        "read": {"read"},
        "failed": {"failed"},
    }[rule["did"]]
    found = 0
    for one in who.messages:
        if one["state"] not in states:
            continue
        if rule.get("campaign") and one["campaign"] != rule["campaign"]:
            continue
        if rule.get("days"):
            at = one["intent_at"] or one["since"]
            if at < world.now - dt.timedelta(days=rule["days"]):
                continue
        if rule["did"] == "failed" and rule.get("reason", one["reason"]) != one["reason"]:
            continue
        if rule["did"] == "failed" and rule.get("code", one["code"]) != one["code"]:
            continue
        week = dt.timedelta(days=7)
        answers = {"replied": who.wrote, "clicked": who.pressed}.get(rule["did"])
        if answers is not None and not any(
            one["intent_at"] and one["intent_at"] < at <= one["intent_at"] + week
            for at in answers
        ):
            continue
        found += 1
    return found >= (rule.get("times") or 1)


def read_inbound(rule, who, world):
    if rule.get("test", "ever") == "ever" or not who.wrote:
        return bool(who.wrote)
    return day_fits(max(who.wrote).astimezone(world.zone).date(), rule, world)


def read_outcome(rule, who, _world):
    failed = any(
        one["campaign"] == rule["campaign"]
        and one["state"] == "failed"
        and one["reason"] == rule["reason"]
        for one in who.messages
    )
    american = (who.row["phone"] or "").startswith("+1") and who.row["country"] in (
        "",
        "US",
    )
    return failed and not american


def read_share(rule, who, _world):
    return who.hashes[rule.get("seed") or rule["name"]] < rule["percent"] * 100


READ = {
    "all": lambda *_: True,
    "field": read_field,
    "tag": lambda r, who, _: r["tag"] in who.tags,
    "list": lambda r, who, _: r["list"] in who.lists,
    "snapshot": lambda r, who, _: r["snapshot"] in who.snapshots,
    "import": lambda r, who, _: str(who.row["import_id"]) == r["import"],
    "segment": lambda r, who, world: fits(world.segments[r["segment"]], who, world),
    "consent": read_consent,
    "campaign": read_campaign,
    "inbound": read_inbound,
    "outcome": read_outcome,
    "suppressed": lambda _r, who, _w: who.suppressed,
    "share": read_share,
    "holdout": read_share,
}


# --- random people


def moments(rng, now, most=60):
    return now - dt.timedelta(days=rng.randint(0, most), hours=rng.randint(1, 20))


def own_of(rng, today):
    near = today + dt.timedelta(days=rng.randint(-4, 4))
    born = near.replace(year=1990 + rng.randint(0, 3), day=min(near.day, 28))
    return {
        key: value
        for key, value in {
            "city": rng.choice(CITIES),
            "age": rng.choice([None, 7, 7.5, -3, "7", 40]),
            "born": rng.choice(
                [None, born.isoformat(), "1996-02-29", "2023-02-31", "soon"]
            ),
            "vip": rng.choice([None, True, False, "true"]),
        }.items()
        if value is not None
    }


def populate(rng, account):
    sender = make_sender(account)
    orm = db.session()
    zone = ZoneInfo(hours.rules().zone)
    now = orm.scalar(select(func.clarion_now()))
    campaigns = [orders.create(f"C{n}", "utility", sender, TEMPLATE).id for n in range(2)]
    tags = [Tag(id=db.new_id(), name=f"t{n}", key=f"t{n}") for n in range(3)]
    lists = [List(id=db.new_id(), name=f"l{n}", key=f"l{n}") for n in range(2)]
    fields = [
        Field(key=k, title=k, kind=kind)
        for k, kind in (
            ("city", "text"),
            ("age", "number"),
            ("born", "date"),
            ("vip", "yes_no"),
        )
    ]
    orm.add_all([*tags, *lists, *(f for f in fields)])
    for one in fields:
        one.id = db.new_id()
    imports = [attested(now) for _ in range(2)]
    orm.flush()
    wordings = [keep_wording(f"words {n}") for n in range(2)]
    orm.flush()
    world = World(
        people=[],
        tags=[str(one.id) for one in tags],
        lists=[str(one.id) for one in lists],
        imports=[str(one) for one in imports],
        wordings=[str(one) for one in wordings],
        campaigns=[str(one) for one in campaigns],
        segments={},
        snapshots=[],
        zone=zone,
        now=now,
    )
    for n in range(PEOPLE):
        world.people.append(one_of(rng, n, world, imports, sender))
    run(world.campaigns[0], world)
    run(world.campaigns[1], world, ended=True)
    keep_segments(world)
    keep_snapshots(rng, world)
    draw(world)
    return world


def attested(now):
    """An import whose consents the database believes."""
    row = Import(
        id=db.new_id(), file_name="list.csv", file_digest=b"f", file_size=1,
        encoding="utf-8", delimiter=",", header=True, expires_at=now,
        attested_at=now, attestation_digest=b"a",
    )  # fmt: skip
    db.session().add(row)
    return row.id


def one_of(rng, n, world, imports, sender):
    orm, now = db.session(), world.now
    phone = rng.choice([None, f"+1202555{n:04}", f"+55119{n:08}"])
    row = {
        "name": rng.choice(NAMES),
        "first_name": rng.choice(("", "", "Ana", "Zé")),
        "last_name": rng.choice(("", "Lima")),
        "email": rng.choice(("", f"a{n}@example.org", "X_Y@example.com")),
        "phone": phone,
        "language": rng.choice(("", "pt-BR", "en")),
        "country": rng.choice(("", "BR", "US", "de")),
        "timezone": rng.choice(("", "America/Sao_Paulo")),
        "import_id": rng.choice((None, *imports)),
        "consent": "none",
    }
    who = Person(db.new_id(), row, own_of(rng, world.today), moments(rng, now))
    contact = Contact(
        id=who.id,
        attributes=who.own,
        created_at=who.created_at,
        phone_idx=identifiers.index("phone", phone) if phone else None,
        **row,
    )
    orm.add(contact)
    orm.flush()
    agree(rng, who, contact, world)
    for model, known, into in (
        (Tagging, world.tags, who.tags),
        (Listing, world.lists, who.lists),
    ):
        for one in known:
            if rng.random() < 0.4:
                key = "tag_id" if model is Tagging else "list_id"
                orm.add(model(id=db.new_id(), contact_id=who.id, **{key: UUID(one)}))
                into.add(one)
    messages(rng, who, world, sender)
    for _ in range(rng.choice((0, 0, 1, 3))):
        at = moments(rng, now, 20)
        kind = rng.choice(("text", "button", "interactive"))
        who.wrote.append(at)
        if kind != "text":
            who.pressed.append(at)
        orm.add(
            InboundMessage(
                id=db.new_id(),
                provider_id=str(db.new_id()),
                contact_id=who.id,
                address_idx=b"x",
                kind=kind,
                body=b"",
                sent_at=at,
            )
        )
    orm.flush()
    if phone and rng.random() < 0.2:
        who.suppressed = True
        mine = {"contact_id": who.id} if rng.random() < 0.5 else {}
        suppression.suppress([("phone", phone)], reason="stop", **mine)
    return who


def agree(rng, who, contact, world):
    orm = db.session()
    for purpose in ("marketing", "utility"):
        at = moments(rng, world.now, 90)
        for _ in range(rng.choice((0, 1, 2))):
            at += dt.timedelta(hours=1)
            actions = ["grant", "import_attested", "withdraw"]
            event = {
                "purpose": purpose,
                "action": rng.choice(
                    actions + (["correct"] if purpose == "utility" else [])
                ),
                "method": rng.choice(("web_form", "paper", "import")),
                "source": rng.choice(("https://shop.example", "Till_1", "")),
                "wording": rng.choice((None, *world.wordings)),
                "agreed_on": rng.choice((None, world.today - dt.timedelta(days=3))),
                "at": at,
            }
            stored = {k: v for k, v in event.items() if k not in ("at", "wording")}
            row = Consent(
                id=db.new_id(),
                contact_id=who.id,
                created_at=at,
                wording_id=UUID(event["wording"]) if event["wording"] else None,
                import_id=UUID(rng.choice(world.imports)),
                **stored,
            )
            orm.add(row)
            orm.flush()
            who.events.append(event)
            if purpose == "marketing":
                contact.consent = (
                    "opted_out" if event["action"] == "withdraw" else "opted_in"
                )
                contact.consent_id = row.id
    who.row["consent"] = contact.consent or "none"


def messages(rng, who, world, sender):
    orm = db.session()
    for campaign in world.campaigns:
        if rng.random() < 0.3:
            continue
        # the second order is older, and has ended: see `run`
        then = world.now - dt.timedelta(days=10 * world.campaigns.index(campaign))
        state = rng.choice(("sent", "delivered", "read", "failed", "accepted", "cancelled"))
        one = {
            "campaign": campaign,
            "state": state,
            "reason": rng.choice(("per_user_limit", "not_on_whatsapp"))
            if state == "failed"
            else "",
            "code": rng.choice(("131049", "131026")) if state == "failed" else "",
            "intent_at": None if state == "cancelled" else moments(rng, then, 20),
            "since": moments(rng, then, 20),
        }
        who.messages.append(one)
        row = Message(
            id=db.new_id(),
            campaign_id=UUID(campaign),
            contact_id=who.id,
            sender_id=sender,
            address="x",
            address_idx=b"x",
            purpose="utility",
            state=state,
            reason=one["reason"],
            attempt=1,
            intent_at=one["intent_at"],
            state_since=one["since"],
            variables={},
        )
        orm.add(row)
        orm.add(
            Attempt(
                id=db.new_id(),
                message_id=row.id,
                number=1,
                sender_id=sender,
                code=one["code"],
            )
        )


def run(campaign, world, *, ended=False):
    """Let an order have begun with its first message: all of them are of the days since.

    One that ended with its last is looked through for those days only.
    """
    moments = [
        one["intent_at"] or one["since"]
        for who in world.people
        for one in who.messages
        if one["campaign"] == campaign
    ]
    order = db.session().get_one(Campaign, UUID(campaign))
    order.state, order.started_at = "running", min(moments)
    if ended:
        order.state, order.finished_at = "finished", max(moments)


def keep_segments(world):
    orm = db.session()
    inner = {"op": "or", "of": [{"op": "tag", "tag": world.tags[0]}, {"op": "suppressed"}]}
    first = Segment(id=db.new_id(), name="s0", key="s0", rule=inner)
    outer = {
        "op": "none",
        "of": [
            {"op": "segment", "segment": str(first.id)},
            {"op": "campaign", "did": "read", "campaign": world.campaigns[0]},
        ],
    }
    second = Segment(id=db.new_id(), name="s1", key="s1", rule=outer)
    orm.add_all([first, second])
    orm.flush()
    world.segments = {str(first.id): inner, str(second.id): outer}


def keep_snapshots(rng, world):
    orm = db.session()
    segment = UUID(next(iter(world.segments)))
    row = Snapshot(
        id=db.new_id(),
        segment_id=segment,
        name="then",
        rule={},
        people=0,
        frozen_at=world.now,
    )
    orm.add(row)
    orm.flush()
    for who in world.people:
        if rng.random() < 0.5:
            who.snapshots.add(str(row.id))
            orm.add(Member(id=db.new_id(), contact_id=who.id, snapshot_id=row.id))
    orm.flush()
    world.snapshots = [str(row.id)]


def draw(world):
    """Learn each person's place in each draw; how even draws are is another test."""
    for name, node in (
        ("a", rules.Share(10_000, "share:a")),
        ("2027", rules.Share(10_000, "holdout:2027")),
    ):
        for who in world.people:
            low, high = 0, 10_000
            while low < high:
                middle = (low + high) // 2
                inside = rules.Share(middle + 1, node.seed)
                condition = segments.compiling.Compiler().condition(inside)
                query = select(Contact.id).where(Contact.id == who.id, condition)
                if db.session().scalar(query):
                    high = middle
                else:
                    low = middle + 1
            who.hashes[name] = low


# --- random rules


def trees(world):
    return st.recursive(leaves(world), groups, max_leaves=8)


def groups(inner):
    several = st.fixed_dictionaries(
        {"op": st.sampled_from(["and", "or", "none"]), "of": st.lists(inner, max_size=4)}
    )
    one = st.fixed_dictionaries(
        {"op": st.just("not"), "of": st.lists(inner, min_size=1, max_size=1)}
    )
    return several | one


def leaf(**parts):
    given = {
        key: v if isinstance(v, st.SearchStrategy) else st.just(v)
        for key, v in parts.items()
    }
    return st.fixed_dictionaries(given, optional={"not": st.booleans()})


def day_tests(world, tests, **parts):
    near = st.integers(-25, 25).map(
        lambda n: (world.today + dt.timedelta(days=n)).isoformat()
    )
    return st.sampled_from(tests).flatmap(
        lambda test: leaf(
            **parts,
            test=test,
            value=near,
            to=near,
            days=st.integers(0 if test == "anniversary" else 1, 30),
        )
    )


def leaves(world):
    words = st.sampled_from(WORDS[1:])
    plain = st.sampled_from(
        ["name", "first_name", "email", "country", "phone", "attributes.city"]
    )
    numbers = st.sampled_from([7, 7.0, 7.5, -3, 0, 41])
    days = list(rules.DAY_TESTS)
    campaign = st.sampled_from(["", *world.campaigns])
    return st.one_of(
        st.just({"op": "all"}),
        leaf(
            op="field",
            field=plain,
            test=st.sampled_from(rules.TESTS["text"]),
            value=words | st.just("ana lima, br ,RECIFE"),
        ),
        leaf(
            op="field",
            field="attributes.age",
            kind="number",
            test=st.sampled_from(rules.TESTS["number"]),
            value=numbers,
            to=numbers,
        ),
        leaf(
            op="field",
            field=st.sampled_from(["attributes.vip", "attributes.city"]),
            kind="yes_no",
            test=st.sampled_from(rules.TESTS["yes_no"]),
        ),
        leaf(
            op="field",
            field="attributes.born",
            kind="date",
            test=st.sampled_from(["empty", "filled"]),
        ),
        day_tests(
            world, [*days, "anniversary"], op="field", field="attributes.born", kind="date"
        ),
        day_tests(world, [*days, "anniversary"], op="field", field="added_on"),
        leaf(op="tag", tag=st.sampled_from(world.tags)),
        leaf(op="list", list=st.sampled_from(world.lists)),
        leaf(op="import", **{"import": st.sampled_from(world.imports)}),
        leaf(op="segment", segment=st.sampled_from(list(world.segments))),
        leaf(op="snapshot", snapshot=st.sampled_from(world.snapshots)),
        leaf(op="suppressed"),
        consents(world),
        leaf(
            op="campaign",
            did=st.sampled_from(rules.DEEDS),
            campaign=campaign,
            days=st.sampled_from([0, 3, 12]),
            times=st.sampled_from([1, 1, 2]),
        ),
        leaf(
            op="campaign",
            did="failed",
            reason=st.sampled_from(["per_user_limit", "other"]),
            code=st.sampled_from(["131049", "131026"]),
        ),
        leaf(op="inbound", test="ever"),
        day_tests(world, days[:5], op="inbound"),
        leaf(
            op="outcome", campaign=st.sampled_from(world.campaigns), reason="per_user_limit"
        ),
        leaf(op="share", percent=st.sampled_from([1, 25, 50.5, 100]), seed="a"),
        leaf(op="holdout", percent=st.sampled_from([5, 90]), name="2027"),
    )


def consents(world):
    purpose = st.sampled_from(["marketing", "utility"])
    return st.one_of(
        leaf(op="consent", purpose=purpose, value=st.sampled_from(rules.STATES)),
        leaf(op="consent", part="method", purpose=purpose, value="paper"),
        leaf(
            op="consent",
            part="wording",
            purpose=purpose,
            value=st.sampled_from(world.wordings),
        ),
        leaf(
            op="consent",
            part="source",
            purpose=purpose,
            test=st.sampled_from(["is", "contains", "starts"]),
            value=st.sampled_from(["till_1", "shop", "https"]),
        ),
        day_tests(
            world, list(rules.DAY_TESTS[:5]), op="consent", part="date", purpose=purpose
        ),
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_the_database_says_what_a_plain_reading_says(account, seed):
    with db.transaction():
        world = populate(random.Random(seed), account)
    names = {who.id: who for who in world.people}

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    @given(trees(world))
    def holds(rule):
        with db.session().begin_nested():
            chosen = segments.condition(rule)
            found = set(db.session().scalars(select(Contact.id).where(chosen)))
            turned = segments.condition({"op": "none", "of": [rule]})
            others = set(db.session().scalars(select(Contact.id).where(turned)))

        assert found == {one for one, who in names.items() if fits(rule, who, world)}
        assert others == set(names) - found

    for last in (5, 12, 15, 25, 40):  # around the end of the order that has ended
        for negated in (False, True):
            rule = {"op": "campaign", "did": "sent", "days": last, "not": negated}
            holds = example(rule)(holds)
    with db.transaction():
        holds()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=10,
)
KEYS = (
    "field", "kind", "test", "value", "to", "days", "tag", "list", "import", "did", "campaign",
    "times", "reason", "code", "part", "purpose", "percent", "seed", "name", "segment", "not",
    "of",
)  # fmt: skip
HINTS = st.sampled_from(
    [
        *rules.KINDS, *rules.FIELDS, *rules.DEEDS, *rules.PARTS, *rules.TEXT_TESTS,
        *rules.NUMBER_TESTS, *rules.DAY_TESTS, "attributes.x", "attributes.", "2024-02-30",
        "2024-02-29", "12e3", "\x00", "\ud800", 10**400, -1, 1e308, float("nan"),
    ]
)  # fmt: skip
STRANGE = st.recursive(
    st.dictionaries(st.sampled_from(KEYS), JSON | HINTS, max_size=6).flatmap(
        lambda rest: st.sampled_from([*rules.TITLES]).map(lambda op: {**rest, "op": op})
    ),
    lambda inner: st.fixed_dictionaries(
        {
            "op": st.sampled_from(["and", "or", "none", "not"]),
            "of": st.lists(inner, max_size=3),
        }
    ),
    max_leaves=5,
)


def test_whatever_is_sent_is_a_rule_or_refused(account):
    """Nothing but `Invalid` comes out; what is a rule can be asked."""

    @settings(
        max_examples=600,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    @given(STRANGE | JSON)
    def holds(rule):
        try:
            chosen = segments.condition(rule)
        except Invalid as refused:
            assert refused.code == "segment_invalid"
            assert refused.text
        else:
            with db.session().begin_nested():
                db.session().scalars(select(Contact.id).where(chosen)).all()

    with db.transaction():
        holds()
