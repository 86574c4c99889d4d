"""Where a code or reason is explained: the address of its page, in portal and console."""

from flask import url_for
from werkzeug.routing import BuildError

from clarion.messaging import meanings

PAGES = ("codes.show", "ConsoleCodePanel.show")


def code_url(code: str, where: str = meanings.OURS) -> str:
    """Answer the address of a page that explains; "" when there is nothing to explain."""
    if not code or not meanings.there(where, code):
        return ""
    for page in PAGES:
        try:
            return url_for(page, where=where, code=code)
        except BuildError:
            continue  # the other application's
    return ""
