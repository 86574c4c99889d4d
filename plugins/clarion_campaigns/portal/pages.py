"""The addresses of campaigns: where its pages are registered."""

from clarion.web.pages import Pages

pages = Pages("campaigns", "clarion_campaigns")
