"""Forks workers from a program that is loaded already: real processes, quickly born.

Started by path. Reads one JSON object a line on standard input and answers each with
one: `{"do": "fork", "env": {…}, "deed": […]}` → `{"pid": n}`, a worker without a deed, `{"do": "wait", "pid": n, "seconds": s}`
→ `{"code": n or null}`.
"""

import gc
import json
import os
import sys
import threading
import time


def main() -> None:
    import deeds

    from clarion import worker
    from clarion.base import broker, crash, db, settings
    from clarion.boot import boot

    boot()
    assert threading.active_count() == 1, "a thread would not survive the fork"
    gc.collect()
    gc.freeze()  # a child that looks through all this would copy it
    answer({"ready": True})
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["do"] == "wait":
            answer({"code": wait(asked["pid"], asked["seconds"])})
            continue
        pid = os.fork()
        if pid:
            answer({"pid": pid})
            continue
        log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.update(asked["env"])
        settings.settings.cache_clear()
        broker.reset()
        db.reset_engine()
        crash.forget()
        code = 1
        try:
            if "deed" in asked:
                deeds.in_account(*asked["deed"])
            else:
                worker.run(relay=True)
            code = 0
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


def wait(pid: int, seconds: float) -> int | None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    return None


def answer(said: dict) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
