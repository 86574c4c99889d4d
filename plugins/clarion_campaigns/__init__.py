"""One message to many: draft, launch, progress, results."""
