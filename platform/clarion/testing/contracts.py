"""What every plugin, transport and table of people must do, as tests to inherit.

    class TestReminders(PluginContract):
        plugin = "reminders"

A class brings its own answers and payloads; the tests are the same for everybody.
"""

import asyncio
import importlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from sqlalchemy import Connection, create_engine

from clarion.base import db, migrate, services, walls
from clarion.base.db import Base
from clarion.base.errors import Conflict, NotFound
from clarion.messaging import contract
from clarion.messaging.contract import Channel, Message, RawWebhook, Transport
from clarion.plugging.manager import Found, histories, plugins
from clarion.tenancy import preferences
from clarion.testing import catalogue

if TYPE_CHECKING:
    from clarion.base.services import Running
    from clarion.testing.factories import Tenant

HEADINGS = [
    "What it does",
    "Switching it on",
    "Settings",
    "Permissions",
    "What it stores about people",
    "What it listens to and says",
]


class PluginContract:
    """For every plugin: it loads, can be switched off, keeps the walls, says what it does."""

    plugin: ClassVar[str]

    @pytest.fixture
    def found(self, database: "Running") -> Found:  # noqa: ARG002 -- asked for by name
        """The plugin as the manager found it."""
        return plugins().found[self.plugin]

    @pytest.fixture
    def superuser(self, database: "Running") -> Iterator[Connection]:
        """A connection that sees everything; what it does is taken back."""
        engine = create_engine(database.superuser_url)
        with engine.connect() as connection:
            yield connection
            connection.rollback()
        engine.dispose()

    def test_it_loads(self, found: Found) -> None:
        assert (found.state, found.error) == ("loaded", "")
        assert re.match(r"[A-Z][^:.]+: .+\.", found.about)

    def test_it_can_be_switched_off(self, found: Found, account: "Tenant") -> None:
        """Its pages are not found, its menu is gone, its vetoes are not asked."""
        needed = [
            f.name
            for f in plugins().loaded()
            if f.plugin and self.plugin in f.plugin.requires
        ]
        with db.transaction():
            for name in _with_needs(needed):
                preferences.switch(name, to=False)
            if found.plugin and found.plugin.always:
                with pytest.raises(Conflict):
                    preferences.switch(self.plugin, to=False)
                return
            preferences.switch(self.plugin, to=False)

        assert not preferences.switched_on(self.plugin)
        assert {_status(path, account) for path in _pages(self.plugin)} <= {404}

    def test_its_pages_answer_while_it_is_on(self, account: "Tenant") -> None:
        assert {_status(path, account) for path in _pages(self.plugin)} <= {200, 302}

    def test_tables_say_what_they_hold(self, found: Found) -> None:
        wrong = [one for model in _models(found) for one in catalogue.declared(model)]

        assert wrong == []

    def test_tables_have_the_wall_they_declare(
        self, found: Found, superuser: Connection
    ) -> None:
        wrong = [
            one for model in _models(found) for one in catalogue.shape(superuser, model)
        ]

        assert wrong == []

    def test_tables_carry_the_name(self, found: Found) -> None:
        names = [str(model.__tablename__) for model in _models(found)]

        assert [n for n in names if not n.startswith(f"{self.plugin}_")] == []

    def test_migrations_go_down_and_up(self, found: Found, database: "Running") -> None:
        if self.plugin not in histories():
            assert _models(found) == []
            return
        urls = services.fresh_database(database, "clarion_contract")
        engine = create_engine(urls.owner_url)
        try:
            known = migrate.Histories(histories())
            known.upgrade(engine)
            known.downgrade(engine, self.plugin)
            with engine.connect() as connection:
                assert list(known.pending(connection)) == [self.plugin]
            known.upgrade(engine)
            with engine.connect() as connection:
                assert list(known.pending(connection)) == []
        finally:
            engine.dispose()
            services.drop_database(database, "clarion_contract")

    def test_readme_has_the_headings_and_names_everything(self, found: Found) -> None:
        text = (_folder(found) / "README.md").read_text()
        plugin = found.plugin
        assert plugin is not None
        wanted = [f"{plugin.name}.{one.name}" for one in plugin.permissions]
        declared: tuple[Any, ...] = (*plugin.settings, *plugin.cookies, *plugin.hosts)
        wanted += [one.name for one in declared]
        wanted += [event.name for event in _events(found)]

        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS
        assert [name for name in wanted if f"`{name}`" not in text] == []


