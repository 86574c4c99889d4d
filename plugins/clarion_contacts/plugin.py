"""Contacts: the people an account may message, and proof that it may."""

from typing import Any

from clarion.plugging import NavItem, Permission, Plugin, Setting, hookimpl

EVERYBODY = ("owner", "manager", "member")

plugin = Plugin(
    name="contacts",
    title="Contacts",
    permissions=(
        Permission("view", "See contacts", roles=EVERYBODY),
        Permission(
            "edit", "Add and change contacts, lists, fields and consent", roles=EVERYBODY
        ),
        Permission("import", "Import lists of contacts"),
        Permission("delete", "Delete contacts", sensitive=True),
        Permission("export", "Export contacts as a file", sensitive=True),
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
            "Lists",
            icon="list",
            to="contacts.lists",
            needs="view",
            keys="g l",
            section="Audience",
            order=42,
        ),
        NavItem(
            "Segments",
            icon="filter",
            to="contacts.segments",
            needs="view",
            keys="g e",
            section="Audience",
            order=43,
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
        (events.BulkStarted, jobs.run_bulk),
        (events.SnapshotRequested, jobs.write_snapshot),
    ]


@hookimpl
def register_schedule() -> list[tuple[str, str, Any]]:
    from clarion_contacts import jobs

    return [
        ("forget_uploads", "*/10 * * * *", jobs.forget_uploads),
        ("resume_imports", "* * * * *", jobs.resume_imports),
        ("forget_bulks", "*/10 * * * *", jobs.forget_bulks),
        ("resume_bulks", "* * * * *", jobs.resume_bulks),
        ("resume_snapshots", "*/5 * * * *", jobs.resume_snapshots),
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
