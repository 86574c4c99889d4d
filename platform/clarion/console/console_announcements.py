"""Announcements to customers: write, look at them as customers will, send, approve, take back."""

import datetime as dt
from typing import Any
from uuid import UUID

from flask import flash, redirect, request
from flask_babel import lazy_gettext
from wtforms import (
    BooleanField,
    DateTimeLocalField,
    RadioField,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.validators import InputRequired, Length, Optional

from clarion.announcing import audience, drafts, sending, wording
from clarion.base.errors import Invalid, NotFound
from clarion.base.words import _, languages
from clarion.web.pages import Form
from clarion.web.screens import Panel, expose, needs, settle

ZONE = lazy_gettext("Times are in UTC.")


class Draft(Form):
    """What an announcement is; `_blank` adds its words, for each language there is."""

    kind = SelectField(lazy_gettext("Kind"), choices=[*wording.KIND_NAMES.items()])
    severity = RadioField(
        lazy_gettext("How urgent"),
        choices=[*wording.SEVERITY_NAMES.items()],
        default="info",
    )
    audience = RadioField(lazy_gettext("Who reads it"), default="all")
    named = TextAreaField(
        lazy_gettext("Accounts"),
        [Length(max=40_000)],
        description=lazy_gettext("One in each line: its id, or its exact name."),
    )
    plugin = SelectField(lazy_gettext("Plugin"), validate_choice=False)
    transport = SelectField(lazy_gettext("Connection"), validate_choice=False)
    banner = BooleanField(lazy_gettext("Banner over each page of the portal"), default=True)
    starts_at = DateTimeLocalField(lazy_gettext("From"), [Optional()], description=ZONE)
    ends_at = DateTimeLocalField(lazy_gettext("Until"), [Optional()], description=ZONE)
    mail = BooleanField(lazy_gettext("Mail to owners and managers"))

    def __init__(self, *args: Any, corrects: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = {
            key: name
            for key, name in wording.AUDIENCE_NAMES.items()
            if (key == "reached") == corrects
        }
        self.audience.choices = [*names.items()]
        offered = audience.offered()
        self.plugin.choices = [(key, _(title)) for key, title in offered["plugin"].items()]
        self.transport.choices = [*offered["transport"].items()]


def _blank(**given: Any) -> Draft:
    """Make the form, with a title and a text for each language there is."""
    fields: dict[str, Any] = {}  # of WTForms, not bound yet
    for language, name in spoken():
        needed = [InputRequired()] if language == drafts.FIRST else [Optional()]
        fields[f"title_{language}"] = StringField(
            lazy_gettext("Title, %(language)s", language=name),
            [*needed, Length(max=wording.TITLE)],
        )
        fields[f"text_{language}"] = TextAreaField(
            lazy_gettext("Text, %(language)s", language=name),
            [*needed, Length(max=wording.TEXT)],
        )
    made: type[Draft] = type("WrittenDraft", (Draft,), fields)
    return made(**given)


def spoken() -> list[tuple[str, str]]:
    """List the languages that customers may read in, and their names; English first."""
    codes = sorted(languages(), key=lambda one: (one != drafts.FIRST, one))
    return [(code, str(LANGUAGES.get(code, code))) for code in codes]


LANGUAGES = {"en": lazy_gettext("English"), "de": lazy_gettext("German")}


class ConsoleAnnouncementPanel(Panel):
    """What we tell customers about the service; nothing that advertises."""

    route_base = "/announcements"
    title = lazy_gettext("Announcements")

    @expose("/")
    @needs("console.announcements")
    def index(self) -> Any:
        """List announcements, newest first."""
        try:
            after = UUID(request.args["after"]) if "after" in request.args else None
        except ValueError as error:
            raise NotFound("page_unknown", _("There is no such page.")) from error
        rows = drafts.page(after)
        return self.render(
            "console/announcements.html",
            rows=rows,
            after=rows[-1].one.id if len(rows) == drafts.PAGE else None,
            **_names(),
        )

    @expose("/new", methods=["GET", "POST"])
    @needs("console.announcements_edit")
    def new(self) -> Any:
        """Write one."""
        form = _blank()
        if form.validate_on_submit():
            with form.attempt():
                made = drafts.write(_said(form))
                return redirect(self.url("show", announcement_id=made), 303)
        return self._form(form, self.url("new"), self.url("index"))

    @expose("/<uuid:announcement_id>")
    @needs("console.announcements")
    def show(self, announcement_id: UUID) -> Any:
        """Show one as customers see it, whom it reaches, and what came of it."""
        return self._page(announcement_id)

    @expose("/<uuid:announcement_id>/edit", methods=["GET", "POST"])
    @needs("console.announcements_edit")
    def edit(self, announcement_id: UUID) -> Any:
        """Change a draft."""
        whole = drafts.read(announcement_id)
        one, back = whole.row.one, self.url("show", announcement_id=announcement_id)
        if one.state != "draft":
            flash(_("This is not a draft any more."), "error")
            return redirect(back, 303)
        form = _blank(corrects=bool(one.corrects_id), data=_stored(whole))
        if form.validate_on_submit():
            with form.attempt():
                drafts.change(announcement_id, _said(form))
                return redirect(back, 303)
        return self._form(form, self.url("edit", announcement_id=announcement_id), back)

    @expose("/<uuid:announcement_id>/discard", methods=["POST"])
    @needs("console.announcements_edit")
    def discard(self, announcement_id: UUID) -> Any:
        """Throw a draft away."""
        done, back = _("It is thrown away."), self.url("index")
        return settle(lambda: drafts.discard(announcement_id), done, back)

    @expose("/<uuid:announcement_id>/send", methods=["POST"])
    @needs("console.announcements_send")
    def send(self, announcement_id: UUID) -> Any:
        """Send it to as many as the page said, or ask a colleague to."""
        accounts, mails = (_number(request.form.get(n)) for n in ("accounts", "mails"))
        return self._done(
            announcement_id,
            lambda: sending.send(announcement_id, accounts, mails),
            _("Confirmed. The page shows where it stands."),
        )

    @expose("/<uuid:announcement_id>/approve", methods=["POST"])
    @needs("console.announcements_approve")
    def approve(self, announcement_id: UUID) -> Any:
        """Let it be sent, as the second person."""
        return self._done(
            announcement_id,
            lambda: sending.approve(announcement_id),
            _("Approved. It is on its way."),
        )

    @expose("/<uuid:announcement_id>/return", methods=["POST"])
    @needs("console.announcements_edit")
    def give_back(self, announcement_id: UUID) -> Any:
        """Make it a draft again."""
        return self._done(
            announcement_id,
            lambda: sending.give_back(announcement_id),
            _("It is a draft again."),
        )

    @expose("/<uuid:announcement_id>/withdraw", methods=["POST"])
    @needs("console.announcements_send")
    def withdraw(self, announcement_id: UUID) -> Any:
        """Take it back."""
        reason = request.form.get("reason", "")
        return self._done(
            announcement_id,
            lambda: sending.withdraw(announcement_id, reason),
            _("Taken back. Its banner is gone."),
        )

    @expose("/<uuid:announcement_id>/correct", methods=["POST"])
    @needs("console.announcements_edit")
    def correct(self, announcement_id: UUID) -> Any:
        """Begin a correction, with the words there were."""
        made = drafts.correct(announcement_id)
        return redirect(self.url("edit", announcement_id=made), 303)

    def _done(self, announcement_id: UUID, act: Any, said: str) -> Any:
        return settle(act, said, self.url("show", announcement_id=announcement_id))

    def _form(self, form: Form, action: str, back: str) -> Any:
        page = self.render(
            "console/announcement_edit.html",
            form=form,
            action=action,
            back=back,
            spoken=spoken(),
        )
        return page, 422 if form.errors else 200

    def _page(self, announcement_id: UUID) -> Any:
        whole = drafts.read(announcement_id)
        one = whole.row.one
        return self.render(
            "console/announcement.html",
            whole=whole,
            one=one,
            row=whole.row,
            many=sending.takes_two(one, whole.counts[0]),
            spoken=dict(spoken()),
            **_names(),
        )


def _names() -> dict[str, Any]:
    return {
        "kinds": wording.KIND_NAMES,
        "severities": wording.SEVERITY_NAMES,
        "audiences": wording.AUDIENCE_NAMES,
    }


def _stored(whole: drafts.Whole) -> dict[str, Any]:
    """Fill the form with what there is."""
    one = whole.row.one
    names = ("kind", "severity", "audience", "banner", "mail")
    found: dict[str, Any] = {name: getattr(one, name) for name in names}
    if one.audience in ("plugin", "transport"):
        found[one.audience] = one.value
    for name in ("starts_at", "ends_at"):
        moment = getattr(one, name)
        found[name] = moment.astimezone(dt.UTC).replace(tzinfo=None) if moment else None
    for language, (title, text) in whole.texts.items():
        found |= {f"title_{language}": title, f"text_{language}": text}
    return found | {"named": "\n".join(str(key) for key, _name in whole.named)}


def _said(form: Draft) -> drafts.Written:
    given = form.data
    chosen = given["audience"]
    texts = {
        code: (given[f"title_{code}"] or "", given[f"text_{code}"] or "")
        for code, _name in spoken()
    }
    return drafts.Written(
        given["kind"],
        texts,
        given["severity"],
        chosen,
        (given[chosen] or "") if chosen in ("plugin", "transport") else "",
        given["named"] or "",
        given["banner"],
        given["mail"],
        _utc(given["starts_at"]),
        _utc(given["ends_at"]),
    )


def _utc(moment: dt.datetime | None) -> dt.datetime | None:
    return moment.replace(tzinfo=dt.UTC) if moment else None


def _number(text: str | None) -> int:
    if not text or not text.isdecimal() or len(text) > 9:
        raise Invalid("announcement_counts", _("Confirm how many it reaches."))
    return int(text)


VIEWS: tuple[type, ...] = (ConsoleAnnouncementPanel,)
