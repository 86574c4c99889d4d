"""Settings and switches of plugins, one account at a time."""

import pytest

from clarion.base import db
from clarion.base.errors import Conflict, Forbidden, Invalid, NotFound
from clarion.tenancy import preferences
from clarion.tenancy.scope import account_scope, anonymous_scope


def test_a_setting_has_its_default_until_it_is_chosen(account, other_account):
    assert preferences.value("contacts", "default_country") == ""
    with db.transaction():
        preferences.store("contacts", {"default_country": "BR"})

    assert preferences.value("contacts", "default_country") == "BR"
    with account_scope(other_account.id, other_account.actor):
        assert preferences.value("contacts", "default_country") == ""


def test_values_are_of_their_kind(account):
    with db.transaction(), pytest.raises(Invalid):
        preferences.store("contacts", {"default_country": 7})
    with db.transaction(), pytest.raises(NotFound):
        preferences.store("contacts", {"nothing": "x"})
    with pytest.raises(NotFound):
        preferences.value("no_such_plugin", "x")


def test_a_plugin_is_switched_for_one_account(account, other_account):
    assert preferences.switched_on("campaigns")
    with db.transaction():
        preferences.switch("campaigns", to=False)

    assert not preferences.switched_on("campaigns")
    with account_scope(other_account.id, other_account.actor):
        assert preferences.switched_on("campaigns")


def test_what_others_need_stays_on(account):
    with db.transaction(), pytest.raises(Conflict) as refused:
        preferences.switch("contacts", to=False)

    assert "Campaigns" in refused.value.text


def test_what_needs_others_waits_for_them(account):
    with db.transaction():
        preferences.switch("campaigns", to=False)
        preferences.switch("contacts", to=False)
    with db.transaction(), pytest.raises(Conflict):
        preferences.switch("campaigns", to=True)


def test_the_platform_itself_is_always_on(account):
    with db.transaction(), pytest.raises(Conflict):
        preferences.switch("portal", to=False)

    assert preferences.switched_on("portal")


def test_only_owners_choose(account):
    with (
        account_scope(account.id, account.member("manager")),
        db.transaction(),
        pytest.raises(Forbidden),
    ):
        preferences.switch("campaigns", to=False)


def test_nobody_has_nothing_on(clean):
    with anonymous_scope():
        assert not preferences.switched_on("campaigns")
        assert preferences.switched_on("portal")


def test_a_scope_reads_once(account):
    preferences.switched_on("campaigns")
    chosen = db.session().info["preferences"]

    preferences.value("contacts", "default_country")

    assert db.session().info["preferences"] is chosen
