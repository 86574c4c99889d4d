"""The bare client: aiohttp, as many requests in flight as our engine, and nothing else."""

import asyncio
import json
import resource
import sys
import time

import aiohttp
import uvloop

IN_FLIGHT = 400


async def main(url: str, count: int) -> None:
    left = iter(range(count))
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=512), headers={"Authorization": "Bearer x" * 2}
    ) as http:
        began = time.perf_counter()
        await asyncio.gather(*(lane(http, url, left) for _ in range(IN_FLIGHT)))
        seconds = time.perf_counter() - began
    spent = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"seconds": seconds, "cpu": spent.ru_utime + spent.ru_stime}))


async def lane(http, url, left) -> None:
    for n in left:
        async with http.post(url, json=body(n)) as reply:
            answer = await reply.json()
            assert answer["messages"][0]["id"]


def body(n: int) -> dict:
    parameter = {"type": "text", "parameter_name": "first_name", "text": "Ana"}
    return {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": f"+55118{40_000_000 + n}",
        "type": "template",
        "template": {
            "name": "early_access",
            "language": {"code": "en"},
            "components": [{"type": "body", "parameters": [parameter]}],
        },
        "biz_opaque_callback_data": f"0123456789ab.{n:032x}.1",
    }


if __name__ == "__main__":
    uvloop.run(main(f"{sys.argv[1]}/v23.0/5550147/messages", int(sys.argv[2])))
