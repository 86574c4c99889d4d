"""Reminders: what somebody wants to be told about a contact on a certain day."""

from typing import Any

from clarion.plugging import NavItem, Permission, Plugin, Setting, hookimpl

EVERYBODY = ("owner", "manager", "member")

plugin = Plugin(
    name="reminders",
    title="Reminders",
    requires=("contacts",),
    permissions=(
        Permission("view", "See reminders", roles=EVERYBODY),
        Permission("edit", "Add reminders and tick them off", roles=EVERYBODY),
        Permission("counts", "See how many reminders wait", realm="console"),
    ),
    settings=(
        Setting(
            "hold_back",
            bool,
            True,
            "Send no marketing to people who are to be called first",
        ),
    ),
    nav=(
        NavItem(
            "Reminders", "bell", "reminders.index", "view", section="Audience", order=45
        ),
        NavItem(
            "Reminders",
            "bell",
            "RemindersCountPanel.index",
            "counts",
            section="Service",
            realm="console",
        ),
    ),
)


@hookimpl
def register_portal() -> list[Any]:
    from clarion_reminders import portal

    return [portal.pages]


@hookimpl
def register_console() -> list[Any]:
    from clarion_reminders import console

    return [console.RemindersCountPanel]


@hookimpl
def register_subscriptions() -> list[tuple[Any, Any]]:
    from clarion_contacts.events import ContactErased, ContactsMerged, ContactsParted
    from clarion_reminders import jobs

    return [
        (ContactErased, jobs.forget),
        (ContactsMerged, jobs.follow),
        (ContactsParted, jobs.go_back),
    ]


@hookimpl
def register_schedule() -> list[tuple[str, str, Any]]:
    from clarion_reminders import jobs

    return [("tell_due", "5 * * * *", jobs.tell_due)]


@hookimpl
def register_personal_data() -> Any:
    from clarion_reminders import privacy

    return privacy.PersonalData()


@hookimpl
def before_send(batch: Any) -> Any:
    from clarion_reminders import service

    return service.to_be_called_first(batch)


@hookimpl
def render_slot(place: str, context: dict[str, Any]) -> str | None:
    """Say on the overview what is due today."""
    if place != "overview":
        return None
    from clarion_reminders import portal

    return portal.due_today()
