"""Overview, team, numbers, settings and log: what each role sees and may do."""

import re

import pytest

from clarion.base import db
from clarion.messaging import channels
from clarion.tenancy import team
from clarion.testing.factories import make_sender
from clarion.testing.visitor import Visitor

PAGES = (
    "/",
    "/senders/",
    "/senders/connect",
    "/team/",
    "/settings/",
    "/settings/plugins",
    "/settings/sending/",
    "/activity",
    "/profile",
    "/security/",
    "/accounts",
)
CLOSED = {
    "manager": {"/settings/", "/settings/plugins", "/settings/sending/"},
    "member": {
        "/settings/",
        "/settings/plugins",
        "/settings/sending/",
        "/activity",
        "/senders/connect",
    },
}
NUMBER = {
    "transport": "whatsapp_cloud",
    "name": "Casa Verde",
    "number": "+55 11 95550-0147",
    "provider_id": "5550147",
    "waba_id": "9900",
    "access_token": "EAAtoken",
    "app_secret": "app-secret",
    "rate_per_s": "80",
}


@pytest.fixture
def as_role(account):
    """Sign in as the owner with another role in the meantime."""

    def enter(role):
        from sqlalchemy import select

        from clarion.tenancy.models import Membership

        with db.transaction() as orm:
            row = orm.scalar(select(Membership))
            row.role = role
        return Visitor(account)

    return enter


def test_strangers_see_what_clarion_is_and_get_no_session(visitor):
    page = visitor.get("/")

    assert "Be heard by the people who asked for you" in page.text
    assert "Set-Cookie" not in page.headers


@pytest.mark.parametrize("role", ["manager", "member"])
def test_a_role_opens_what_it_may_and_sees_no_door_to_the_rest(role, as_role):
    visitor = as_role(role)
    for path in PAGES:
        wanted = 403 if path in CLOSED[role] else 200
        assert visitor.get(path).status_code == wanted, path
    menu = visitor.get("/").text

    assert 'href="/settings/"' not in menu
    assert ('href="/activity"' in menu) is (role == "manager")


def test_owners_open_everything(owner):
    for path in PAGES:
        assert owner.get(path).status_code == 200, path


def test_an_empty_account_is_told_where_to_begin(owner):
    page = owner.get("/").text

    assert "Get ready" in page
    assert "Connect a number" in page
    assert "No campaign yet" in page


# --- team


def test_roles_are_changed_and_people_removed(owner, account, address, link):
    owner.get("/team/")
    owner.post("/team/invite", email=address, role="member")
    path = link(address)
    guest = Visitor()
    guest.get(path)
    guest.post(path, name="Rui Prado", password="teal kayak at noon")
    rui = next(m for m in team.listing()[0] if m.email == address)

    owner.get("/team/")
    assert owner.post(f"/team/{rui.id}/role", role="manager").status_code == 302
    assert guest.get("/activity").status_code == 200  # at once
    owner.post(f"/team/{rui.id}/role", role="member")
    assert guest.get("/activity").status_code == 403
    assert owner.post(f"/team/{rui.id}/remove").status_code == 302
    assert guest.get("/").headers["Location"] == "/accounts"
    assert "in no team at present" in guest.get("/accounts").text


def test_the_last_owner_is_told_why_not(owner):
    (me,), _ = team.listing()
    owner.get("/team/")
    answer = owner.post(f"/team/{me.id}/role", role="member")

    assert answer.status_code == 409
    assert "An account needs an owner" in answer.text


def test_an_invitation_is_withdrawn(owner, address, link):
    owner.get("/team/")
    owner.post("/team/invite", email=address, role="member")
    path = link(address)
    (offer,) = team.listing()[1]
    owner.post(f"/team/invitations/{offer.id}/withdraw")

    assert Visitor().get(path).status_code == 404


# --- numbers


def test_a_number_is_connected_and_says_where_to_report_back(owner, account):
    owner.get("/senders/connect")
    answer = owner.post("/senders/connect", **NUMBER)
    page = owner.get(answer.headers["Location"])
    (view,) = channels.listing()

    assert answer.status_code == 302
    assert view.endpoint_url in page.text
    assert "Verify token" in page.text
    assert "EAAtoken" not in page.text
    assert "app-secret" not in page.text
    assert "+55 11 95550-0147" in owner.get("/senders/").text


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("number", "call me", "number"),
        ("access_token", "", "This is needed."),
        ("rate_per_s", "many", "integer"),
        ("transport", "smoke", "choice"),
    ],
)
def test_mistakes_in_a_connection_are_named(owner, field, value, said):
    owner.get("/senders/connect")
    answer = owner.post("/senders/connect", **{**NUMBER, field: value})

    assert answer.status_code == 422
    assert said.lower() in answer.text.lower()
    assert channels.listing() == []


def test_a_number_is_connected_once(owner):
    for wanted in (302, 422):
        owner.get("/senders/connect")
        answer = owner.post("/senders/connect", **NUMBER)
        assert answer.status_code == wanted
    assert "connected already" in answer.text


