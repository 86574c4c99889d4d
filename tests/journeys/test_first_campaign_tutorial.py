"""The first-campaign tutorial, done by its own words, in a demo and a real browser."""

import importlib.util
import json
import re
import signal
import sys
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import Error

from clarion.testing.demo import Demo

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
TOP = Path(__file__).resolve().parents[2]
PAGE = TOP / "docs" / "tutorial" / "first-campaign.md"
NOT_OURS = re.compile(r"^(?!\d+\. | {2,})(?!!?\[).*\*\*", re.MULTILINE)


@pytest.fixture(scope="module")
def tutorial():
    """The reader of tutorials, which is a script beside the others in dev/."""
    place = TOP / "dev" / "tutorial.py"
    spec = importlib.util.spec_from_file_location("dev_tutorial", place)
    module = sys.modules["dev_tutorial"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def demo(home):
    running = Demo.started(home)
    try:
        yield running
    finally:
        running.end(signal.SIGINT)


def test_every_step_can_be_followed(tutorial, demo, new_context):
    page = new_context().new_page()
    reader = tutorial.Reader(page, demo.doors())
    done = 0
    for step in tutorial.steps(PAGE):
        if step.picture:
            assert step.picture.is_file(), f"{step.picture.name}: make pictures"
            continue
        try:
            reader.follow(step.text)
        except (AssertionError, ValueError, Error) as why:
            seen = page.inner_text("body")[:4_000]
            pytest.fail(f"{PAGE.name}:{step.line}: {step.text}\n{why}\n\n{seen}")
        done += 1
    assert done > 60

    # what the page says of Ana: once, and never after STOP
    got = [one["to"] for one in receipts(demo) if one["template"].startswith("open_day")]
    assert sorted(number[-4:] for number in got) == sorted(
        ["7001", *2 * ["7002"], *2 * ["7003"], *2 * ["7005"], "7062"]
    )


def receipts(demo):
    """Read who really got what."""
    with urllib.request.urlopen(f"{demo.address('WhatsApp')}_sim/receipts") as reply:
        return [json.loads(line) for line in reply.read().splitlines() if line]


def test_bold_is_always_something_that_is_tried(tutorial):
    """Outside of steps nothing is bold: nothing else on the page follows what stands there."""
    assert NOT_OURS.findall(PAGE.read_text()) == []


def test_a_sentence_that_cannot_be_followed_is_refused(tutorial):
    class NoPage:
        def set_default_timeout(self, _ms):
            pass

    reader = tutorial.Reader(NoPage(), {})
    for text in ("Click **Upload**.", "You see that it works.", "Write `x` somewhere."):
        with pytest.raises(ValueError, match=r"."):
            reader.follow(text)
