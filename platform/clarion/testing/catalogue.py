"""What PostgreSQL says about a table, beside what its model declares: the first wall.

Each function lists what is wrong, in words; an empty list is what a test asks for. Core
tables and every plugin's tables are held to the same.
"""

import re
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Table, text

from clarion.base.db import Base, Wall
from clarion.base.trails import NoTrail, Trail
from clarion.base.walls import statements

ROLES = ("clarion_app", "clarion_staff", "clarion_system", "clarion_watch")
ERASE = re.compile(r"delete|shred|keep:[a-z_]+")
NULLABLE = {"audit_entry": "what staff and the machinery do belongs to no account"}
"""Tables whose account_id may be absent, with the reason."""

SENTENCE = 12  # letters that a reason has at least

UNIQUE = {
    ("invitation", "token_hash"): "the hash of 256 random bits, looked up before sign-in",
}
"""Unique keys of account tables that do not start with the account, with the reason."""


def declared(model: type[Base]) -> list[str]:
    """Check that a model says what its table is and what each column holds."""
    table: Table = model.__table__  # type: ignore[assignment]
    wall = getattr(model, "wall", None)
    if not isinstance(wall, Wall):
        return [f"{table.name}: declares no wall"]
    wrong = [f"{table.name}.{c.name}: {e}" for c in table.columns for e in _classes(c)]
    if wall.kind == "platform" and not wall.why:
        wrong.append(f"{table.name}: a platform table needs its reason in `why`")
    if wall.kind != "platform" and "account_id" not in table.c:
        wrong.append(f"{table.name}: {wall.kind}, but has no account_id")
    if wall.kind == "content" and wall.staff:
        wrong.append(f"{table.name}: content is not for staff")
    seen = [c for c in table.columns if _readable(wall.staff, c.name) and _theirs(c)]
    wrong += [
        f"{table.name}.{c.name}: is the customer's, staff may not read it" for c in seen
    ]
    return wrong + trail(model)


def trail(model: type[Base]) -> list[str]:
    """Check that a model says what a change of its rows leaves in the log, or why nothing."""
    return [f"{model.__table__.name}: {e}" for e in _trail(model)]  # type: ignore[attr-defined]


def _trail(model: type[Base]) -> Iterator[str]:
    said, table = getattr(model, "trail", None), model.__table__
    if isinstance(said, NoTrail):
        if len(said.why) < SENTENCE:
            yield "leaves nothing in the log of deeds and gives no reason"
        return
    if not isinstance(said, Trail):
        yield "does not say what its changes leave in the log: `trail = Trail(…)`"
        return
    if not said.noun:
        yield "has no word for a row, for whoever reads the log"
    for name in (*said.skip, *said.mask):
        if name not in table.columns:
            yield f"its trail names {name}, which is no column"


def _readable(privileges: tuple[str, ...], column: str) -> bool:
    for one in privileges:
        verb, _, listed = one.partition("(")
        names = listed.rstrip(")").replace(" ", "").split(",")
        if verb.strip() == "SELECT" and (not listed or column in names):
            return True
    return False


def _theirs(column: Any) -> bool:  # Any: a Column of whatever type
    kind = column.info.get("pd") or ""
    return kind.startswith(("contact.", "message.")) or kind in (
        "account.content",
        "account.secret",
    )


def _classes(column: Any) -> Iterator[str]:  # Any: a Column of whatever type
    info = column.info
    if "pd" not in info:
        yield "not classified: declare it with clarion.base.db.column(pd=…)"
        return
    if info["pd"] is None:
        return
    if not re.fullmatch(r"[a-z]+\.[a-z_]+", info["pd"]):
        yield f"pd={info['pd']!r} is no class of personal data"
    if not isinstance(info.get("export"), bool):
        yield "does not say whether it is exported"
    if not ERASE.fullmatch(info.get("erase") or ""):
        yield f"erase={info.get('erase')!r}"
    if not info.get("retention"):
        yield "has no retention"
    if info.get("log") not in ("ok", "mask", "never"):
        yield f"log={info.get('log')!r}"


def shape(connection: Connection, model: type[Base]) -> list[str]:
    """Compare a table of the database with what every account table must be."""
    table: Table = model.__table__  # type: ignore[assignment]
    return [f"{table.name}: {wrong}" for wrong in _shape(connection, model, table)]


def _shape(connection: Connection, model: type[Base], table: Table) -> Iterator[str]:
    name, wall = table.name, model.wall
    if not connection.scalar(text("SELECT to_regclass(:n) IS NOT NULL"), {"n": name}):
        yield "is not in the database"
        return
    if wall.kind != "platform":
        yield from _account_column(connection, name)
        yield from _keys(connection, name)
        if getattr(model, "owner_unique", False) and ("account_id", "id") not in _unique(
            connection, name
        ):
            yield "has no UNIQUE (account_id, id)"
    if wall.kind != "platform" or name == "account":
        yield from _forced(connection, name)
    yield from _foreign_keys(connection, name, wall)
    yield from _as_declared(connection, name, wall)


