"""Hand templates in, and ask the provider what became of them. Its webhook is the bell."""

import asyncio
import datetime as dt
from uuid import UUID

from sqlalchemy import func, select

from clarion.base import db
from clarion.base.errors import NotFound, NotSent, Unavailable
from clarion.base.telemetry import logger
from clarion.base.words import _
from clarion.messaging import channels
from clarion.messaging.contract import (
    Channel,
    Halted,
    Rejected,
    TemplateCatalogue,
    TemplateVerdict,
    Transport,
    Verdict,
)
from clarion.messaging.models import Channel as ChannelRow
from clarion.tenancy.actor import SYSTEM_JOB
from clarion.tenancy.scope import account_scope
from clarion.work.jobs import job
from clarion_templates import service
from clarion_templates.models import Template

log = logger(__name__)
FIRST_WAIT, LAST_WAIT = 2, 900
STALE = dt.timedelta(minutes=20)


@job(queue="default", idempotent=True, alone=True)
def hand_in(template_id: UUID) -> None:
    """Submit a template; a second run finds the first one's at the provider."""
    with db.transaction():
        given = service.handover(template_id)
        place = _open(given.channel_id) if given else None
    if given is None or place is None or given.provider_id is not None:
        return
    try:
        verdict = asyncio.run(_submit(*place, given))
    except Rejected as refused:
        with db.transaction():
            service.refuse(template_id, refused.detail or refused.reason)
        return
    except Halted as halted:
        log.warning("template.not_submitted", reason=halted.reason)
        with db.transaction():
            service.take_back(template_id, "connection")
        return
    except (Verdict, NotSent, TimeoutError, OSError) as error:
        raise Unavailable("provider_silent", _("The provider did not answer.")) from error
    _note(template_id, verdict, FIRST_WAIT)


@job(queue="default", idempotent=True, alone=True)
def check(template_id: UUID, wait: int = FIRST_WAIT) -> None:
    """Ask what became of a template; while it is under review, ask again, ever later."""
    with db.transaction():
        given = service.handover(template_id)
        place = _open(given.channel_id) if given else None
    if given is None or place is None:
        return
    if given.provider_id is None:
        hand_in(template_id)
        return
    try:
        verdict = asyncio.run(_ask(*place, given))
    except Exception as error:  # whatever it is, the answer is: not known yet
        raise Unavailable("provider_silent", _("The provider did not answer.")) from error
    if verdict is None:
        verdict = TemplateVerdict(given.provider_id, "disabled", "DELETED")
    _note(template_id, verdict, min(LAST_WAIT, wait * 2))


@job(queue="default", idempotent=True)
def heard(channel_id: UUID, field: str, subject: str) -> None:  # noqa: ARG001 -- the event's fields
    """Ask again: the provider said something about a template. Order does not matter."""
    if "template" in field:
        for template_id in service.of_provider(subject):
            check.later(template_id, LAST_WAIT)


@job(queue="default", idempotent=True, alone=True, system=True)
def sweep() -> None:
    """Ask about every review that has been quiet for a while."""
    quiet = select(Template.account_id, Template.id).where(
        Template.state == "in_review", Template.updated_at < func.clarion_now() - STALE
    )
    with db.transaction():
        found = [tuple(row) for row in db.session().execute(quiet)]
    for account_id, template_id in found:
        with account_scope(account_id, SYSTEM_JOB), db.transaction():
            check.later(template_id, LAST_WAIT)


def _note(template_id: UUID, verdict: TemplateVerdict, wait: int) -> None:
    with db.transaction():
        try:
            state = service.judge(template_id, verdict)
        except NotFound:
            return
        if state == "in_review" and wait < LAST_WAIT:
            check.after(dt.timedelta(seconds=wait), template_id, wait)


def _open(channel_id: UUID) -> tuple[Transport, Channel] | None:
    row = db.session().scalar(select(ChannelRow).where(ChannelRow.id == channel_id))
    transport = channels.transports().get(row.transport) if row else None
    if row is None or not isinstance(transport, TemplateCatalogue):
        return None
    return transport, channels.opened(row)


async def _submit(
    transport: Transport, channel: Channel, given: service.Handover
) -> TemplateVerdict:
    """Submit, unless an earlier run did and was cut off before it could say so."""
    assert isinstance(transport, TemplateCatalogue)  # noqa: S101 -- `_open` saw to it
    name, language = given.text.name, given.text.language
    async with channels.http_for(transport) as http:
        known = await transport.template_status(channel, name, language, http)
        if known is not None:
            return known
        return await transport.submit_template(channel, given.text, http)


async def _ask(
    transport: Transport, channel: Channel, given: service.Handover
) -> TemplateVerdict | None:
    assert isinstance(transport, TemplateCatalogue)  # noqa: S101 -- `_open` saw to it
    name, language = given.text.name, given.text.language
    async with channels.http_for(transport) as http:
        return await transport.template_status(channel, name, language, http)
