"""The fault lab for pytest: one account, its provider, workers to kill."""

import contextlib
import os
import signal
import sys
import threading
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from sqlalchemy import select

from clarion.base import db
from clarion.messaging import channels
from clarion.messaging.models import Channel
from clarion.tenancy import chain
from clarion.testing.simulator import Simulator

sys.path.insert(0, str(Path(__file__).parent))  # the nursery and the storm run by path
from lab import Lab, Nursery

LEASE = 3


@pytest.fixture(scope="session")
def lab_simulator(database, tmp_path_factory):
    """A provider of the lab's own: nobody reads, so that every end state is known."""
    words = ("--any-template", "--token", "test-token", "--waba", "9900")
    words += ("--read-share", "0")
    running = Simulator.start(tmp_path_factory.mktemp("provider"), *words)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def nursery(database, lab_simulator):
    env = os.environ | {
        "CLARION_DATABASE_URL": database.database_url,
        "CLARION_REDIS_URL": database.redis_url,
        "CLARION_HTTP_ALLOW": f"127.0.0.1:{lab_simulator.port}",
        "CLARION_LEASE_SECONDS": str(LEASE),
        "CLARION_LOG_LEVEL": "warning",
    }
    running = Nursery(env)
    yield running
    running.close()


@pytest.fixture
def lab(quiet_house, account, lab_simulator, nursery, tmp_path):
    """A lab with nothing sent yet; whatever still runs at the end is killed."""
    chain.seal(window=None)
    lab_simulator.post("rules", rules=[], replace=True)
    lab_simulator.post("reset", receipts=True)
    one = Lab(account, lab_simulator, nursery, tmp_path)
    yield one
    for pid in list(one.workers):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        one.ended(pid)


@pytest.fixture
def intake(lab):
    """The real webhook intake on a port of its own, where the lab's provider calls back."""
    from clarion.web.intake import intake as application

    server = make_server("127.0.0.1", 0, application, handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with db.transaction() as orm:
        channel = orm.scalar(select(Channel))
        secrets = channels.opened(channel).secrets
    url = f"http://127.0.0.1:{server.server_port}/in/whatsapp_cloud/{channel.id}"
    told = lab.simulator.post(
        "callback",
        url=url,
        app_secret=secrets["app_secret"],
        verify_token=secrets["verify_token"],
    )
    assert told["verified"]
    yield url
    server.shutdown()
    thread.join()
    server.server_close()


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_words):
        """Say nothing."""
