"""Contacts: the people an account may message, and proof that it may."""

from typing import Any

from clarion.plugging import NavItem, Permission, Plugin, Setting, hookimpl

EVERYBODY = ("owner", "manager", "member")

plugin = Plugin(
    name="contacts",
    title="Contacts",
    permissions=(
        Permission("view", "See contacts", roles=EVERYBODY),
        Permission("edit", "Add and change contacts, tags and consent", roles=EVERYBODY),
        Permission("import", "Import lists of contacts"),
        Permission("delete", "Delete contacts", sensitive=True),
    ),
    settings=(
        Setting(
            "default_country",
            str,
            "",
            "Country of numbers without a country code, as two letters",
        ),
    ),
    nav=(
        NavItem(
            "Contacts",
            icon="users",
            to="contacts.index",
            needs="view",
            keys="g o",
            section="Audience",
            order=40,
        ),
        NavItem(
            "Import",
            icon="upload",
            to="contacts.imports",
            needs="import",
            keys="g u",
            section="Audience",
            order=41,
        ),
    ),
)


@hookimpl
def register_portal() -> list[Any]:
    from clarion_contacts import portal

    return [portal.pages]


@hookimpl
def register_subscriptions() -> list[tuple[Any, Any]]:
    from clarion.messaging.events import AddressResumed, AddressSuppressed
    from clarion_contacts import events, jobs

    return [
        (AddressSuppressed, jobs.mark_opted_out),
        (AddressResumed, jobs.mark_resumed),
        (events.CheckRequested, jobs.run_check),
        (events.ImportStarted, jobs.run_import),
        (events.ImportFinished, jobs.make_searchable),
        (events.UndoRequested, jobs.run_undo),
    ]


@hookimpl
def register_schedule() -> list[tuple[str, str, Any]]:
    from clarion_contacts import jobs

    return [
        ("forget_uploads", "*/10 * * * *", jobs.forget_uploads),
        ("resume_imports", "* * * * *", jobs.resume_imports),
    ]


@hookimpl
def register_personal_data() -> Any:
    from clarion_contacts import privacy

    return privacy.PersonalData()


@hookimpl
def before_send(batch: Any) -> Any:
    from clarion_contacts import service

    return service.without_consent(batch)


@hookimpl
def render_slot(place: str, context: dict[str, Any]) -> str | None:
    """Say on the overview what is left to do before the first campaign."""
    if place == "ready":
        from clarion_contacts import portal

        context["steps"].append(portal.ready())
    return None
