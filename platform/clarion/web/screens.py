"""What console pages are made of: lists that stay fast, pages behind a permission.

The only module besides `staff.py` that subclasses Flask-AppBuilder. From it come the
queries, filters and blueprints; forms, actions, widgets and look are our own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, ClassVar, Final, TypeVar, cast
from uuid import UUID

from flask import (
    Response,
    abort,
    flash,
    has_request_context,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_appbuilder import ModelView
from flask_appbuilder.baseviews import BaseView
from flask_appbuilder.baseviews import expose as fab_expose
from flask_appbuilder.models.sqla import filters as fab
from flask_appbuilder.models.sqla.interface import SQLAInterface
from flask_babel import lazy_gettext
from sqlalchemy import select
from sqlalchemy.orm import Query, joinedload, load_only

from clarion.base import db, keyset
from clarion.base.errors import Conflict, Invalid, NotSignedIn
from clarion.base.words import _
from clarion.tenancy import access
from clarion.tenancy.scope import current_actor
from clarion.web import login
from clarion.web.ui import state_label, url_with

F = TypeVar("F", bound=Callable[..., Any])
LONGEST: Final = 200
EQUAL: Final = 2  # the number of `Equal` among a text's filters, in the address
STOCK: Final = frozenset(
    {"add", "edit", "delete", "download", "action", "action_post"}
)  # FAB's own ways to change something; none is registered


def expose(url: str = "/", methods: Sequence[str] = ("GET",)) -> Callable[[F], F]:
    """Give a view its address below that of its class; FAB's own, with types."""
    return cast("Callable[[F], F]", fab_expose(url, methods))


def needs(permission: str, *, fresh: bool | None = None) -> Callable[[F], F]:
    """Let a view be called by staff who have a console permission, `plugin.verb`.

    Args:
        permission: one of a manifest.
        fresh: whether the last proof of who acts must be young. Left out, the manifest
            decides: what is sensitive there asks again.
    """

    def wrap(view: F) -> F:
        @wraps(view)
        def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
            access.require(permission)
            if access.sensitive(permission) if fresh is None else fresh:
                login.require_fresh()
            return view(self, *args, **kwargs)

        guarded.guard = permission  # type: ignore[attr-defined]  # what a test looks for
        guarded.fresh = fresh  # type: ignore[attr-defined]
        return cast("F", guarded)

    return wrap


def member(view: F) -> F:
    """Let a view be called by every staff member, for what is their own."""

    @wraps(view)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        if current_actor().kind != "staff":
            raise NotSignedIn("not_signed_in", _("Please sign in."))
        return view(self, *args, **kwargs)

    guarded.guard = "member"  # type: ignore[attr-defined]
    return cast("F", guarded)


def fresh(view: F) -> F:
    """Let a view be called only with a young proof of who acts; stands below the guard."""

    @wraps(view)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        login.require_fresh()
        return view(self, *args, **kwargs)

    guarded.fresh = True  # type: ignore[attr-defined]
    return cast("F", guarded)


def public(view: F) -> F:
    """Let a view be called by anybody: signing in, and nothing else."""
    view.guard = "public"  # type: ignore[attr-defined]
    return view


def _own(view: F) -> F:
    """Guard a view of a base class by the permission its subclass names."""

    @wraps(view)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        access.require(self.permission)
        return view(self, *args, **kwargs)

    guarded.guard = "own"  # type: ignore[attr-defined]
    return cast("F", guarded)


@dataclass(frozen=True, slots=True)
class Field:
    """One field over a list: the name FAB gives a filter, and what may be chosen."""

    name: str
    label: str
    choices: Sequence[tuple[str, str]]
    value: str


class _Page(BaseView):
    """What `Panel` and `Screen` share: our templates, no permissions of FAB's own."""

    template_folder = None  # FAB's stock templates are not even on the path
    base_permissions: ClassVar[list[str]] = []  # ours stand in the manifests
    permission: ClassVar[str] = ""
    title: ClassVar[Any] = ""
    within: ClassVar[str] = (
        ""  # the view whose entry in the menu leads here, if not its own
    )

    def render(self, template: str, **context: Any) -> str:
        """Draw a template of ours."""
        return render_template(template, view=self, **context)

    def url(self, method: str, **values: Any) -> str:
        """Address of one of this view's own pages."""
        return url_for(f"{type(self).__name__}.{method}", **values)


class Panel(_Page):
    """A page that is not a plain list; write its methods with `@expose` and `@needs`.

    Attributes:
        content: what of an account it shows, if it shows a customer's content: its `index`
            takes an `account_id`, and the page of an access leads to it.
    """

    content: ClassVar[Any] = ""
    default_view = "index"


class Is(fab.FilterEqual):
    """Equality for a yes or no: `y` is yes, whatever else is no."""

    def apply(self, query: Query[Any], value: str) -> Query[Any]:
        """Keep the rows that say so."""
        return query.filter(getattr(self.model, self.column_name).is_(value == "y"))


