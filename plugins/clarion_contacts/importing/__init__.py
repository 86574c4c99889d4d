"""Uploaded bytes → a table → guessed columns → a verdict for every row. Pure: no database.

`encodings` bytes → text · `tables` text → rows · `columns` what a column means ·
`rows` one row → a person or a named reason.
"""

from clarion_contacts.importing.columns import (
    ColumnGuess,
    Matching,
    guess_mapping,
    guess_region,
)
from clarion_contacts.importing.headers import Field
from clarion_contacts.importing.rows import RowVerdict, judge
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
    "open_table",
]
