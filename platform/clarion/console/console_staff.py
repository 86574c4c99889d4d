"""Staff, roles and the log; and the page on which a staff member chooses a password."""

from collections.abc import Sequence
from typing import Any

from flask import flash, redirect, request
from flask_babel import lazy_gettext
from wtforms import EmailField, PasswordField, SelectMultipleField, StringField
from wtforms.validators import InputRequired, Length

from clarion.base.errors import Invalid, NotFound
from clarion.base.words import _
from clarion.console import log, roles, staffing
from clarion.tenancy import deeds, factors
from clarion.tenancy.access import allowed
from clarion.tenancy.scope import current_actor
from clarion.web import door, naming, staff, steps
from clarion.web.pages import Form, download
from clarion.web.screens import Panel, Screen, expose, needs, public, settle
from clarion.web.tables import User
from clarion.web.ui import pill, url_with


class NewPassword(Form):
    """A password, chosen by the person alone."""

    password = PasswordField(
        lazy_gettext("New password"), [InputRequired(), Length(max=1024)]
    )
    again = PasswordField(
        lazy_gettext("The same once more"), [InputRequired(), Length(max=1024)]
    )


class NewMember(Form):
    """A new colleague."""

    name = StringField(lazy_gettext("Name"), [InputRequired(), Length(max=120)])
    email = EmailField(lazy_gettext("E-mail"), [InputRequired(), Length(max=254)])
    roles = SelectMultipleField(lazy_gettext("Roles"), validate_choice=False)


class NewRole(Form):
    """A new role."""

    name = StringField(lazy_gettext("Name"), [InputRequired(), Length(max=40)])


class ConsoleStartPanel(Panel):
    """Where a one-time link leads: choose a password, and come in."""

    route_base = "/sign"

    @expose("/start", methods=["GET", "POST"])
    @public
    def start(self) -> Any:
        """Show the form; only its POST uses the link up."""
        token = request.args.get("token", "")
        user = staffing.holder(token)
        if user is None:
            return self.render("console/start_gone.html"), 404
        form = NewPassword()
        if form.validate_on_submit():
            with form.attempt():
                key = staffing.set_password(token, form.password.data, form.again.data)
                who = staff.find(str(key))
                if who is None:
                    return redirect(staff.HOME)
                steps.tell(
                    who,
                    "factor_changed",
                    what="password",
                    link=steps.page_of(f"s:{key}"),
                )
                one = steps.begin(who, key, "password", onward=staff.HOME, vouched=True)
                return door.go_on(one)
        page = self.render("console/start.html", form=form, user=user)
        return page, 422 if form.errors else 200


class ConsoleStaffScreen(Screen):
    """Everybody who may enter the console."""

    model = User
    permission = "console.staff"
    route_base = "/staff"
    title = lazy_gettext("Staff")
    list_template = "console/staff.html"
    loads = ("id", "first_name", "last_name", "email", "active", "last_login", "created_on")
    list_columns = ["name", "email", "role_names", "second", "state", "last_login"]
    search_columns = ["email", "last_name", "active"]
    order_columns = ["email", "last_login"]
    base_order = ("id", "asc")
    formatters_columns = {"state": pill}
    label_columns = {
        "name": lazy_gettext("Name"),
        "last_name": lazy_gettext("Last name"),
        "email": lazy_gettext("E-mail"),
        "role_names": lazy_gettext("Roles"),
        "second": lazy_gettext("Second factor"),
        "state": lazy_gettext("State"),
        "active": lazy_gettext("Active"),
        "last_login": lazy_gettext("Last signed in"),
    }

    def complete(self, rows: Sequence[Any]) -> None:
        """Name the roles and second factors of the page's staff, in two statements."""
        names = roles.roles_of([row.id for row in rows])
        have = factors.enrolled(f"s:{row.id}" for row in rows)
        for row in rows:
            row.second = _kinds(have.get(f"s:{row.id}", set()))
            row.name = f"{row.first_name} {row.last_name}".strip()
            row.role_names = naming.role_words(names.get(row.id, []))
            row.state = "active" if row.active else "disabled"

    @expose("/<int(max=2147483647):pk>")
    @needs("console.staff")
    def show(self, pk: int) -> Any:
        """Show one staff member; who may, changes roles here."""
        return self._page(pk)

    @expose("/new", methods=["GET", "POST"])
    @needs("console.staff_edit")
    def new(self) -> Any:
        """Add a staff member and show, once, the link for them."""
        form, choices = NewMember(), roles.role_names()
        form.roles.choices = choices
        if form.validate_on_submit():
            with form.attempt():
                user = staffing.add(form.email.data, form.name.data, form.roles.data or [])
                link = staffing.new_link(user.id)
                return self._page(user.id, link)
        page = self.render("console/staff_new.html", form=form, choices=choices)
        return page, 422 if form.errors else 200

    @expose("/<int(max=2147483647):pk>/link", methods=["POST"])
    @needs("console.staff_edit")
    def link(self, pk: int) -> Any:
        """Make a new one-time link and show it once."""
        return self._page(pk, staffing.new_link(pk))

    @expose("/<int(max=2147483647):pk>/roles", methods=["POST"])
    @needs("console.staff_edit")
    def change_roles(self, pk: int) -> Any:
        """Give exactly the ticked roles."""
        wanted = request.form.getlist("roles")
        act = lambda: staffing.change_roles(pk, wanted)  # noqa: E731
        return settle(
            act, _("The roles are changed; they apply at once."), self.url("show", pk=pk)
        )

    @expose("/<int(max=2147483647):pk>/disable", methods=["POST"])
    @needs("console.staff_edit")
    def disable(self, pk: int) -> Any:
        """Shut them out."""
        done = _("They are signed out and cannot come in.")
        return settle(lambda: staffing.disable(pk), done, self.url("show", pk=pk))

    @expose("/<int(max=2147483647):pk>/enable", methods=["POST"])
    @needs("console.staff_edit")
    def enable(self, pk: int) -> Any:
        """Let them in again."""
        done = _("They can sign in again.")
        return settle(lambda: staffing.enable(pk), done, self.url("show", pk=pk))

    def _page(self, pk: int, link: str = "") -> str:
        user = staffing.member(pk)
        return self.render(
            "console/staff_member.html",
            user=user,
            me=current_actor().id == str(pk),
            has=roles.roles_of([pk]).get(pk, []),
            second=_kinds(factors.enrolled([f"s:{pk}"]).get(f"s:{pk}", set())),
            giveable=roles.role_names() if allowed("console.staff_edit") else [],
            every=roles.every_role(),
            deeds=log.latest(row=f"ab_user:{pk}") if allowed("console.audit") else [],
            link=link,
        )


