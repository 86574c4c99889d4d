"""A sealed value opens in its place and unchanged, or not at all."""

import pytest

from clarion.base import crypto

pytestmark = pytest.mark.usefixtures("servers")  # a key store of its own, not a person's


@pytest.mark.parametrize("at", [1, 5, 20, 60, -1])
def test_a_changed_byte_is_noticed(at):
    whole = crypto.seal(b"x" * 50, place="t.c:1")
    assert crypto.unseal(whole, place="t.c:1") == b"x" * 50
    sealed = bytearray(whole)
    sealed[at] ^= 1

    for raw, place in ((bytes(sealed), "t.c:1"), (b"", "t.c:1"), (whole, "t.c:2")):
        with pytest.raises(crypto.Unreadable):
            crypto.unseal(raw, place=place)
