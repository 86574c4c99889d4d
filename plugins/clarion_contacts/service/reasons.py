"""Why one person is not among those a rule chooses, in words: each kind of rule has its own.

Every rule of the tree is asked about the person in one statement; then the sentences are
put together from those that decided it.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, cast, func, select

from clarion.base import db
from clarion.base.words import Lazy, _, lazy
from clarion.messaging.models import Campaign
from clarion.tenancy.scope import current_account
from clarion_contacts.models import Contact, Field, Import, List, Tag
from clarion_contacts.records import Segment, Snapshot
from clarion_contacts.segments import rules
from clarion_contacts.segments.compiling import Compiler
from clarion_contacts.segments.filling import ATTRIBUTE

DEEPEST = 3  # segments that are explained inside one another
TESTS: Mapping[str, Lazy] = {
    "is": lazy("is"),
    "is_not": lazy("is not"),
    "one_of": lazy("is one of"),
    "contains": lazy("contains"),
    "contains_not": lazy("does not contain"),
    "starts": lazy("begins with"),
    "ge": lazy("is at least"),
    "le": lazy("is at most"),
    "gt": lazy("is more than"),
    "lt": lazy("is less than"),
    "between": lazy("is between"),
    "on": lazy("is on"),
    "before": lazy("is before"),
    "after": lazy("is after"),
    "last_days": lazy("is in the last days:"),
    "next_days": lazy("is in the next days:"),
    "anniversary": lazy("has its day of the year within days:"),
    "yes": lazy("is yes"),
    "no": lazy("is no"),
    "filled": lazy("has a value"),
    "empty": lazy("is empty"),
}
TITLES: Mapping[str, Lazy] = {
    "name": lazy("Name"),
    "first_name": lazy("First name"),
    "last_name": lazy("Last name"),
    "email": lazy("E-mail"),
    "phone": lazy("Phone number"),
    "language": lazy("Language"),
    "country": lazy("Country"),
    "timezone": lazy("Time zone"),
    "added_on": lazy("Added"),
}
DEEDS: Mapping[str, Lazy] = {
    "sent": lazy("was sent to them"),
    "delivered": lazy("reached them"),
    "read": lazy("was read by them"),
    "replied": lazy("was answered by them"),
    "clicked": lazy("was answered with a button"),
    "failed": lazy("failed"),
}
PURPOSES: Mapping[str, Lazy] = {
    "marketing": lazy("marketing"),
    "utility": lazy("service"),
    "auth": lazy("codes"),
}
PARTS: Mapping[str, Lazy] = {
    "method": lazy("how they agreed"),
    "source": lazy("where they agreed"),
    "date": lazy("when they agreed"),
    "wording": lazy("the words they agreed to"),
}
STATES: Mapping[str, Lazy] = {
    "given": lazy("given"),
    "withdrawn": lazy("taken back"),
    "none": lazy("not asked for"),
}


def why_not(rule: rules.Rule, contact_id: UUID, *, deep: int = 0) -> list[str]:
    """Say which parts of a rule one person does not meet now; empty when they meet it."""
    node = rules.parse(rule)
    return _Telling(node, contact_id, deep).everything(node)


class _Telling:
    """One person and one rule: which of its parts are true of them."""

    def __init__(self, node: rules.Node, contact_id: UUID, deep: int) -> None:
        self.contact_id, self.deep = contact_id, deep
        nodes = list(_all(node))
        asked = [Compiler().condition(one).label(f"n{at}") for at, one in enumerate(nodes)]
        query = select(*asked).where(
            Contact.account_id == current_account(), Contact.id == contact_id
        )
        row = db.session().execute(query).one_or_none()
        self._true = dict(zip(map(id, nodes), row or [False] * len(nodes), strict=True))

    def everything(self, node: rules.Node) -> list[str]:
        """Say all that is to say about the whole rule."""
        said = self.misses(node)
        if said or self._true[id(node)]:
            return said
        return [_("The rule speaks of a segment that was deleted, so it chooses nobody.")]

    def misses(self, node: rules.Node) -> list[str]:
        """Say why a node is not true of them."""
        if self._true[id(node)]:
            return []
        if not isinstance(node, rules.Group):
            return [*self._said(node, holds=False), *self._inner(node)]
        if node.kind == "and":
            return [said for one in node.of for said in self.misses(one)]
        if node.kind == "none":
            found = [one for one in node.of if self._true[id(one)]]
            return [
                _("%(what)s Who is so is left out.", what=said)
                for one in found
                for said in self.meets(one)
            ]
        if not node.of:
            return [_("This rule chooses nobody.")]
        all_ = [said for one in node.of for said in self.misses(one)]
        return all_ if len(all_) == 1 else [*all_, _("One of these would be enough.")]

    def meets(self, node: rules.Node) -> list[str]:
        """Say why a node is true of them."""
        if not self._true[id(node)]:
            return []
        if not isinstance(node, rules.Group):
            return self._said(node, holds=True)
        if node.kind == "none":
            return [said for one in node.of for said in self.misses(one)]
        return [said for one in node.of for said in self.meets(one)]

    def _inner(self, node: rules.Node) -> list[str]:
        """Explain the segment a rule speaks of, too."""
        if not isinstance(node, rules.InSegment) or self.deep >= DEEPEST:
            return []
        query = select(Segment.rule).where(
            Segment.account_id == current_account(), Segment.id == node.segment_id
        )
        rule = db.session().scalar(query)
        return why_not(rule, self.contact_id, deep=self.deep + 1) if rule else []

    def _said(self, node: rules.Node, *, holds: bool) -> list[str]:
        said = _LEAVES[type(node)](self, node)
        return [said[0] if holds else said[1]]

    # --- leaves: what is said when it is true, and when it is not

    def _everyone(self, _node: rules.Everyone) -> tuple[str, str]:
        return _("The rule is about everybody."), _("There is no such contact.")

    def _field(self, node: rules.Field) -> tuple[str, str]:
        said = _(
            "The rule asks: %(field)s %(test)s %(wanted)s.",
            field=self._title(node.field),
            test=str(TESTS[node.test.test]),
            wanted=_wanted(node.test),
        ).replace(" .", ".")
        theirs = self._value(node)
        has = _("Theirs is “%(value)s”.", value=theirs) if theirs else _("They have none.")
        return f"{said} {has}", f"{said} {has}"

    def _tagged(self, node: rules.Tagged) -> tuple[str, str]:
        name = _name(Tag, Tag.name, node.tag_id)
        return (
            _("They have the tag “%(name)s”.", name=name),
            _("They do not have the tag “%(name)s”.", name=name),
        )

    def _listed(self, node: rules.Listed) -> tuple[str, str]:
        name = _name(List, List.name, node.list_id)
        return (
            _("They are on the list “%(name)s”.", name=name),
            _("They are not on the list “%(name)s”.", name=name),
        )

    def _imported(self, node: rules.Imported) -> tuple[str, str]:
        name = _name(Import, Import.file_name, node.import_id)
        return (
            _("They came with the import “%(name)s”.", name=name),
            _("They did not come with the import “%(name)s”.", name=name),
        )

    def _consented(self, node: rules.Consented) -> tuple[str, str]:
        purpose = str(PURPOSES[node.purpose])
        if node.part == "state":
            state = str(STATES[node.state])
            return (
                _(
                    "Their consent for %(purpose)s is: %(state)s.",
                    purpose=purpose,
                    state=state,
                ),
                _(
                    "Their consent for %(purpose)s is not: %(state)s.",
                    purpose=purpose,
                    state=state,
                ),
            )
        part = str(PARTS[node.part])
        return (
            _(
                "In their consent for %(purpose)s, %(part)s is what the rule asks for.",
                purpose=purpose,
                part=part,
            ),
            _(
                "In their consent for %(purpose)s, %(part)s is not what the rule asks for.",
                purpose=purpose,
                part=part,
            ),
        )

    def _behaved(self, node: rules.Behaved) -> tuple[str, str]:
        asked = [str(DEEDS[node.deed])]
        if node.campaign_id:
            asked.append(f"“{_name(Campaign, Campaign.name, node.campaign_id)}”")
        if node.reason or node.code:
            asked.append(" ".join(filter(None, (node.reason, node.code))))
        if node.days:
            asked.append(_("in the last %(days)s days", days=node.days))
        if node.times > 1:
            asked.append(_("at least %(times)s times", times=node.times))
        what = ", ".join(asked)
        return (
            _("A campaign's message is as the rule says: %(what)s.", what=what),
            _("No campaign's message is as the rule asks: %(what)s.", what=what),
        )

    def _wrote(self, node: rules.Wrote) -> tuple[str, str]:
        if node.last is None:
            return _("They wrote to you."), _("They never wrote to you.")
        test = f"{TESTS[node.last.test]} {_wanted(node.last)}".strip()
        return (
            _("When they last wrote to you %(test)s.", test=test),
            _("Asked is that when they last wrote to you %(test)s: not so.", test=test),
        )

    def _suppressed(self, _node: rules.Suppressed) -> tuple[str, str]:
        return _("They said STOP."), _("They did not say STOP.")

    def _share(self, node: rules.Share) -> tuple[str, str]:
        percent = f"{node.hundredths / 100:g}"
        kind, _colon, name = node.seed.partition(":")
        if kind == "holdout":
            return (
                _("They are in the holdout “%(name)s”.", name=name),
                _("They are not in the holdout “%(name)s”.", name=name),
            )
        return (
            _("The draw of %(percent)s %% chose them.", percent=percent),
            _("The draw of %(percent)s %% did not choose them.", percent=percent),
        )

    def _in_segment(self, node: rules.InSegment) -> tuple[str, str]:
        name = _name(Segment, Segment.name, node.segment_id)
        return (
            _("They are in the segment “%(name)s”.", name=name),
            _("They are not in the segment “%(name)s”.", name=name),
        )

    def _in_snapshot(self, node: rules.InSnapshot) -> tuple[str, str]:
        name = _name(Snapshot, Snapshot.name, node.snapshot_id)
        return (
            _("They were in the snapshot “%(name)s”.", name=name),
            _("They were not in the snapshot “%(name)s”.", name=name),
        )

    def _outcome(self, node: rules.Outcome) -> tuple[str, str]:
        name = _name(Campaign, Campaign.name, node.campaign_id)
        return (
            _("Their message of “%(name)s” failed for the reason named.", name=name),
            _("Their message of “%(name)s” did not fail for the reason named.", name=name),
        )

    # --- what is theirs

    def _title(self, field: str) -> str:
        if field in TITLES:
            return str(TITLES[field])
        key = field.removeprefix(ATTRIBUTE)
        query = select(Field.title).where(
            Field.account_id == current_account(), Field.key == key
        )
        return db.session().scalar(query) or key

    def _value(self, node: rules.Field) -> str:
        if node.field == "added_on":
            value: ColumnElement[Any] = func.date(Contact.created_at)
        elif node.field.startswith(ATTRIBUTE):
            key = cast(node.field.removeprefix(ATTRIBUTE), Text)
            value = func.jsonb_extract_path_text(Contact.attributes, key)
        else:
            value = getattr(Contact, node.field)
        query = select(value).where(
            Contact.account_id == current_account(), Contact.id == self.contact_id
        )
        return str(db.session().scalar(query) or "")


def _all(node: rules.Node) -> Iterator[rules.Node]:
    yield node
    for one in node.of if isinstance(node, rules.Group) else ():
        yield from _all(one)


def _name(model: Any, column: Any, own_id: UUID) -> str:  # Any: a table and its name
    query = select(column).where(model.account_id == current_account(), model.id == own_id)
    return db.session().scalar(query) or _("deleted")


def _wanted(test: rules.Texts | rules.Numbers | rules.Days) -> str:
    if isinstance(test, rules.Days):
        if test.test in ("last_days", "next_days", "anniversary"):
            return str(test.days)
        return " – ".join(str(one) for one in (test.first, test.last) if one)
    if isinstance(test, rules.Numbers):
        return " – ".join(format(one, "f") for one in test.values)
    return ", ".join(f"“{one}”" for one in test.values)


# Any: the node of its own kind
_LEAVES: Mapping[type, Callable[[_Telling, Any], tuple[str, str]]] = {
    rules.Everyone: _Telling._everyone,
    rules.Field: _Telling._field,
    rules.Tagged: _Telling._tagged,
    rules.Listed: _Telling._listed,
    rules.Imported: _Telling._imported,
    rules.Consented: _Telling._consented,
    rules.Behaved: _Telling._behaved,
    rules.Wrote: _Telling._wrote,
    rules.Suppressed: _Telling._suppressed,
    rules.Share: _Telling._share,
    rules.InSegment: _Telling._in_segment,
    rules.InSnapshot: _Telling._in_snapshot,
    rules.Outcome: _Telling._outcome,
}
