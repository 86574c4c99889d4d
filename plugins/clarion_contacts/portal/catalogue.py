"""What the builder offers for each kind of rule: tests and values, in words."""

from dataclasses import dataclass, field
from typing import Any

from flask_babel import format_datetime, lazy_gettext
from flask_babel import gettext as _

from clarion.messaging import windows
from clarion_contacts import service
from clarion_contacts.portal.forms import METHODS, countries
from clarion_contacts.segments.filling import ATTRIBUTE

Pairs = list[tuple[str, Any]]  # Any: a text, or one that is translated when shown
IS_OR_NOT: Pairs = [("is", lazy_gettext("is")), ("not_is", lazy_gettext("is not"))]
HAS_OR_NOT: Pairs = [("is", lazy_gettext("has")), ("not_is", lazy_gettext("has not"))]
TEXTS: Pairs = [
    ("is", lazy_gettext("is")),
    ("is_not", lazy_gettext("is not")),
    ("one_of", lazy_gettext("is one of")),
    ("contains", lazy_gettext("contains")),
    ("contains_not", lazy_gettext("does not contain")),
    ("starts", lazy_gettext("starts with")),
]
EMPTY: Pairs = [
    ("filled", lazy_gettext("is known")),
    ("empty", lazy_gettext("is not known")),
]
DAYS: Pairs = [
    ("on", lazy_gettext("is on")),
    ("before", lazy_gettext("is before")),
    ("after", lazy_gettext("is after")),
    ("between", lazy_gettext("is between")),
    ("last_days", lazy_gettext("is in the last … days")),
    ("next_days", lazy_gettext("is in the next … days")),
    ("anniversary", lazy_gettext("comes round in … days")),
]
LAST: Pairs = [
    ("ever", lazy_gettext("ever")),
    ("not_ever", lazy_gettext("never")),
    ("last_days", lazy_gettext("the last time in the last … days")),
    ("not_last_days", lazy_gettext("not in the last … days")),
    ("before", lazy_gettext("the last time before")),
    ("after", lazy_gettext("the last time after")),
]
DEEDS: Pairs = [
    ("sent", lazy_gettext("was sent")),
    ("not_sent", lazy_gettext("was never sent")),
    ("delivered", lazy_gettext("got")),
    ("not_delivered", lazy_gettext("did not get")),
    ("read", lazy_gettext("read")),
    ("not_read", lazy_gettext("did not read")),
    ("replied", lazy_gettext("answered within a week")),
    ("not_replied", lazy_gettext("did not answer within a week")),
    ("clicked", lazy_gettext("pressed a button within a week")),
    ("not_clicked", lazy_gettext("did not press a button within a week")),
    ("failed", lazy_gettext("could not be delivered")),
    ("not_failed", lazy_gettext("did not fail to be delivered")),
]
STATES: Pairs = [
    ("given", lazy_gettext("agreed")),
    ("withdrawn", lazy_gettext("took it back")),
    ("none", lazy_gettext("not asked")),
]
PURPOSES: Pairs = [
    ("marketing", lazy_gettext("Marketing")),
    ("utility", lazy_gettext("Notices")),
    ("auth", lazy_gettext("Codes to sign in")),
]
GROUPS: Pairs = [
    ("and", lazy_gettext("all of these")),
    ("or", lazy_gettext("at least one of these")),
    ("none", lazy_gettext("none of these")),
]
TESTS: dict[str, Pairs] = {
    "text": [*TEXTS, *EMPTY],
    "choice": [*TEXTS[:3], *EMPTY],
    "number": [
        ("is", "="),
        ("is_not", "≠"),
        ("lt", "<"),
        ("le", "≤"),
        ("gt", ">"),
        ("ge", "≥"),
        ("between", lazy_gettext("is between")),
        *EMPTY,
    ],
    "date": [*DAYS, *EMPTY],
    "moment": DAYS,
    "yes_no": [("yes", lazy_gettext("is yes")), ("no", lazy_gettext("is no")), *EMPTY],
    "pick": IS_OR_NOT,
    "tag": HAS_OR_NOT,
    "consent:date": DAYS[:5],
    "consent:source": [TEXTS[3], TEXTS[0], TEXTS[5]],
    "campaign": DEEDS,
    "inbound": LAST,
}
"""The tests of each kind, the first one for a new rule."""


