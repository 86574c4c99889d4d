"""The Cloud API itself: messages, numbers, templates, subscriptions."""

import asyncio
import json
import re
import time
from collections import Counter
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any
from urllib.parse import parse_qs

from clarion_whatsapp_cloud.simulator import checks
from clarion_whatsapp_cloud.simulator.checks import Outgoing, Refusal
from clarion_whatsapp_cloud.simulator.fates import TAKEN, Fate, Rules
from clarion_whatsapp_cloud.simulator.receipts import Receipts
from clarion_whatsapp_cloud.simulator.server import Exchange, Request, answer, raw
from clarion_whatsapp_cloud.simulator.settings import Settings
from clarion_whatsapp_cloud.simulator.templates import Templates
from clarion_whatsapp_cloud.simulator.webhooks import Postman, Route, Sent
from clarion_whatsapp_cloud.simulator.world import Number, World

PATH = re.compile(r"/v\d+\.\d+/([A-Za-z0-9_]+)(?:/([a-z_]+))?")
_write = json.JSONEncoder(separators=(",", ":")).encode  # one, instead of one per call
NUMBER_FIELDS = ("id", "verified_name", "display_phone_number", "quality_rating")


class Graph:
    """Answers what a Cloud API client asks."""

    def __init__(
        self,
        settings: Settings,
        world: World,
        rules: Rules,
        receipts: Receipts,
        postman: Postman,
    ) -> None:
        self.settings, self.world, self.rules = settings, world, rules
        self.receipts, self.postman = receipts, postman
        self.templates = Templates(settings, world, postman)
        self.counts: Counter[str] = Counter()
        self._bearer = f"Bearer {settings.token}"
        self._closed = bool(world.numbers)  # a list was given: others do not exist

    def handle(self, request: Request, exchange: Exchange) -> bytes | None:
        """Answer a request, or return `None` when its fate is to be answered otherwise."""
        self.counts["requests"] += 1
        try:
            found = PATH.fullmatch(request.path)
            if not found:
                raise Refusal(2500, "Unknown path components", http=404)
            self._authorise(request)
            node, edge = found[1], found[2] or ""
            if edge in {"messages", "marketing_messages"} and request.method == "POST":
                return self._message(request, exchange, self._number(node))
            return self._manage(request, node, edge)
        except Refusal as refusal:
            return self._refuse(refusal)

    def _authorise(self, request: Request) -> None:
        given = request.header(b"authorization")
        known = given == self._bearer if self.settings.token else len(given) > 7
        if not (known and given.startswith("Bearer ")):
            raise Refusal(190)

    def _number(self, id_: str) -> Number:
        if self._closed and id_ not in self.world.numbers:
            raise Refusal(100, f"Object with ID '{id_}' does not exist")
        return self.world.number(id_)

    def _refuse(self, refusal: Refusal) -> bytes:
        self.counts[f"refused_{refusal.code}"] += 1
        more = f"Retry-After: {refusal.retry_after}\r\n" if refusal.retry_after else ""
        body = json.dumps(refusal.body(), separators=(",", ":")).encode()
        return raw(refusal.http, body, more=more)

    # --- messages

    def _message(
        self, request: Request, exchange: Exchange, number: Number
    ) -> bytes | None:
        try:
            body = json.loads(request.body)
        except ValueError:
            raise Refusal(100, "The request body is not JSON.") from None
        if isinstance(body, dict) and body.get("status") == "read":
            return answer(200, {"success": True})
        if self.settings.any_template:
            self.templates.invent(body, number)
        outgoing = checks.read(body, number, self.world)
        self._may_receive(outgoing, number)
        template = outgoing.template.name if outgoing.template else ""
        fate = self.rules.choose(outgoing.to, number.id, template, outgoing.reference)
        if fate.delay_ms:
            asyncio.get_running_loop().call_later(
                fate.delay_ms / 1000, self._later, exchange, outgoing, number, fate
            )
            return None
        return self._meet(exchange, outgoing, number, fate)

    def _may_receive(self, outgoing: Outgoing, number: Number) -> None:
        template = outgoing.template
        if (
            template is not None
            and template.category == "MARKETING"
            and (number.waba, outgoing.person) in self.world.stopped
        ):
            raise Refusal(131050)

    def _later(
        self, exchange: Exchange, outgoing: Outgoing, number: Number, fate: Fate
    ) -> None:
        try:
            reply = self._meet(exchange, outgoing, number, fate)
        except Refusal as refusal:
            reply = self._refuse(refusal)
        if reply is not None:
            exchange.answer(reply)

    def _meet(
        self, exchange: Exchange, outgoing: Outgoing, number: Number, fate: Fate
    ) -> bytes | None:
        """Let a message meet its fate: first whether it is taken, then what is said."""
        if fate.answer == "refuse":
            raise Refusal(
                fate.code, fate.details, http=fate.http, retry_after=fate.retry_after
            )
        wamid = self._take(outgoing, number, fate) if fate.answer in TAKEN else ""
        self.counts[fate.answer] += 1
        if fate.answer.startswith("reset"):
            exchange.reset()
            return None
        if fate.answer.startswith("hang"):
            return None
        if fate.answer.startswith("error"):
            page = b"<html><body>Service Unavailable</body></html>"
            reply = raw(fate.http or 503, page, "text/html")
            if fate.code:
                reply = answer(fate.http or 500, Refusal(fate.code).body())
        else:
            reply = _acceptance(outgoing, wamid, fate)
        if fate.answer_delay_ms:
            loop = asyncio.get_running_loop()
            loop.call_later(fate.answer_delay_ms / 1000, exchange.answer, reply)
            return None
        return reply

    def _take(self, outgoing: Outgoing, number: Number, fate: Fate) -> str:
        """Take a message: from here on the recipient has it, whatever the sender hears."""
        wamid = self.world.wamid()
        fail = fate.statuses.fail
        if (
            outgoing.kind != "template"
            and not self.settings.open_window
            and not self.world.window_open(number.id, outgoing.person)
        ):
            fail = 131047
        self.receipts.add(_receipt(outgoing, number, wamid, fate, fail))
        if self.postman.route(number.id, number.waba) is not None:
            self._promise(outgoing, number, wamid, fate, fail)
        return wamid

    def _promise(
        self, outgoing: Outgoing, number: Number, wamid: str, fate: Fate, fail: int
    ) -> None:
        """Schedule the statuses of a taken message."""
        plan, settings = fate.statuses, self.settings
        if plan.never:
            return
        steps: list[tuple[str, float, int]] = [("sent", settings.sent_ms, 0)]
        if fail:
            steps = [("failed", settings.delivered_ms, fail)]
        else:
            steps.append(("delivered", settings.delivered_ms, 0))
            if self.world.random.random() < settings.read_share:
                steps.append(("read", settings.read_ms, 0))
        if plan.only:
            delays = {"sent": settings.sent_ms, "read": settings.read_ms}
            steps = [(w, delays.get(w, settings.delivered_ms), fail) for w in plan.only]
        if plan.shuffle:
            words = [(word, code) for word, _, code in steps]
            self.world.random.shuffle(words)
            steps = [(w, s[1], c) for (w, c), s in zip(words, steps, strict=True)]
        sent = _sent(outgoing, number, wamid)
        for word, after, code in steps:
            for again in range(plan.times):
                when = after + plan.late_ms + again * self.world.random.uniform(20, 300)
                if plan.hold:
                    self.postman.held.append((int(when), sent, word, code))
                else:
                    self.postman.schedule(when, sent, word, code)

    # --- numbers, templates, subscriptions

    def _manage(self, request: Request, node: str, edge: str) -> bytes:
        query = {name: values[0] for name, values in parse_qs(request.query).items()}
        if edge == "message_templates":
            return answer(200, self.templates.handle(request, node, query))
        if edge == "phone_numbers":
            mine = [n for n in self.world.numbers.values() if n.waba == node]
            shown = [_fields(n, ",".join(NUMBER_FIELDS)) for n in mine]
            return answer(200, {"data": shown})
        if edge == "subscribed_apps":
            return self._subscribe(request, node)
        if edge:
            raise Refusal(2500, f"Unknown path components: /{edge}", http=400)
        return self._node(request, node, query)

    def _node(self, request: Request, node: str, query: dict[str, str]) -> bytes:
        """Answer about one thing: a template, a business account or a number."""
        if node in self.world.by_id:
            return answer(200, self.templates.one(request, node))
        if "owner_business_info" in query.get("fields", ""):
            owner = {"id": self.world.business, "name": "Simulated Business"}
            return answer(200, {"id": node, "owner_business_info": owner})
        number = self._number(node)
        if request.method == "POST":
            given = _object(request).get("webhook_configuration", {})
            self._override(node, given)
            return answer(200, {"success": True})
        return answer(200, _fields(number, query.get("fields", ",".join(NUMBER_FIELDS))))

    def _subscribe(self, request: Request, node: str) -> bytes:
        if request.method == "GET":
            return answer(200, {"data": []})
        if request.method == "DELETE":
            self.postman.routes.pop(node, None)
        elif request.body:
            self._override(node, _object(request))
        return answer(200, {"success": True})

    def _override(self, node: str, given: dict[str, Any]) -> None:
        url = given.get("override_callback_uri", "")
        if not url:
            self.postman.routes.pop(node, None)
            return
        if len(url) > 200:
            raise Refusal(
                100, "Param override_callback_uri must be at most 200 characters."
            )
        self.postman.routes[node] = Route(
            url, self.settings.app_secret, str(given.get("verify_token", ""))
        )


