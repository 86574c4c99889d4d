"""Sends webhooks as Meta does: signed, in batches, again until 200, in no promised order."""

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from clarion_whatsapp_cloud.simulator.caller import Caller
from clarion_whatsapp_cloud.simulator.world import Number

TICK = 0.02
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 60.0
LANES = 4  # deliveries at a time to one callback


@dataclass(slots=True)
class Letter:
    """One webhook on its way."""

    body: bytes
    updates: int
    tries: int = 0
    born: float = field(default_factory=time.monotonic)


class Route:
    """A callback address with its secret and what waits for it."""

    def __init__(self, url: str, secret: str, verify_token: str) -> None:
        self.url, self.secret, self.verify_token = url, secret, verify_token
        self.waiting: deque[Letter] = deque()
        self.busy = 0
        self.later: set[asyncio.TimerHandle] = set()


@dataclass(frozen=True, slots=True)
class Sent:
    """What a status webhook repeats about a message; ready-made JSON."""

    number: Number
    wamid: str
    recipient: str  # members `recipient_id` or `recipient_user_id`
    contact: str  # JSON of the contact; only for people known by a user id
    callback: str  # member `biz_opaque_callback_data`, with a comma before it
    category: str


class Postman:
    """Schedules events on a wheel of short ticks, batches and delivers them."""

    def __init__(self, *, batch: int, retry_for: float) -> None:
        self.batch, self.retry_for = batch, retry_for
        self.default: Route | None = None
        self.routes: dict[str, Route] = {}  # by number or WABA id
        self.counts: Counter[str] = Counter()
        self.held: list[tuple[int, Sent, str, int]] = []
        self._wheel: dict[int, list[tuple[Sent, str, int]]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._caller = Caller()
        self._tasks: set[asyncio.Task[None]] = set()

    def route(self, number_id: str, waba: str) -> Route | None:
        return self.routes.get(number_id) or self.routes.get(waba) or self.default

    async def handshake(self, route: Route) -> bool:
        """Ask the callback whether it is ours, as Meta does before it believes an address."""
        challenge = str(secrets.randbelow(10**10))
        mark = "&" if "?" in route.url else "?"
        url = (
            f"{route.url}{mark}hub.mode=subscribe&hub.challenge={challenge}"
            f"&hub.verify_token={quote(route.verify_token, safe='')}"
        )
        try:
            status, body = await self._caller.call("GET", url)
        except OSError:
            return False
        return status == 200 and body.decode(errors="replace").strip() == challenge

    def schedule(self, after_ms: float, sent: Sent, status: str, code: int = 0) -> None:
        """Send a status of a message after so many milliseconds."""
        slot = int((time.monotonic() + after_ms / 1000) / TICK) + 1
        self._wheel.setdefault(slot, []).append((sent, status, code))
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(TICK, self._turn)

    def release(self) -> int:
        """Let go the statuses that were held back; returns how many."""
        held, self.held = self.held, []
        for after_ms, sent, status, code in held:
            self.schedule(after_ms, sent, status, code)
        return len(held)

    def post(
        self, number: Number, event: dict[str, Any], *, field: str = "messages"
    ) -> None:
        """Send one event now, before any status that waits."""
        metadata = (
            {
                "messaging_product": "whatsapp",
                "metadata": {
                    "display_phone_number": number.display,
                    "phone_number_id": number.id,
                },
            }
            if field in {"messages", "user_preferences"}
            else {}
        )
        self.post_for(number.id, number.waba, metadata | event, field)

    def post_for(
        self, number_id: str, waba: str, value: dict[str, Any], field: str
    ) -> None:
        route = self.route(number_id, waba)
        if route is None:
            self.counts["dropped"] += 1
            return
        change = {"value": value, "field": field}
        entry = {"id": waba, "time": int(time.time()), "changes": [change]}
        whole = {"object": "whatsapp_business_account", "entry": [entry]}
        body = json.dumps(whole, separators=(",", ":")).encode()
        route.waiting.appendleft(Letter(body, 1))
        self._serve(route)

    def pending(self) -> int:
        """Events that are not delivered yet, those held back included."""
        routes = {id(r): r for r in (*self.routes.values(), self.default) if r}
        queued = sum(
            sum(letter.updates for letter in r.waiting) + r.busy + len(r.later)
            for r in routes.values()
        )
        return queued + sum(map(len, self._wheel.values())) + len(self.held)

    def clear(self) -> None:
        self._wheel.clear()
        self.held.clear()
        self.counts.clear()
        for route in (*self.routes.values(), self.default):
            if route:
                route.waiting.clear()
                for handle in route.later:
                    handle.cancel()
                route.later.clear()

    def close(self) -> None:
        self.clear()
        if self._timer:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        self._caller.close()

    def _turn(self) -> None:
        """Send what is due and come back while anything is on the wheel."""
        now = int(time.monotonic() / TICK)
        due: dict[str, list[tuple[Sent, str, int]]] = {}
        for slot in sorted(slot for slot in self._wheel if slot <= now):
            for event in self._wheel.pop(slot):
                due.setdefault(event[0].number.id, []).append(event)
        for events in due.values():
            for start in range(0, len(events), self.batch):
                self._send(events[start : start + self.batch])
        again = bool(self._wheel)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(TICK, self._turn) if again else None

    def _send(self, events: list[tuple[Sent, str, int]]) -> None:
        number = events[0][0].number
        route = self.route(number.id, number.waba)
        if route is None:
            self.counts["dropped"] += len(events)
            return
        route.waiting.append(Letter(_statuses(number, events), len(events)))
        self._serve(route)

    def _serve(self, route: Route) -> None:
        while route.waiting and route.busy < LANES:
            route.busy += 1
            task = asyncio.get_running_loop().create_task(self._lane(route))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _lane(self, route: Route) -> None:
        try:
            while route.waiting:
                await self._deliver(route, route.waiting.popleft())
        finally:
            route.busy -= 1

    async def _deliver(self, route: Route, letter: Letter) -> None:
        signed = hmac.new(route.secret.encode(), letter.body, hashlib.sha256).hexdigest()
        headers = (
            f"Content-Type: application/json\r\nX-Hub-Signature-256: sha256={signed}\r\n"
        )
        letter.tries += 1
        self.counts["posts"] += 1
        try:
            status, _ = await self._caller.call("POST", route.url, letter.body, headers)
        except OSError:
            status = 0
        if status == 200:
            self.counts["delivered_posts"] += 1
            self.counts["delivered_updates"] += letter.updates
            return
        self.counts[f"answered_{status}" if status else "unreachable"] += 1
        if time.monotonic() - letter.born > self.retry_for:
            self.counts["given_up"] += letter.updates
            return
        # The first time at once, then ever more rarely.
        growing = FIRST_PAUSE * 2 ** min(letter.tries - 2, 10)
        pause = min(growing, LONGEST_PAUSE) if letter.tries > 1 else 0.0
        self._again(route, letter, pause)

    def _again(self, route: Route, letter: Letter, pause: float) -> None:
        def back() -> None:
            route.later.discard(handle)
            route.waiting.append(letter)
            self._serve(route)

        handle = asyncio.get_running_loop().call_later(pause, back)
        route.later.add(handle)


def _statuses(number: Number, events: list[tuple[Sent, str, int]]) -> bytes:
    """Write a webhook of many statuses. By hand: it is most of what the simulator writes."""
    now = int(time.time())
    contacts = ",".join(
        dict.fromkeys(sent.contact for sent, _, _ in events if sent.contact)
    )
    statuses = ",".join(_status(sent, status, code, now) for sent, status, code in events)
    return (
        '{"object":"whatsapp_business_account","entry":[{"id":"'
        f'{number.waba}","time":{now},"changes":[{{"value":{{"messaging_product":"whatsapp",'
        f'"metadata":{{"display_phone_number":"{number.display}","phone_number_id":"{number.id}"}},'
        + (f'"contacts":[{contacts}],' if contacts else "")
        + f'"statuses":[{statuses}]}},"field":"messages"}}]}}]}}'
    ).encode()


def _status(sent: Sent, status: str, code: int, now: int) -> str:
    start = (
        f'{{"id":"{sent.wamid}","status":"{status}","timestamp":"{now}",'
        f"{sent.recipient}{sent.callback}"
    )
    if status == "failed":
        return (
            f'{start},"errors":[{{"code":{code},"title":"Error {code}","message":"Error {code}",'
            f'"error_data":{{"details":"Simulated failure {code}"}},'
            '"href":"https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/"}]}'
        )
    if status == "read":
        return start + "}"
    kind = "free_customer_service" if sent.category == "service" else "regular"
    billable = "false" if sent.category == "service" else "true"
    return (
        f'{start},"pricing":{{"billable":{billable},"pricing_model":"PMP",'
        f'"type":"{kind}","category":"{sent.category}"}}}}'
    )
