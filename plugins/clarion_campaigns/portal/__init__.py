"""Campaigns on screen: list, wizard, dry run and result; their times and calendar."""

from clarion_campaigns.portal import campaigns
from clarion_campaigns.portal.overview import ready, waiting
from clarion_campaigns.portal.pages import pages
from clarion_campaigns.portal.who import of_contact

__all__ = ["campaigns", "of_contact", "pages", "ready", "waiting"]
