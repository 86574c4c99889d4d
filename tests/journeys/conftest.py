"""What journeys share: one home of a demo, because filling it takes a while."""

import tempfile
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def home():
    """A home for demos. Whoever comes first begins in an empty one; its data is kept."""
    from clarion.base import services

    # not pytest's own folder: every pytest run beside this one takes it away from others,
    # and the servers' user must reach it
    with tempfile.TemporaryDirectory(prefix="clarion-demo-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder / "home"
        services.remove(folder / "home")
