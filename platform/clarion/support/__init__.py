"""Support access: windows, grants, the log that customers read, and their questions."""
