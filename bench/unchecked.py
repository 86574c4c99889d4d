"""A worker whose intent can be told not to ask the do-not-contact list. For `suppression.py` only."""

import os
import re
import sys
from pathlib import Path
from typing import Any

from clarion.base import db
from clarion.messaging import ledger

QUESTION = re.compile(
    r"AND NOT EXISTS \((?:[^()]|\([^()]*\))*?FROM suppression x.*?clarion_now\(\)\)\)",
    re.DOTALL,
)


class Either:
    """The statement of the intent with its question, or without it while a file is there."""

    def __init__(self, flag: Path) -> None:
        self.flag, self.asking = flag, ledger._INTEND
        cut, found = QUESTION.subn("", self.asking._sql)
        if found != 2 or "suppression" in cut:
            raise SystemExit("the statement is not what this benchmark knows")
        self.unasking = db.Direct("")
        self.unasking._sql = cut

    def __call__(self, **given: Any) -> list[Any]:
        """Run one of the two; looking for the file costs both the same."""
        return (self.unasking if self.flag.exists() else self.asking)(**given)


def main() -> None:
    """Put both in place, then be `clarion`."""
    ledger._INTEND = Either(Path(os.environ["BENCH_UNASKED"]))  # type: ignore[assignment]
    from clarion.cli import main as clarion

    sys.argv[0] = "clarion"
    clarion()


if __name__ == "__main__":
    main()
