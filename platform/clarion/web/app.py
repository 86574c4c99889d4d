"""The web process: portal, console, providers' door and health, joined by path."""

from collections.abc import Callable, Iterable
from typing import Any

from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Response

from clarion.base import services
from clarion.base.settings import settings
from clarion.boot import boot
from clarion.web.guard import Guarded, Wsgi, known_host
from clarion.web.health import PATHS, health
from clarion.web.intake import intake

UNKNOWN_HOST = Response("This address is not known here.\n", 400, mimetype="text/plain")


class ByPath:
    """Send each request where it belongs. Paths stay whole, so links and tests see them.

    Attributes:
        portal: the customers' application.
        console: the staff's, under /console.
    """

    def __init__(self, portal: Any, console: Any, console_host: str | None = None) -> None:
        self.portal, self.console, self.console_host = portal, console, console_host

    def __call__(
        self, environ: dict[str, Any], start: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer one request."""
        path = environ.get("PATH_INFO", "")
        if path in PATHS:  # probes call by address
            return health(environ, start)
        if not known_host(environ):
            return UNKNOWN_HOST(environ, start)
        if path.startswith("/in/"):
            return intake(environ, start)
        answer: Wsgi = self.portal
        if (path == "/console" or path.startswith("/console/")) and self._here(environ):
            answer = self.console
        return answer(environ, start)

    def _here(self, environ: dict[str, Any]) -> bool:
        """Say whether the console is reachable under this host name."""
        host = environ.get("HTTP_HOST", "").partition(":")[0].lower()
        return self.console_host is None or host == self.console_host.lower()


def create_app() -> Wsgi:
    """Make the whole web application: settings, servers, plugins, two Flask apps."""
    return wrapped(joined())


def joined() -> ByPath:
    """Make both applications and join them, without what goes around them."""
    services.ensure()
    boot()
    from clarion.web.console_app import create_console
    from clarion.web.portal_app import create_portal

    return ByPath(create_portal(), create_console(), settings().console_host)


def wrapped(inner: Wsgi) -> Wsgi:
    """Put headers around everything, and believe as many proxies as the operator says."""
    app: Wsgi = Guarded(inner)
    if count := settings().proxy_count:
        app = ProxyFix(app, x_for=count, x_proto=count, x_host=count)
    return app
