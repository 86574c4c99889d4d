"""Send by Meta's Cloud API, and believe its webhooks only when they are signed."""

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from clarion.messaging.contract import (
    Accepted,
    Busy,
    Channel,
    Forged,
    Halted,
    Http,
    Message,
    Piece,
    RawWebhook,
    Reply,
    TemplateText,
    TemplateVerdict,
    Update,
    Verdict,
)
from clarion_whatsapp_cloud import answers, wire

BASE_URL = "https://graph.facebook.com"
API_VERSION = "v23.0"
NUMBER_FIELDS = (
    "verified_name,display_phone_number,quality_rating,name_status,"
    "code_verification_status,throughput,whatsapp_business_manager_messaging_limit"
)
TEMPLATE_FIELDS = "id,name,language,status,category,rejected_reason,components"
_TOKEN = re.compile(r"[\x21-\x7e]+")


class Unclear(Exception):
    """An answer that does not say what became of the message."""


class WhatsAppCloud:
    """One message in, one verdict out. Holds no state: one instance per process."""

    name = "whatsapp_cloud"
    title = "WhatsApp (Meta Cloud API)"
    hosts = ("graph.facebook.com",)
    secret_fields = ("access_token", "app_secret", "verify_token")
    config_fields = ("waba_id", "api_version", "base_url")
    business_field = "waba_id"
    source = answers.SOURCE

    def codes(self) -> Mapping[str, Verdict | None]:
        """Say what each code does."""
        return answers.listed()

    def verdict(self, code: str) -> Verdict | None:
        """Judge any code as an answer; what is no number is a code without a word."""
        number = int(code) if code.isascii() and code.isdigit() else None
        return answers.failed(None) if number is None else answers.refused(number)

    async def send(self, channel: Channel, message: Message, http: Http) -> Accepted:
        """Hand one message to the Cloud API.

        Raises a `Verdict` when the provider refuses, `Unclear` when its answer says
        neither; whatever `http` raises escapes.
        """
        reply = await http.post(
            _url(channel, message.sender, "/messages"),
            json=wire.encode(message),
            headers=_bearer(channel),
        )
        answer = wire.decode(reply.body)
        if answer is not None and reply.status == 200:
            found = wire.accepted(answer, message.to)
            if found is not None:
                return found
        raise _refusal(reply, answer)

    async def check(self, channel: Channel, sender: str, http: Http) -> Mapping[str, Any]:
        """Ask what Meta says about a sending number: name, phone, quality, limit and more.

        Raises the same verdicts as `send`: a wrong token is `Halted("channel", …)`, an
        unknown number `Rejected("bad_content", "100")` or `Halted("sender", …)`.
        """
        reply = await http.get(
            _url(channel, sender, f"?fields={NUMBER_FIELDS}"), headers=_bearer(channel)
        )
        answer = wire.decode(reply.body)
        if reply.status == 200 and answer is not None and str(answer.get("id")) == sender:
            business = await self._business(channel, sender, http)
            return {**wire.number(answer), "limits": wire.of_number(answer, business)}
        raise _refusal(reply, answer)

    async def _business(self, channel: Channel, sender: str, http: Http) -> str:
        """Find out whose number it is, for the limit that all its numbers share."""
        waba = channel.config.get("waba_id", "").strip()
        if not waba:
            return ""
        found = []
        for rest in (
            "?fields=id,owner_business_info",
            "/phone_numbers?fields=id&limit=500",
        ):
            reply = await http.get(_url(channel, waba, rest), headers=_bearer(channel))
            answer = wire.decode(reply.body)
            if reply.status != 200 or answer is None:
                return ""
            found.append(answer)
        return wire.business(found[0], found[1], sender)

    async def submit_template(
        self, channel: Channel, template: TemplateText, http: Http
    ) -> TemplateVerdict:
        """Hand a template in for review.

        Raises a `Verdict` when Meta refuses it (`Rejected` with Meta's own sentence as
        detail), `Unclear` when its answer says neither.
        """
        reply = await http.post(
            _url(channel, _waba(channel), "/message_templates"),
            json=wire.encode_template(template),
            headers=_bearer(channel),
        )
        answer = wire.decode(reply.body)
        if reply.status == 200 and answer is not None:
            found = wire.template_verdict(answer)
            if found is not None:
                return found
        raise _refusal(reply, answer)

    async def template_status(
        self, channel: Channel, name: str, language: str, http: Http
    ) -> TemplateVerdict | None:
        """Ask what Meta keeps under a name and language, and what it thinks of it."""
        asked = f"?name={quote(name, safe='')}&limit=100&fields={TEMPLATE_FIELDS}"
        reply = await http.get(
            _url(channel, _waba(channel), f"/message_templates{asked}"),
            headers=_bearer(channel),
        )
        answer = wire.decode(reply.body)
        if reply.status == 200 and answer is not None and "data" in answer:
            return wire.find_template(answer, name, language)
        raise _refusal(reply, answer)

    def verify(self, channel: Channel, raw: RawWebhook) -> None:
        """Raise `Forged` unless the raw bytes are signed with the app's secret."""
        secret = channel.secrets.get("app_secret", "")
        signature = hmac.new(secret.encode(), raw.body, hashlib.sha256).hexdigest()
        given = raw.headers.get("x-hub-signature-256", "")
        if not secret or not _same(given, f"sha256={signature}"):
            raise Forged("signature")

    def challenge(self, channel: Channel, query: Mapping[str, str]) -> str:
        """Answer Meta's handshake with its own challenge, or raise `Forged`."""
        token = channel.secrets.get("verify_token", "")
        if query.get("hub.mode") != "subscribe" or not token:
            raise Forged("handshake")
        if not _same(query.get("hub.verify_token", ""), token):
            raise Forged("verify_token")
        return query.get("hub.challenge", "")

    def split(self, raw: RawWebhook) -> Iterator[Piece]:
        """Find the events of a webhook. Raises `Invalid` when the body is not JSON."""
        return wire.split(raw.body)

    def parse(self, piece: Mapping[str, Any], kind: str) -> Iterator[Update]:  # noqa: ARG002 -- the payload tells
        """Read one event; a failed status gets the verdict of the same table as `send`."""
        return wire.read(piece, answers.failed)


