"""Inputs for fields of one's own, and what several pages read from an address."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flask import request

from clarion_contacts.importing import kinds
from clarion_contacts.models import Field

PREFIX = "own-"


@dataclass(frozen=True, slots=True)
class OwnInput:
    """One input of the form: what is in it now, and how to draw it."""

    key: str
    title: str
    kind: str
    choices: tuple[str, ...]
    said: str

    @property
    def name(self) -> str:
        """The input's name."""
        return PREFIX + self.key

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """What can be chosen, as (value, words)."""
        return [(one, one) for one in self.choices]


def owned(fields: Sequence[Field], values: Mapping[str, Any]) -> list[OwnInput]:
    """List the inputs: every field in its order, then what a person has beside them."""
    described = {one.key for one in fields}
    loose = sorted(key for key in values if key not in described)
    return [
        *(
            OwnInput(
                one.key, one.title, one.kind, tuple(one.choices), _said(one.key, values)
            )
            for one in fields
        ),
        *(OwnInput(key, key, "text", (), _said(key, values)) for key in loose),
    ]


def as_id(text: str | None) -> UUID | None:
    """Read an id; None for what is none."""
    try:
        return UUID(text or "")
    except ValueError:
        return None


def _said(key: str, values: Mapping[str, Any]) -> str:
    if request.method == "POST":
        return request.form.get(PREFIX + key, "")
    return kinds.written(values.get(key))
