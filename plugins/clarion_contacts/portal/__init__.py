"""The customer's pages about people, tags and lists."""

from clarion_contacts.portal import browsing, bulk, imports, people, segments, sorting
from clarion_contacts.portal.forms import pages
from clarion_contacts.portal.people import ready

__all__ = [
    "browsing",
    "bulk",
    "imports",
    "pages",
    "people",
    "ready",
    "segments",
    "sorting",
]
