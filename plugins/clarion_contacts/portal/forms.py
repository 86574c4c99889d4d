"""The pages' one blueprint, and the forms on them."""

from typing import Any

from babel import Locale
from flask_babel import get_locale
from flask_babel import lazy_gettext as lazy
from flask_wtf.file import FileField, FileRequired
from wtforms import (
    BooleanField,
    DateField,
    RadioField,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.validators import InputRequired, Length, Optional

from clarion.base.errors import ClarionError
from clarion.messaging import windows
from clarion.messaging.address import regions
from clarion.web.pages import Form, Pages
from clarion_contacts import service

pages = Pages("contacts", __name__)
NEEDED = InputRequired(lazy("This is needed."))
METHODS = {
    "web_form": lazy("A form on our web site"),
    "shop": lazy("In our shop or by phone"),
    "paper": lazy("On paper"),
    "existing": lazy("When they bought"),
    "other": lazy("Another way"),
    "inbound_message": lazy("By a message"),
    "import": lazy("With a list"),
    "team": lazy("By your team"),
    "preferences": lazy("On their own page"),
    "unsubscribe": lazy("By a link in a mail"),
    "api": lazy("By your own system"),
    "policy": lazy("By the rule of your account"),
}
ACTIONS = {
    "grant": lazy("Agreed"),
    "import_attested": lazy("Agreed, by an imported list"),
    "withdraw": lazy("Took it back"),
    "correct": lazy("Import taken back"),
    "object": lazy("Objected"),
    "expire": lazy("Ended by age"),
}
PURPOSES = {
    "marketing": lazy("Marketing: only people who agreed get messages"),
    "utility": lazy("Service: notices about orders and appointments"),
}
FIELD_KINDS = {
    "text": lazy("Text"),
    "number": lazy("Number"),
    "date": lazy("Date"),
    "choice": lazy("A choice"),
    "yes_no": lazy("Yes or no"),
}
KINDS = {
    "phone": lazy("Phone number"),
    "email": lazy("E-mail"),
    "wa_id": lazy("WhatsApp id"),
    "bsuid": lazy("WhatsApp business-scoped id"),
    "parent_bsuid": lazy("WhatsApp parent id"),
    "username": lazy("User name"),
}
FORMATS = {
    "csv": lazy("Text with separators (CSV)"),
    "xlsx": lazy("Excel workbook"),
    "ods": lazy("OpenDocument spreadsheet"),
    "vcard": lazy("Contact cards (vCard)"),
}
FIELD_KINDS = {
    "text": lazy("Text"),
    "number": lazy("Number"),
    "date": lazy("Date"),
    "choice": lazy("Choice"),
    "yes_no": lazy("Yes or no"),
}
DELIMITERS = {
    ",": lazy("Comma"),
    ";": lazy("Semicolon"),
    "\t": lazy("Tab"),
    "|": lazy("Bar"),
}
ENCODINGS = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8",
    "cp1252": "Windows-1252",
    "cp1250": "Windows-1250",
    "cp1251": "Windows-1251",
    "cp1253": "Windows-1253",
    "cp1254": "Windows-1254",
    "cp1255": "Windows-1255",
    "cp1256": "Windows-1256",
    "cp850": "DOS (850)",
    "mac_roman": "Mac Roman",
    "koi8_r": "KOI8-R",
    "gb18030": "GB18030",
    "big5": "Big5",
    "cp932": "Shift JIS",
    "euc_jp": "EUC-JP",
    "cp949": "Korean",
    "cp874": "Thai",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16 LE",
    "utf-16-be": "UTF-16 BE",
}


def countries() -> list[tuple[str, str]]:
    """List countries by name in the reader's language, with their two letters."""
    names = Locale.parse(str(get_locale() or "en")).territories
    return sorted(
        ((code, names.get(code, code)) for code in regions()), key=lambda pair: pair[1]
    )


def country_choices() -> list[tuple[str, Any]]:
    """List countries for a form, with none at the top."""
    return [("", lazy("Not known")), *countries()]


def zone_choices() -> list[tuple[str, Any]]:
    """List time zones for a form; without one the country's counts."""
    return [("", lazy("As their country")), *windows.choices()]


