"""JSON that somebody else wrote: as long and as deep as ours, or it is a `ValueError`."""

import json
from typing import Any

LONGEST = 256 * 1024
"""Characters; the longest our own pages write are a list's chosen rows."""


def read_json(text: str | bytes, longest: int = LONGEST) -> Any:  # Any: whatever it holds
    """Read JSON of a stranger; what is too long or nested beyond reason is no JSON."""
    if len(text) > longest:
        raise ValueError("too long")
    try:
        return json.loads(text)
    except RecursionError as error:  # the reader gives up by itself, at some 1,000 levels
        raise ValueError("too deep") from error
