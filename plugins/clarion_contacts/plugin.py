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
        Permission("consent", "Manage sign-up forms, topics and requests of people"),
        Permission("delete", "Delete contacts", sensitive=True),
        Permission("export", "Export contacts as a file", sensitive=True),
        Permission(
            "look",
            "See an account's contacts under a grant, masked",
            realm="console",
            roles=("owner", "support", "operations", "compliance"),
        ),
        Permission(
            "reveal",
            "See one contact in the clear under a grant",
            realm="console",
            roles=("owner", "support", "compliance"),
        ),
    ),
    settings=(
        Setting(
            "default_country",
            str,
            "",
            "Country of numbers without a country code, as two letters",
        ),
        Setting(
            "consent_months",
            int,
            0,
            "Consent ends after so many months without a message either way; 0: it does not",
        ),
        Setting(
            "confirm_hours",
            int,
            48,
            "Within so many hours a sign-up must be confirmed; then it is forgotten",
        ),
        Setting(
            "import_mb",
            int,
            200,
            "Largest list that can be imported, in MB; never more than 200",
            scope="instance",
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
        NavItem(
            "Consent",
            icon="shield-check",
            to="contacts.standing",
            needs="view",
            keys="g n",
            section="Audience",
            order=44,
        ),
        NavItem(
            "Duplicates",
            icon="copy",
            to="contacts.duplicates",
            needs="view",
            keys="g d",
            section="Audience",
            order=45,
        ),
    ),
)


@hookimpl
def register_portal() -> list[Any]:
    from clarion_contacts import portal

    return [portal.pages]


@hookimpl
def register_console() -> list[Any]:
    from clarion_contacts import console

    return [console.ContactsLookPanel]


@hookimpl
def register_subscriptions() -> list[tuple[Any, Any]]:
    from clarion.messaging.events import (
        AddressResumed,
        AddressSuppressed,
        IdentityChanged,
        MessageReceived,
    )
    from clarion_contacts import events, jobs

    return [
        (AddressSuppressed, jobs.mark_opted_out),
        (AddressResumed, jobs.mark_resumed),
        (IdentityChanged, jobs.follow_number),
        (events.SearchRequested, jobs.find_duplicates),
        (events.ImportFinished, jobs.find_new_duplicates),
        (MessageReceived, jobs.hear),
        (events.ContactErased, jobs.settle_erasure),
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
        ("find_duplicates", "17 3 * * *", jobs.find_all_duplicates),
        ("forget_merges", "41 * * * *", jobs.forget_merges),
        ("seal_consents", "* * * * *", jobs.seal_consents),
        ("tend_consents", "20 2 * * *", jobs.tend_consents),
        ("expire_joinings", "*/10 * * * *", jobs.expire_joinings),
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
    from sqlalchemy import union_all

    from clarion_contacts import service

    return union_all(
        service.without_consent(batch),
        service.unproven(batch),
        service.stopped_topics(batch),
    )


@hookimpl
def register_commands() -> list[Any]:
    """Add `clarion consent`: walk the chains of consent, compare the copies."""
    import click

    @click.command("consent")
    @click.option("--account", type=click.UUID, help="Only this account.")
    @click.option("--repair", is_flag=True, help="Put right what allows too much.")
    def consent(account: Any, *, repair: bool) -> None:
        """Check consent: is every chain whole, does every copy say what its events say.

        Ends with 1 when something is wrong. The same runs every night.
        """
        from clarion_contacts import jobs

        wrong = 0
        for name, found, compared in jobs.examine(account, repair=repair):
            click.echo(
                f"{name}: {found.events} events ({found.erased} of erased people),"
                f" {found.broken or 'whole'}; {compared.contacts} contacts,"
                f" {compared.differing} differ, {compared.repaired} put right"
            )
            wrong += bool(found.broken) + (compared.differing > compared.repaired)
        raise SystemExit(1 if wrong else 0)

    return [consent]


@hookimpl
def render_slot(place: str, context: dict[str, Any]) -> str | None:
    """Say on the overview what is left to do, and what waits for somebody."""
    from clarion_contacts import portal

    if place == "ready":
        context["steps"].append(portal.ready())
    return portal.notices() if place == "notices" else None
