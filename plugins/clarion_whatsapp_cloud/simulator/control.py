"""The control endpoints under `/_sim/`: rules, inbound messages, receipts, numbers.

POST /_sim/rules       {"rules": [{"match", "fate", "times"}], "replace": bool}
DELETE /_sim/rules     forget all rules
POST /_sim/inbound     {"from", "to", "text" | "button": {"text", "payload"}, …}
POST /_sim/preference  {"from", "to", "wants": "stop" | "resume"}
POST /_sim/number      {"from", "to", "new", "user_id", "new_user_id"}: a person moves to a
                       new number, and their id with it
POST /_sim/callback    {"url", "app_secret", "verify_token", "for": number or WABA id}
POST /_sim/templates   {"templates": […]} approved at once; or {"name", "language",
                       "status", "reason"} to change one and send its webhook
POST /_sim/phones      {"id", "display", "waba", "name", "quality", "fields"}
POST /_sim/event       {"field", "value", "to" | "waba"}: any webhook
POST /_sim/release     send the statuses that were held back
POST /_sim/reset       {"receipts": true, "templates": false, …}
GET  /_sim/receipts    NDJSON; ?after=n&to=…&reference=…&format=json
GET  /_sim/stats, GET /_sim/health
"""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from clarion_whatsapp_cloud.simulator.graph import Graph
from clarion_whatsapp_cloud.simulator.page import Page
from clarion_whatsapp_cloud.simulator.server import Exchange, Request, answer, raw
from clarion_whatsapp_cloud.simulator.webhooks import Route
from clarion_whatsapp_cloud.simulator.world import Number

Action = Callable[[dict[str, Any]], Any]


