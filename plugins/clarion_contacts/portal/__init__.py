"""The customer's pages about people, tags and lists."""

from clarion_contacts.portal import identity, imports, people
from clarion_contacts.portal.forms import pages
from clarion_contacts.portal.people import ready

__all__ = ["identity", "imports", "pages", "people", "ready"]
