"""The receipt log: what recipients really got. The truth every ledger is judged by."""

import json
import os
from collections import deque
from pathlib import Path
from typing import Any

Receipt = dict[str, Any]


class Receipts:
    """Appended to a file before the sender is answered, so that killing loses nothing.

    Without a file the lines stay in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self._recent: deque[bytes] = deque(maxlen=200)
        self.count = 0
        self._lines: list[bytes] = []
        self._path = path
        self._file = -1
        if path is not None:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            self._recover(path)

    def add(self, members: str) -> None:
        """Write a receipt down, given as JSON members; numbered from 1."""
        self.count += 1
        line = f'{{"n":{self.count},{members}}}\n'.encode()
        if self._file >= 0:
            os.write(self._file, line)
        else:
            self._lines.append(line)
        self._recent.append(line)

    def recent(self) -> list[Receipt]:
        """The last few receipts, oldest first."""
        return [json.loads(line) for line in self._recent]

    def lines(self, after: int = 0) -> list[bytes]:
        """JSON lines of all receipts with a number above `after`."""
        if self._path is None:
            return self._lines[after:]
        return self._path.read_bytes().splitlines(keepends=True)[after:]

    def clear(self) -> None:
        self._recent.clear()
        self._lines.clear()
        self.count = 0
        if self._file >= 0:
            os.ftruncate(self._file, 0)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _recover(self, path: Path) -> None:
        """Go on after what an earlier life wrote; drop a line it could not finish."""
        known = path.read_bytes()
        whole = known.rfind(b"\n") + 1
        if whole < len(known):
            os.ftruncate(self._file, whole)
        lines = known[:whole].splitlines()
        self.count = len(lines)
        self._recent.extend(lines[-200:])
