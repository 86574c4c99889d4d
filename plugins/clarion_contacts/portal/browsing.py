"""The list of people: filters, order, columns and saved views, all of them in its address."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from flask import (
    Response,
    flash,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_babel import gettext as _
from flask_babel import lazy_gettext as lazy

from clarion.base.parsing import read_json
from clarion.tenancy import access
from clarion.web.pages import fragment, needs
from clarion_contacts import service
from clarion_contacts.portal.forms import ViewForm, countries, pages
from clarion_contacts.portal.owned import as_id
from clarion_contacts.service import Filters, Saved, Sort

COLUMNS = {
    "phone": lazy("Phone"),
    "email": lazy("E-mail"),
    "country": lazy("Country"),
    "language": lazy("Language"),
    "tags": lazy("Tags"),
    "lists": lazy("Lists"),
    "consent": lazy("Consent"),
    "added": lazy("Added"),
    "heard": lazy("Last heard"),
}
USUAL = ("phone", "tags", "consent", "added")
SORTS = {
    "newest": lazy("Newest first"),
    "oldest": lazy("Oldest first"),
    "name": lazy("By name"),
    "heard": lazy("Last heard first"),
}
STATES = {
    "opted_in": lazy("Agreed"),
    "none": lazy("Not asked"),
    "opted_out": lazy("Took it back"),
    "suppressed": lazy("Said STOP"),
}
TESTS = {
    "is": lazy("is"),
    "is_not": lazy("is not"),
    "contains": lazy("contains"),
    "starts": lazy("begins with"),
    "ge": lazy("is at least"),
    "le": lazy("is at most"),
    "gt": lazy("is more than"),
    "lt": lazy("is less than"),
    "on": lazy("is on"),
    "before": lazy("is before"),
    "after": lazy("is after"),
    "yes": lazy("is yes"),
    "no": lazy("is no"),
    "filled": lazy("has a value"),
    "empty": lazy("is empty"),
}
OWN = "own."  # before the key of a column that is a field of the account's own
ALL = "all"  # as a view: everybody


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address asks for; `view` is the saved view it began with, if any."""

    filters: Filters
    sort: Sort
    columns: tuple[str, ...]
    view: Saved | None
    changed: bool


@pages.get("/")
@needs("contacts.view")
def index() -> str:
    """List people."""
    views, fields = service.views(), service.all_fields()
    asked = read(views)
    page = service.find(
        asked.filters,
        sort=asked.sort,
        after=as_id(request.args.get("after")),
        before=as_id(request.args.get("before")),
    )
    return render_template(
        "contacts/index.html",
        page=page,
        people=page.people,
        counting=f"{url_for('.count')}?{urlencode(list(request.args.items(multi=True)))}",
        asked=asked,
        f=asked.filters,
        chosen=json.dumps(asked.filters.to_json()),
        views=views,
        fields=fields,
        titles={OWN + one.key: one.title for one in fields},
        kinds={one.key: one.kind for one in fields},
        tags=service.tag_names(),
        lists=service.list_names(),
        countries=countries(),
        known_columns={key: str(title) for key, title in COLUMNS.items()},
        sorts=SORTS,
        states=STATES,
        tests=TESTS,
        own=OWN,
        form=ViewForm(formdata=None),
        narrowed=_narrowed(asked.filters),
    )


@pages.get("/count")
@needs("contacts.view")
def count() -> Response:
    """Say how many people an address of the list is about, when the page did not wait."""
    people = service.count_found(read(service.views()).filters)
    return fragment(render_template("contacts/_count.html", people=people))


@pages.post("/views")
@needs("contacts.view")
def save_view() -> Any:
    """Save what is on the screen under a name."""
    form, filters, sort, columns = ViewForm(), *_posted()
    if form.validate_on_submit():
        with form.attempt():
            view_id = service.save_view(
                form.name.data,
                filters,
                sort=sort,
                columns=columns,
                shared=form.shared.data and access.allowed("contacts.edit"),
            )
            flash(_("The view is saved."), "success")
            return redirect(url_for(".index", view=view_id))
    page = render_template(
        "contacts/view.html",
        form=form,
        chosen=json.dumps(filters.to_json()),
        sort=sort,
        columns=columns,
    )
    return make_response(page, 422)


