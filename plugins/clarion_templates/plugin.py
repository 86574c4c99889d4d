"""Templates: the approved wording of messages, version by version."""

from typing import Any

from clarion.plugging import NavItem, Permission, Plugin, hookimpl

plugin = Plugin(
    name="templates",
    title="Templates",
    permissions=(
        Permission("view", "See templates", roles=("owner", "manager", "member")),
        Permission("edit", "Write and delete drafts of templates"),
        Permission("submit", "Submit templates for review"),
    ),
    nav=(
        NavItem(
            "Templates",
            icon="template",
            to="templates.index",
            needs="view",
            keys="g t",
            section="Messages",
            order=30,
        ),
    ),
)


@hookimpl
def register_portal() -> list[Any]:
    """Offer the list and the editor."""
    from clarion_templates import portal

    return [portal.pages]


@hookimpl
def register_subscriptions() -> list[tuple[Any, Any]]:
    """Hand in what was submitted; ask again when the provider says something changed."""
    from clarion.messaging.events import ProviderNotice
    from clarion_templates import events, jobs

    return [(events.TemplateSubmitted, jobs.hand_in), (ProviderNotice, jobs.heard)]


@hookimpl
def register_schedule() -> list[tuple[str, str, Any]]:
    """Ask about reviews that nobody told us about."""
    from clarion_templates import jobs

    return [("review", "*/15 * * * *", jobs.sweep)]


@hookimpl
def render_slot(place: str, context: dict[str, Any]) -> str | None:
    """Say what is left to do before the first campaign, and which fields are in use."""
    if place == "ready":
        from clarion_templates import portal

        context["steps"].append(portal.ready())
    if place == "fields":
        from clarion_templates import service

        service.note_fields(context)
    return None
