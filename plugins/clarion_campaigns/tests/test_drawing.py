"""Twenty people of the list by chance, with their message and their verdict."""

from clarion.base import db
from clarion.testing.visitor import Visitor
from clarion_campaigns import service
from clarion_contacts import contract as contacts


def look(draft):
    with db.transaction():
        service.look_at_everybody(draft.id)


def draw(draft, number=0):
    with db.transaction():
        return service.draw(draft.id, number)


def test_twenty_are_drawn_by_chance_with_what_they_read(shop):
    shop.people(22)
    shop.people(3, first=20_000_000, consent=False, name="Bea Costa")
    draft = shop.draft()
    assert draw(draft) == []  # nobody has looked yet
    look(draft)

    first, again, other = draw(draft), draw(draft), draw(draft, 1)

    assert len({one.contact_id for one in first}) == 20
    assert first == again
    assert [one.contact_id for one in first] != [one.contact_id for one in other]
    for one in (*first, *other):
        bea = one.name == "Bea Costa"
        assert one.stands == ("out" if bea else "gets")
        assert one.title == ("No consent on record" if bea else "Gets it")
        assert one.message.body.startswith(f"Hi {'Bea' if bea else 'Ana'}!")


def test_it_is_what_the_list_says_and_not_what_would_be_now(shop):
    shop.people(2)
    draft = shop.draft()
    look(draft)
    shop.people(3, first=20_000_000)

    assert len(draw(draft)) == 2


def test_the_page_is_a_click_away_and_draws_others(shop):
    (one,) = shop.people(1)
    draft = shop.draft()
    visitor = Visitor(shop.tenant)
    address = f"/campaigns/{draft.id}/who/some"
    assert "Nobody has looked yet" in visitor.get(address).text
    look(draft)
    assert f'href="{address}"' in visitor.get(f"/campaigns/{draft.id}/who").text
    assert f'href="{address}"' in visitor.get(f"/campaigns/{draft.id}/step/review").text

    page = visitor.get(address).text

    assert "Hi Ana! Early access is open today." in page
    assert "+55 11 91000-0000" in page
    assert f'href="{address}?draw=1"' in page
    with db.transaction():
        contacts.delete([one])
    assert "Deleted since" in visitor.get(f"{address}?draw=x").text
