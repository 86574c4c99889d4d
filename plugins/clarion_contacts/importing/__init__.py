"""Uploaded bytes → a table → guessed columns → a verdict for every row. Pure: no database.

`opening` bytes → which kind of file, and its `tables` (`delimited`, `xlsx`, `ods`, `vcards`) ·
`columns` what a column means · `rows` one row → a person or a named reason · `pages` many of
them → columns for SQL. All of it runs in a child process (`confined`) when the bytes are a
stranger's.
"""

from clarion_contacts.importing.columns import (
    ColumnGuess,
    Matching,
    guess_mapping,
    guess_region,
)
from clarion_contacts.importing.headers import Field
from clarion_contacts.importing.opening import open_table, rows_of
from clarion_contacts.importing.rows import RowVerdict, judge, key_of
from clarion_contacts.importing.tables import Column, Note, Shape, SheetName, Table

__all__ = [
    "Column",
    "ColumnGuess",
    "Field",
    "Matching",
    "Note",
    "RowVerdict",
    "Shape",
    "SheetName",
    "Table",
    "guess_mapping",
    "guess_region",
    "judge",
    "key_of",
    "open_table",
    "rows_of",
]
