"""Staff and their roles: invite, disable, give and take. Nobody gives what they lack."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import and_, delete, func, insert, or_, select, union

from clarion.base import db, limits
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.limits import Limit
from clarion.base.trails import Trail
from clarion.base.words import _, lazy
from clarion.console.roles import (
    OPENS,
    leave_somebody,
    one_at_a_time,
    permissions_of,
    require_lower,
    require_own,
    roles_of,
)
from clarion.plugging.manager import plugins
from clarion.support import grants
from clarion.tenancy import access, audit, credentials, factors
from clarion.tenancy.actor import COMMAND, Actor
from clarion.tenancy.models import StaffProfile
from clarion.tenancy.people import parse_email
from clarion.tenancy.scope import current_actor, staff_scope, system_scope
from clarion.web.staff import ADMIN, may, pair
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
from clarion.work import mails

PURPOSE = "staff_start"
FIRST_LINK = dt.timedelta(hours=1)
LINK = dt.timedelta(hours=24)
OWN_PASSWORD = Limit("console own password", 10, 900)

audit.watch(
    User,
    Trail(
        lazy("Staff member"),
        skip=("last_login", "login_count", "fail_login_count", "created_on", "changed_on"),
        mask=("password", "email", "username", "first_name", "last_name"),
        many="refused",
    ),
)
audit.label("console.staff.signed_in", "Signed in to the console")
audit.label("console.staff.refused", "Was refused at the console's door")
audit.label("console.staff.invited", "Invited a staff member")
audit.label("console.staff.linked", "Made a new link for a staff member")
audit.label("console.staff.password_set", "Chose a password")
audit.label("console.staff.disabled", "Disabled a staff member")
audit.label("console.staff.enabled", "Enabled a staff member")
audit.label("console.staff.roles_changed", "Changed a staff member's roles")


# --- who


def first_token(email: str, name: str, role: str = ADMIN) -> str:
    """Make the link with which a staff member chooses a password: once, within an hour.

    For the command line, where whoever runs it owns the deployment. Somebody who is
    staff already gets the role and a new link.

    Args:
        email: also the name to sign in with.
        name: as colleagues read it.
        role: `Admin`, or a role that exists.
    """
    with staff_scope(COMMAND), db.transaction() as orm:
        user = orm.scalar(select(User).where(User.email == parse_email(email)))
        if user is None:
            user = add(email, name, [role])
        else:
            have = {r.name for r in user.roles}
            change_roles(user.id, sorted({*have, role}))
            user.active = True
        return new_link(user.id, lasts=FIRST_LINK)


def add(email: str, name: str, roles: Sequence[str]) -> User:
    """Make somebody a staff member; they can sign in once they chose a password."""
    access.require("console.staff_edit")
    address, words = parse_email(email), name.strip()
    if not words or len(words) > 120:
        raise Invalid("staff_name", _("Write a name of at most 120 letters."), field="name")
    chosen = _giveable(roles)
    orm = db.session()
    one_at_a_time()
    if orm.scalar(select(User.id).where(func.lower(User.email) == address)):
        raise Conflict("staff_known", _("This address is a staff member's."), field="email")

    first, _space, last = words.partition(" ")
    user = User(
        first_name=first[:64],
        last_name=last[:64],
        username=address,
        email=address,
        active=True,
    )
    orm.add(user)
    orm.flush()
    orm.add(StaffProfile(user_id=user.id))
    orm.execute(
        insert(assoc_user_role), [{"user_id": user.id, "role_id": one.id} for one in chosen]
    )
    audit.record("console.staff.invited", user, roles=sorted(r.name for r in chosen))
    return user


def new_link(user_id: int, *, lasts: dt.timedelta = LINK) -> str:
    """Make a staff member's one-time link to choose a password; earlier ones are void."""
    access.require("console.staff_edit")
    user = _locked(user_id)
    _not_above(user.id)
    audit.record("console.staff.linked", user, hours=lasts.total_seconds() / 3600)
    with system_scope(current_actor()), db.transaction():
        token = credentials.issue(PURPOSE, _subject(user_id), lasts)
    path = f"/console/sign/start?token={token}"
    return f"{mails.host_of(path)}{path}"


def holder(token: str) -> User | None:
    """Say who may choose a password with this link; None when it is not good any more."""
    with system_scope(Actor("nobody")), db.transaction():
        subject = credentials.peek(PURPOSE, token)
        return _of(subject) if subject else None


