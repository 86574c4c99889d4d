"""What tests have a confined child do: good work, and everything it must not get away with."""

import json
import os
import resource
import sys
import time

from clarion.base.errors import Invalid
from clarion.base.words import _


def echo(given, order):
    raw = given.read()
    for part in order["parts"]:
        yield part.encode() + raw


def loaded(_raw, _order):
    yield json.dumps(sorted({name.partition(".")[0] for name in sys.modules})).encode()


def refuse(_raw, _order):
    yield b"before"
    raise Invalid("file_empty", _("This file is empty."))


def stumble(given, _order):
    yield from [b"before"]
    raise KeyError(given.read().decode())


def eat_memory(_raw, order):
    kept = []
    while True:
        kept.append(bytearray(order["at_once"]))
        yield b"x"


def spin(_raw, _order):
    yield b"first"
    while True:
        pass


def sleep(_raw, _order):
    yield str(os.getpid()).encode()
    time.sleep(600)


def endless(_raw, _order):
    yield str(os.getpid()).encode()
    while True:
        yield b"x" * 100_000


def crash(_raw, _order):
    yield b"first"
    os.kill(os.getpid(), 11)


def look_around(_raw, _order):
    print("a stray word")
    limits = {
        name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[1]
        for name in ("AS", "CPU", "FSIZE", "CORE", "NOFILE")
    }
    modules = [one for one in ("sqlalchemy", "psycopg", "flask") if one in sys.modules]
    open_files = len(os.listdir("/proc/self/fd"))
    try:
        with open("/tmp/clarion-confined-test", "wb") as file:  # noqa: S108
            file.write(b"x")
        wrote = True
    except OSError:
        wrote = False
    yield json.dumps(
        {
            "environment": sorted(os.environ),
            "limits": limits,
            "modules": modules,
            "open": open_files,
            "wrote": wrote,
            "group": os.getpgid(0) == os.getpid(),
        }
    ).encode()
