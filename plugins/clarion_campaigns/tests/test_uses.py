"""A field of contacts that a campaign or a template speaks of stays, whoever made it."""

from uuid import uuid4

from clarion.base import db
from clarion_campaigns import service
from clarion_campaigns.models import Draft
from clarion_contacts import contract as contacts
from clarion_contacts import service as people
from clarion_contacts.service import uploads
from clarion_templates.rendering import Content
from clarion_templates.service import create

LIST = b"phone,plan,pet,city,size,free\n+5511912340001,gold,dog,Natal,L,x\n"


def imported(run_jobs):
    with db.transaction():
        row = contacts.upload("list.csv", LIST)
        contacts.match(row.id, {int(at): said for at, said in row.mapping.items()})
        contacts.attest(row.id, source="none")
        contacts.check(row.id)
    run_jobs()
    with db.transaction():
        contacts.start(row.id)
    run_jobs()
    return row.id


def test_undo_keeps_the_fields_of_campaigns_and_templates(shop, other_shop, run_jobs):
    import_id = imported(run_jobs)
    with db.transaction():
        rule = {"op": "field", "field": "attributes.pet", "test": "is", "value": "dog"}
        choosing = service.create("Dogs", str(uuid4()))
        db.session().get(Draft, choosing.id).segment = {"op": "and", "rules": [rule]}
    greeting = shop.draft()
    with db.transaction():
        filled = {"first_name": {"source": "attributes.plan", "fallback": "you"}}
        service.fill_variables(greeting.id, filled)
        create(Content(name="news", body="News from {{city}}!", category="marketing"))
    with other_shop.inside(), db.transaction():
        create(Content(name="news", body="Size {{size}}.", category="marketing"))

    with db.transaction():
        people.undo(import_id)
    run_jobs()

    db.session().expire_all()
    row = uploads.get(import_id)
    assert (row.state, row.result["fields"]) == ("undone", ["free", "size"])
    assert {one.key for one in people.all_fields()} == {"plan", "pet", "city"}