def _account_column(connection: Connection, name: str) -> Iterator[str]:
    query = """
        SELECT a.attnotnull AS required, pg_get_expr(d.adbin, d.adrelid) AS value
        FROM pg_attribute a LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
        WHERE a.attrelid = to_regclass(:n) AND a.attname = 'account_id'
    """
    row = connection.execute(text(query), {"n": name}).one()
    if name in NULLABLE:
        return
    if not row.required:
        yield "account_id may be empty"
    if row.value != "clarion_account()":
        yield f"account_id is {row.value} by default, not clarion_account()"


def _forced(connection: Connection, name: str) -> Iterator[str]:
    query = (
        "SELECT relrowsecurity AND relforcerowsecurity FROM pg_class"
        " WHERE oid = to_regclass(:n)"
    )
    if not connection.scalar(text(query), {"n": name}):
        yield "row level security is not forced"


def _unique(connection: Connection, name: str) -> list[tuple[str, ...]]:
    """Columns of each unique index; an expression stands as `?`."""
    query = """
        SELECT array(SELECT coalesce(a.attname, '?')
                     FROM unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY k(attnum, at)
                     LEFT JOIN pg_attribute a ON (a.attrelid, a.attnum) = (i.indrelid, k.attnum)
                          AND k.attnum > 0
                     ORDER BY k.at)::text[] AS columns
        FROM pg_index i WHERE i.indrelid = to_regclass(:n) AND i.indisunique
    """
    return [tuple(c) for c in connection.scalars(text(query), {"n": name})]


def _keys(connection: Connection, name: str) -> Iterator[str]:
    for columns in _unique(connection, name):
        if columns == ("id",) or columns[0] == "account_id" or (name, *columns) in UNIQUE:
            continue
        yield f"the unique key ({', '.join(columns)}) does not start with account_id"


def _foreign_keys(connection: Connection, name: str, wall: Wall) -> Iterator[str]:
    query = """
        SELECT c.conname AS name, c.confrelid::regclass::text AS target, f.relforcerowsecurity
               AND c.confrelid <> to_regclass('account') AS walled,
               array(SELECT a.attname || '>' || b.attname
                     FROM unnest(c.conkey, c.confkey) k(x, y)
                     JOIN pg_attribute a ON (a.attrelid, a.attnum) = (c.conrelid, k.x)
                     JOIN pg_attribute b ON (b.attrelid, b.attnum) = (c.confrelid, k.y))::text[]
                 AS pairs
        FROM pg_constraint c JOIN pg_class f ON f.oid = c.confrelid
        WHERE c.conrelid = to_regclass(:n) AND c.contype = 'f'
    """
    for key in connection.execute(text(query), {"n": name}):
        if (
            key.walled
            and wall.kind != "platform"
            and "account_id>account_id" not in key.pairs
        ):
            yield f"the foreign key {key.name} to {key.target} does not carry the account"


# --- policies and grants


def _as_declared(connection: Connection, name: str, wall: Wall) -> Iterator[str]:
    """Lay an empty twin beside the table, run today's statements on it, and compare."""
    with connection.begin_nested() as trial:
        connection.execute(text("CREATE SCHEMA twin"))
        connection.execute(text(f'CREATE TABLE twin."{name}" (LIKE public."{name}")'))
        connection.execute(text("SELECT set_config('search_path', 'twin, public', true)"))
        for statement in statements(name, wall):
            connection.execute(text(statement))
        wanted = _wall(connection, f'twin."{name}"')
        connection.execute(text("SELECT set_config('search_path', 'public', true)"))
        trial.rollback()
    there = _wall(connection, f'public."{name}"')
    for one in sorted(wanted - there):
        yield f"the database lacks {one}"
    for one in sorted(there - wanted):
        yield f"the database has {one}, which is not declared"


def _wall(connection: Connection, name: str) -> set[str]:
    policies = """
        SELECT polname, polcmd::text, polpermissive, polroles::regrole[]::text AS roles,
               pg_get_expr(polqual, polrelid) AS shown,
               pg_get_expr(polwithcheck, polrelid) AS stored
        FROM pg_policy WHERE polrelid = to_regclass(:n)
    """
    grants = """
        SELECT x.grantee::regrole::text AS who, x.privilege_type AS what, '' AS part
        FROM pg_class c, aclexplode(c.relacl) x
        WHERE c.oid = to_regclass(:n) AND x.grantee <> c.relowner
        UNION ALL
        SELECT x.grantee::regrole::text, x.privilege_type, a.attname
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid, aclexplode(a.attacl) x
        WHERE a.attrelid = to_regclass(:n) AND x.grantee <> c.relowner AND NOT a.attisdropped
    """
    found = {
        f"policy {p.polname} for {p.polcmd} permissive={p.polpermissive} to {p.roles}"
        f" using {p.shown} check {p.stored}"
        for p in connection.execute(text(policies), {"n": name})
    }
    for g in connection.execute(text(grants), {"n": name}):
        found.add(f"{g.what}{f' ({g.part})' if g.part else ''} for {g.who}")
    return found
