"""An account's contacts in the console: under a grant, masked, one revealed at a time."""

from typing import Any
from uuid import UUID

from flask import redirect, request, url_for
from flask_babel import lazy_gettext

from clarion.support.entries import GrantNeeded
from clarion.web.screens import Panel, expose, needs
from clarion.web.ui import url_with
from clarion_contacts.service import looked


class ContactsLookPanel(Panel):
    """Contacts of one account, as staff may see them."""

    route_base = "/contacts"
    permission = "contacts.look"
    title = lazy_gettext("Contacts")
    content = lazy_gettext("Contacts")
    within = "ConsoleSupportPanel"

    @expose("/<uuid:account_id>/")
    @needs("contacts.look")
    def index(self, account_id: UUID) -> Any:
        """List them, masked."""
        try:
            rows, after = looked.page(account_id, _key(request.args.get("after", "")))
        except GrantNeeded:
            return _to_the_form(account_id)
        return self.render(
            "contacts/console/list.html",
            rows=rows,
            account_id=account_id,
            older=url_with(after=after) if after else "",
        )

    @expose("/<uuid:account_id>/<uuid:contact_id>")
    @needs("contacts.look")
    def show(self, account_id: UUID, contact_id: UUID) -> Any:
        """Show one, masked."""
        try:
            one = looked.one(account_id, contact_id)
        except GrantNeeded:
            return _to_the_form(account_id)
        return self._one(account_id, one, None)

    @expose("/<uuid:account_id>/<uuid:contact_id>/reveal", methods=["POST"])
    @needs("contacts.reveal")
    def reveal(self, account_id: UUID, contact_id: UUID) -> Any:
        """Show one in the clear, once; the customer reads that it was."""
        one, clear = looked.reveal(account_id, contact_id)
        return self._one(account_id, one, clear)

    def _one(self, account_id: UUID, one: looked.Masked, clear: looked.Clear | None) -> str:
        page = "contacts/console/show.html"
        return self.render(page, one=one, clear=clear, account_id=account_id)


def _to_the_form(account_id: UUID) -> Any:
    """Ask first; nothing was read."""
    return redirect(url_for("ConsoleSupportPanel.account", account_id=account_id))


def _key(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
