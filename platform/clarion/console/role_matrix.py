"""The matrix of roles and permissions: changed as a whole, compared, taken away as a file."""

import csv
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select

from clarion.base import clock, db
from clarion.base.errors import Conflict, NotFound
from clarion.base.words import _
from clarion.console import roles
from clarion.console.roles import Matrix, Right
from clarion.plugging.manager import plugins
from clarion.tenancy import access, audit
from clarion.tenancy.scope import current_actor
from clarion.web.staff import ADMIN
from clarion.web.tables import Role

SEED = "seed"  # the roles as the manifests seed them, in an address
audit.label("console.roles.exported", "Downloaded the matrix of roles")


@dataclass(frozen=True, slots=True)
class Row:
    """A permission, and whether each of the two compared has it."""

    right: Right
    left: bool
    right_side: bool

    @property
    def differs(self) -> bool:
        """Say whether one of the two has it alone."""
        return self.left != self.right_side


@dataclass(frozen=True, slots=True)
class Compared:
    """Two roles beside each other, or one beside what it was seeded with.

    Attributes:
        names: of both, as the page calls them.
        groups: permissions by plugin.
        only_left: how many the first has alone.
        only_right: how many the other has alone.
    """

    names: tuple[str, str]
    groups: list[tuple[str, list[Row]]]
    only_left: int
    only_right: int


def change(wanted: Mapping[int, set[str]], seen: str) -> int:
    """Let several roles do exactly this, in one transaction; answers how many changed.

    Raises:
        Conflict: somebody changed a role since the matrix was shown.
    """
    access.require("console.roles_edit")
    roles.one_at_a_time()
    if version() != seen:
        text = _("Somebody changed the roles meanwhile. Look at them again.")
        raise Conflict("roles_changed", text)
    before = _held(list(wanted))
    changed = [key for key, names in wanted.items() if names != before.get(key, set())]
    for key in changed:
        roles.change_permissions(key, wanted[key])
    return len(changed)


def version() -> str:
    """Sum up who may what, to notice that somebody changed it meanwhile."""
    ids = list(db.session().scalars(select(Role.id)))
    found = sorted((key, sorted(names)) for key, names in roles.permissions_of(ids).items())
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16]


def editable(matrix: Matrix) -> set[str]:
    """Name the roles that the present staff member may change."""
    own = current_actor().role.split(", ")
    return {one.name for one in matrix.roles if not one.fixed and one.name not in own}


def compare(matrix: Matrix, left: str, other: str) -> Compared:
    """Hold a role beside another, or beside its seed; both as the address names them."""
    known = {str(one.id): one.name for one in matrix.roles}
    if left not in known or (other != SEED and other not in known):
        raise NotFound("role_unknown", _("There is no such role."))
    name = known[left]
    seeds = _seeds()

    def there(right: Right) -> bool:
        if other == SEED:
            return name == ADMIN or name in seeds[right.name]
        return known[other] in right.roles

    groups = [
        (title, [Row(one, name in one.roles, there(one)) for one in rights])
        for title, rights in matrix.groups
    ]
    every = [row for _title, rows in groups for row in rows]
    beside = _("as seeded") if other == SEED else known[other]
    return Compared(
        (name, beside),
        groups,
        sum(row.left and not row.right_side for row in every),
        sum(row.right_side and not row.left for row in every),
    )


def export(kind: str) -> tuple[str, str]:
    """Write the matrix as `csv` or `json`; answers the file's name and its text."""
    matrix = roles.matrix()
    seeds = _seeds()
    names = [one.name for one in matrix.roles]
    rights = [one for _title, group in matrix.groups for one in group]
    audit.record("console.roles.exported", kind=kind, permissions=len(rights))
    stem = f"clarion-roles-{clock.now():%Y-%m-%d}"
    if kind == "json":
        rows = [
            {
                "permission": one.name,
                "title": one.title,
                "sensitive": one.sensitive,
                "roles": sorted(one.roles),
                "seeded": sorted({ADMIN, *seeds[one.name]}),
            }
            for one in rights
        ]
        return f"{stem}.json", json.dumps({"roles": names, "permissions": rows}, indent=1)
    if kind != "csv":
        raise NotFound("kind_unknown", _("There is no such kind of file."))
    text = io.StringIO()
    write = csv.writer(text)
    write.writerow(["permission", "title", "sensitive", *(_plain(name) for name in names)])
    for one in rights:
        marks = ["x" if name in one.roles else "" for name in names]
        write.writerow([one.name, one.title, "x" if one.sensitive else "", *marks])
    return f"{stem}.csv", text.getvalue()


def _plain(name: str) -> str:
    """Keep a role's name from being a formula in a spreadsheet: people choose it."""
    return f"'{name}" if name[:1] in "=+-@\t\r" else name


def _seeds() -> dict[str, tuple[str, ...]]:
    return {name: one.roles for name, one in plugins().permissions("console").items()}


def _held(ids: list[int]) -> dict[int, set[str]]:
    declared = set(plugins().permissions("console"))
    return {key: names & declared for key, names in roles.permissions_of(ids).items()}
