"""Every hook: when it is called, for whom, what it returns, what it must not do."""

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from sqlalchemy import Select

hookspec = pluggy.HookspecMarker("clarion")
hookimpl = pluggy.HookimplMarker("clarion")


@hookspec
def register_portal() -> "list[Any]":
    """Add customer pages.

    When    once, while the portal application is made
    For     every loaded plugin; requests are refused where an account switched it off
    Return  a list of `clarion.web.pages.Pages`
    Must    not touch the database or a request
    Used by portal, clarion_contacts, clarion_templates, clarion_campaigns, the example plugin
    """
    raise NotImplementedError


@hookspec
def register_console() -> "list[Any]":
    """Add staff screens.

    When    once, while the console application is made
    For     every loaded plugin
    Return  a list of `Screen` or `Panel` classes
    Must    not touch the database or a request
    Used by console, clarion_contacts, the example plugin
    """
    raise NotImplementedError


@hookspec
def register_transports() -> "list[Any]":
    """Add ways to send.

    When    once, at boot of web and worker
    For     every loaded plugin
    Return  a list of classes that follow `clarion.messaging.contract.Transport`
    Must    keep no state between messages
    Used by clarion_whatsapp_cloud
    """
    raise NotImplementedError


@hookspec
def register_subscriptions() -> "list[tuple[Any, Any]]":
    """Say which events a plugin reacts to.

    When    once, at boot of web and worker
    For     every loaded plugin; the job runs for accounts that have it on
    Return  a list of (event class, job); the job takes the event's fields
    Must    be harmless when called twice and out of order
    Used by console, clarion_contacts, clarion_templates, clarion_campaigns, the example plugin
    """
    raise NotImplementedError


@hookspec
def register_schedule() -> "list[tuple[str, str, Any]]":
    """Say which jobs run by the clock.

    When    once, at boot of the relay
    For     every loaded plugin
    Return  a list of (name, cron expression in UTC, job)
    Must    be safe to run twice for one slot
    Used by console, clarion_contacts, clarion_templates, clarion_campaigns, the example plugin
    """
    raise NotImplementedError


@hookspec
def register_personal_data() -> "Any":
    """Say what the plugin keeps about people, beyond its classified columns.

    When    once, at boot
    For     every loaded plugin
    Return  an object with `tables()`: names of tables with a person in them
    Must    not touch the database
    Used by clarion_contacts, clarion_campaigns, the example plugin
    """
    raise NotImplementedError


@hookspec
def register_commands() -> "list[Any]":
    """Add command-line commands.

    When    once, when `clarion` is called with a word the core does not know
    For     every loaded plugin
    Return  a list of click commands
    Must    import heavy modules inside the command
    Used by clarion_contacts, clarion_whatsapp_cloud
    """
    raise NotImplementedError


@hookspec
def before_send(batch: Any) -> "Select[Any] | None":
    """Veto some of the messages that are about to leave.

    When    in the worker, inside the intent transaction, after its locks
    For     plugins the messages' account has switched on
    Return  a SELECT of (message id, reason) to refuse for good; `None` for no opinion
    Must    be SQL over the batch and own tables; no network, no rows fetched
    Used by clarion_contacts, the example plugin
    """
    raise NotImplementedError


@hookspec
def before_sign_in(person: Any) -> "str | None":
    """Veto a sign-in to the portal.

    When    after the password was right, before a session exists
    For     every loaded plugin (no account is chosen yet)
    Return  a sentence that says why not, or `None`
    Must    not use the network
    Used by nobody yet; made for rules of an operator's own, such as hours or networks
    """
    raise NotImplementedError


@hookspec
def render_slot(place: str, context: "dict[str, Any]") -> "str | None":
    """Draw something of one's own on a page of another.

    When    while a page is drawn; places: `overview`, `notices` (on top of the overview, for
            what waits for somebody), `contact`, `contact_campaigns` (on a contact's page,
            with `contact_id`: why they got a campaign or not), `campaign`; where one draws
            nothing: `ready`, to append steps to `context["steps"]`, `segments`, to
            append to `context["uses"]` under its id what speaks of the segments in
            `context["ids"]`, each made by `context["use"]` of name, kind, address and
            whether it holds them, and `fields`, to add to `context["used"]` those of
            `context["keys"]`, fields of contacts, that one speaks of
    For     plugins the account has switched on
    Return  markup made by a template, or `None`
    Must    take less than a second; what raises draws nothing and is logged. Where that
            happens too often, nobody calls it in that place for a quarter of an hour
    Used by clarion_contacts, clarion_templates, clarion_campaigns, the example plugin
    """
    raise NotImplementedError