class ContactForm(Form):
    """What a person types about a contact."""

    name = StringField(lazy("Full name"), [Length(max=200)])
    first_name = StringField(
        lazy("First name"),
        [Length(max=200)],
        description=lazy("When it is empty, messages use the first word of the full name."),
    )
    last_name = StringField(lazy("Last name"), [Length(max=200)])
    phone = StringField(
        lazy("Phone number"),
        [Length(max=60)],
        description=lazy("With + and country code, as in +55 11 91234-0147."),
    )
    email = StringField(lazy("E-mail"), [Length(max=254)])
    country = SelectField(lazy("Country"), choices=country_choices)
    timezone = SelectField(lazy("Time zone"), choices=zone_choices, default="")
    language = StringField(
        lazy("Language"), [Length(max=20)], description=lazy("As in pt-BR or en.")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # Any: as WTForms has it
        super().__init__(*args, **kwargs)
        self.own_errors: dict[str, str] = {}

    def refuse(self, error: ClarionError) -> None:
        """Remember a refusal of an own field, to show it at its input as well."""
        if error.field:
            self.own_errors[error.field] = error.text
        super().refuse(error)


class NewContactForm(ContactForm):
    """A person who is added, and how they agreed if they did."""

    method = SelectField(
        lazy("How did they agree?"),
        choices=lambda: [
            ("", lazy("They did not, or nobody knows")),
            *((key, METHODS[key]) for key in service.BY_HAND),
        ],
        default="",
    )
    source = StringField(
        lazy("Where?"), [Length(max=300)], description=lazy("The page, form or shop.")
    )
    agreed_on = DateField(lazy("When?"), [Optional()])
    wording = TextAreaField(
        lazy("To which words?"), [Length(max=4_000)], description=lazy("Exactly.")
    )

    @property
    def agreed(self) -> dict[str, Any]:  # Any: a text or a day
        """What was said about consent, for `add_agreed`; empty when nothing was."""
        said = {
            "method": self.method.data or "",
            "source": self.source.data or "",
            "agreed_on": self.agreed_on.data,
            "wording": self.wording.data or "",
        }
        return said if any(said.values()) else {}


class ConsentForm(Form):
    """How, where, when and to which words somebody agreed."""

    method = SelectField(
        lazy("How did they agree?"),
        choices=lambda: [(key, METHODS[key]) for key in service.BY_HAND],
    )
    source = StringField(
        lazy("Where?"),
        [NEEDED, Length(max=300)],
        description=lazy("The page, form or shop."),
    )
    agreed_on = DateField(lazy("When?"), [Optional()])
    wording = TextAreaField(
        lazy("To which words?"), [NEEDED, Length(max=4_000)], description=lazy("Exactly.")
    )
    evidence = StringField(
        lazy("What else proves it?"),
        [Length(max=300)],
        description=lazy(
            "The number of the paper, or where the scan is kept. It is sealed."
        ),
    )


class IdentifierForm(Form):
    """One more address of a person."""

    kind = SelectField(lazy("Kind"), choices=lambda: list(KINDS.items()))
    value = StringField(lazy("Address"), [NEEDED, Length(max=254)])


class TagForm(Form):
    """The name of a tag."""

    name = StringField(lazy("Name"), [NEEDED, Length(max=60)])


class ListForm(Form):
    """A list: its name, what it is for, and a word about it."""

    name = StringField(lazy("Name"), [NEEDED, Length(max=80)])
    purpose = SelectField(
        lazy("What is it for?"),
        choices=lambda: list(PURPOSES.items()),
        default="marketing",
    )
    about = TextAreaField(lazy("Description"), [Length(max=300)])


class FieldForm(Form):
    """A field of one's own."""

    title = StringField(lazy("Name"), [NEEDED, Length(max=80)])
    kind = SelectField(
        lazy("What does it hold?"),
        choices=lambda: list(FIELD_KINDS.items()),
        default="text",
    )
    choices = TextAreaField(
        lazy("Choices"),
        [Length(max=30_000)],
        description=lazy("Only for a choice: one in each line, in the order to show them."),
    )
    aside = BooleanField(lazy("Put values that do not fit into a text field of their own"))
    refused_by = ""

    def refuse(self, error: ClarionError) -> None:
        """Remember why, so that the page can show what would not fit."""
        self.refused_by = error.code
        super().refuse(error)


class ViewForm(Form):
    """The name of a saved view, and for whom it is."""

    name = StringField(lazy("Name"), [NEEDED, Length(max=60)])
    shared = BooleanField(lazy("For everybody in this account"))


class BulkForm(Form):
    """What an act on many people needs to know; each uses one or two of these."""

    name = StringField(lazy("Tag"), [Length(max=60)])
    list = SelectField(lazy("List"), validate_choice=False)
    field = SelectField(lazy("Field"), validate_choice=False)
    value = StringField(
        lazy("Value"),
        [Length(max=1_000)],
        description=lazy("Left empty, the value of these people is taken away."),
    )
    reason = StringField(
        lazy("How do you know?"),
        [Length(max=300)],
        description=lazy("It is kept with each person: a call, a letter, a list."),
    )
    typed = StringField(lazy("Number of people"), [Length(max=20)])


class UploadForm(Form):
    """A list of people as a file."""

    file = FileField(lazy("Your list"), [FileRequired(lazy("Choose a file."))])


class AttestForm(Form):
    """The question about consent: where, when, with which words, and who says so."""

    source = RadioField(
        lazy("Where did these people agree to get messages from you?"),
        choices=lambda: [(key, title) for key, (title, _hint) in service.SOURCES.items()],
        validate_choice=False,  # the verb says what is missing, in better words
    )
    place = StringField(
        lazy("Where exactly?"),
        [Length(max=300)],
        description=lazy("The page, form, shop or folder."),
    )
    agreed_from = DateField(
        lazy("When did the first of them agree?"),
        [Optional()],
        description=lazy("As far as you know; it may stay empty."),
    )
    agreed_on = DateField(
        lazy("By which day had they all agreed?"),
        [Optional()],
        description=lazy("A column with dates in your list is stronger than this day."),
    )
    wording = TextAreaField(
        lazy("With which words were they asked?"),
        [Length(max=4_000)],
        description=lazy("Copy the sentence; it is stored with each person as proof."),
    )
    typed_name = StringField(lazy("Type your name to confirm"), [Length(max=120)])


class CheckForm(Form):
    """Choices that change the verdicts."""

    overwrite = BooleanField(lazy("The list is right where it differs from what is here"))
    tags = StringField(
        lazy("Put these tags on everybody in the file"),
        [Length(max=600)],
        description=lazy("Separated by commas."),
    )
    lists = StringField(
        lazy("Put everybody in the file on these lists"),
        [Length(max=600)],
        description=lazy("Separated by commas. One that does not exist is made."),
    )