class Control:
    """Everything that is not the Cloud API: for tests, the demo and people."""

    def __init__(self, graph: Graph, page: Page) -> None:
        self._graph, self._page = graph, page
        self._world, self._postman = graph.world, graph.postman
        self._born = time.time()
        self._tasks: set[asyncio.Task[None]] = set()
        self._posts: dict[str, Action] = {
            "rules": self._rules,
            "inbound": self._inbound,
            "preference": self._preference,
            "number": self._number,
            "templates": self._templates,
            "phones": self._phones,
            "event": self._event,
            "release": lambda _: {"released": self._postman.release()},
            "reset": self._reset,
        }

    def handle(self, request: Request, exchange: Exchange) -> bytes | None:
        """Answer a control request or draw the page for people."""
        if request.path.startswith("/_sim/"):
            return self._control(request, exchange, request.path[6:])
        return self._page.draw(request)

    def _control(self, request: Request, exchange: Exchange, name: str) -> bytes | None:
        if request.method == "GET":
            return self._look(request, name)
        try:
            return self._act(request, exchange, name)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return answer(400, {"error": f"{type(error).__name__}: {error}"})

    def _act(self, request: Request, exchange: Exchange, name: str) -> bytes | None:
        form = "form-urlencoded" in request.header(b"content-type")
        given = _form(request) if form else json.loads(request.body or b"{}")
        if request.method == "DELETE" and name == "rules":
            given = {"replace": True}
        if name == "callback":
            self._start_callback(given, exchange)
            return None
        if name not in self._posts:
            return answer(404, {"error": f"no such control: {name}"})
        said = self._posts[name](given)
        return raw(303, b"", "text/plain", "Location: /\r\n") if form else answer(200, said)

    def _look(self, request: Request, name: str) -> bytes:
        if name == "health":
            return answer(200, {"ok": True})
        if name == "stats":
            return answer(200, self._stats())
        if name == "receipts":
            return self._receipts(request)
        return answer(404, {"error": f"no such control: {name}"})

    def _stats(self) -> dict[str, Any]:
        return {
            "uptime": round(time.time() - self._born, 3),
            "receipts": self._graph.receipts.count,
            "pending": self._postman.pending(),
            "messages": dict(self._graph.counts),
            "webhooks": dict(self._postman.counts),
        }

    def _receipts(self, request: Request) -> bytes:
        query = {name: values[0] for name, values in parse_qs(request.query).items()}
        lines = self._graph.receipts.lines(int(query.get("after", 0)))
        for name in ("to", "reference", "wamid", "template", "sender"):
            if name in query:
                lines = [each for each in lines if json.loads(each)[name] == query[name]]
        if query.get("format") == "json":
            return raw(200, b"[" + b",".join(each.strip() for each in lines) + b"]")
        return raw(200, b"".join(lines), "application/x-ndjson")

    # --- what can be told

    def _rules(self, given: dict[str, Any]) -> dict[str, int]:
        if given.get("replace"):
            self._graph.rules.clear()
        rules = given.get("rules", [])
        for rule in rules:
            self._graph.rules.add(rule)
        return {"rules": len(rules)}

    def _inbound(self, given: dict[str, Any]) -> dict[str, str]:
        """A person writes: `from` a number, or `user_id` for one who hides it."""
        number = self._sender(given)
        phone, user_id = str(given.get("from", "")).lstrip("+"), given.get("user_id", "")
        if not (phone or user_id):
            raise ValueError("from or user_id is needed")
        wamid = str(given.get("id") or self._world.wamid())
        message: dict[str, Any] = {"id": wamid, "timestamp": str(int(time.time()))}
        contact: dict[str, Any] = {
            "profile": {"name": given.get("name", "Simulated Person")}
        }
        if phone:
            message["from"] = contact["wa_id"] = phone
        if user_id:
            message["from_user_id"] = contact["user_id"] = user_id
        if given.get("reply_to"):
            message["context"] = {"from": number.display, "id": given["reply_to"]}
        button = given.get("button")
        if isinstance(button, str):
            button = {"text": button, "payload": given.get("payload")}
            button["payload"] = button["payload"] or self._page.payload(
                number.id, phone or user_id, button["text"]
            )
        if button:
            message |= {"type": "button", "button": button}
        else:
            message |= {"type": "text", "text": {"body": str(given["text"])}}
        self._world.open_window(number.id, phone or user_id)
        self._graph.counts["inbound"] += 1
        said = button["text"] if button else str(given["text"])
        self._page.heard(number.id, phone or user_id, said)
        self._postman.post(number, {"contacts": [contact], "messages": [message]})
        return {"id": wamid}

    def _preference(self, given: dict[str, Any]) -> dict[str, bool]:
        """A person tells WhatsApp to stop or resume marketing from this business."""
        number, wants = self._sender(given), given["wants"]
        phone, user_id = str(given.get("from", "")).lstrip("+"), given.get("user_id", "")
        key = (number.waba, phone or user_id)
        if wants == "stop":
            self._world.stopped.add(key)
        elif wants == "resume":
            self._world.stopped.discard(key)
        else:
            raise ValueError("wants is stop or resume")
        preference: dict[str, Any] = {
            "category": "marketing_messages",
            "value": wants,
            "detail": f"User requested to {wants} marketing messages",
            "timestamp": int(time.time()),
        }
        if phone:
            preference["wa_id"] = phone
        if user_id:
            preference["user_id"] = user_id
        self._postman.post(
            number, {"user_preferences": [preference]}, field="user_preferences"
        )
        return {"ok": True}

    def _number(self, given: dict[str, Any]) -> dict[str, str]:
        """A person moves to a new number; what they told WhatsApp moves with them."""
        number = self._sender(given)
        old, new = (str(given[name]).lstrip("+") for name in ("from", "new"))
        if not (old.isdecimal() and new.isdecimal()) or old == new:
            raise ValueError("from and new are two different numbers")
        wamid = self._world.wamid()
        said = {"type": "user_changed_number", "wa_id": new}
        message: dict[str, Any] = {
            "id": wamid,
            "from": old,
            "timestamp": str(int(time.time())),
            "type": "system",
            "system": said,
        }
        if given.get("user_id"):
            message["from_user_id"] = given["user_id"]
        if given.get("new_user_id"):
            said["user_id"] = given["new_user_id"]
        said["body"] = f"User A changed from {old} to {new}"
        if (number.waba, old) in self._world.stopped:
            self._world.stopped.add((number.waba, new))
        self._page.heard(number.id, old, f"Moved to +{new}")
        self._postman.post(number, {"messages": [message]})
        return {"id": wamid}

    def _templates(self, given: dict[str, Any]) -> dict[str, int]:
        if "templates" in given:
            for each in given["templates"]:
                self._graph.templates.put(each)
            return {"templates": len(given["templates"])}
        waba = str(given.get("waba") or self._world.waba)
        template = self._world.templates[waba, given["name"], given["language"]]
        reason = str(given.get("reason", "NONE"))
        self._graph.templates.change(template, str(given["status"]), reason)
        return {"templates": 1}

    def _phones(self, given: dict[str, Any]) -> dict[str, str]:
        number = self._world.number(str(given["id"]))
        number.display = str(given.get("display", number.display)).lstrip("+")
        number.waba = str(given.get("waba", number.waba))
        number.name = str(given.get("name", number.name))
        number.quality = str(given.get("quality", number.quality))
        number.fields |= given.get("fields", {})
        return {"id": number.id, "display": number.display, "waba": number.waba}

    def _event(self, given: dict[str, Any]) -> dict[str, bool]:
        to = str(given.get("to", ""))
        waba = str(given.get("waba") or (self._world.number(to).waba if to else ""))
        value, field = dict(given["value"]), str(given["field"])
        self._postman.post_for(to, waba or self._world.waba, value, field)
        return {"ok": True}

    def _reset(self, given: dict[str, Any]) -> dict[str, bool]:
        self._graph.rules.clear()
        self._postman.clear()
        self._graph.counts.clear()
        self._world.windows.clear()
        self._world.stopped.clear()
        if given.get("receipts", True):
            self._graph.receipts.clear()
            self._page.forget()
        if given.get("templates", False):
            self._world.templates.clear()
            self._world.by_id.clear()
            self._graph.templates.load()
        return {"ok": True}

    def _start_callback(self, given: dict[str, Any], exchange: Exchange) -> None:
        """Set where webhooks go, after asking that address whether it wants them."""
        settings = self._graph.settings
        route = Route(
            str(given["url"]),
            str(given.get("app_secret", settings.app_secret)),
            str(given.get("verify_token", settings.verify_token)),
        )
        task = asyncio.get_running_loop().create_task(
            self._callback(route, str(given.get("for", "")), exchange)
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _callback(self, route: Route, whose: str, exchange: Exchange) -> None:
        verified = await self._postman.handshake(route)
        if whose:
            self._postman.routes[whose] = route
        else:
            self._postman.default = route
        exchange.answer(answer(200, {"url": route.url, "verified": verified}))

    def _sender(self, given: dict[str, Any]) -> Number:
        """The number a person writes to; by default the one that wrote to somebody last."""
        to = str(given.get("to", ""))
        if not to:
            recent = self._graph.receipts.recent()
            to = recent[-1]["sender"] if recent else next(iter(self._world.numbers), "")
        if not to:
            raise ValueError("to is needed: the phone_number_id")
        return self._world.number(to)


def _form(request: Request) -> dict[str, Any]:
    fields = parse_qs(request.body.decode(), keep_blank_values=True)
    return {name: values[0] for name, values in fields.items() if values[0]}