def _receipt(outgoing: Outgoing, number: Number, wamid: str, fate: Fate, fail: int) -> str:
    """Write the members of a receipt. By hand: it is half the price of a message."""
    template = outgoing.template
    name, language, category = "", "", "service"
    if template is not None:
        name, language = template.name, template.language
        category = template.category.lower()
    params = _write(outgoing.params) if outgoing.params else "{}"
    return (
        f'"at":{time.time():.6f},"to":{_quoted(outgoing.to)},"sender":"{number.id}",'
        f'"waba":{_quoted(number.waba)},"type":"{outgoing.kind}","template":{_quoted(name)},'
        f'"language":{_quoted(language)},"category":"{category}","params":{params},'
        f'"text":{_quoted(outgoing.text)},"reference":{_quoted(outgoing.reference)},'
        f'"wamid":"{wamid}","fate":"{fate.answer}","delivered":{"false" if fail else "true"}'
    )


def _acceptance(outgoing: Outgoing, wamid: str, fate: Fate) -> bytes:
    given = _quoted(outgoing.given)
    who = f'"user_id":{given}' if outgoing.bsuid else f'"wa_id":"{outgoing.person}"'
    status = ""
    if outgoing.template is not None:
        held = fate.answer == "held"
        word = "held_for_quality_assessment" if held else "accepted"
        status = f',"message_status":"{word}"'
    messages = f'[{{"id":"{wamid}"{status}}}]' if fate.answer != "no_id" else "[]"
    return raw(
        200,
        f'{{"messaging_product":"whatsapp","contacts":[{{"input":{given},{who}}}],'
        f'"messages":{messages}}}'.encode(),
    )


