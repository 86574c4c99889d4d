"""Watching for misuse: counters and outcomes in, a score with its parts out, people decide."""
