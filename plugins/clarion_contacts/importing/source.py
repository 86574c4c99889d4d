"""The bytes of a list, read piece by piece: a large file is nowhere whole in memory."""

import io
import os
from collections.abc import Iterator
from typing import Any, BinaryIO

CHUNK = 1 << 20
LONGEST_LINE = 1 << 24  # a longer one is no row of any list


class Source:
    """A file that can be read again and again, each time from its beginning."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = file.seek(0, os.SEEK_END)

    @classmethod
    def of(cls, given: "bytes | BinaryIO | Source") -> "Source":
        """Take bytes, a file, or what is one already."""
        if isinstance(given, Source):
            return given
        return cls(io.BytesIO(given) if isinstance(given, bytes) else given)

    def start(self, size: int) -> bytes:
        """Read the first bytes."""
        return self.reader().read(size)

    def whole(self) -> bytes:
        """Read everything: for formats whose size has a small limit."""
        return self.reader().read()

    def chunks(self) -> Iterator[bytes]:
        """Read everything piece by piece."""
        reader = self.reader()
        while chunk := reader.read(CHUNK):
            yield chunk

    def windows(self, overlap: int) -> Iterator[bytes]:
        """Read pieces that begin with the end of the one before, so that nothing is cut."""
        tail = b""
        for chunk in self.chunks():
            yield tail + chunk
            tail = (tail + chunk)[-overlap:] if overlap else b""

    def has(self, said: bytes) -> bool:
        """Say whether some bytes are in it."""
        return any(said in window for window in self.windows(len(said) - 1))

    def count(self, sign: bytes) -> int:
        """Count one byte."""
        return sum(chunk.count(sign) for chunk in self.chunks())

    def lines(self) -> Iterator[bytes]:
        r"""Read line by line; `\r` alone ends one where there is no `\n` at all."""
        old = not self.has(b"\n")
        rest = b""
        for chunk in self.chunks():
            *lines, rest = (rest + (chunk.replace(b"\r", b"\n") if old else chunk)).split(
                b"\n"
            )
            yield from lines
            if len(rest) > LONGEST_LINE:
                yield rest
                rest = b""
        yield rest

    def reader(self) -> io.BufferedReader:
        """Open it at its beginning; several may read at the same time."""
        return io.BufferedReader(_Reader(self._file), CHUNK)


class _Reader(io.RawIOBase):
    """A place in the file of its own."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._at = file, 0

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:  # Any: a buffer, whose type 3.11 cannot name
        wanted = memoryview(into)
        self._file.seek(self._at)
        found = self._file.read(len(wanted))
        wanted[: len(found)] = found
        self._at += len(found)
        return len(found)
