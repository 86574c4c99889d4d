"""What the account uses, against what its plan allows."""

from flask import render_template

from clarion.misuse import usage, wording
from clarion.web.pages import Pages, needs

pages = Pages("usage", __name__, prefix="/usage")


@pages.get("/")
@needs("portal.usage")
def index() -> str:
    """Show the plan, and how much of each of its limits is used."""
    found = usage.mine()
    return render_template(
        "portal/usage.html",
        usage=found,
        lines=[(one, *wording.quota(one.kind)) for one in found.lines],
    )
