"""The web application behind gunicorn: processes with threads, settings from ours."""

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from clarion.base import telemetry
from clarion.base.settings import settings
from clarion.web.reading import Reader

KEEP_ALIVE_SECONDS = 30
SLOWEST_SECONDS = 120  # a process whose loop hangs longer is replaced
FAREWELL_SECONDS = 15


class Lines(Logger):  # type: ignore[misc,unused-ignore] # gunicorn has no types
    """Gunicorn's own words go the way of all logs: masked, one line each."""

    def setup(self, _cfg: Any) -> None:
        """Hand them on to the root logger."""
        conf = settings()
        telemetry.configure(level=conf.log_level, json_lines=conf.log_json)
        for log in (self.error_log, self.access_log):
            log.handlers[:], log.propagate = [], True
            log.setLevel(logging.WARNING)


class Served(BaseApplication):  # type: ignore[misc,unused-ignore] # gunicorn has no types
    """Clarion as gunicorn wants it; no configuration file, no command line."""

    def __init__(self, host: str, port: int, processes: int) -> None:
        self.options = {
            "bind": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            "workers": processes,
            "worker_class": Reader,
            "threads": settings().web_threads,
            "keepalive": KEEP_ALIVE_SECONDS,
            "timeout": SLOWEST_SECONDS,
            "graceful_timeout": FAREWELL_SECONDS,
            "control_socket_disable": True,
            "forwarded_allow_ips": "*",  # ProxyFix decides, by `proxy_count`
            "logger_class": Lines,
            "proc_name": "clarion web",
        }
        super().__init__()

    def load_config(self) -> None:
        """Take the options as they are."""
        for name, value in self.options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Make the application, in each process."""
        with unhurried():
            from clarion.web.app import create_app

            return create_app()


@contextmanager
def unhurried() -> Iterator[None]:
    """Load a program without collecting garbage: there is none, and looking costs a fifth.

    What is loaded stays for good, so later collections need not look at it either.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def serve(host: str, port: int, processes: int = 1) -> None:
    """Serve portal and console until asked to stop."""
    Served(host, port, processes).run()