class Contains(fab.FilterContains):
    """Text anywhere inside; what a person types is searched for, not a pattern.

    One or two letters are looked for at the beginning: inside of words they are nearly
    everywhere, and no index finds the few texts without them.
    """

    name = lazy_gettext("contains")

    def apply(self, query: Query[Any], value: str) -> Query[Any]:
        """Keep the rows that contain the text in any case."""
        return keyset.containing(query, getattr(self.model, self.column_name), value)


class Starts(fab.FilterStartsWith):
    """Text at the beginning, in any case."""

    name = lazy_gettext("starts with")

    def apply(self, query: Query[Any], value: str) -> Query[Any]:
        """Keep the rows that begin with the text in any case."""
        return keyset.beginning(query, getattr(self.model, self.column_name), value)


class Equal(fab.FilterEqual):
    """The very text."""

    name = lazy_gettext("is")


class Unequal(fab.FilterNotEqual):
    """Anything but the text."""

    name = lazy_gettext("is not")


class Converter(fab.SQLAFilterConverter):
    """Which filters a column offers, in the order their numbers in the address mean."""

    conversion_table = (
        ("is_boolean", [Is]),
        ("is_string", [Contains, Starts, Equal, Unequal]),
        ("is_text", [Contains, Starts, Equal, Unequal]),
        ("is_integer", [fab.FilterEqual, fab.FilterGreater, fab.FilterSmaller]),
    )

    def convert(self, col_name: str) -> list[Any] | None:
        """List a column's filters; a kind without any (ids, times) is no news."""
        for asks, kinds in self.conversion_table:
            if getattr(self.datamodel, asks)(col_name):
                return [kind(col_name, self.datamodel) for kind in kinds]
        return None


class Rows(SQLAInterface):
    """Lists that stay fast: paged by key, named columns, relations with the page."""

    filter_converter_class = Converter

    def __init__(
        self, model: type, loads: Sequence[str] = (), together: Sequence[str] = ()
    ) -> None:
        super().__init__(model)
        self.loads, self.together = tuple(loads), tuple(together)

    def leaf(
        self, filters: Any, asked: keyset.Asked, size: int, also: Sequence[Any] = ()
    ) -> keyset.Leaf:
        """Read the page that was asked for, and count up to one more than the cap."""
        found: Any = select(self.obj).where(*also)  # Any: what FAB's filters take and give
        for one, value in zip(filters.filters, filters.values, strict=True):
            found = one.apply(found, value)
        options = [joinedload(getattr(self.obj, name)) for name in self.together]
        if self.loads:
            options.append(load_only(*(getattr(self.obj, name) for name in self.loads)))
        key = self.get_pk()
        return keyset.read(self.session, found, key, asked, size=size, options=options)


