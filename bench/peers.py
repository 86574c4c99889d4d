"""The customary ways: one RQ job, or one Celery task, per message.

Each message is its own job: read the row, call the provider, write the row, commit. The
same row, the same provider, a connection that is kept open. Started as a program this is
RQ's worker, the `SimpleWorker` that does not fork for every job.
"""

import http.client
import json
import os
from functools import cache
from urllib.parse import urlsplit
from uuid import UUID

from celery import Celery
from redis import Redis
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer

ACCOUNT, URL = os.environ.get("PEER_ACCOUNT", ""), os.environ.get("PEER_URL", "")
BROKER = os.environ.get("PEER_BROKER", "")
app = Celery("peers", broker=f"redis+socket://{urlsplit(BROKER).path}?virtual_host=3")
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)


def send(message_id: str) -> None:
    """Send one message, as a first version of such a program would."""
    from clarion.base import db
    from clarion.messaging.models import Message
    from clarion.tenancy.actor import COMMAND
    from clarion.tenancy.scope import account_scope

    with account_scope(UUID(ACCOUNT), COMMAND), db.transaction() as orm:
        message = orm.get_one(Message, UUID(message_id))
        answer = post(body(message.id.hex, message.address, message.variables))
        assert answer["messages"][0]["id"]
        message.state = "accepted"
        message.attempt += 1


task = app.task(name="peers.send")(send)


def body(key: str, to: str, variables: dict) -> dict:
    parameters = [
        {"type": "text", "parameter_name": name, "text": value}
        for name, value in variables.items()
    ]
    return {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": to,
        "type": "template",
        "template": {
            "name": "early_access",
            "language": {"code": "en"},
            "components": [{"type": "body", "parameters": parameters}],
        },
        "biz_opaque_callback_data": f"0123456789ab.{key}.1",
    }


def post(what: dict) -> dict:
    headers = {"Content-Type": "application/json", "Authorization": "Bearer test-token"}
    line = connection(os.getpid())
    line.request("POST", urlsplit(URL).path, json.dumps(what), headers)
    reply = line.getresponse()
    assert reply.status == 200
    return json.loads(reply.read())


@cache
def connection(_pid: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(URL).netloc, timeout=20)


# --- ringing


def queue() -> Queue:
    return Queue("peers", connection=Redis.from_url(BROKER), serializer=JSONSerializer)


def rq_ready() -> bool:
    return bool(SimpleWorker.count(queue=queue()))


def rq_ring(ids: list[str]) -> None:
    where = queue()
    prepared = [Queue.prepare_data("peers.send", args=(one,), result_ttl=0) for one in ids]
    for first in range(0, len(prepared), 500):
        where.enqueue_many(prepared[first : first + 500])


def celery_ring(ids: list[str]) -> None:
    for one in ids:
        task.delay(one)


if __name__ == "__main__":
    import peers  # noqa: F401 -- jobs are found by this name

    from clarion.boot import boot

    boot()
    SimpleWorker([queue()], serializer=JSONSerializer).work(logging_level="ERROR")
