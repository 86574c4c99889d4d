"""Staff: who they are to Flask-AppBuilder, and what they may. The way in is `web.door`.

Staff are FAB users, untouched; `staff_profile` beside them holds the session epoch.
What a role may is stored in FAB's tables: the permission `accounts` of the plugin
`console` is FAB's permission `can_accounts` on the view `console`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from flask import Flask, current_app, request
from flask_appbuilder import AppBuilder
from sqlalchemy import func, insert, select, union
from sqlalchemy.orm import Session

from clarion.base import db, lean
from clarion.plugging.manager import plugins
from clarion.tenancy.actor import COMMAND, Actor
from clarion.tenancy.models import StaffProfile
from clarion.tenancy.scope import current_actor, staff_scope
from clarion.web import guard, login
from clarion.web.screens import Panel, Screen
from clarion.web.tables import (
    Permission,
    PermissionView,
    Role,
    User,
    ViewMenu,
    assoc_group_role,
    assoc_permissionview_role,
    assoc_user_group,
    assoc_user_role,
)

with lean.fab():
    from flask_appbuilder.security.sqla.manager import SecurityManager

PREFIX: Final = "/console"
HOME: Final = f"{PREFIX}/"
ADMIN: Final = "Admin"  # built in: may everything, has no rows
OWNER: Final = "owner"
HIGHEST: Final = (ADMIN, OWNER)  # given, taken and changed on the command line only
SEEDED: Final = (OWNER, "operations", "support", "compliance", "billing", "content")
ONE_SYNC: Final = 0x0C1A_5001
SYSTEM = db.Entry("clarion_system", None, "web:console")


@dataclass(frozen=True, slots=True)
class Member:
    """A staff member as one request knows them.

    Attributes:
        id: key of `ab_user`.
        name: as colleagues read it.
        email: for the menu of the person themselves.
        epoch: raised to end all their sessions.
        roles: names of their roles, own and by group.
        permissions: `plugin.verb` of everything these roles may.
    """

    id: int
    name: str
    email: str
    epoch: int
    roles: tuple[str, ...]
    permissions: frozenset[str]
    is_authenticated: bool = True  # flask-login and FAB ask these
    is_active: bool = True
    is_anonymous: bool = False

    def get_id(self) -> str:
        """Answer what flask-login calls the id."""
        return f"s:{self.id}:{self.epoch}"

    def actor(self) -> Actor:
        """Act as this member, in the present request."""
        return Actor(
            "staff",
            str(self.id),
            self.name,
            self.email,
            role=", ".join(self.roles),
            permissions=self.permissions,
            address=login.truncated(request.remote_addr),
            request_id=guard.request_id(),
        )


def find(key: str) -> Member | None:
    """Find an active staff member by key, with permissions: two statements a request."""
    if not key.isdecimal():
        return None
    query = (
        select(User.first_name, User.last_name, User.email, StaffProfile.session_epoch)
        .join(StaffProfile, StaffProfile.user_id == User.id)  # no profile, no way in
        .where(User.id == int(key), User.active.is_(True))
    )
    with db.apart(SYSTEM) as orm:
        row = orm.execute(query).first()
        if row is None:
            return None
        roles, permissions = may(orm, int(key))
    name = f"{row.first_name} {row.last_name}".strip()
    return Member(int(key), name, row.email, row.session_epoch, roles, permissions)


def may(orm: Session, user_id: int) -> tuple[tuple[str, ...], frozenset[str]]:
    """Read the roles of a staff member and what these may, in one statement."""
    mine = union(
        select(assoc_user_role.c.role_id).where(assoc_user_role.c.user_id == user_id),
        select(assoc_group_role.c.role_id)
        .join(assoc_user_group, assoc_user_group.c.group_id == assoc_group_role.c.group_id)
        .where(assoc_user_group.c.user_id == user_id),
    )
    link = assoc_permissionview_role
    query = (
        select(Role.name, Permission.name, ViewMenu.name)
        .outerjoin(link, link.c.role_id == Role.id)
        .outerjoin(PermissionView, PermissionView.id == link.c.permission_view_id)
        .outerjoin(Permission, Permission.id == PermissionView.permission_id)
        .outerjoin(ViewMenu, ViewMenu.id == PermissionView.view_menu_id)
        .where(Role.id.in_(mine))
    )
    rows = orm.execute(query).all()
    roles = tuple(sorted({row[0] for row in rows}))
    if ADMIN in roles:
        return roles, frozenset(plugins().permissions("console"))
    return roles, frozenset(full_name(verb, plugin) for _role, verb, plugin in rows if verb)


def full_name(permission: str, view: str) -> str:
    """Name FAB's pair as manifests do: `can_accounts` on `console` is console.accounts."""
    return f"{view}.{permission.removeprefix('can_')}"


def pair(permission: str) -> tuple[str, str]:
    """Name a manifest's permission as FAB does: (permission, view)."""
    plugin, _dot, verb = permission.partition(".")
    return f"can_{verb}", plugin


# --- what `clarion db upgrade` writes; web processes never do