class Screen(_Page, ModelView):
    """A list of one thing, and a page of each. A change is a verb, never FAB's form.

    Attributes:
        model: whose rows are listed.
        permission: who may list and show, `plugin.verb`.
        list_columns: what a row shows; the first leads to the row's page.
        search_columns: what may be filtered; named, no relations, no UUIDs.
        unoffered: of these, what only links filter, because the page asks in another way.
        order_columns: what may be sorted by.
        loads: columns to read; others stay in the database (secrets, long texts).
        together: relations to read with the page.
        choices: for a filter, the values there are.
        numbers: columns that stand at the end of their cell.
    """

    model: ClassVar[type]
    loads: ClassVar[tuple[str, ...]] = ()
    together: ClassVar[tuple[str, ...]] = ()
    choices: ClassVar[dict[str, tuple[str, ...]]] = {}
    numbers: ClassVar[tuple[str, ...]] = ()
    list_columns: ClassVar[list[str]] = []
    order_columns: ClassVar[list[str]] = []
    search_columns: ClassVar[list[str]] = []
    unoffered: ClassVar[tuple[str, ...]] = ()
    base_order = ("id", "desc")
    page_size = 50
    list_template = "appbuilder/general/model/list.html"
    show_template = "appbuilder/general/model/show.html"
    exclude_route_methods = STOCK

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "model" in cls.__dict__:
            if "search_columns" not in cls.__dict__:
                raise TypeError(
                    f"{cls.__name__}: name the search_columns; no relations, no UUIDs"
                )
            cls.datamodel = Rows(cls.model, cls.loads, cls.together)

    def _init_forms(self) -> None:
        """Make no forms: FAB's search, add and edit forms are not drawn."""

    def _init_titles(self) -> None:
        """Keep the title of the class; FAB would write `List Account` over it."""

    @property
    def _filters(self) -> Any:
        """FAB keeps one object per view, for all threads; this is one per request."""
        if not has_request_context():
            return self.__dict__.get("_boot_filters")
        mine = request.environ.setdefault("clarion.filters", {})
        if id(self) not in mine:
            mine[id(self)] = self.datamodel.get_filters(self.search_columns)
        return mine[id(self)]

    @_filters.setter
    def _filters(self, filters: Any) -> None:
        self.__dict__["_boot_filters"] = filters

    @expose("/")
    @_own
    def list(self) -> Any:
        """Show one page of the rows that the address asks for."""
        column, falling = self._asked_order()
        filters = self._asked_filters()
        after, before = (self._key(request.args.get(n, "")) for n in ("after", "before"))
        asked = keyset.Asked(getattr(self.model, column), falling, after, before)
        also = self.narrowed()
        leaf = self.datamodel.leaf(filters, asked, self.page_size, also)
        self.complete(leaf.rows)
        return self.render(
            self.list_template,
            rows=leaf.rows,
            count=leaf.count,
            capped=leaf.count > keyset.CAP,
            before=url_with(before=leaf.before, after=None) if leaf.before else "",
            after=url_with(after=leaf.after, before=None) if leaf.after else "",
            fields=[
                self._field(column)
                for column in self.search_columns
                if column not in self.unoffered
            ]
            + [*self.more_fields()],
            filtered=bool(filters.filters or also),
        )

    @expose("/<pk>")
    @_own
    def show(self, pk: Any) -> Any:
        """Show one row."""
        return self.render(self.show_template, item=self.item(pk))

    def complete(self, rows: Sequence[Any]) -> None:
        """Add to a page's rows what a list shows besides columns, in one query."""

    def narrowed(self) -> Sequence[Any]:
        """Narrow a list by what is no column of its rows; see `more_fields`."""
        return ()

    def more_fields(self) -> Sequence[Field]:
        """Offer what `narrowed` reads from the address."""
        return []

    def item(self, pk: str) -> Any:
        """Find the row of a page's address, or answer 404."""
        key = self._key(pk)
        row = None if key is None else self.datamodel.get(key, self._base_filters)
        return row if row is not None else abort(404)

    def url_for_show(self, row: Any) -> str:
        """Address of a row's page; "" when rows have none."""
        return self.url("show", pk=self.datamodel.get_pk_value(row))

    def label(self, column: str) -> str:
        """What a column is called on screen."""
        return str(self.label_columns.get(column, column))

    # --- what the address asks for; whatever is not declared is refused

    def _asked_order(self) -> tuple[str, bool]:
        asked = request.args.get("sort", "")
        if not asked:
            return self.base_order[0], self.base_order[1] == "desc"
        column = asked.removeprefix("-")
        if column not in self.order_columns:
            raise _unknown(_("This list cannot be sorted like that."))
        return column, asked.startswith("-")

    def _asked_filters(self) -> Any:
        filters = self._filters
        filters.clear_filters()
        offered = filters.get_search_filters()
        for name, values in request.args.lists():
            if not name.startswith("_flt_"):
                continue
            number, _sep, column = name.removeprefix("_flt_").partition("_")
            if column not in offered or not number.isdecimal():
                raise _unknown(_("This list cannot be filtered like that."))
            if int(number) >= len(offered[column]):
                raise _unknown(_("This list cannot be filtered like that."))
            for value in filter(None, values):
                if len(value) > LONGEST or "\0" in value:
                    raise _unknown(_("This is too long to search for."))
                filters.add_filter_index(column, int(number), value)
        return filters

    def _field(self, column: str) -> Field:
        """Say how a column is asked for: a choice, a yes or no, or some text."""
        choices: Sequence[tuple[str, str]] = ()
        number = 0
        if column in self.choices:
            choices = [(one, state_label(one)) for one in self.choices[column]]
            number = EQUAL
        elif self.datamodel.is_boolean(column):
            choices = [("y", _("Yes")), ("n", _("No"))]
        name = f"_flt_{number}_{column}"
        return Field(name, self.label(column), choices, request.args.get(name, ""))

    def _key(self, pk: str) -> Any:
        column = self.datamodel.get_pk()
        try:
            if column.type.python_type is int:
                return int(pk) if pk.isdecimal() and len(pk) < 10 else None
            return UUID(pk)
        except ValueError:
            return None


def _unknown(sentence: str) -> Invalid:
    return Invalid("filter_unknown", sentence)


def settle(act: Callable[[], object], done: str | Callable[[], str], back: str) -> Response:
    """Do what one button stands for, say how it went, and go back.

    What to say may be known only afterwards; then `done` is asked for it.

    A refusal undoes what the verb did and is said on the page; others become an error page.
    """
    try:
        with db.session().begin_nested():
            act()
    except (Conflict, Invalid) as error:
        flash(error.text, "error")
    else:
        flash(done() if callable(done) else done, "success")
    return make_response(redirect(back, 303))


__all__ = [
    "Field",
    "Panel",
    "Rows",
    "Screen",
    "expose",
    "fresh",
    "member",
    "needs",
    "public",
    "settle",
]
