"""The customer's pages about people, tags and lists."""

from clarion_contacts.portal import imports, people, segments
from clarion_contacts.portal.forms import pages
from clarion_contacts.portal.people import ready

__all__ = ["imports", "pages", "people", "ready", "segments"]