@pages.post("/views/<uuid:view_id>")
@needs("contacts.view")
def change_view(view_id: UUID) -> Response:
    """Let a view be what is on the screen now."""
    filters, sort, columns = _posted()
    service.change_view(view_id, filters, sort=sort, columns=columns)
    flash(_("The view is saved."), "success")
    return make_response(redirect(url_for(".index", view=view_id)))


@pages.post("/views/<uuid:view_id>/first")
@needs("contacts.view")
def first_view(view_id: UUID) -> Response:
    """Open the list with this view from now on, or with everybody again."""
    wanted = request.form.get("first") == "1"
    (service.open_with if wanted else service.open_without)(view_id)
    flash(
        _("Your list opens with this view.")
        if wanted
        else _("Your list opens with everybody."),
        "success",
    )
    return make_response(redirect(url_for(".index", view=view_id)))


@pages.post("/views/<uuid:view_id>/remove")
@needs("contacts.view")
def remove_view(view_id: UUID) -> Response:
    """Remove a view; the people stay."""
    service.remove_view(view_id)
    flash(_("The view was removed."), "success")
    return make_response(redirect(url_for(".index", view=ALL)))


def read(views: list[Saved]) -> Asked:
    """Read the address: what it says itself goes before the view it names."""
    args = request.args
    view = next((one for one in views if str(one.id) == args.get("view")), None)
    said = "q" in args or any(name in args for name in _NAMED)
    if view is None and not said and not args.get("view"):
        view = next((one for one in views if one.first), None)
    sort = next((one for one in service.SORTS if one == args.get("sort")), None)
    columns = _known(args.getlist("col"))
    if view is not None and not said:
        return Asked(
            view.filters,
            sort or view.sort,
            columns or view.columns or USUAL,
            view,
            changed=bool((sort and sort != view.sort) or columns),
        )
    filters = _filters()
    asked = Asked(filters, sort or "newest", columns or USUAL, view, changed=False)
    if view is None:
        return asked
    same = (filters, asked.sort, asked.columns) == (
        view.filters,
        view.sort,
        view.columns or USUAL,
    )
    return replace(asked, changed=not same)


_NAMED = ("tag", "list", "consent", "country", "import", "field", "test", "value")


def _filters() -> Filters:
    args = request.args
    return Filters.of(
        {
            "words": args.get("q", ""),
            "tags": [one for one in args.getlist("tag") if one],
            "on_list": args.get("list"),
            "consent": args.get("consent"),
            "country": args.get("country"),
            "import_id": args.get("import"),
            "field": args.get("field"),
            "test": args.get("test") if args.get("field") else "",
            "value": args.get("value") if args.get("field") else "",
        }
    )


def _posted() -> tuple[Filters, Sort, tuple[str, ...]]:
    form = request.form
    sort: Sort = next((one for one in service.SORTS if one == form.get("sort")), "newest")
    columns = _known(form.get("columns", "").splitlines())
    return chosen_of(form.get("chosen", "")), sort, columns


def _known(columns: Iterable[str]) -> tuple[str, ...]:
    return tuple(one for one in columns if one in COLUMNS or one.startswith(OWN))[:12]


def chosen_of(said: str) -> Filters:
    """Read filters that a page of ours wrote into a form."""
    try:
        given = read_json(said or "{}")
    except ValueError:
        given = {}
    return Filters.of(given if isinstance(given, dict) else {})


def _narrowed(filters: Filters) -> bool:
    """Say whether one of the filters that are folded away is in use."""
    return bool(filters.tags or filters.country or filters.field or filters.import_id)
