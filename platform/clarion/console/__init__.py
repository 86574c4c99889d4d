"""The platform's own staff screens, written as a plugin like any other."""
