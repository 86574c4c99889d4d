"""The customer's pages about people, tags and lists; and those of the people themselves."""

from clarion_contacts.portal import (
    browsing,
    bulk,
    consent,
    identity,
    imports,
    people,
    public,
    segments,
    sorting,
)
from clarion_contacts.portal.consent import notices
from clarion_contacts.portal.forms import pages
from clarion_contacts.portal.people import ready

__all__ = [
    "browsing", "bulk", "consent", "identity", "imports", "notices", "pages", "people",
    "public", "ready", "segments", "sorting",
]  # fmt: skip
