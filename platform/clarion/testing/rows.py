"""A row for any table, made from its declaration: what tests of the walls are fed with."""

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Connection,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    Numeric,
    String,
    Table,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from clarion.base import db
from clarion.tenancy import audit

SPACE = UUID("7c1a7a9e-9f6e-4c25-9b0e-5d6d0d0f8a11")
WHEN = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
_LISTED = re.compile(r"\b(\w+)\s+IN\s*\(\s*'([^']*)'", re.IGNORECASE)
_EQUALS = re.compile(r"^\s*(\w+)\s*=\s*'([^']*)'\s*$")


class Filler:
    """Writes rows of one account; parents that a row needs are written too.

    Two fillers with the same canary write the same values, ids aside: what is unique
    inside an account must not be unique across accounts.

    Attributes:
        connection: of a superuser, so that no policy is in the way.
        account_id: whose rows; None for platform tables.
        canary: a short word that stands in every text.
    """

    def __init__(
        self, connection: Connection, account_id: UUID | None, canary: str = "canary"
    ) -> None:
        self.connection, self.account_id, self.canary = connection, account_id, canary
        self._made: dict[str, int] = {}
        self._parents: dict[str, Mapping[str, Any]] = {}
        self._platform: dict[str, Mapping[str, Any]] = {}

    def twin(self, account_id: UUID) -> "Filler":
        """Fill another account with the same values; people and staff are shared."""
        made = Filler(self.connection, account_id, self.canary)
        made._platform = self._platform
        return made

    def add(self, table: Table, **given: Any) -> Mapping[str, Any]:
        """Write a row; columns that are neither given nor needed keep their default.

        Returns the row as stored. Raises `TypeError` for a column whose type is unknown
        here: give its value.
        """
        number = self._made[table.name] = self._made.get(table.name, 0) + 1
        values = dict(given)
        if "account_id" in table.c and self.account_id is not None:
            values.setdefault("account_id", self.account_id)
        for constraint in table.foreign_key_constraints:
            self._point(constraint, values)
        for column in table.columns:
            if column.name not in values and (_needed(column) or _tells(table, column)):
                values[column.name] = self._value(table, column, number)
        query = table.insert().values(**values).returning(*table.c)
        with audit.writing():  # the log lets nobody but itself add to it
            stored = dict(self.connection.execute(query).mappings().one())
        self._known(table).setdefault(table.name, stored)
        return stored

    def parent(self, table: Table) -> Mapping[str, Any]:
        """Return this filler's first row of a table; writes it when there is none."""
        known = self._known(table)
        return known[table.name] if table.name in known else self.add(table)

    def _known(self, table: Table) -> dict[str, Mapping[str, Any]]:
        return self._parents if "account_id" in table.c else self._platform

    def _point(self, constraint: ForeignKeyConstraint, values: dict[str, Any]) -> None:
        target = constraint.referred_table
        if target.name == "account":
            return
        columns = [c for c in constraint.columns if c.name != "account_id"]
        if all(c.name in values or c.nullable for c in columns):
            return
        row = self.parent(target)
        for element in constraint.elements:
            values.setdefault(element.parent.name, row[element.column.name])

    def _value(self, table: Table, column: Column[Any], number: int) -> Any:
        if (listed := _listed(table).get(column.name)) is not None:
            return listed
        alone = number if _in_unique(table, column) else 0
        return self._plain(column, f"{self.canary}{alone or ''}", alone)

    def _plain(self, column: Column[Any], word: str, number: int) -> Any:
        kind = column.type
        for types, make in _MADE:
            if isinstance(kind, types):
                return make(column, word, number)
        raise TypeError(f"{column}: no value for {kind!r}")


_MADE: tuple[tuple[Any, Any], ...] = (  # Any: types of columns, and what makes their values
    (Uuid, lambda c, word, _: uuid5(SPACE, f"{c.table.name}.{c.name}.{word}")),
    (ARRAY, lambda c, word, _: [uuid5(SPACE, f"{c.table.name}.{c.name}.{word}")]),
    (JSONB, lambda _c, word, _: {"word": word}),
    (String, lambda c, word, _: word[: c.type.length]),
    (LargeBinary, lambda _c, word, _: word.encode()),
    (Boolean, lambda _c, _word, _: False),
    (Integer | Numeric, lambda _c, _word, number: number or 1),
    (DateTime, lambda _c, _word, number: WHEN + dt.timedelta(seconds=number)),
    (Date, lambda _c, _word, _: WHEN.date()),
)


def account(connection: Connection, name: str) -> UUID:
    """Make an empty account; returns its id."""
    table = db.Base.metadata.tables["account"]
    row = connection.execute(table.insert().values(name=name).returning(table.c.id))
    made: UUID = row.scalar_one()
    return made


def _needed(column: Column[Any]) -> bool:
    return not (
        column.nullable
        or column.server_default is not None
        or column.default is not None
        or column.identity is not None
        or (column.primary_key and column.autoincrement is True)
        or column is column.table.autoincrement_column
    )


def _tells(table: Table, column: Column[Any]) -> bool:
    """Say whether the column holds a person's words, so that the canary belongs there."""
    if column.info.get("pd") is None or not isinstance(column.type, String):
        return False
    return not any(re.search(rf"\b{column.name}\b", text) for text in _checks(table))


def _listed(table: Table) -> dict[str, str]:
    """Read the first allowed word of each column that has a list of them."""
    found: dict[str, str] = {}
    for text in _checks(table):
        if said := _LISTED.search(text) or _EQUALS.search(text):
            found.setdefault(said[1], said[2])
    return found


def _checks(table: Table) -> list[str]:
    beside = [c for column in table.columns for c in column.constraints]
    every = (*table.constraints, *beside)
    return [str(c.sqltext) for c in every if isinstance(c, CheckConstraint)]


def _in_unique(table: Table, column: Column[Any]) -> bool:
    if column.primary_key or column.unique:
        return True
    listed = [c for c in table.constraints if isinstance(c, UniqueConstraint)]
    return any(column.name in c.columns for c in listed) or any(
        index.unique and column.name in index.columns for index in table.indexes
    )