def _kinds(kinds: set[str]) -> str:
    names = {"passkey": _("Passkey"), "totp": _("Authenticator app")}
    return ", ".join(names[one] for one in sorted(kinds)) or _("none")


class ConsoleRolePanel(Panel):
    """Who may what: a matrix, and a page to change one role."""

    route_base = "/roles"
    title = lazy_gettext("Roles")

    @expose("/")
    @needs("console.roles")
    def index(self) -> Any:
        """Show permissions down, roles across."""
        return self.render("console/roles.html", matrix=roles.matrix())

    @expose("/new", methods=["GET", "POST"])
    @needs("console.roles_edit")
    def new(self) -> Any:
        """Make a role, then choose what it may."""
        form = NewRole()
        if form.validate_on_submit():
            with form.attempt():
                role = roles.create_role(form.name.data)
                return redirect(self.url("show", pk=role.id))
        page = self.render("console/role_new.html", form=form)
        return page, 422 if form.errors else 200

    @expose("/<int(max=2147483647):pk>")
    @needs("console.roles")
    def show(self, pk: int) -> Any:
        """Show what one role may."""
        matrix = roles.matrix()
        role = next((one for one in matrix.roles if one.id == pk), None)
        if role is None:
            raise NotFound("role_unknown", _("There is no such role."))
        return self.render(
            "console/role.html",
            role=role,
            matrix=matrix,
            mine=current_actor().permissions,
            own=role.name in current_actor().role.split(", "),
            deeds=log.latest(row=f"ab_role:{pk}") if allowed("console.audit") else [],
        )

    @expose("/<int(max=2147483647):pk>/permissions", methods=["POST"])
    @needs("console.roles_edit")
    def change(self, pk: int) -> Any:
        """Let the role do exactly what is ticked."""
        wanted = request.form.getlist("permission")
        done = _("The role is changed; it applies at once.")
        return settle(
            lambda: roles.change_permissions(pk, wanted), done, self.url("show", pk=pk)
        )


class ConsoleAuditPanel(Panel):
    """The log of deeds, filtered by the address, with the state of its chain."""

    route_base = "/log"
    title = lazy_gettext("Log")

    @expose("/")
    @needs("console.audit")
    def index(self) -> Any:
        """Show one page of deeds."""
        asked = deeds.asked_for(request.args)
        page = log.page(asked)
        return self.render(
            "console/log.html",
            page=page,
            asked=asked,
            platform=deeds.PLATFORM,
            older=url_with(after=page.after) if page.after else "",
            filtered=bool(asked.fields),
            may_take=allowed("console.audit_export"),
        )

    @expose("/check/<uuid:chain>", methods=["POST"])
    @needs("console.audit")
    def check(self, chain: Any) -> Any:
        """Walk a chain from its start and say whether it is whole."""
        found = log.check(chain)
        for place in found[:5]:
            flash(_("The chain is broken: %(place)s.", place=place), "error")
        if not found:
            flash(_("The chain is whole: every entry is as it was written."), "success")
        if chain == deeds.PLATFORM:
            return redirect(self.url("index"))
        return redirect(self.url("index", account=chain))

    @expose("/export", methods=["POST"])
    @needs("console.audit_export")
    def export(self) -> Any:
        """Download what the filter shows."""
        form = request.form.get("form", "")
        if form not in deeds.KINDS:
            raise Invalid("form_unknown", _("There is no such kind of file."), field="form")
        lines = log.export(
            deeds.asked_for(request.form), "csv" if form == "csv" else "json"
        )
        return download(lines, f"clarion-log.{deeds.ENDINGS[form]}", deeds.KINDS[form])

    @expose("/download/<uuid:chain>", methods=["POST"])
    @needs("console.audit_export")
    def download(self, chain: Any) -> Any:
        """Download a whole chain, for the program that verifies it."""
        name = f"clarion-log-{chain}.jsonl"
        return download(log.download(chain), name, deeds.KINDS["json"])


VIEWS: tuple[type, ...] = (
    ConsoleStartPanel,
    ConsoleStaffScreen,
    ConsoleRolePanel,
    ConsoleAuditPanel,
)
