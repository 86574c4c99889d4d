"""What a plugin is: declarations that can be checked and shown without running it."""

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Permission:
    """Something a person or staff member may be allowed to do.

    Attributes:
        name: the verb (`edit`); its full name is `<plugin>.edit`.
        title: what the role screen says.
        sensitive: refused to staff acting as a person; asked again before it is done.
        realm: `portal` for customers, `console` for staff.
        roles: roles that have it from the start (portal: owner, manager, member;
            console: owner, support, operations, compliance, content, billing).
    """

    name: str
    title: str
    sensitive: bool = False
    realm: Literal["portal", "console"] = "portal"
    roles: tuple[str, ...] = ("owner", "manager")


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing an account may choose, or staff for the whole installation.

    Attributes:
        name: as code asks for it; not `on` and not `barred`.
        kind: str, int, bool or a tuple of choices.
        default: what holds until somebody chooses.
        title: what the form says.
        scope: `account`: its owner chooses; `instance`: staff do, for all accounts.
        secret: sealed when it is stored, never shown again; of the installation, a str.
    """

    name: str
    kind: Any
    default: Any
    title: str
    scope: Literal["account", "instance"] = "account"
    secret: bool = False


@dataclass(frozen=True, slots=True)
class NavItem:
    """One entry of the menu and of the keyboard palette."""

    title: str
    icon: str
    to: str  # endpoint
    needs: str = ""  # permission verb of this plugin, or a full name with a dot
    keys: str = ""  # "g o": jump from anywhere
    section: str = ""
    order: int = 50
    realm: Literal["portal", "console"] = "portal"


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie the plugin wants to set."""

    name: str
    purpose: str
    category: Literal["necessary", "experience", "analytics"]
    days: int


@dataclass(frozen=True, slots=True)
class Host:
    """A host the plugin talks to, what for, and which data classes go there."""

    name: str
    purpose: str
    data: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plugin:
    """The declaration at the top of `plugin.py`.

    `requires` names plugins that must be loaded before; `api` is a version specifier
    of the plugin API (1.0). `always` plugins cannot be switched off per account.
    """

    name: str
    title: str
    api: str = "~=1.0"
    requires: tuple[str, ...] = ()
    permissions: tuple[Permission, ...] = ()
    settings: tuple[Setting, ...] = ()
    nav: tuple[NavItem, ...] = ()
    cookies: tuple[Cookie, ...] = ()
    hosts: tuple[Host, ...] = ()
    always: bool = False


def about(doc: str) -> str:
    """Make a sentence of what a plugin's module says it is: without its name."""
    first = doc.strip().partition("\n")[0]
    text = first.partition(":")[2].strip() or first
    return text[:1].upper() + text[1:]
