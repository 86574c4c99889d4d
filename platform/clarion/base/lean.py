"""Loads foreign packages without the parts of them that nothing here calls.

Flask-AppBuilder imports its REST interface, its tokens and its rate limits whether they are
used or not: half a second and 30 MB in every process, for classes nobody makes. Here they are
imported as hollow names, and only while Flask-AppBuilder itself is being imported: whoever
imports one of these packages afterwards gets the real one.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final, Self

# what Flask-AppBuilder imports for what the console has switched off (console_app.py)
FAB_UNUSED: Final = (
    "apispec",
    "apispec.exceptions",
    "apispec.ext",
    "apispec.ext.marshmallow",
    "apispec.ext.marshmallow.common",
    "flask_jwt_extended",
    "flask_limiter",
    "flask_limiter.util",
    "jsonschema",
    "jwt",
    "marshmallow",
    "marshmallow.exceptions",
    "marshmallow.fields",
    "marshmallow.validate",
    "marshmallow_sqlalchemy",
    "marshmallow_sqlalchemy.fields",
    "prison",
    "sqlalchemy_utils",
    "sqlalchemy_utils.types",
    "sqlalchemy_utils.types.uuid",
    "yaml",
)


class _Hollows(type):
    def __getattr__(cls, name: str) -> "_Hollows":
        return hollow(name)


class Hollow(metaclass=_Hollows):
    """What stands for a class or a decorator: may be derived from, put on, and no more."""

    def __new__(cls, *_args: Any, **_options: Any) -> Self:
        """Make one, as `fields.String(required=True)` does; it keeps nothing."""
        return super().__new__(cls)

    def __init__(self, *_args: Any, **_options: Any) -> None:
        """Take whatever the real one takes."""

    def __call__(self, thing: Any) -> Any:
        """Decorate: the thing stays as it is."""
        return thing


class HollowModule(ModuleType):
    """A module in which every name is a hollow one."""

    __path__: list[str] = []

    def __getattr__(self, name: str) -> _Hollows:
        """Make up whatever is asked for; dunder names do not exist."""
        if name.startswith("__"):
            raise AttributeError(name)
        return hollow(name)


def hollow(name: str) -> _Hollows:
    """Make a hollow class of this name."""
    return _Hollows(name, (Hollow,), {})


@contextmanager
def fab() -> Iterator[None]:
    """Import Flask-AppBuilder inside this: without pictures, and without `FAB_UNUSED`."""
    with _standing(FAB_UNUSED, HollowModule), without("PIL"):
        yield


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Import a package inside this as if these optional ones were not installed."""
    with _standing(names, lambda _name: None):
        yield


@contextmanager
def _standing(names: tuple[str, ...], stand_in: Any) -> Iterator[None]:
    """Put stand-ins for packages that are not loaded yet; take them away afterwards."""
    mine: dict[str, Any] = {
        name: stand_in(name) for name in names if name.partition(".")[0] not in sys.modules
    }
    sys.modules.update(mine)
    try:
        yield
    finally:
        for name in mine:
            sys.modules.pop(name, None)
