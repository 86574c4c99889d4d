"""The page for people: what was received, as on a phone, and a form to reply."""

import time
from collections import deque
from html import escape
from typing import Any

from clarion_whatsapp_cloud.simulator.receipts import Receipts
from clarion_whatsapp_cloud.simulator.server import Request, answer, raw
from clarion_whatsapp_cloud.simulator.world import Template, World

STYLE = b"""
:root { color-scheme: light; font: 16px/1.45 system-ui, sans-serif; }
body { margin: 0; background: #e7ebe6; color: #17211b; }
header, main { max-inline-size: 72rem; margin-inline: auto; padding: 1rem; }
header p { margin: 0; color: #4b5a51; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); gap: 1rem; align-items: start; }
.phone { background: #f5efe6; border: 1px solid #cfd6cf; border-radius: 1.25rem; overflow: hidden; }
.phone h2 { margin: 0; padding: .7rem 1rem; font-size: 1rem; background: #14513f; color: #fff; }
.phone ol { list-style: none; margin: 0; padding: .75rem; display: grid; gap: .5rem; max-block-size: 26rem; overflow-y: auto; }
.bubble { background: #fff; border-radius: .75rem; padding: .5rem .7rem; max-inline-size: 88%; overflow-wrap: anywhere; white-space: pre-line; }
.mine { background: #d7f3cf; justify-self: end; }
.bubble b, .bubble small { display: block; }
.bubble small { color: #56635b; }
form { display: flex; flex-wrap: wrap; gap: .4rem; padding: .6rem .75rem; border-block-start: 1px solid #ddd6cb; }
input { flex: 1 1 8rem; min-inline-size: 0; padding: .45rem .6rem; border: 1px solid #b9c2ba; border-radius: 1rem; font: inherit; }
button { padding: .45rem .8rem; border: 1px solid #14513f; border-radius: 1rem; background: #fff; color: #14513f; font: inherit; cursor: pointer; }
.empty { grid-column: 1 / -1; padding: 2rem; text-align: center; background: #fff; border-radius: 1rem; }
"""


class Page:
    """Draws `/`. Conversations are put together from recent receipts and replies."""

    def __init__(self, receipts: Receipts, world: World) -> None:
        self._receipts, self._world = receipts, world
        self._heard: deque[tuple[float, str, str, str]] = deque(maxlen=200)

    def heard(self, sender: str, person: str, text: str) -> None:
        """Remember what a person wrote."""
        self._heard.append((time.time(), sender, person, text))

    def forget(self) -> None:
        self._heard.clear()

    def draw(self, request: Request) -> bytes:
        if request.path == "/style.css":
            return raw(200, STYLE, "text/css")
        if request.path != "/":
            return answer(404, {"error": "not found"})
        talks: dict[tuple[str, str], list[tuple[float, str]]] = {}
        for receipt in self._receipts.recent():
            key = (receipt["sender"], receipt["to"].lstrip("+"))
            talks.setdefault(key, []).append((receipt["at"], self._message(receipt)))
        for at, sender, person, text in self._heard:
            bubble = f'<li class="bubble mine">{escape(text)}</li>'
            talks.setdefault((sender, person), []).append((at, bubble))
        newest = sorted(talks.items(), key=lambda talk: -max(at for at, _ in talk[1]))
        phones = "".join(self._phone(*key, talk) for key, talk in newest[:24])
        empty = '<p class="empty">Nothing was sent yet. Send a campaign and look again.</p>'
        body = (
            '<!doctype html><html lang="en"><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<title>Simulated phones</title><link rel="stylesheet" href="/style.css">'
            "<header><h1>Simulated phones</h1><p>"
            f"{self._receipts.count} messages received. These phones are not real: nothing "
            'here leaves this computer. <a href="/">Look again</a></p></header>'
            f"<main>{phones or empty}</main></html>"
        )
        return raw(200, body.encode(), "text/html")

    def _phone(self, sender: str, person: str, talk: list[tuple[float, str]]) -> str:
        number = self._world.number(sender)
        name = person if "." in person else f"+{person}"
        field = "user_id" if "." in person else "from"
        hidden = (
            f'<input type="hidden" name="{field}" value="{escape(person)}">'
            f'<input type="hidden" name="to" value="{escape(sender)}">'
        )
        bubbles = "".join(bubble for _, bubble in sorted(talk)[-12:])
        return (
            f'<section class="phone"><h2><bdi>{escape(name)}</bdi> and '
            f"{escape(number.name)}</h2><ol>{bubbles}</ol>"
            f'<form method="post" action="/_sim/inbound">{hidden}'
            f'<input name="text" aria-label="Reply from {escape(name)}" required>'
            "<button>Reply</button></form>"
            f'<form method="post" action="/_sim/inbound">{hidden}'
            '<button name="text" value="STOP">STOP</button>'
            '<button name="text" value="START">START</button>'
            f"{self._buttons(sender, person)}</form>"
            f'<form method="post" action="/_sim/preference">{hidden}'
            '<button name="wants" value="stop">Stop marketing in WhatsApp</button>'
            '<button name="wants" value="resume">Resume</button></form>'
            f"{'' if '.' in person else self._moving(hidden, name)}</section>"
        )

    def _moving(self, hidden: str, name: str) -> str:
        return (
            f'<form method="post" action="/_sim/number">{hidden}'
            f'<input name="new" inputmode="tel" aria-label="New number of {escape(name)}"'
            ' placeholder="+55…" required><button>Move to a new number</button></form>'
        )

    def payload(self, sender: str, person: str, text: str) -> str:
        """What pressing this button says: what the sender filled in, else its label."""
        return self._quick_replies(sender, person).get(text) or text

    def _buttons(self, sender: str, person: str) -> str:
        return "".join(
            f'<button name="button" value="{escape(text)}">{escape(text)}</button>'
            for text in self._quick_replies(sender, person)
        )

    def _quick_replies(self, sender: str, person: str) -> dict[str, str]:
        """Labels and payloads of the last message this person got."""
        for receipt in reversed(self._receipts.recent()):
            if (receipt["sender"], receipt["to"].lstrip("+")) != (sender, person):
                continue
            template = self._template(receipt)
            return {
                str(button.get("text", "")): receipt["params"]
                .get(f"button{at}", {})
                .get("payload", "")
                for at, button in enumerate(template.buttons if template else [])
                if str(button.get("type", "")).upper() == "QUICK_REPLY"
            }
        return {}

    def _message(self, receipt: dict[str, Any]) -> str:
        template = self._template(receipt)
        head, text, foot = "", receipt["text"], ""
        if template is not None:
            head = template.fill("HEADER", receipt["params"].get("header", {}))
            text = template.fill("BODY", receipt["params"].get("body", {}))
            foot = str(template.part("FOOTER").get("text", ""))
        elif receipt["template"]:
            values = (v for part in receipt["params"].values() for v in part.values())
            text = f"{receipt['template']}: " + ", ".join(map(str, values))
        clock = time.strftime("%H:%M:%S", time.localtime(receipt["at"]))
        lost = "" if receipt["delivered"] else " · not delivered"
        return (
            '<li class="bubble">'
            + (f"<b>{escape(head)}</b>" if head else "")
            + escape(text)
            + (f"<small>{escape(foot)}</small>" if foot else "")
            + f"<small>{clock}{lost}</small></li>"
        )

    def _template(self, receipt: dict[str, Any]) -> Template | None:
        key = (receipt["waba"], receipt["template"], receipt["language"])
        return self._world.templates.get(key)
