"""Staff enter and remove price lists; what cannot be read changes nothing."""

from clarion.testing.console import Browser, make_role, make_staff

PAGE = "/console/prices/"


def test_a_list_is_entered_shown_and_removed(desk, web):
    assert "No price list yet" in desk.get(PAGE).text
    given = {"transport": "whatsapp_cloud", "valid_from": "2026-10-01", "currency": "eur"}
    lines = "BR; marketing; 0.0625\n*; marketing; 0.06"

    done = desk.post(f"{PAGE}enter", PAGE, **given, lines=lines)

    assert done.status_code == 302
    page = desk.get(PAGE).text
    assert all(word in page for word in ("Brazil", "0.0625", "All others", "EUR"))
    wrong = desk.post(f"{PAGE}enter", PAGE, **given, lines="BR; marketing; free")
    assert (wrong.status_code, "Line 1" in wrong.text) == (422, True)
    no_day = desk.post(f"{PAGE}enter", PAGE, **given | {"valid_from": "soon"}, lines=lines)
    assert no_day.status_code == 422
    assert "0.0625" in desk.get(PAGE).text

    reader = Browser(web).sign_in(make_staff(make_role("console.prices")))
    assert "Enter a list" not in reader.get(PAGE).text
    assert reader.post(f"{PAGE}enter", PAGE, **given, lines=lines).status_code == 403
    gone = {"transport": "whatsapp_cloud", "valid_from": "2026-10-01"}
    assert desk.post(f"{PAGE}remove", PAGE, **gone).status_code == 302
    assert desk.post(f"{PAGE}remove", PAGE, **gone).status_code == 404
    assert "No price list yet" in desk.get(PAGE).text
