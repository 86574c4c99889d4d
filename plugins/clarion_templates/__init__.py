"""Approved wording, with named variables."""
