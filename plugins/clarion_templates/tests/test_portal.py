"""The list and the editor, asked like a browser asks."""

import pytest
from sqlalchemy import event

from clarion.base import db
from clarion.messaging.contract import TemplateVerdict
from clarion.tenancy.scope import account_scope
from clarion.testing.factories import make_account, make_sender
from clarion.testing.visitor import Visitor
from clarion_templates import service
from clarion_templates.rendering import Button, Content

CONTENT = Content(
    name="early_access",
    body="Hi {{first_name}}! Early access is open today.",
    footer="Reply STOP to opt out",
    buttons=(Button("url", "Shop", "https://a.example/x"),),
    samples={"first_name": "Ana"},
)
FORM = {
    "name": "early_access",
    "language": "en_US",
    "category": "marketing",
    "body": CONTENT.body,
    "footer": CONTENT.footer,
    "buttons-0-kind": "quick_reply",
    "buttons-0-text": "Stop promotions",
    "buttons-0-url": "",
    "buttons-1-kind": "",
    "buttons-1-text": "forgotten",
    "buttons-1-url": "",
    "sample-first_name": "Ana",
}


@pytest.fixture
def tenant(clean):
    return make_account()


@pytest.fixture
def visitor(tenant):
    return Visitor(tenant)


def made(tenant, content=CONTENT):
    with account_scope(tenant.id, tenant.actor), db.transaction():
        return service.create(content)


def approved(tenant):
    make_sender(tenant)
    view = made(tenant)
    with account_scope(tenant.id, tenant.actor), db.transaction():
        service.submit(view.id)
        service.judge(view.id, TemplateVerdict("77", "approved"))
    return view


def seen(tenant, view):
    with account_scope(tenant.id, tenant.actor):
        return service.get(view.id)


def test_an_empty_list_says_what_to_do(visitor):
    page = visitor.get("/templates/")

    assert page.status_code == 200
    assert "Write your first template" in page.text
    assert page.text.count("<h1") == 1


def test_a_list_costs_the_same_for_many(visitor, tenant):
    made(tenant)
    visitor.get("/templates/")
    statements = []
    event.listen(db.engine(), "before_cursor_execute", lambda *a: statements.append(a[2]))
    visitor.get("/templates/")
    one = len(statements)
    for number in range(6):
        made(tenant, Content(name=f"t_{number}", body="Hello there"))
    statements.clear()

    page = visitor.get("/templates/")

    assert "t_5" in page.text
    assert len(statements) == one


def test_a_draft_is_written_saved_and_deleted(visitor, tenant):
    answer = visitor.post("/templates/new", **FORM)
    assert answer.status_code == 302
    page = visitor.get(answer.location)
    assert "Early access is open today." in page.text
    assert 'value="Stop promotions"' in page.text

    changed = {**FORM, "body": "Hi {{first_name}}, welcome to our shop!", "revision": "1"}
    assert visitor.post(answer.location, **changed).status_code == 302
    assert "welcome to our shop!" in visitor.get(answer.location).text
    stale = visitor.post(answer.location, **changed)
    assert stale.status_code == 422
    assert "Somebody changed this draft" in stale.text

    assert visitor.post(f"{answer.location}/delete").status_code == 302
    assert visitor.get(answer.location).status_code == 404


def test_what_is_typed_wrongly_is_told_at_its_field(visitor):
    page = visitor.post("/templates/new", **{**FORM, "name": "Früh & Spät"})

    assert page.status_code == 422
    assert "small letters, digits and underscores only" in page.text
    assert 'aria-invalid="true"' in page.text
    assert CONTENT.footer in page.text


def test_the_preview_answers_while_typing(visitor):
    page = visitor.post(
        "/templates/preview", fragment=True, **{**FORM, "body": "{{first_name}} <b>x</b>"}
    )

    assert page.status_code == 200
    assert "<html" not in page.text
    assert "Ana &lt;b&gt;x&lt;/b&gt;" in page.text
    assert "may not begin with a variable" in page.text
    assert 'name="sample-first_name"' in page.text


def test_submitting_needs_a_number_and_good_words(visitor, tenant):
    view = made(tenant)
    fields = {**FORM, "revision": "1", "then": "submit"}

    refused = visitor.post(f"/templates/{view.id}", **fields)
    make_sender(tenant)
    wrong = visitor.post(f"/templates/{view.id}", **{**fields, "body": "{{first_name}}"})
    assert seen(tenant, view).state == "draft"
    good = visitor.post(f"/templates/{view.id}", **fields)

    assert (refused.status_code, wrong.status_code, good.status_code) == (422, 422, 302)
    assert "Connect a number first" in refused.text
    assert "may not begin with a variable" in wrong.text
    assert seen(tenant, view).state == "in_review"
    assert "WhatsApp is reading it" in visitor.get(f"/templates/{view.id}").text


def test_the_page_of_a_review_refreshes_itself_until_the_verdict(visitor, tenant):
    make_sender(tenant)
    view = made(tenant)
    with account_scope(tenant.id, tenant.actor), db.transaction():
        service.submit(view.id)
    waiting = visitor.get(f"/templates/{view.id}/live", fragment=True)
    with account_scope(tenant.id, tenant.actor), db.transaction():
        service.judge(view.id, TemplateVerdict("77", "approved"))

    told = visitor.get(f"/templates/{view.id}/live", fragment=True)

    assert (
        f'src="/templates/{view.id}/live"' not in visitor.get(f"/templates/{view.id}").text
    )
    assert "In review" in waiting.text
    assert "X-Live" not in waiting.headers
    assert "Approved" in told.text
    assert told.headers["X-Live"] == "done"


def test_an_approved_version_is_shown_and_continued(visitor, tenant):
    view = approved(tenant)

    page = visitor.get(f"/templates/{view.id}")
    answer = visitor.post(f"/templates/{view.id}/duplicate")

    assert "Approved" in page.text
    assert "<textarea" not in page.text
    assert answer.status_code == 302
    second = visitor.get(answer.location)
    assert "early_access · en_US · v2" in second.text
    assert visitor.post(f"/templates/{view.id}", **FORM, revision="1").status_code == 422


def test_another_accounts_template_is_not_there(tenant, visitor):
    foreign = made(make_account("Loja Norte"))

    for path in ("", "/duplicate", "/delete"):
        answer = visitor.post(f"/templates/{foreign.id}{path}", **FORM, revision="1")
        assert answer.status_code == 404
    assert visitor.get(f"/templates/{foreign.id}").status_code == 404
    assert "early_access" not in visitor.get("/templates/").text


def test_strangers_are_sent_to_the_door(clean, tenant):
    view = made(tenant)

    for path in ("/templates/", "/templates/new", f"/templates/{view.id}"):
        assert "/sign-in" in Visitor().get(path).location


@pytest.mark.parametrize(
    "query", ["?state=nonsense", "?after=nonsense", "?q=%25", "?state=draft"]
)
def test_a_strange_address_is_no_error(visitor, tenant, query):
    made(tenant)

    assert visitor.get(f"/templates/{query}").status_code == 200
