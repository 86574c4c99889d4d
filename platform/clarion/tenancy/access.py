"""May this actor do this? A permission belongs to one realm."""

from functools import cache

from clarion.base.errors import Forbidden
from clarion.base.words import _
from clarion.plugging.manager import plugins
from clarion.plugging.manifest import Permission
from clarion.tenancy.scope import current_actor

ROLES = ("owner", "manager", "member")


def allowed(permission: str) -> bool:
    """Say whether the present actor has a permission, named `plugin.verb`."""
    who = current_actor()
    if who.kind in ("job", "webhook", "command"):
        return True  # what they may touch is bounded by their role, account and code
    if who.kind == "staff":
        return permission in who.permissions
    if who.kind != "person" or who.account_id is None:
        return False
    wanted = _known().get(permission)
    if wanted is None or who.role not in wanted.roles:
        return False
    return not (wanted.sensitive and who.behind)


def require(permission: str) -> None:
    """Refuse with `Forbidden` unless the present actor has the permission."""
    if not allowed(permission):
        raise Forbidden(
            "not_allowed", _("Your role does not allow this. An owner can change that.")
        )


def sensitive(permission: str) -> bool:
    """Say whether a permission of either realm asks for a young proof of who acts."""
    return permission in _sensitive()


def roles(permission: str) -> tuple[str, ...]:
    """Name the portal roles that have a permission; none for one nobody knows."""
    wanted = _known().get(permission)
    return wanted.roles if wanted else ()


@cache
def _known() -> dict[str, Permission]:
    return plugins().permissions("portal")


@cache
def _sensitive() -> frozenset[str]:
    every = {**_known(), **plugins().permissions("console")}
    return frozenset(name for name, one in every.items() if one.sensitive)
