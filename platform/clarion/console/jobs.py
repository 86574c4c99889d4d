"""What the console does by the clock: staff are told of what nobody has open on a page."""

from clarion.base import db
from clarion.tenancy import resting
from clarion.work import mails
from clarion.work.jobs import job

MAY = "console.plugins_edit"


@job(queue="default", idempotent=True, alone=True, system=True)
def tell_of_rests() -> None:
    """Write to staff who may switch plugins off that a hook rests, or a veto fails."""
    with db.transaction():
        rests = resting.untold()
        readers = _readers() if rests else []
        for rest in rests:
            for address, name in readers:
                mails.post(
                    "veto_failing" if rest.guards else "hook_rests",
                    address,
                    name=name,
                    link=f"/console/plugins/{rest.plugin}",
                    plugin=rest.plugin,
                    hook=rest.hook,
                    why=rest.why,
                    until=f"{rest.until:%Y-%m-%d %H:%M} UTC",
                )


def _readers() -> list[tuple[str, str]]:
    """List the e-mail addresses and names of active staff who may switch plugins off."""
    from clarion.console import staffing  # brings FAB's tables, which no other job needs

    return staffing.who_may(MAY)
