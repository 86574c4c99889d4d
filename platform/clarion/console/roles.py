"""Roles: make them, say what they may, read who may what. Nobody gives what they lack."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, select

from clarion.base import db
from clarion.base.errors import Conflict, Forbidden, Invalid, NotFound
from clarion.base.trails import Trail
from clarion.base.words import _, lazy
from clarion.plugging.manager import plugins
from clarion.support import grants
from clarion.tenancy import access, audit
from clarion.tenancy.models import StaffProfile
from clarion.tenancy.scope import current_actor
from clarion.web.staff import ADMIN, HIGHEST, may, pair
from clarion.web.tables import (
    Permission,
    PermissionView,
    Role,
    User,
    ViewMenu,
    assoc_permissionview_role,
    assoc_user_role,
)

FIXED = HIGHEST  # never edited by web: a way in must be left
OPENS = "console.support_open"
"""By which staff get access to an account; without it what they have is over."""

audit.watch(Role, Trail(lazy("Role"), many="refused"))
audit.label("console.role.created", "Created a role")
audit.label("console.role.changed", "Changed what a role may do")


def create_role(name: str) -> Role:
    """Make a role that may nothing yet."""
    access.require("console.roles_edit")
    words = name.strip()
    if not words or len(words) > 40:
        raise Invalid("role_name", _("Write a name of at most 40 letters."), field="name")
    orm = db.session()
    one_at_a_time()
    if orm.scalar(select(Role.id).where(func.lower(Role.name) == words.lower())):
        raise Conflict("role_known", _("There is a role of this name."), field="name")
    role = Role(name=words)
    orm.add(role)
    orm.flush()
    audit.record("console.role.created", role)
    return role


def change_permissions(role_id: int, wanted: Iterable[str]) -> Role:
    """Let a role do exactly this, named `plugin.verb`; nobody changes what they lack."""
    access.require("console.roles_edit")
    orm = db.session()
    one_at_a_time()
    role = orm.scalar(select(Role).where(Role.id == role_id).with_for_update())
    if role is None:
        raise NotFound("role_unknown", _("There is no such role."))
    if role.name in FIXED and current_actor().kind == "staff":
        raise Conflict("role_fixed", _("This role is built in and cannot be changed here."))
    if role.name in current_actor().role.split(", "):
        raise Conflict("role_own", _("You cannot change your own role; ask a colleague."))
    declared = plugins().permissions("console")
    after = set(wanted)
    if after - set(declared):
        raise Invalid("permission_unknown", _("There is no such permission."))
    before = permissions_of([role.id]).get(role.id, set()) & set(declared)
    require_own(before ^ after)

    ids = _permission_ids(declared)
    if (before ^ after) - set(ids):
        text = _("This permission is new here; run “clarion db upgrade” first.")
        raise Conflict("permission_not_stored", text)
    link = assoc_permissionview_role
    dropped = [ids[name] for name in before - after]
    orm.execute(
        delete(link).where(
            link.c.role_id == role.id, link.c.permission_view_id.in_(dropped)
        )
    )
    new = [{"role_id": role.id, "permission_view_id": ids[name]} for name in after - before]
    if new:
        orm.execute(insert(link), new)
    leave_somebody()
    if OPENS in before - after:
        end_what_nobody_may_open()
    audit.record(
        "console.role.changed",
        role,
        added=sorted(after - before),
        taken=sorted(before - after),
    )
    return role


# --- reading


@dataclass(frozen=True, slots=True)
class Right:
    """A permission as the matrix shows it."""

    name: str
    title: str
    sensitive: bool
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class RoleView:
    """A role as pages show it."""

    id: int
    name: str
    members: int
    count: int
    fixed: bool


@dataclass(frozen=True, slots=True)
class Matrix:
    """Who may what: roles across, permissions down, by plugin."""

    roles: list[RoleView]
    groups: list[tuple[str, list[Right]]]


def matrix() -> Matrix:
    """Read all roles and what they may, in two statements."""
    access.require("console.roles")
    declared = plugins().permissions("console")
    members = func.count(assoc_user_role.c.user_id)
    query = (
        select(Role.id, Role.name, members)
        .outerjoin(assoc_user_role, assoc_user_role.c.role_id == Role.id)
        .group_by(Role.id, Role.name)
    )
    found = db.session().execute(query).all()
    has = permissions_of([row[0] for row in found])
    for row in found:
        if row[1] == ADMIN:
            has[row[0]] = set(declared)
    roles = [
        RoleView(
            row[0],
            row[1],
            row[2],
            len(has.get(row[0], set()) & set(declared)),
            row[1] in FIXED,
        )
        for row in found
    ]
    roles.sort(key=lambda one: (not one.fixed, one.name.lower()))
    names = {row[0]: row[1] for row in found}
    groups: dict[str, list[Right]] = {}
    titles = {one.name: one.plugin.title for one in plugins().loaded() if one.plugin}
    for name, one in declared.items():
        holders = frozenset(names[role] for role, rights in has.items() if name in rights)
        title = str(titles[name.partition(".")[0]])
        groups.setdefault(title, []).append(
            Right(name, str(one.title), one.sensitive, holders)
        )
    return Matrix(roles, list(groups.items()))


def permissions_of(role_ids: Sequence[int]) -> dict[int, set[str]]:
    """Read what stored roles may, by role, in one statement."""
    link = assoc_permissionview_role
    query = (
        select(link.c.role_id, Permission.name, ViewMenu.name)
        .join(PermissionView, PermissionView.id == link.c.permission_view_id)
        .join(Permission, Permission.id == PermissionView.permission_id)
        .join(ViewMenu, ViewMenu.id == PermissionView.view_menu_id)
        .where(link.c.role_id.in_(role_ids))
    )
    found: dict[int, set[str]] = {}
    for role_id, verb, plugin in db.session().execute(query):
        found.setdefault(role_id, set()).add(f"{plugin}.{verb.removeprefix('can_')}")
    return found


def roles_of(user_ids: Sequence[int]) -> dict[int, list[str]]:
    """Read the roles of many staff members, in one statement."""
    query = (
        select(assoc_user_role.c.user_id, Role.name)
        .join(Role, Role.id == assoc_user_role.c.role_id)
        .where(assoc_user_role.c.user_id.in_(user_ids))
        .order_by(Role.name)
    )
    found: dict[int, list[str]] = {}
    for user_id, name in db.session().execute(query):
        found.setdefault(user_id, []).append(name)
    return found


def every_role() -> list[str]:
    """List the names of all roles."""
    return list(db.session().scalars(select(Role.name).order_by(Role.name)))


def role_names() -> list[str]:
    """List the roles that the present staff member may give."""
    roles = db.session().scalars(select(Role).order_by(Role.name)).all()
    has = permissions_of([one.id for one in roles])
    mine = current_actor().permissions
    everything = set(plugins().permissions("console"))
    need = {
        one.name: everything if one.name == ADMIN else has.get(one.id, set()) & everything
        for one in roles
    }
    lower = [one.name for one in roles if one.name not in HIGHEST]
    return [name for name in lower if need[name] <= mine]


def require_lower(names: Iterable[str]) -> None:
    """Refuse to give or take one of the two highest roles in the browser."""
    if current_actor().kind == "staff" and set(names) & set(HIGHEST):
        raise Forbidden(
            "role_highest",
            _("The two highest roles are given and taken on the command line only."),
        )


# --- rules that staff and roles share


def end_what_nobody_may_open() -> None:
    """End the accesses of staff who could not open them any more; view-as goes with them."""
    for user_id in grants.holders():
        if OPENS not in may(db.session(), user_id)[1]:
            grants.end_of_staff(user_id)


def require_own(permissions: Iterable[str]) -> None:
    """Refuse to give or take what one may not do oneself.

    What a plugin left behind that is gone is nobody's, and stands in nobody's way.
    """
    who, declared = current_actor(), plugins().permissions("console").keys()
    if who.kind == "staff" and not set(permissions) & declared <= who.permissions:
        raise Forbidden(
            "beyond_own", _("You cannot give or take what you may not do yourself.")
        )


def leave_somebody(without: int = 0) -> None:
    """Refuse to leave nobody who can manage staff."""
    orm = db.session()
    query = (
        select(User.id)
        .join(StaffProfile, StaffProfile.user_id == User.id)
        .where(User.active.is_(True), User.id != without)
    )
    for user_id in orm.scalars(query).all():
        if "console.staff_edit" in may(orm, user_id)[1]:
            return
    raise Conflict("staff_last", _("Nobody would be left who can manage staff."))


def one_at_a_time() -> None:
    """Let one change of staff wait for the other: two could leave nobody."""
    db.session().execute(select(Role.id).where(Role.name == ADMIN).with_for_update())


def _permission_ids(names: Iterable[str]) -> dict[str, int]:
    wanted = {pair(name): name for name in names}
    query = (
        select(Permission.name, ViewMenu.name, PermissionView.id)
        .join(PermissionView, PermissionView.permission_id == Permission.id)
        .join(ViewMenu, ViewMenu.id == PermissionView.view_menu_id)
    )
    rows = db.session().execute(query).all()
    return {wanted[verb, view]: key for verb, view, key in rows if (verb, view) in wanted}
