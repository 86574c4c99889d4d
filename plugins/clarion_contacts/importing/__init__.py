"""Uploaded bytes → a table → guessed columns → a verdict for every row. Pure: no database.

`encodings` bytes → text · `tables` text → rows · `columns` what a column means ·
`rows` one row → a person or a named reason · `pages` many of them → columns for SQL.
"""

from clarion_contacts.importing.columns import (
    ColumnGuess,
    Matching,
    guess_mapping,
    guess_region,
)
from clarion_contacts.importing.headers import Field
from clarion_contacts.importing.rows import RowVerdict, judge, key_of
from clarion_contacts.importing.tables import Column, Note, Table, open_table

__all__ = [
    "Column",
    "ColumnGuess",
    "Field",
    "Matching",
    "Note",
    "RowVerdict",
    "Table",
    "guess_mapping",
    "guess_region",
    "judge",
    "key_of",
    "open_table",
]