def sync() -> dict[str, int]:
    """Store what the manifests declare, as `clarion_staff`; `clarion db upgrade` calls it.

    The platform's own roles are always there; a permission that is new goes to the roles
    its manifest names. What is there already
    stays as people arranged it, and nothing is ever deleted.

    Returns:
        how many permissions there are, were added, and are in no manifest any more.
    """
    declared = plugins().permissions("console")
    wanted = {pair(name): one for name, one in declared.items()}
    with staff_scope(COMMAND), db.transaction() as orm:
        orm.execute(
            select(func.pg_advisory_xact_lock(ONE_SYNC))
        )  # one release step at a time
        verbs = _names(orm, Permission, {verb for verb, _plugin in wanted})
        views = _names(orm, ViewMenu, {plugin for _verb, plugin in wanted})
        named = {(verbs[v], views[p]): one for (v, p), one in wanted.items()}
        stored = _stored(orm)
        missing = sorted(named.keys() - stored.keys())
        stored |= _added(orm, missing)
        names = {ADMIN, *SEEDED, *(role for one in declared.values() for role in one.roles)}
        roles = _names(orm, Role, names)
        grants = [
            {"permission_view_id": stored[key], "role_id": roles[role]}
            for key in missing
            for role in named[key].roles
        ]
        if grants:
            orm.execute(insert(assoc_permissionview_role), grants)
    return {
        "permissions": len(named),
        "added": len(missing),
        "left over": len(stored.keys() - named.keys()),
    }


def _names(orm: Session, model: Any, wanted: Iterable[str]) -> dict[str, int]:
    """Answer the ids of named rows; those that are missing are added."""
    have: dict[str, int] = dict(orm.execute(select(model.name, model.id)).tuples().all())
    new = [{"name": name} for name in sorted(set(wanted) - have.keys())]
    if new:
        query = insert(model).returning(model.name, model.id)
        query = query.execution_options(audited=True)  # from manifests; no person chose it
        have |= dict(orm.execute(query, new).tuples().all())
    return have


def _stored(orm: Session) -> dict[tuple[int, int], int]:
    query = select(
        PermissionView.permission_id, PermissionView.view_menu_id, PermissionView.id
    )
    return {(row[0], row[1]): row[2] for row in orm.execute(query)}


def _added(orm: Session, keys: list[tuple[int, int]]) -> dict[tuple[int, int], int]:
    if not keys:
        return {}
    pv = PermissionView
    rows = [{"permission_id": verb, "view_menu_id": view} for verb, view in keys]
    query = insert(pv).returning(pv.permission_id, pv.view_menu_id, pv.id)
    return {(row[0], row[1]): row[2] for row in orm.execute(query, rows)}


# --- Flask-AppBuilder


class Staff(SecurityManager):
    """Users, roles, permissions. No way in of FAB's own, no view of FAB's own."""

    userstatschartview = None  # fetches a script from a third party
    door: type[Panel]  # `web.door.SignIn`: FAB asks it for `.login` and `.logout`

    def register_views(self) -> None:
        """Register the sign-in page only: no security API, no user, role or password views."""
        self.auth_view = self.door()
        self.appbuilder.add_view_no_menu(self.auth_view)

    def create_login_manager(self, app: Flask) -> login.Logins:
        """Accept staff's sessions only."""
        logins = login.Logins("s", find, lambda who: who.epoch)
        logins.init_app(app)
        return logins

    def create_jwt_manager(self, _app: Flask) -> None:
        """No tokens."""

    def create_limiter(self, _app: Flask) -> None:
        """Limits are counted in the database, for all processes together."""

    def add_limit_view(self, _view: Any) -> None:
        """See `create_limiter`."""

    def load_user_jwt(self, *_: Any) -> None:
        """No tokens."""

    def validate_api_key(self, *_: Any) -> None:
        """No keys."""

    def is_item_public(self, *_: Any) -> bool:
        """Nothing is."""
        return False

    def has_access(self, permission_name: str, view_name: str) -> bool:
        """Say no behind the gate too; permissions were read once for this request."""
        return full_name(permission_name, view_name) in current_actor().permissions


class Console(AppBuilder):
    """FAB's registry of views, with every route under /console and nothing of its own."""

    def _add_global_static(self) -> None:
        """FAB's static files and stock templates are not served and not on the path."""

    def _add_admin_views(self) -> None:
        """Register the way in; no index, `/back`, language or menu views of FAB's."""
        self._indexview = None
        self.sm.register_views()

    def register_blueprint(self, baseview: Any, *args: Any, **kwargs: Any) -> None:
        """Put a view under /console; refuse a route that does not say who may call it."""
        blueprint = baseview.create_blueprint(self, *args, **kwargs)
        for name in dir(baseview):
            if name in baseview.exclude_route_methods:
                continue
            method = getattr(baseview, name, None)
            if hasattr(method, "_urls") and not hasattr(method, "guard"):
                kind = type(baseview).__name__
                raise TypeError(f"{kind}.{name}: @needs or @public below @expose")
        baseview.route_base = PREFIX + (blueprint.url_prefix or "").rstrip("/")
        current_app.register_blueprint(blueprint, url_prefix=baseview.route_base)

    def add(self, plugin: str, view: type[Panel] | type[Screen]) -> None:
        """Register a plugin's screen or panel."""
        start = plugin.title().replace("_", "")
        if not view.__name__.startswith(start):
            raise TypeError(
                f"{view.__name__}: the names of {plugin}'s screens begin with {start}"
            )
        self.add_view_no_menu(view)
