"""The Cloud API's JSON, both ways. Pure: no network, no clock, no judgement."""

from clarion_whatsapp_cloud.wire.limits import of_number
from clarion_whatsapp_cloud.wire.replies import (
    accepted,
    business,
    find_template,
    number,
    problem,
    template_verdict,
)
from clarion_whatsapp_cloud.wire.requests import encode, encode_template
from clarion_whatsapp_cloud.wire.values import decode
from clarion_whatsapp_cloud.wire.webhooks import EPOCH, read, split

__all__ = [
    "EPOCH",
    "accepted",
    "business",
    "decode",
    "encode",
    "encode_template",
    "find_template",
    "number",
    "of_number",
    "problem",
    "read",
    "split",
    "template_verdict",
]