def test_a_number_is_paused_and_resumed(owner, account):
    sender_id = make_sender(account)
    owner.get("/senders/")
    owner.post(f"/senders/number/{sender_id}/pause")
    assert "Somebody of your team paused it." in owner.get("/senders/").text
    owner.post(f"/senders/number/{sender_id}/resume")

    assert channels.senders()[0].state == "active"


def test_a_revoked_token_is_said_plainly_and_a_new_one_helps(owner, account):
    sender_id = make_sender(account)
    (view,) = channels.listing()
    with db.transaction():
        channels.halt(view.id, sender_id, "channel", "token_revoked")
    page = owner.get(f"/senders/{view.id}")
    assert "refuses the access token" in page.text
    assert "Nothing is sent over this connection" in page.text

    owner.post(
        f"/senders/{view.id}/secrets", access_token="EAAnew", app_secret="", verify_token=""
    )

    assert channels.listing()[0].state == "active"


def test_an_unknown_connection_does_not_exist(owner, other_account):
    make_sender(other_account)
    assert owner.get("/senders/0192f0a0-0000-7000-8000-000000000000").status_code == 404


def test_members_see_numbers_but_change_none(as_role, account):
    sender_id = make_sender(account)
    visitor = as_role("member")
    page = visitor.get("/senders/")

    assert "Pause" not in page.text
    assert visitor.post(f"/senders/number/{sender_id}/pause").status_code == 403
    assert channels.senders()[0].state == "active"


# --- settings


def test_the_account_is_renamed_and_moved(owner):
    owner.get("/settings/")
    given = {"name": "Casa Verde Foods", "country": "PT", "timezone": "Europe/Lisbon"}
    assert owner.post("/settings/", **given, language="en").status_code == 302
    page = owner.get("/settings/").text

    assert "Casa Verde Foods" in page
    assert 'data-tz="Europe/Lisbon"' in page


@pytest.mark.parametrize("field", ["country", "timezone", "language"])
def test_a_place_that_is_none_is_refused(owner, field):
    owner.get("/settings/")
    given = {"name": "X", "country": "PT", "timezone": "UTC", "language": "en", field: "??"}

    assert owner.post("/settings/", **given).status_code == 422


def test_a_plugin_is_switched_off_and_its_pages_are_gone(owner):
    owner.get("/settings/plugins")
    assert owner.post("/settings/plugins/campaigns/switch", to="off").status_code == 302

    assert owner.get("/campaigns/").status_code == 404
    assert 'href="/campaigns/"' not in owner.get("/").text
    owner.post("/settings/plugins/campaigns/switch", to="on")
    assert owner.get("/campaigns/").status_code == 200


def test_a_plugin_that_others_need_stays_on(owner):
    owner.get("/settings/plugins")
    answer = owner.post("/settings/plugins/contacts/switch", to="off")

    assert answer.status_code == 409
    assert "cannot work without it" in answer.text


def test_a_plugins_settings_are_a_form_of_its_manifest(owner):
    page = owner.get("/settings/plugins/contacts")
    assert "Country of numbers without a country code" in page.text
    owner.post(
        "/settings/plugins/contacts",
        default_country="BR",
        consent_months="0",
        confirm_hours="48",
    )

    assert 'value="BR"' in owner.get("/settings/plugins/contacts").text
    assert owner.get("/settings/plugins/nothing").status_code == 404


# --- the log


def test_deeds_are_in_the_log_with_who_did_them(owner):
    owner.get("/settings/")
    owner.post("/settings/", name="Casa Verde", country="", timezone="UTC", language="en")
    page = owner.get("/activity").text

    assert "Changed the account" in page
    assert "Signed in" in page
    assert "Marina Lopes" in page


def test_the_log_is_read_page_by_page(owner):
    from clarion.portal import service
    from clarion.tenancy import audit

    with db.transaction():
        for n in range(service.PAGE + 5):
            audit.record("portal.settings.changed", n=n)
    first = owner.get("/activity")
    (after,) = set(re.findall(r"after=([^\"&]+)", first.text))
    second = owner.get("/activity?after=" + after)

    assert first.text.count("Changed settings") == service.PAGE
    assert 0 < second.text.count("Changed settings") <= 7
    assert owner.get("/activity?after=nonsense").status_code == 422


def test_another_accounts_log_is_not_ours(owner, other_account):
    Visitor(other_account)

    assert "Loja Norte" not in owner.get("/activity?all=1").text


# --- live


def test_the_running_part_is_a_fragment_with_a_tag(owner):
    first = owner.get("/overview/live", fragment=True)
    again = owner.get("/overview/live", fragment=True, If_None_Match=first.headers["ETag"])

    assert (first.status_code, first.headers["X-Live"]) == (200, "done")
    assert "<html" not in first.text
    assert again.status_code == 304


def test_a_refusal_of_a_fragment_is_a_toast(as_role):
    visitor = as_role("member")
    answer = visitor.get("/settings/", fragment=True)

    assert answer.status_code == 403
    assert "toast" in answer.headers["HX-Trigger"]
    assert answer.text == ""


def test_machines_get_problems_as_json(owner):
    answer = owner.get("/no-such-page", Accept="application/json")

    assert answer.mimetype == "application/problem+json"
    assert answer.json["status"] == 404
