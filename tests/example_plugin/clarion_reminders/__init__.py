"""Reminders about contacts: the plugin to copy."""
