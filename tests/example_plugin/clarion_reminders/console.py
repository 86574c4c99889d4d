"""What staff see of reminders: how many, never what."""

from typing import Any

from flask_babel import lazy_gettext

from clarion.web.screens import Panel, expose, needs
from clarion_reminders import service


class RemindersCountPanel(Panel):
    """Open and due reminders by account."""

    route_base = "/reminders"
    title = lazy_gettext("Reminders")

    @expose("/")
    @needs("reminders.counts")
    def index(self) -> Any:
        """Show the counts."""
        return self.render("reminders/counts.html", rows=service.counts())