def set_password(token: str, password: str, again: str) -> int:
    """Use up a link and keep the password; every session of theirs ends.

    Returns:
        the staff member's id.

    Raises:
        Invalid: the two differ, or the password is too easy; the link stays good.
        NotFound: the link was used, replaced, or is too old.
    """
    if password != again:
        raise Invalid("password_differs", _("These two are not the same."), field="again")
    known = holder(token)
    if known is None:
        raise _link_gone()
    names = (known.email, known.first_name, known.last_name)
    credentials.check(password, own=names)
    hashed = credentials.hashed(password)

    who = Actor("staff", str(known.id), f"{known.first_name} {known.last_name}".strip())
    with system_scope(who), db.transaction() as orm:
        user = _of(credentials.use(PURPOSE, token))
        if user is None:
            raise _link_gone()
        user.password = hashed
        _end_sessions(user.id)
        audit.record("console.staff.password_set", user)
        orm.flush()
        return int(user.id)


def change_password(old: str, new: str) -> None:
    """Change one's own password with the present one; every session ends.

    Raises:
        Invalid: the present password is wrong, or the new one is too easy.
    """
    who = current_actor()
    limits.hit(OWN_PASSWORD, who.id)
    with system_scope(who), db.transaction() as orm:
        known = orm.get_one(User, int(who.id))
        kept, names = known.password or "", (known.email, known.first_name, known.last_name)
    if not credentials.matches(kept, old):
        raise Invalid("password_wrong", _("This is not your password."), field="old")
    credentials.check(new, own=names, field="new")
    hashed = credentials.hashed(new)
    with system_scope(who), db.transaction() as orm:
        user = orm.get_one(User, int(who.id), with_for_update=True)
        user.password = hashed
        _end_sessions(user.id)
        credentials.void(_subject(user.id))
        audit.record("console.staff.password_set", user)
    limits.clear(OWN_PASSWORD, who.id)


def arrange_roles(
    email: str, give: Iterable[str] = (), take: Iterable[str] = ()
) -> list[str]:
    """Give a staff member roles and take others; answers which they have then.

    For the command line, the only way to the two highest roles.
    """
    with staff_scope(COMMAND), db.transaction() as orm:
        user_id = orm.scalar(select(User.id).where(User.email == parse_email(email)))
        if user_id is None:
            raise NotFound("staff_unknown", _("There is no such staff member."))
        have = set(roles_of([user_id]).get(user_id, []))
        wanted = (have | set(give)) - set(take)
        if wanted != have:
            change_roles(user_id, sorted(wanted))
        return sorted(wanted)


def reset_factors(email: str) -> int:
    """Remove every second factor of a staff member who has lost them; ends their sessions.

    For the command line, where whoever runs it owns the deployment.
    """
    address = parse_email(email)
    with system_scope(COMMAND):
        with db.transaction() as orm:
            user = orm.scalar(select(User).where(func.lower(User.email) == address))
            if user is None:
                raise NotFound("staff_unknown", _("There is no such staff member."))
            key, name = int(user.id), f"{user.first_name} {user.last_name}".strip()
            _end_sessions(key)
            link = "/console/security/"
            mails.post("factor_changed", address, name=name, what="reset", link=link)
        return factors.forget_all(f"s:{key}")


def disable(user_id: int) -> User:
    """Shut a staff member out at once: sessions end, links are void."""
    access.require("console.staff_edit")
    one_at_a_time()
    user = _locked(user_id)
    if current_actor().id == str(user.id):
        raise Conflict("staff_self", _("You cannot disable yourself; ask a colleague."))
    _not_above(user.id)
    if not user.active:
        raise Conflict("staff_disabled", _("This staff member is disabled already."))
    leave_somebody(without=user.id)
    user.active = False
    _end_sessions(user.id)
    grants.end_of_staff(user.id)
    audit.record("console.staff.disabled", user)
    with system_scope(current_actor()), db.transaction():
        credentials.void(_subject(user.id))
    return user


def enable(user_id: int) -> User:
    """Let a disabled staff member in again, with the roles they had."""
    access.require("console.staff_edit")
    one_at_a_time()
    user = _locked(user_id)
    _not_above(user.id)
    if user.active:
        raise Conflict("staff_active", _("This staff member is active already."))
    user.active = True
    audit.record("console.staff.enabled", user)
    return user


def change_roles(user_id: int, roles: Sequence[str]) -> User:
    """Give a staff member exactly these roles. Their very next request knows it."""
    access.require("console.staff_edit")
    one_at_a_time()
    user = _locked(user_id)
    orm = db.session()
    before = set(may(orm, user.id)[0])
    after = {one.name: one.id for one in _giveable(roles, besides=before)}
    if current_actor().id == str(user.id) and before != set(after):
        raise Conflict(
            "staff_self", _("You cannot change your own roles; ask a colleague.")
        )
    _giveable(before - set(after))  # what I could not give I cannot take
    mine = assoc_user_role.c.user_id == user.id
    orm.execute(delete(assoc_user_role).where(mine))
    if after:
        rows = [{"user_id": user.id, "role_id": role_id} for role_id in after.values()]
        orm.execute(insert(assoc_user_role), rows)
    leave_somebody()
    if OPENS not in may(orm, user.id)[1]:
        grants.end_of_staff(user.id)
    audit.record(
        "console.staff.roles_changed", user, before=sorted(before), after=sorted(after)
    )
    return user


