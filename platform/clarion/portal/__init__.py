"""The platform's own customer pages, written as a plugin like any other."""