class PersonalDataContract:
    """For every plugin with tables: who is in them, and what becomes of it."""

    plugin: ClassVar[str]

    @pytest.fixture
    def models(self, database: "Running") -> dict[str, type[Base]]:  # noqa: ARG002 -- asked for by name
        """The plugin's tables."""
        found = plugins().found[self.plugin]
        return {model.__tablename__: model for model in _models(found)}

    @pytest.fixture
    def named(self, database: "Running") -> set[str]:  # noqa: ARG002 -- asked for by name
        """The tables that the plugin says hold something about a person."""
        answers = dict(plugins().register("personal_data"))
        return set(answers[self.plugin].tables()) if self.plugin in answers else set()

    def test_tables_with_a_contact_are_named(
        self, models: dict[str, type[Base]], named: set[str]
    ) -> None:
        holding = {
            name
            for name, model in models.items()
            for column in model.__table__.columns
            if (column.info["pd"] or "").startswith("contact.")
        }

        assert holding <= named <= set(models)

    def test_what_is_personal_can_be_exported_or_says_why_not(
        self, models: dict[str, type[Base]], named: set[str]
    ) -> None:
        """Each named table gives something to an export, and loses something to an erasure.

        A table that nobody may read, like the words of a search, has nothing of its own;
        neither has one of nothing but sealed copies, like the pieces of an uploaded file.
        """
        for name in named:
            personal = [c for c in models[name].__table__.columns if c.info["pd"]]

            readable = any(right.startswith("SELECT") for right in models[name].wall.app)
            copies = all(c.info["erase"] == "shred" for c in personal)
            if readable and not copies:
                assert [c.name for c in personal if c.info["export"]], name
            assert [c.name for c in personal if c.info["erase"] in ("delete", "shred")], (
                name
            )


class ContactsContract:
    """For the contacts plugin, and for one that takes its place: what others build upon.

    Attributes:
        module: where the functions of the contract are.
    """

    module: ClassVar[str] = "clarion_contacts.contract"
    consent: ClassVar[Mapping[str, str]] = {
        "method": "shop",
        "source": "till 3",
        "wording": "Yes, write to me.",
    }

    @pytest.fixture
    def contacts(self, account: "Tenant") -> Any:  # noqa: ARG002 -- asked for by name
        """The contract, as another plugin imports it."""
        return importlib.import_module(self.module)

    @pytest.fixture
    def ana(self, contacts: Any) -> Any:
        """Somebody with a number and an e-mail address who agreed."""
        details = contacts.Details(
            name="Ana Lima", phone="+55 11 8123-4567", email="ana@example.org"
        )
        with db.transaction():
            person = contacts.add(details)
            contacts.opt_in(person.id, **self.consent)
        return person

    def test_it_says_its_version(self, contacts: Any) -> None:
        assert contacts.VERSION >= 1

    def test_people_are_found_by_id_word_and_any_spelling(
        self, contacts: Any, ana: Any
    ) -> None:
        with db.transaction():
            assert contacts.get(ana.id).phone == "+5511981234567"
            assert [one.id for one in contacts.find("lima").rows] == [ana.id]
            for kind, value in (
                ("phone", "+551181234567"),
                ("wa_id", "5511981234567"),
                ("email", "ANA@example.org"),
            ):
                assert contacts.owner_of(kind, value) == ana.id
            assert contacts.owner_of("username", "ana") is None
            assert contacts.owner_of("phone", "+5511981234568") is None

    def test_nobody_is_written_to_without_consent_or_against_their_wish(
        self, contacts: Any, ana: Any
    ) -> None:
        with db.transaction():
            bob = contacts.add(contacts.Details(name="Bob", phone="+5511981230002"))
            both = [ana.id, bob.id]
            assert contacts.why_not(both) == {ana.id: "", bob.id: "no_consent"}
            assert contacts.why_not(both, "utility") == {ana.id: "", bob.id: ""}
            contacts.opt_out(ana.id)
            assert contacts.why_not([ana.id]) == {ana.id: "opted_out"}
            with pytest.raises(Conflict):
                contacts.opt_in(ana.id, **self.consent)

    def test_an_audience_has_what_a_ledger_needs(self, contacts: Any, ana: Any) -> None:
        filled = {"first_name": contacts.Filling("first_name")}
        with db.transaction():
            chosen = contacts.audience(contacts.everyone(), filled, "marketing")
            [row] = db.session().execute(chosen).mappings()
            assert set(row) >= {
                "contact_id", "address_kind", "address", "address_idx", "variables",
                "consent_id", "reason", "zone", "country",
            }  # fmt: skip
            assert (row["contact_id"], row["reason"]) == (ana.id, "")
            assert row["variables"] == {"first_name": "Ana"}
            assert contacts.count(contacts.everyone(), filled, "marketing").reached == 1

    def test_tags_choose_people(self, contacts: Any, ana: Any) -> None:
        with db.transaction():
            contacts.tag([ana.id], ["vip"])
            [vip] = contacts.tags()
            assert contacts.count(contacts.by_tags([vip.id]), {}, "utility").total == 1
            assert contacts.count(contacts.by_tags([], [vip.id]), {}, "utility").total == 0
            contacts.untag([ana.id], [vip.id])
            assert contacts.tags()[0].people == 0

    def test_people_can_be_joined(self, contacts: Any, ana: Any) -> None:
        with db.transaction():
            [row] = db.session().execute(contacts.people()).mappings()
            assert set(row) >= {
                "account_id", "id", "name", "first_name", "last_name", "phone", "email",
                "language", "country", "timezone", "attributes", "consent", "added_at",
            }  # fmt: skip
            assert (row["id"], row["consent"]) == (ana.id, "opted_in")
            proof = db.session().execute(contacts.evidence()).mappings().one()
            assert proof["wording"] == self.consent["wording"]

    def test_who_became_part_of_another_is_found_under_that_id(
        self, contacts: Any, ana: Any
    ) -> None:
        with db.transaction():
            twin = contacts.add(contacts.Details(name="Ana", phone="+5511981230003"))
            stays = contacts.merge(ana.id, twin.id)
            assert contacts.survivors([ana.id, twin.id]) == {ana.id: stays, twin.id: stays}
            assert contacts.get(twin.id).id == stays == ana.id
            assert contacts.parts_of([stays]) == [twin.id]
            assert len(db.session().execute(contacts.people()).all()) == 1
            assert contacts.why_not([stays]) == {stays: "no_consent"}  # the twin had none

    def test_who_is_erased_is_gone(self, contacts: Any, ana: Any) -> None:
        with db.transaction():
            assert contacts.delete([ana.id]) == 1
            assert contacts.why_not([ana.id]) == {}
            assert contacts.survivors([ana.id]) == {}
            with pytest.raises(NotFound):
                contacts.get(ana.id)


