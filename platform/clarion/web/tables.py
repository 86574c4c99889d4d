"""Flask-AppBuilder's tables: staff, roles, permissions. Declared there, used from here."""

from flask_appbuilder.security.sqla.models import (
    Group,
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

__all__ = [
    "Group",
    "Permission",
    "PermissionView",
    "Role",
    "User",
    "ViewMenu",
    "assoc_group_role",
    "assoc_permissionview_role",
    "assoc_user_group",
    "assoc_user_role",
]
