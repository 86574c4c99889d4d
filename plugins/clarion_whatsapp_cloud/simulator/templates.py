"""Templates as the provider keeps them: submitted, judged after a while, changed."""

import asyncio
import json
import re
from typing import Any

from clarion_whatsapp_cloud.simulator.checks import Refusal
from clarion_whatsapp_cloud.simulator.server import Request
from clarion_whatsapp_cloud.simulator.settings import Settings
from clarion_whatsapp_cloud.simulator.webhooks import Postman
from clarion_whatsapp_cloud.simulator.world import Number, Template, World

NAME = re.compile(r"[a-z0-9_]{1,512}")
CATEGORIES = frozenset({"MARKETING", "UTILITY", "AUTHENTICATION"})
PROMOTION = re.compile(r"\b(sale|offer|discount|% off|deal|coupon)\b", re.IGNORECASE)
HELLO = {
    "name": "hello_world",
    "language": "en_US",
    "category": "UTILITY",
    "components": [
        {"type": "HEADER", "format": "TEXT", "text": "Hello World"},
        {"type": "BODY", "text": "Welcome and congratulations!!"},
    ],
}


class Templates:
    """The template edges of the API, and the judge.

    A name with `reject` in it is rejected, one with `pending` is never judged, and a
    utility template that promotes something is approved as marketing.
    """

    def __init__(self, settings: Settings, world: World, postman: Postman) -> None:
        self._settings, self._world, self._postman = settings, world, postman

    def load(self) -> None:
        """Take over the templates that exist from the start."""
        self._world.add_template(self._world.waba, HELLO, "APPROVED")
        if self._settings.templates:
            for given in json.loads(self._settings.templates.read_bytes()):
                self.put(given)

    def put(self, given: dict[str, Any]) -> Template:
        """Store a template without judging it; `waba` and `status` may be named."""
        waba = str(given.get("waba") or self._world.waba)
        return self._world.add_template(waba, given, str(given.get("status", "APPROVED")))

    def handle(self, request: Request, waba: str, query: dict[str, str]) -> dict[str, Any]:
        """Answer `/{waba}/message_templates`."""
        if request.method == "POST":
            return self._submit(request, waba)
        if request.method == "DELETE":
            return self._delete(waba, query)
        found = [
            template.shown()
            for template in self._world.templates.values()
            if template.waba == waba
            and query.get("name", template.name) == template.name
            and query.get("status", template.status) == template.status
        ]
        return _page(found, query)

    def one(self, request: Request, id_: str) -> dict[str, Any]:
        """Answer `/{template_id}`; POST edits and starts the judgement again."""
        template = self._world.by_id[id_]
        if request.method == "POST":
            given = _object(request)
            _check(given | {"name": template.name, "language": template.language})
            template.learn(given.get("components", template.components))
            template.category = str(given.get("category", template.category)).upper()
            template.status = "PENDING"
            self._judge_later(template)
            return {"success": True}
        return template.shown()

    def change(self, template: Template, status: str, reason: str = "NONE") -> None:
        """Set a template's status and tell the subscriber."""
        template.status, template.reason = status, reason
        self._postman.post_for(
            "",
            template.waba,
            {
                "event": status,
                "message_template_id": int(template.id),
                "message_template_name": template.name,
                "message_template_language": template.language,
                "message_template_category": template.category,
                "reason": reason,
            },
            "message_template_status_update",
        )

    def invent(self, body: Any, number: Number) -> None:
        """Make up a template that fits a request; for benchmarks of everything else."""
        content = body.get("template") if isinstance(body, dict) else None
        if not isinstance(content, dict):
            return
        name = content.get("name")
        language = (content.get("language") or {}).get("code")
        if (number.waba, name, language) in self._world.templates:
            return
        components: list[dict[str, Any]] = []
        named = False
        for part in content.get("components") or []:
            given = part.get("parameters", [])
            names = [str(p.get("parameter_name", at + 1)) for at, p in enumerate(given)]
            named = named or any("parameter_name" in p for p in given)
            text = " ".join(f"{{{{{each}}}}}" for each in names)
            components.append({"type": str(part.get("type")).upper(), "text": text})
        self.put(
            {
                "waba": number.waba,
                "name": name,
                "language": language,
                "category": "MARKETING",
                "components": components,
                "parameter_format": "named" if named else "positional",
            }
        )

    def _submit(self, request: Request, waba: str) -> dict[str, Any]:
        given = _object(request)
        _check(given)
        key = (waba, given["name"], given["language"])
        if key in self._world.templates:
            raise Refusal(2388023, f"There is already {given['language']} content")
        template = self._world.add_template(waba, given, "PENDING")
        self._judge_later(template)
        return {"id": template.id, "status": "PENDING", "category": template.category}

    def _judge_later(self, template: Template) -> None:
        if "pending" in template.name:
            return
        asyncio.get_running_loop().call_later(
            self._settings.approve_ms / 1000, self._judge, template
        )

    def _judge(self, template: Template) -> None:
        if template.status != "PENDING" or template.id not in self._world.by_id:
            return
        if "reject" in template.name:
            self.change(template, "REJECTED", "INVALID_FORMAT")
            return
        text = str(template.part("BODY").get("text", ""))
        if template.category == "UTILITY" and PROMOTION.search(text):
            template.category = "MARKETING"
        self.change(template, "APPROVED")

    def _delete(self, waba: str, query: dict[str, str]) -> dict[str, Any]:
        found = [
            template
            for template in self._world.templates.values()
            if template.waba == waba
            and template.name == query.get("name")
            and query.get("hsm_id", template.id) == template.id
        ]
        if not found:
            raise Refusal(100, "Message template not found")
        for template in found:
            self._world.remove_template(template)
        return {"success": True}


def _check(given: dict[str, Any]) -> None:
    if not NAME.fullmatch(str(given.get("name", ""))):
        raise Refusal(100, "Param name may hold lower-case letters, digits and _ only.")
    if not given.get("language"):
        raise Refusal(100, "The parameter language is required.")
    if str(given.get("category", "MARKETING")).upper() not in CATEGORIES:
        raise Refusal(100, "Param category must be MARKETING, UTILITY or AUTHENTICATION.")
    components = given.get("components")
    if not isinstance(components, list) or not all(isinstance(c, dict) for c in components):
        raise Refusal(100, "The parameter components is required.")
    body = next((c for c in components if str(c.get("type", "")).upper() == "BODY"), None)
    if body is None:
        raise Refusal(100, "A template needs a BODY.")
    text = str(body.get("text", ""))
    if len(text) > 1024:
        raise Refusal(100, "The BODY may hold 1024 characters.")
    if re.match(r"\s*\{\{", text) or re.search(r"\}\}\s*$", text):
        raise Refusal(2388299, "Variables can't be at the start or end of the template.")


def _page(found: list[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
    """One page of a list; the cursor is the place where the next one begins."""
    after = query.get("after", "0")
    limit = query.get("limit", "25")
    start = int(after) if after.isdigit() else 0
    stop = start + (int(limit) if limit.isdigit() else 25)
    paging: dict[str, Any] = {"cursors": {"before": str(start), "after": str(stop)}}
    if stop < len(found):
        paging["next"] = f"?after={stop}&limit={stop - start}"
    return {"data": found[start:stop], "paging": paging}


def _object(request: Request) -> dict[str, Any]:
    try:
        value = json.loads(request.body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Refusal(100, "The request body is not a JSON object.")
    return value