@dataclass(frozen=True, slots=True)
class StaffView:
    """A staff member as their page shows them; never the password's hash."""

    id: int
    name: str
    email: str
    active: bool
    has_password: bool
    last_login: dt.datetime | None
    created_at: dt.datetime | None


def member(user_id: int) -> StaffView:
    """Read one staff member; raises `NotFound`."""
    has_password = func.coalesce(User.password, "") != ""
    query = select(
        User.id, User.first_name, User.last_name, User.email, User.active, has_password,
        User.last_login, User.created_on,
    ).where(User.id == user_id)  # fmt: skip
    row = db.session().execute(query).first()
    if row is None:
        raise NotFound("staff_unknown", _("There is no such staff member."))
    name = f"{row[1]} {row[2]}".strip()
    return StaffView(row[0], name, row[3], bool(row[4]), row[5], row[6], row[7])


def names_of(labels: Iterable[str | None]) -> dict[str, str]:
    """Name who stands behind labels such as `staff:7`, in one statement."""
    keys = {
        int(one.removeprefix("staff:")): one
        for one in labels
        if one and one.removeprefix("staff:").isdecimal()
    }
    query = select(User.id, User.first_name, User.last_name).where(User.id.in_(keys))
    return {keys[r[0]]: f"{r[1]} {r[2]}".strip() for r in db.session().execute(query)}


def who_may(permission: str) -> list[tuple[str, str]]:
    """List address and name of the active staff who may something, in one statement."""
    verb, plugin = pair(permission)
    link, groups = assoc_permissionview_role, assoc_group_role
    roles = (
        select(Role.id)
        .outerjoin(link, link.c.role_id == Role.id)
        .outerjoin(PermissionView, PermissionView.id == link.c.permission_view_id)
        .outerjoin(Permission, Permission.id == PermissionView.permission_id)
        .outerjoin(ViewMenu, ViewMenu.id == PermissionView.view_menu_id)
        .where(
            or_(Role.name == ADMIN, and_(Permission.name == verb, ViewMenu.name == plugin))
        )
    )
    users = union(
        select(assoc_user_role.c.user_id).where(assoc_user_role.c.role_id.in_(roles)),
        select(assoc_user_group.c.user_id)
        .join(groups, groups.c.group_id == assoc_user_group.c.group_id)
        .where(groups.c.role_id.in_(roles)),
    )
    query = select(User.email, User.first_name, User.last_name).where(
        User.active.is_(True), User.id.in_(users)
    )
    found = db.session().execute(query.order_by(User.id))
    return [(email, f"{first} {last}".strip()) for email, first, last in found]


# --- rules


def _giveable(roles: Iterable[str], besides: Iterable[str] = ()) -> list[Role]:
    """Find roles by name; refuse one that may what I may not. `besides` are there already."""
    wanted = set(roles)
    found = list(db.session().scalars(select(Role).where(Role.name.in_(wanted))))
    if {one.name for one in found} != wanted:
        raise Invalid("role_unknown", _("There is no such role."), field="roles")
    require_lower(wanted - set(besides))
    has = permissions_of([one.id for one in found])
    for one in found:
        if one.name not in besides:
            everything = set(plugins().permissions("console"))
            require_own(everything if one.name == ADMIN else has.get(one.id, set()))
    return found


def _not_above(user_id: int) -> None:
    """Refuse to act on somebody who may what I may not."""
    require_own(may(db.session(), user_id)[1])


def _locked(user_id: int) -> User:
    user = db.session().scalar(
        select(User).where(User.id == user_id).with_for_update(of=User)
    )
    if user is None:
        raise NotFound("staff_unknown", _("There is no such staff member."))
    return user


def _end_sessions(user_id: int) -> None:
    profile = db.session().get(StaffProfile, user_id, with_for_update=True)
    if profile is not None:
        profile.session_epoch += 1


def _of(subject: str | None) -> User | None:
    key = (subject or "").removeprefix("staff:")
    user = db.session().get(User, int(key)) if key.isdecimal() else None
    return user if user is not None and user.active else None


def _subject(user_id: int) -> str:
    return f"staff:{user_id}"


def _link_gone() -> NotFound:
    return NotFound("link_gone", _("This link was used already, or it is too old."))
