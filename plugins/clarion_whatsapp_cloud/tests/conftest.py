"""Fixtures: a running simulator, a place for its webhooks, and a way to send."""

import asyncio

import pytest

from clarion.base.http import Client
from clarion.messaging.contract import Message
from clarion_whatsapp_cloud.tests.kit import (
    OFFER,
    REMINDER,
    Simulator,
    channel,
    receiving,
)
from clarion_whatsapp_cloud.transport import WhatsAppCloud


@pytest.fixture(scope="session")
def _shared_simulator(tmp_path_factory):
    simulator = Simulator(tmp_path_factory.mktemp("simulator"))
    yield simulator
    simulator.stop()


@pytest.fixture
def simulator(_shared_simulator):
    _shared_simulator.ask("/_sim/reset", {"templates": True})
    _shared_simulator.ask("/_sim/templates", {"templates": [OFFER, REMINDER]})
    return _shared_simulator


@pytest.fixture
def receiver(simulator):
    with receiving() as server:
        told = simulator.ask("/_sim/callback", {"url": server.url})
        assert told["verified"] is True
        yield server
        simulator.ask("/_sim/reset", {})


@pytest.fixture
def send(simulator):
    """Send messages with the real client and transport; verdicts are raised."""

    def sending(*messages: Message, timeout: float = 10.0, **secrets):
        async def main():
            allow = (f"127.0.0.1:{simulator.port}",)
            where = channel(simulator.url, **secrets)
            async with Client(
                (), allow, connect_timeout=timeout / 2, total_timeout=timeout
            ) as http:
                return [
                    await WhatsAppCloud().send(where, message, http) for message in messages
                ]

        found = asyncio.run(main())
        return found[0] if len(messages) == 1 else found

    return sending