@dataclass(frozen=True)
class Answer:
    """What a provider's machine answers: the far side, not ours."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)


class Line:
    """A line to the provider on which one answer waits; it remembers what was said."""

    def __init__(self, answer: Answer) -> None:
        self.answer, self.said = answer, []  # type: tuple[Answer, list[Any]]  # Any: JSON

    async def post(
        self, url: str, *, json: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Take a request."""
        self.said.append({"url": url, "json": json, "headers": dict(headers or {})})
        return self.answer

    async def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Answer:
        """Take a request without a body."""
        self.said.append({"url": url, "headers": dict(headers or {})})
        return self.answer


class TransportContract:
    """For every transport: answers become verdicts, webhooks become updates, forgery ends.

    Attributes:
        transport: its class.
        channel: a connection with secrets.
        message: one message; its reference must come back in `webhooks["sent"]`.
        answers: `accepted`, `rejected`, `busy`, `halted`, `unreadable`: what the provider
            answers.
        webhooks: `sent`, `delivered`, `read`, `failed`, `reply`, `stop`, `unknown`: what it
            sends, as bytes; and `number_changed`, if it tells.
    """

    transport: ClassVar[type[Transport]]
    channel: ClassVar[Channel]
    message: ClassVar[Message]
    answers: ClassVar[Mapping[str, Answer]]
    webhooks: ClassVar[Mapping[str, bytes]]

    def sign(self, body: bytes) -> RawWebhook:
        """Sign a body the way the provider does."""
        raise NotImplementedError

    def forge(self, raw: RawWebhook) -> Iterator[RawWebhook]:
        """Change what was signed: a byte more, one other, no signature."""
        yield replace(raw, body=raw.body + b" ")
        yield replace(raw, body=raw.body[:-1] + bytes([raw.body[-1] ^ 1]))
        yield replace(raw, headers={})

    def send(self, answer: str) -> tuple[contract.Accepted, Line]:
        """Send the message to a provider that answers so."""
        line = Line(self.answers[answer])
        sent = self.transport().send(self.channel, self.message, line)
        return asyncio.run(sent), line

    def updates(self, name: str) -> list[contract.Update]:
        """Read a webhook as the inbox does: split, stored as JSON, parsed."""
        transport = self.transport()
        raw = self.sign(self.webhooks[name])
        transport.verify(self.channel, raw)
        return [
            update
            for piece in transport.split(raw)
            for update in transport.parse(json.loads(json.dumps(piece.payload)), piece.kind)
        ]

    def test_accepted_message_has_the_providers_id(self) -> None:
        accepted, line = self.send("accepted")

        assert accepted.provider_id
        assert len(line.said) == 1

    def test_our_reference_goes_out_and_comes_back(self) -> None:
        _accepted, line = self.send("accepted")
        [update] = self.updates("sent")

        assert self.message.reference in json.dumps(line.said)
        assert isinstance(update, contract.StatusUpdate)
        assert update.reference == self.message.reference

    def test_refusal_for_good_is_rejected(self) -> None:
        with pytest.raises(contract.Rejected) as verdict:
            self.send("rejected")

        assert verdict.value.reason

    def test_not_now_is_busy(self) -> None:
        with pytest.raises(contract.Busy) as verdict:
            self.send("busy")

        assert verdict.value.retry_after > 0

    def test_something_bigger_halts(self) -> None:
        with pytest.raises(contract.Halted) as verdict:
            self.send("halted")

        assert verdict.value.reason

    def test_what_nobody_can_read_is_no_verdict(self) -> None:
        """The engine then calls the outcome unknown, which is the truth."""
        with pytest.raises(Exception) as error:  # noqa: PT011 -- anything but a verdict
            self.send("unreadable")

        assert not isinstance(error.value, contract.Verdict)

    def test_secrets_are_not_in_an_address(self) -> None:
        _accepted, line = self.send("accepted")

        for secret in self.channel.secrets.values():
            assert secret not in line.said[0]["url"]

    def test_tampered_webhook_is_refused(self) -> None:
        transport, raw = self.transport(), self.sign(self.webhooks["sent"])
        transport.verify(self.channel, raw)

        for forged in self.forge(raw):
            with pytest.raises(contract.Forged):
                transport.verify(self.channel, forged)

    @pytest.mark.parametrize("status", ["sent", "delivered", "read", "failed"])
    def test_status_is_read(self, status: str) -> None:
        [update] = self.updates(status)

        assert isinstance(update, contract.StatusUpdate)
        assert update.status == status
        assert update.at.tzinfo is not None
        assert (update.verdict is not None) is (status == "failed")

    @pytest.mark.parametrize("name", ["reply", "stop"])
    def test_reply_is_read(self, name: str) -> None:
        [update] = self.updates(name)

        assert isinstance(update, contract.Inbound)
        assert update.identifiers
        assert update.sender
        assert update.text or update.payload

    def test_changed_number_is_read(self) -> None:
        if "number_changed" not in self.webhooks:
            pytest.skip("this provider does not tell")
        [update] = self.updates("number_changed")

        assert isinstance(update, contract.IdentityChange)
        assert update.before
        assert update.after
        assert not set(update.before) & set(update.after)

    def test_unknown_event_is_survived(self) -> None:
        assert all(isinstance(u, contract.Notice) for u in self.updates("unknown"))

    def test_same_webhook_twice_is_the_same_events(self) -> None:
        for name in self.webhooks:
            raw = self.sign(self.webhooks[name])
            first, again = (
                [(p.key, p.kind, dict(p.payload)) for p in self.transport().split(raw)]
                for _ in range(2)
            )
            keys = [key for key, *_ in first]

            assert first == again
            assert len(set(keys)) == len(keys)

    def test_events_of_different_webhooks_have_different_keys(self) -> None:
        keys = [
            piece.key
            for body in self.webhooks.values()
            for piece in self.transport().split(self.sign(body))
        ]

        assert len(set(keys)) == len(keys)