def _sent(outgoing: Outgoing, number: Number, wamid: str) -> Sent:
    reference = _quoted(outgoing.reference)
    template = outgoing.template
    return Sent(
        number=number,
        wamid=wamid,
        recipient=(
            f'"recipient_user_id":"{outgoing.person}"'
            if outgoing.bsuid
            else f'"recipient_id":"{outgoing.person}"'
        ),
        contact=f'{{"user_id":"{outgoing.person}"}}' if outgoing.bsuid else "",
        callback=f',"biz_opaque_callback_data":{reference}' if outgoing.reference else "",
        category=template.category.lower() if template else "service",
    )


def _fields(number: Number, wanted: str) -> dict[str, Any]:
    known = {
        "id": number.id,
        "verified_name": number.name,
        "display_phone_number": "+" + number.display,
        "quality_rating": number.quality,
        "name_status": "APPROVED",
        "code_verification_status": "VERIFIED",
        "status": "CONNECTED",
        "platform_type": "CLOUD_API",
        "throughput": {"level": "HIGH"},
        "messaging_limit_tier": "TIER_UNLIMITED",
        "whatsapp_business_manager_messaging_limit": "TIER_UNLIMITED",
        "webhook_configuration": {},
        **number.fields,
    }
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise Refusal(100, f"Tried accessing nonexisting field ({name})")
    return {name: known[name] for name in dict.fromkeys(["id", *names])}


def _object(request: Request) -> dict[str, Any]:
    try:
        value = json.loads(request.body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Refusal(100, "The request body is not a JSON object.")
    return value
