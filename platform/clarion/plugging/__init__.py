"""What a plugin is, and how it is found, checked and called."""

from clarion.plugging.hookspecs import hookimpl
from clarion.plugging.manifest import Cookie, Host, NavItem, Permission, Plugin, Setting

__all__ = ["Cookie", "Host", "NavItem", "Permission", "Plugin", "Setting", "hookimpl"]
