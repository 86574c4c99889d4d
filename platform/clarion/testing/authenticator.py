"""A passkey device made of software: an elliptic key, a counter, and what it says to whom."""

import hashlib
import json
import os
import re
from html import unescape
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

PRESENT, VERIFIED, ATTESTED = 1, 4, 64
OPTIONS = re.compile(r'<passkey-step kind="\w+" options="([^"]+)"')


class Authenticator:
    """One key pair at one site. Each answer may be bent: see the keywords."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.id = os.urandom(32)
        self.user = b""
        self.count = 0

    def create(self, options: dict[str, Any], *, flags: int = PRESENT | VERIFIED) -> str:
        """Answer `navigator.credentials.create()`."""
        self.user = base64url_to_bytes(options["user"]["id"])
        numbers = self.key.public_key().public_numbers()
        point = {-2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        cose = cbor2.dumps({1: 2, 3: -7, -1: 1, **point})
        attested = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + cose
        said = self._said(options["rp"]["id"], flags | ATTESTED) + attested
        made = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": said})
        return self._answer(
            attestationObject=made,
            clientDataJSON=self._client("webauthn.create", options["challenge"]),
        )

    def get(
        self,
        options: dict[str, Any],
        *,
        flags: int = PRESENT | VERIFIED,
        origin: str = "",
        host: str = "",
        user: bytes | None = None,
        back: int = 0,
    ) -> str:
        """Answer `navigator.credentials.get()`.

        Args:
            options: what the page asks.
            flags: what the device says it has seen.
            origin: of the page; another one's is a phisher's.
            host: what the key is used for.
            user: whose it says it is.
            back: how far the counter goes back instead of on.
        """
        self.count += 1
        count = self.count - back
        data = self._said(host or options["rpId"], flags, count)
        client = self._client("webauthn.get", options["challenge"], origin)
        signed = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(SHA256()))
        return self._answer(
            authenticatorData=data,
            clientDataJSON=client,
            signature=signed,
            userHandle=self.user if user is None else user,
        )

    def _said(self, host: str, flags: int, count: int = 0) -> bytes:
        digest = hashlib.sha256(host.encode()).digest()
        return digest + bytes([flags]) + count.to_bytes(4, "big")

    def _client(self, kind: str, challenge: str, origin: str = "") -> bytes:
        given = {"type": kind, "challenge": challenge, "origin": origin or self.origin}
        return json.dumps(given).encode()

    def _answer(self, **parts: bytes) -> str:
        name = bytes_to_base64url(self.id)
        response = {key: bytes_to_base64url(value) for key, value in parts.items()}
        return json.dumps(
            {
                "id": name,
                "rawId": name,
                "type": "public-key",
                "response": response,
                "clientExtensionResults": {},
            }
        )


def options_in(page: str) -> dict[str, Any]:
    """Read what a page asks its script to ask the browser."""
    found = OPTIONS.search(page)
    if found is None:
        raise AssertionError("no passkey is asked for on this page")
    return dict(json.loads(unescape(found[1])))


def registered(subject: str, email: str) -> Authenticator:
    """Make a device and register it for somebody, without a page."""
    from clarion.tenancy import factors, passkeys

    site = passkeys.site(factors.realm(subject))
    assert site is not None
    device, challenge = Authenticator(site.origin), os.urandom(32)
    options = passkeys.creating(subject, email=email, name=email, challenge=challenge)
    passkeys.add(subject, device.create(options), challenge, "Key of tests")
    return device
