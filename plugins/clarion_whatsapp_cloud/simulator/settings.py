"""How the simulator is started: its command line, with the environment as default."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """Options; times in milliseconds. Secrets are better given by the environment."""

    host: str = "127.0.0.1"
    port: int = 0
    port_file: Path | None = None
    receipts: Path | None = None
    token: str = ""
    callback: str = ""
    app_secret: str = ""
    verify_token: str = ""
    waba: str = "100000000000001"
    phones: str = ""
    templates: Path | None = None
    sent_ms: float = 50.0
    delivered_ms: float = 200.0
    read_ms: float = 800.0
    read_share: float = 0.7
    status_batch: int = 500
    approve_ms: float = 300.0
    retry_for: float = 7 * 24 * 3600.0
    seed: int | None = None
    suffix_fates: bool = False
    open_window: bool = False
    any_template: bool = False


KINDS: dict[str, type] = {
    "port_file": Path,
    "receipts": Path,
    "templates": Path,
    "seed": int,
}
HELP = {
    "host": "address to listen on",
    "port": "port to listen on; 0 picks one",
    "port_file": "file to write the port to once it is open",
    "receipts": "file the receipt log is appended to; without it, memory only",
    "token": "access token that is accepted; without it, any",
    "callback": "URL webhooks go to",
    "app_secret": "secret webhooks are signed with",
    "verify_token": "token of the subscription handshake",
    "waba": "business account of numbers that are not listed",
    "phones": "id=display number[@waba], comma-separated; then others do not exist",
    "templates": "JSON file with a list of approved templates",
    "sent_ms": "milliseconds until `sent`",
    "delivered_ms": "milliseconds until `delivered`",
    "read_ms": "milliseconds until `read`",
    "read_share": "share of messages that are read",
    "status_batch": "statuses in one webhook at most",
    "approve_ms": "milliseconds until a new template is judged",
    "retry_for": "seconds a webhook is tried again",
    "seed": "seed of all chance",
    "suffix_fates": "numbers ending in 0 or 1 and an error code are refused or fail with it",
    "open_window": "allow free-form text without a message from the person before",
    "any_template": "accept templates nobody submitted, without checking their parameters",
}


def read(arguments: Sequence[str]) -> Settings:
    """Read the command line; `CLARION_SIM_<NAME>` is the default of each option."""
    parser = argparse.ArgumentParser(
        prog="clarion_whatsapp_cloud.simulator", description=__doc__
    )
    for each in fields(Settings):
        flag = "--" + each.name.replace("_", "-")
        given = os.environ.get(f"CLARION_SIM_{each.name.upper()}")
        about = HELP[each.name]
        if isinstance(each.default, bool):
            parser.add_argument(
                flag,
                action=argparse.BooleanOptionalAction,
                default=bool(given and given.lower() not in {"0", "no", "false"}),
                help=about,
            )
            continue
        kind = KINDS.get(each.name, type(each.default))
        parser.add_argument(
            flag, type=kind, default=kind(given) if given else each.default, help=about
        )
    return Settings(**vars(parser.parse_args(arguments)))
