"""What a good programmer writes in an afternoon: asyncio, aiohttp, one INSERT per message.

No claim, no intent, no record that survives a kill: a floor to compare the price of the
promises with. Without a URL it sends nothing and only commits: the database's own limit.
"""

import asyncio
import json
import resource
import sys
import time
from contextlib import AsyncExitStack

import aiohttp
import psycopg
import uvloop
from bare import IN_FLIGHT, body

CONNECTIONS = 16
TABLE = (
    "CREATE TABLE IF NOT EXISTS plain (id bigserial PRIMARY KEY, phone text, wamid text)"
)
INSERT = "INSERT INTO plain (phone, wamid) VALUES (%s, %s)"


async def main(database: str, url: str, count: int) -> None:
    async with AsyncExitStack() as stack:
        lines: asyncio.Queue[psycopg.AsyncConnection] = asyncio.Queue()
        for _ in range(CONNECTIONS):
            line = await psycopg.AsyncConnection.connect(database, autocommit=True)
            lines.put_nowait(await stack.enter_async_context(line))
        connector = aiohttp.TCPConnector(limit=512)
        headers = {"Authorization": "Bearer test-token"}
        http = await stack.enter_async_context(
            aiohttp.ClientSession(connector=connector, headers=headers)
        )
        left, began = iter(range(count)), time.perf_counter()
        await asyncio.gather(*(lane(http, url, left, lines) for _ in range(IN_FLIGHT)))
        seconds = time.perf_counter() - began
    spent = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"seconds": seconds, "cpu": spent.ru_utime + spent.ru_stime}))


async def lane(http, url, left, lines) -> None:
    for n in left:
        what, wamid = body(n), f"none{n}"
        if url:
            async with http.post(url, json=what) as reply:
                wamid = (await reply.json())["messages"][0]["id"]
        line = await lines.get()
        await line.execute(INSERT, (what["to"], wamid))
        lines.put_nowait(line)


if __name__ == "__main__":
    where = sys.argv[2] and f"{sys.argv[2]}/v23.0/5550147/messages"
    with psycopg.connect(sys.argv[1], autocommit=True) as one:
        one.execute(TABLE)
    uvloop.run(main(sys.argv[1], where, int(sys.argv[3])))
