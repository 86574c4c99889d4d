"""Verify a downloaded access log, without Clarion: python3 verify_access_log.py NEW [EARLIER]."""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any


def faults(log: Any) -> list[str]:
    """Name each place where an entry does not follow from the one before it."""
    head: str = "0" * 64
    found: list[str] = []
    for number, entry in enumerate(log["entries"], 1):
        said = {name: value for name, value in entry.items() if name != "chain"}
        text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        head = hashlib.sha256((head + text).encode()).hexdigest()
        if head != entry.get("chain"):
            found.append(f"entry {number} was changed, or something before it is missing")
            head = entry.get("chain", head)
    if head != log["head"]:
        found.append("the end was cut off")
    return found


def lost(new: Any, earlier: Any) -> list[str]:
    """Name what stood in the earlier file and does not stand there now, unchanged."""
    if new["account"] != earlier["account"]:
        return ["the two files are of different accounts"]
    found = []
    for number, entry in enumerate(earlier["entries"]):
        now = new["entries"][number] if number < len(new["entries"]) else None
        if now is None or now["chain"] != entry["chain"]:
            found.append(f"entry {number + 1} of the earlier file is not there any more")
            break
    return found


def main(words: list[str]) -> int:
    """Print what is wrong, or that nothing is; answers the exit code."""
    if len(words) not in (1, 2):
        sys.stdout.write(f"{__doc__}\n")
        return 2
    logs = [json.loads(Path(word).read_text()) for word in words]
    wrong = [fault for log in logs for fault in faults(log)]
    if len(logs) == 2:
        wrong += lost(*logs)
    for fault in wrong:
        sys.stdout.write(f"WRONG: {fault}\n")
    if not wrong:
        sys.stdout.write(
            f"{len(logs[0]['entries'])} entries, each in its place. Head: {logs[0]['head']}\n"
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
