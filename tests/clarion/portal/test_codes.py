"""Customers read what a code means, from the same table that judges their messages."""

import pytest

from clarion.testing.factories import make_account
from clarion.testing.visitor import Visitor


@pytest.fixture
def visitor(clean):
    return Visitor(make_account("Readers"))


def test_a_code_is_found_and_explained(visitor):
    found = visitor.get("/codes/?q=131049").text
    assert 'href="/codes/whatsapp_cloud/131049"' in found

    page = visitor.get("/codes/whatsapp_cloud/131049").text

    assert "Had enough marketing for now" in page
    assert "What Clarion does" in page
    assert "nothing sends it again by itself" in page
    assert "developers.facebook.com" in page


def test_a_reason_of_ours_is_explained_and_others_are_not_found(visitor):
    assert "Only staff let it go on" in visitor.get("/codes/reason/held_by_staff").text
    assert "No code fits" in visitor.get("/codes/?q=zebra").text
    assert visitor.get("/codes/reason/zebra").status_code == 404
    assert visitor.get("/codes/pigeon/1").status_code == 404
    assert visitor.get("/codes/?q=" + "a" * 201).status_code == 422
