"""Start the simulator: `python -m clarion_whatsapp_cloud.simulator`."""

import asyncio
import gc
import signal
import sys

import uvloop

from clarion_whatsapp_cloud.simulator import settings as options
from clarion_whatsapp_cloud.simulator.control import Control
from clarion_whatsapp_cloud.simulator.fates import Rules
from clarion_whatsapp_cloud.simulator.graph import Graph
from clarion_whatsapp_cloud.simulator.page import Page
from clarion_whatsapp_cloud.simulator.receipts import Receipts
from clarion_whatsapp_cloud.simulator.server import Exchange, Handler, Request
from clarion_whatsapp_cloud.simulator.settings import Settings
from clarion_whatsapp_cloud.simulator.webhooks import Postman, Route
from clarion_whatsapp_cloud.simulator.world import Number, World


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    gc.freeze()  # nothing here makes cycles: do not look for any at every few messages
    gc.set_threshold(100_000, 20, 100)
    uvloop.run(serve(options.read(sys.argv[1:])))


async def serve(settings: Settings) -> None:
    """Listen, say where, and stay until told to stop."""
    receipts = Receipts(settings.receipts)
    postman = Postman(batch=settings.status_batch, retry_for=settings.retry_for)
    connections: set[Exchange] = set()
    handler = build(settings, receipts, postman)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Exchange(handler, connections), settings.host, settings.port, backlog=1024
    )
    port = server.sockets[0].getsockname()[1]
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    if settings.port_file:
        draft = settings.port_file.with_suffix(".part")
        draft.write_text(str(port))
        draft.replace(settings.port_file)
    print(f"simulator: http://{settings.host}:{port}/", flush=True)
    await stop.wait()
    server.close()
    for exchange in tuple(connections):
        exchange.transport.close()
    postman.close()
    receipts.close()


def build(settings: Settings, receipts: Receipts, postman: Postman) -> Handler:
    """Put the parts together; returns what answers a request."""
    world = World(settings.waba, settings.seed)
    for entry in filter(None, settings.phones.split(",")):
        id_, _, rest = entry.strip().partition("=")
        display, _, waba = rest.partition("@")
        world.numbers[id_] = Number(id_, display.lstrip("+"), waba or settings.waba)
    rules = Rules(world.random, suffixes=settings.suffix_fates)
    graph = Graph(settings, world, rules, receipts, postman)
    graph.templates.load()
    control = Control(graph, Page(receipts, world))
    if settings.callback:
        postman.default = Route(
            settings.callback, settings.app_secret, settings.verify_token
        )

    def handle(request: Request, exchange: Exchange) -> bytes | None:
        if request.path.startswith("/v"):
            return graph.handle(request, exchange)
        return control.handle(request, exchange)

    return handle


if __name__ == "__main__":
    main()
