"""A worker whose intent does not ask the do-not-contact list. For `suppression.py` only."""

import re
import sys

from clarion.base import db
from clarion.messaging import ledger

QUESTION = re.compile(
    r"AND NOT EXISTS \((?:[^()]|\([^()]*\))*?FROM suppression x.*?clarion_now\(\)\)\)",
    re.DOTALL,
)


def main() -> None:
    """Cut both questions out of the statement, then be `clarion`."""
    asked = ledger._INTEND._sql
    cut, found = QUESTION.subn("", asked)
    if found != 2 or "suppression" in cut:
        raise SystemExit("the statement is not what this benchmark knows")
    unasked = db.Direct("")
    unasked._sql = cut
    ledger._INTEND = unasked
    from clarion.cli import main as clarion

    sys.argv[0] = "clarion"
    clarion()


if __name__ == "__main__":
    main()
