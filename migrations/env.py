"""Alembic's environment: one owner at a time, walls written beside each new table."""

import importlib
from typing import Any

from alembic import context
from alembic.operations import ops
from sqlalchemy import CheckConstraint

from clarion.base.db import Base
from clarion.base.walls import models, statements
from clarion.plugging.manager import plugins

for module in (
    "announcing.models",
    "base.limits",
    "tenancy.models",
    "tenancy.changes",
    "tenancy.records",
    "work.models",
    "messaging.models",
    "messaging.countries",
    "messaging.holds",
    "messaging.hours",
    "messaging.instance",
    "messaging.prices",
    "messaging.twins",
    "messaging.parts",
    "messaging.wishes",
    "misuse.models",
    "support.models",
):
    importlib.import_module(f"clarion.{module}")

owner = context.config.attributes["owner"]
owners = context.config.attributes["owners"]
for one in plugins().loaded():
    if one.name in owners and one.module is not None:
        importlib.import_module(f"{one.module.__name__.rpartition('.')[0]}.models")

CORE = {n for n, m in models().items() if m.__module__.startswith("clarion.")}


def owner_of(table: str) -> str | None:
    """By list for the core, by longest prefix for a plugin, nobody's if neither."""
    if table in CORE or table.startswith("ab_"):
        return "clarion"
    names = [o for o in owners if table.startswith(f"{o}_")]
    return max(names, key=len, default=None)


def mine(_object: Any, name: str, kind: str, *_: Any) -> bool:
    return kind != "table" or owner_of(name) == owner


def checks(table: Any) -> list[CheckConstraint]:
    """Find the checks written beside a column: Alembic renders those of a table only."""
    return [
        CheckConstraint(check.sqltext, name=check.name)
        for column in table.columns
        for check in column.constraints
        if isinstance(check, CheckConstraint)
    ]


def walls(_context: Any, _revision: Any, directives: list[Any]) -> None:
    """After each new table, write its grants and policies into the migration."""
    known = models()
    for script in directives:
        out = []
        for op in script.upgrade_ops.ops:
            out.append(op)
            if isinstance(op, ops.CreateTableOp) and op.table_name in known:
                wall = known[op.table_name].wall
                op.columns = [*op.columns, *checks(known[op.table_name].__table__)]
                out += [ops.ExecuteSQLOp(sql) for sql in statements(op.table_name, wall)]
        script.upgrade_ops.ops[:] = out


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=context.config.attributes["version_table"],
    include_name=lambda n, kind, _p: kind != "table" or owner_of(n or "") == owner,
    include_object=mine,
    transaction_per_migration=True,
    compare_type=True,
    process_revision_directives=walls,
)
with context.begin_transaction():
    context.run_migrations()
