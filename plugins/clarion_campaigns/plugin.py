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
        Permission(
            "export", "Download who gets a campaign and who does not", sensitive=True
        ),
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

    return [
        (events.CampaignLaunched, jobs.start),
        (CampaignFinished, jobs.tally),
        (events.CheckWanted, jobs.look_at_everybody),
        (events.ListForgotten, jobs.forget_list),
    ]


@hookimpl
def register_schedule() -> list[tuple[str, str, Any]]:
    """Start what was launched while nobody heard the bell; propose follow-ups."""
    from clarion_campaigns import jobs

    return [
        ("start", "* * * * *", jobs.start_late),
        ("follow_ups", "23 * * * *", jobs.look_for_follow_ups),
        ("forget_lists", "41 * * * *", jobs.forget_lists),
    ]


@hookimpl
def register_personal_data() -> Any:
    """Name the list of a dry run: who is in it is somebody."""
    from clarion_campaigns import privacy

    return privacy.PersonalData()


@hookimpl
def render_slot(place: str, context: dict[str, Any]) -> str | None:
    """Say what waits for somebody, what is in use, and why a person got what."""
    from clarion_campaigns import portal, service

    if place == "contact_campaigns":
        return portal.of_contact(context["contact_id"])
    if place == "ready":
        context["steps"].append(portal.ready())
    if place == "segments":
        service.note_uses(context)
    if place == "fields":
        service.note_fields(context)
    return portal.waiting() if place == "notices" else None
