"""Large sealed values are opened part by part, and not believed before their end."""

import pytest

from clarion.base import crypto


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 1000])
@pytest.mark.parametrize("step", [1, 7, 16, 4096])
def test_what_was_sealed_opens_in_parts(size, step):
    plain = bytes(range(256)) * 4
    sealed = crypto.seal(plain[:size], place="t.c:1")
    parts = [sealed[at : at + step] for at in range(0, len(sealed), step)]

    assert b"".join(crypto.unsealed(parts, place="t.c:1")) == plain[:size]


@pytest.mark.parametrize("at", [1, 5, 20, 60, -1])
def test_a_changed_byte_is_noticed_at_the_end(at):
    sealed = bytearray(crypto.seal(b"x" * 50, place="t.c:1"))
    sealed[at] ^= 1

    for parts, place in (([bytes(sealed)], "t.c:1"), ([], "t.c:1")):
        with pytest.raises(crypto.Unreadable):
            list(crypto.unsealed(parts, place=place))
    with pytest.raises(crypto.Unreadable):
        list(crypto.unsealed([crypto.seal(b"x", place="t.c:1")], place="t.c:2"))
