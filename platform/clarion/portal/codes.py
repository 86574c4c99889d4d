"""What codes and reasons mean: the pages that a failed message and a stopped number lead to."""

from typing import Any

from flask import render_template, request, url_for
from flask_babel import gettext as _

from clarion.base.errors import Invalid, NotFound
from clarion.messaging import meanings
from clarion.web.pages import Pages, needs

pages = Pages("codes", __name__, prefix="/codes")
LONGEST = 200


@pages.get("/")
@needs("portal.view")
def index() -> Any:
    """List codes and reasons, or those that fit what was asked."""
    asked = request.args.get("q", "")
    if len(asked) > LONGEST:
        raise Invalid("filter_unknown", _("This is too long to search for."))
    return render_template(
        "portal/codes.html", rows=meanings.search(asked), asked=asked, to=_to
    )


@pages.get("/<where>/<code>")
@needs("portal.view")
def show(where: str, code: str) -> Any:
    """Explain one code or reason."""
    found = meanings.find(where, code)
    if found is None:
        raise NotFound("code_unknown", _("There is no such code."))
    return render_template("portal/code.html", one=found)


def _to(one: meanings.Meaning) -> str:
    return url_for(".show", where=one.where, code=one.code)