# --- how they look


def _folder(found: Found) -> Path:
    assert found.module is not None
    return Path(found.module.__file__ or "").parent


def _package(found: Found) -> str:
    assert found.module is not None
    return found.module.__name__.rpartition(".")[0]


def _models(found: Found) -> list[type[Base]]:
    return [
        model
        for model in walls.models().values()
        if model.__module__.startswith(f"{_package(found)}.")
    ]


def _events(found: Found) -> list[Any]:
    from clarion.work.events import Event

    if not (_folder(found) / "events.py").exists():
        return []
    module = importlib.import_module(f"{_package(found)}.events")
    own = [one for one in vars(module).values() if isinstance(one, type)]
    return [
        e
        for e in own
        if issubclass(e, Event) and e.__module__ == module.__name__ and e.public
    ]


def _with_needs(names: list[str]) -> list[str]:
    """List plugins with everything that needs them, what is needed last."""
    out: list[str] = []
    for name in names:
        above = [
            f.name for f in plugins().loaded() if f.plugin and name in f.plugin.requires
        ]
        out += [n for n in (*_with_needs(above), name) if n not in out]
    return out


def _pages(plugin: str) -> list[str]:
    """List a plugin's addresses that need nothing but a member who is signed in."""
    from clarion.testing.visitor import portal

    return [
        rule.rule
        for rule in portal().url_map.iter_rules()
        if rule.endpoint.startswith(f"{plugin}.")
        and "GET" in (rule.methods or ())
        and not rule.arguments
    ]


def _status(path: str, account: "Tenant") -> int:
    from clarion.testing.visitor import Visitor

    status: int = Visitor(account).get(path).status_code
    return status
