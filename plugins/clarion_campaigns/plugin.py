"""Campaigns: one message to many people, watched until the last one has it."""

from typing import Any

from clarion.plugging import NavItem, Permission, Plugin, hookimpl

plugin = Plugin(
    name="campaigns",
    title="Campaigns",
    requires=("contacts", "templates"),
    permissions=(
        Permission("view", "See campaigns", roles=("owner", "manager", "member")),
        Permission("edit", "Write campaigns", roles=("owner", "manager", "member")),
        Permission("launch", "Send campaigns and let paused ones go on", sensitive=True),
        Permission(
            "approve", "Approve campaigns that somebody else submitted", sensitive=True
        ),
        Permission("stop", "Pause and stop campaigns"),
    ),
    nav=(
        NavItem(
            "Campaigns",
            icon="speakerphone",
            to="campaigns.index",
            needs="view",
            keys="g c",
            section="Messages",
            order=20,
        ),
        NavItem(
            "Calendar",
            icon="calendar-time",
            to="campaigns.calendar",
            needs="view",
            keys="g k",
            section="Messages",
            order=22,
        ),
    ),
)


@hookimpl
def register_portal() -> list[Any]:
    """Offer the list, the wizard and the page of a campaign."""
    from clarion_campaigns import portal

    return [portal.pages]


@hookimpl
def register_subscriptions() -> list[tuple[Any, Any]]:
    """Start what was launched, and close the books when nothing is left to be sent."""
    from clarion.messaging.events import CampaignFinished
    from clarion_campaigns import events, jobs

    return [(events.CampaignLaunched, jobs.start), (CampaignFinished, jobs.tally)]


@hookimpl
def register_schedule() -> list[tuple[str, str, Any]]:
    """Start what was launched while nobody heard the bell; propose follow-ups."""
    from clarion_campaigns import jobs

    return [
        ("start", "* * * * *", jobs.start_late),
        ("follow_ups", "23 * * * *", jobs.look_for_follow_ups),
    ]


@hookimpl
def render_slot(place: str, context: dict[str, Any]) -> str | None:
    """Say on the overview what waits for somebody, and what is left before the first one."""
    from clarion_campaigns import portal, service

    if place == "ready":
        context["steps"].append(portal.ready())
    if place == "segments":
        service.note_uses(context)
    return portal.waiting() if place == "notices" else None