def _url(channel: Channel, sender: str, rest: str) -> str:
    base = channel.config.get("base_url") or BASE_URL
    version = channel.config.get("api_version") or API_VERSION
    return _joined(base, version, sender, rest)


@lru_cache(maxsize=256)
def _joined(base: str, version: str, sender: str, rest: str) -> str:
    return f"{base.rstrip('/')}/{quote(version, safe='')}/{quote(sender, safe='')}{rest}"


def _waba(channel: Channel) -> str:
    """Name the WhatsApp business account templates belong to, or halt without one."""
    found = channel.config.get("waba_id", "").strip()
    if not found:
        raise Halted("channel", "waba_missing")
    return found


def _bearer(channel: Channel) -> dict[str, str]:
    """Name the token, or halt: an unusable one must not look like an unknown outcome."""
    token = channel.secrets.get("access_token", "")
    if not _TOKEN.fullmatch(token):
        raise Halted("channel", "token_invalid")
    return {"Authorization": f"Bearer {token}"}


def _refusal(reply: Reply, answer: Mapping[str, Any] | None) -> Exception:
    """Judge an answer that is not an acceptance. What says nothing is `Unclear`."""
    problem = wire.problem(answer) if answer is not None else None
    if problem is None:
        return Unclear(f"HTTP {reply.status} without an id or an error")
    code, detail = problem
    well_formed = 400 <= reply.status < 500
    judge = answers.refused if well_formed else answers.explained
    verdict = judge(code, detail)
    if verdict is None:
        return Unclear(f"HTTP {reply.status} with code {code}")
    if isinstance(verdict, Busy):
        return _patient(verdict, reply.headers.get("retry-after", ""))
    return verdict


def _patient(verdict: Busy, retry_after: str) -> Busy:
    """Wait as long as the provider asks, if it asks for longer than the table does."""
    if not (retry_after.isascii() and retry_after.isdigit()):
        return verdict
    asked = min(float(retry_after), 3600.0)
    wait = max(verdict.retry_after, asked)
    return Busy(verdict.scope, wait, verdict.code, throttles=verdict.throttles)


def _same(given: str, expected: str) -> bool:
    """Compare in constant time, as bytes: text would refuse letters outside ASCII."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())