@dataclass(frozen=True, slots=True)
class What:
    """One thing a rule can ask.

    Attributes:
        kind: which tests it knows and which fields the form shows.
        options: what `value` is chosen from; empty when it is typed.
        own_kind: of an own field, kept in the rule.
    """

    key: str
    title: Any
    kind: str
    options: Pairs = field(default_factory=list)
    own_kind: str = ""

    @property
    def tests(self) -> Pairs:
        """List the tests it knows."""
        return TESTS.get(self.key) or TESTS.get(self.kind, IS_OR_NOT)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything to choose from: groups of things to ask, and the same by key."""

    groups: list[tuple[Any, list[What]]]
    campaigns: Pairs
    reasons: Pairs

    def of(self, key: str) -> What | None:
        """Find one thing to ask."""
        known = (one for _title, several in self.groups for one in several)
        return next((one for one in known if one.key == key), None)


def catalogue(given: service.Choices) -> Catalogue:
    """Put words to everything a rule can speak of."""
    snapshots = [
        (
            str(row.id),
            _(
                "%(name)s, %(at)s",
                name=row.name,
                at=format_datetime(row.frozen_at, "short"),
            ),
        )
        for row in given.snapshots
    ]
    sorted_by = [
        What("tag", _("Tag"), "tag", list(given.tags)),
        What("list", _("List"), "pick", list(given.lists)),
        What("import", _("Came with the import"), "pick", list(given.imports)),
        What("segment", _("Segment"), "pick", list(given.segments)),
        What("snapshot", _("Snapshot"), "pick", snapshots),
    ]
    groups: list[tuple[Any, list[What]]] = [
        (_("About the person"), _plain(given)),
        (_("Fields of your own"), [_own(one) for one in given.fields]),
        (_("Sorted by your team"), [one for one in sorted_by if one.options]),
        (_("Messages"), _messages()),
        (_("Consent"), _consents(given)),
        (
            _("By chance"),
            [
                What("share", _("Random share"), "share"),
                What("holdout", _("Holdout"), "holdout"),
            ],
        ),
    ]
    return Catalogue(
        groups=[group for group in groups if group[1]],
        campaigns=list(given.campaigns),
        reasons=list(given.reasons),
    )


def _plain(given: service.Choices) -> list[What]:
    languages: Pairs = [(one, one) for one in given.languages]
    return [
        What("field:name", _("Name"), "text"),
        What("field:first_name", _("First name"), "text"),
        What("field:last_name", _("Last name"), "text"),
        What("field:email", _("E-mail"), "text"),
        What("field:phone", _("Phone number"), "text"),
        What("field:country", _("Country"), "choice", list(countries())),
        What("field:language", _("Language"), "choice", languages),
        What("field:timezone", _("Time zone"), "choice", list(windows.choices())),
        What("field:added_on", _("Added"), "moment"),
    ]


def _own(one: service.OwnField) -> What:
    options: Pairs = [(value, value) for value in one.choices]
    key = f"field:{ATTRIBUTE}{one.key}"
    return What(key, one.title, one.kind, options, own_kind=one.kind)


def _messages() -> list[What]:
    return [
        What("campaign", _("Campaign"), "campaign"),
        What("inbound", _("Wrote to you"), "inbound"),
    ]


def _consents(given: service.Choices) -> list[What]:
    methods: Pairs = list(METHODS.items())
    return [
        What("consent:state", _("Consent"), "consent", STATES),
        What("consent:method", _("How they agreed"), "consent", methods),
        What("consent:source", _("Where they agreed"), "consent"),
        What("consent:date", _("When they agreed"), "consent"),
        What("consent:wording", _("To which words"), "consent", list(given.wordings)),
        What("suppressed", _("Said STOP"), "suppressed"),
    ]
