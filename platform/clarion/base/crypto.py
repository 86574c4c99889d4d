"""Stored secrets: a key-encryption key wraps one data key per account.

The wrapped data keys live in files outside the database (`CLARION_KEY_STORE`), so that
destroying one makes every copy of the database unreadable for that account.
"""

import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from clarion.base.errors import ClarionError
from clarion.base.settings import settings

VERSION = b"\x01"
NONCE, BLOCK = 12, 64
SEAL = b"clarion seal"
PLATFORM = UUID(int=0)


class Unreadable(ClarionError):
    """A sealed value does not open: other place, other account, or its key is gone."""

    status = 500


def seal(plain: str | bytes, *, place: str, account_id: UUID = PLATFORM) -> bytes:
    """Encrypt a value for one place in one account.

    Args:
        plain: what to keep secret.
        place: `table.column:row`; the value opens nowhere else.
        account_id: whose key; the platform's when left out.

    Returns:
        version, nonce and AES-256-GCM ciphertext.
    """
    data = plain.encode() if isinstance(plain, str) else plain
    nonce = secrets.token_bytes(NONCE)
    return VERSION + nonce + _cipher(account_id).encrypt(nonce, data, place.encode())


def unseal(sealed: bytes, *, place: str, account_id: UUID = PLATFORM) -> bytes:
    """Decrypt what `seal` made for the same place and account, or raise `Unreadable`."""
    blob = bytes(sealed)
    nonce, body = blob[1 : 1 + NONCE], blob[1 + NONCE :]
    try:
        return _cipher(account_id).decrypt(nonce, body, place.encode())
    except (InvalidTag, ValueError) as e:
        raise Unreadable("secret_unreadable", "A stored secret cannot be opened.") from e


def mac(key: bytes, start: bytes) -> Callable[[str], str]:
    """Return HMAC-SHA256 of texts that begin alike, in hexadecimal, for a million of them.

    By its definition (RFC 2104), with both halves of the key hashed once: half the time of
    `hmac.digest`.
    """
    block = (hashlib.sha256(key).digest() if len(key) > BLOCK else key).ljust(BLOCK, b"\0")
    inner = hashlib.sha256(bytes(sign ^ 0x36 for sign in block) + start)
    outer = hashlib.sha256(bytes(sign ^ 0x5C for sign in block))

    def digest_of(text: str) -> str:
        first, second = inner.copy(), outer.copy()
        first.update(text.encode())
        second.update(first.digest())
        return second.hexdigest()

    return digest_of


def index_key(account_id: UUID) -> bytes:
    """Return the account's key for blind indexes of identifiers."""
    return _derived(account_id, b"clarion identifier index")


def signing_key(purpose: str, account_id: UUID = PLATFORM) -> bytes:
    """Return a key for signatures of one purpose (`audit`, `link`)."""
    return _derived(account_id, b"clarion sign " + purpose.encode())


def digest(text: str) -> bytes:
    """Hash a random token for look-up; never used for passwords or phone numbers."""
    return hashlib.sha256(text.encode()).digest()


def forget_keys() -> None:
    """Drop keys held in memory (tests, rotation)."""
    _data_key.cache_clear()
    _cipher.cache_clear()


def _derived(account_id: UUID, info: bytes) -> bytes:
    return hmac.digest(_data_key(account_id), info, "sha256")


@lru_cache(maxsize=4096)
def _cipher(account_id: UUID) -> AESGCM:
    return AESGCM(_derived(account_id, SEAL))


@lru_cache(maxsize=4096)
def _data_key(account_id: UUID) -> bytes:
    conf = settings()
    folder = Path(conf.key_store)
    path = folder / f"{account_id}.key"
    kek = AESGCM(hashlib.sha256(conf.key_bytes()).digest())
    aad = account_id.bytes
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        nonce = secrets.token_bytes(NONCE)
        wrapped = nonce + kek.encrypt(nonce, secrets.token_bytes(32), aad)
        _write_once(path, wrapped)
    blob = path.read_bytes()
    try:
        return kek.decrypt(blob[:NONCE], blob[NONCE:], aad)
    except InvalidTag as e:
        raise Unreadable(
            "key_unreadable", "The key store does not fit the key-encryption key."
        ) from e


def _write_once(path: Path, data: bytes) -> None:
    """Create a file whole or not at all; whoever is first wins."""
    part = path.with_suffix(f".{secrets.token_hex(4)}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)
    try:
        os.link(part, path)
    except FileExistsError:
        pass  # another process made the same account's key a moment ago
    finally:
        part.unlink()
