"""A small application behind the server of `clarion web`: what slow clients are tried on."""

import os
import sys

from clarion.web import reading
from clarion.web.serve import Served


def app(environ, start):
    """Say what came; `/big` answers more than any buffer takes, `/memory` how much is used."""
    path = environ["PATH_INFO"]
    size = 0
    while path != "/unread" and (piece := environ["wsgi.input"].read(65536)):
        size += len(piece)
    said = f"{path} {size} {os.getpid()}".encode()
    start("200 OK", [("Content-Length", str(len(said)))])
    return [said]


class Small(Served):
    """Two threads are all there are."""

    def load(self):
        return app


if __name__ == "__main__":
    reading.SECONDS = float(sys.argv[2])
    served = Small("127.0.0.1", int(sys.argv[1]), 1)
    served.cfg.set("threads", 2)
    served.run()
