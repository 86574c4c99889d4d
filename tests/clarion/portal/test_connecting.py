"""Connecting a provider by its form: what is wrong is said beside the field."""

import pytest

from clarion.base import db
from clarion.messaging import channels


@pytest.fixture
def given():
    return {
        "transport": "whatsapp_cloud",
        "name": "Casa Verde",
        "provider_id": "5550147",
        "number": "+5511955500147",
        "waba_id": "9900",
        "access_token": "token",
        "app_secret": "secret",
        "rate_per_s": "80",
    }


def listed():
    with db.transaction():
        return [(one.name, len(one.senders)) for one in channels.listing()]


def test_a_second_connection_of_one_name_is_refused_beside_its_name(owner, given):
    assert owner.post("/senders/connect", **given).status_code == 302

    again = {**given, "provider_id": "5550148", "number": "+5511955500148"}
    refused = owner.post("/senders/connect", **again)

    assert refused.status_code in (409, 422)
    assert "There is a connection of this name." in refused.text
    assert "+5511955500148" in refused.text  # nothing typed is lost
    assert listed() == [("Casa Verde", 1)]


def test_a_number_is_connected_once(owner, given):
    owner.post("/senders/connect", **given)

    refused = owner.post("/senders/connect", **{**given, "name": "Another"})

    assert "This number is connected already." in refused.text
    assert listed() == [("Casa Verde", 1)]
