"""Campaigns on screen: list, wizard and result; their times, approval and calendar."""

from clarion_campaigns.portal.campaigns import ready, waiting
from clarion_campaigns.portal.pages import pages

__all__ = ["pages", "ready", "waiting"]
