"""What browser tests share: a Chromium, or loud words about there being none; the product."""

import importlib.util
import os
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[1]
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WHY = "there is no Chromium: install it (apt install chromium) or set CLARION_CHROMIUM"
CI = os.environ.get("CI", "").lower() == "true"


def _chromium():
    spec = importlib.util.spec_from_file_location("dev_browser", TOP / "dev" / "browser.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.find()


CHROMIUM = _chromium()


PLAYWRIGHT = {"page", "browser", "playwright", "context", "new_context"}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Click last: Playwright keeps an event loop running in this thread until the end,
    and the drain, which runs one of its own, cannot start beside it."""
    items.sort(key=lambda item: bool(PLAYWRIGHT & set(getattr(item, "fixturenames", ()))))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    if CHROMIUM or item.get_closest_marker("browser") is None:
        return
    if CI:
        pytest.fail(f"{WHY}. Under CI=true that is a failure.", pytrace=False)
    pytest.skip(WHY)


def pytest_terminal_summary(terminalreporter):
    left = [r for r in terminalreporter.stats.get("skipped", []) if WHY in str(r.longrepr)]
    if left:
        terminalreporter.section("NO BROWSER", sep="!", red=True, bold=True)
        terminalreporter.line(f"{len(left)} browser tests were NOT run: {WHY}.")


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    return {**browser_type_launch_args, "executable_path": CHROMIUM, "args": ARGS}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args):
    return {
        **browser_context_args,
        "viewport": {"width": 1360, "height": 860},
        "locale": "en-US",
        "timezone_id": "UTC",
        "reduced_motion": "reduce",
    }


@pytest.fixture(scope="module")
def product(request, servers, tmp_path_factory):
    """The whole product, running; one for each module that asks."""
    from clarion.testing.product import Product

    name = f"product_{request.module.__name__.rsplit('.', 1)[-1]}"
    folder = tmp_path_factory.mktemp("product")
    folder.chmod(0o755)
    running = Product(folder, servers, name)
    try:
        running.start()
        yield running
    finally:
        running.stop()
