"""Campaigns on screen: list, wizard and result; their times, approval and calendar."""

from clarion_campaigns.portal import campaigns
from clarion_campaigns.portal.overview import ready, waiting
from clarion_campaigns.portal.pages import pages

__all__ = ["campaigns", "pages", "ready", "waiting"]
