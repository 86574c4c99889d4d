"""Our callback token: names one attempt to the provider, echoed in its status events."""

from uuid import UUID

from clarion.base import crypto

MOST = 2**15  # attempts are counted in two bytes


def instance() -> str:
    """Name this installation in callback tokens: a digest of its own key."""
    return crypto.signing_key("instance").hex()[:12]


def reference(message_id: UUID, attempt: int, *, by: str = "") -> str:
    """Write the callback token of one attempt; it holds no personal data.

    Args:
        message_id: the ledger's id.
        attempt: its number.
        by: this installation, for who writes many and asked `instance` once.
    """
    return f"{by or instance()}.{message_id.hex}.{attempt}"


def read_reference(token: str | None, *, by: str = "") -> tuple[UUID, int] | None:
    """Read a callback token of this installation; None for anybody else's."""
    if not token:
        return None
    who, _, rest = token.partition(".")
    message, _, number = rest.partition(".")
    if who != (by or instance()):
        return None
    try:
        found = UUID(hex=message), int(number)
    except ValueError:
        return None
    return found if 0 < found[1] < MOST else None
