"""Access: a permission belongs to one realm, a role, and never to staff in disguise."""

from dataclasses import replace

import pytest

from clarion.base.errors import Forbidden
from clarion.plugging.manager import plugins
from clarion.tenancy import access
from clarion.tenancy.actor import COMMAND, NOBODY, SYSTEM_JOB, WEBHOOK, Actor
from clarion.tenancy.scope import account_scope, anonymous_scope, staff_scope

PORTAL = "contacts.edit"


@pytest.mark.parametrize("role", access.ROLES)
def test_roles_have_what_the_manifests_say(account, role):
    with account_scope(account.id, account.member(role)):
        for name, permission in plugins().permissions("portal").items():
            assert access.allowed(name) is (role in permission.roles), name


def test_require_refuses_in_words(account):
    with (
        account_scope(account.id, account.member("member")),
        pytest.raises(Forbidden) as no,
    ):
        access.require("portal.team")

    assert no.value.code == "not_allowed"
    assert "role" in no.value.text


@pytest.mark.parametrize("name", ["contacts.nothing", "nothing.edit", "edit", ""])
def test_unknown_permission_is_nobodys(account, name):
    assert access.allowed(name) is False


@pytest.mark.parametrize("actor", [NOBODY, Actor("person", id="1", role="owner")])
def test_without_an_account_nothing_is_allowed(database, actor):
    with anonymous_scope(actor):
        assert access.allowed(PORTAL) is False


def test_staff_have_what_their_roles_hold_and_nothing_of_customers(database):
    ada = Actor("staff", id="7", permissions=frozenset({"console.accounts"}))
    with staff_scope(ada):
        assert access.allowed("console.accounts") is True
        assert access.allowed("console.accounts_edit") is False
        assert access.allowed(PORTAL) is False


def test_console_permissions_are_nothing_to_customers(account):
    for name in plugins().permissions("console"):
        assert access.allowed(name) is False


def test_sensitive_is_refused_to_staff_acting_as_a_person(account):
    disguised = replace(account.actor, behind="staff:7 Ada")
    known = plugins().permissions("portal")
    assert any(p.sensitive for p in known.values())

    with account_scope(account.id, disguised):
        for name, permission in known.items():
            assert access.allowed(name) is not permission.sensitive, name


@pytest.mark.parametrize("actor", [SYSTEM_JOB, WEBHOOK, COMMAND])
def test_processes_are_bound_by_role_and_code(account, actor):
    with account_scope(account.id, actor):
        assert access.allowed(PORTAL) is True


def test_every_permission_has_somebody_who_may(database):
    for realm in ("portal", "console"):
        for name, permission in plugins().permissions(realm).items():
            assert permission.title, name
            assert permission.roles, name
