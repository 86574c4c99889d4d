"""The portal in another language: a person's, else their account's, else the browser's."""

import pytest

from clarion.testing.visitor import Visitor

GERMAN = {"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"}


def heading(visitor, path="/contacts/", **headers):
    """Return the language a page names itself, and whether its words are German."""
    text = visitor.get(path, **headers).text
    return text.split('<html lang="')[1].split('"')[0], "Kontakte" in text


def test_a_stranger_reads_the_browsers_language(visitor):
    page = visitor.get("/sign-in", **GERMAN)

    assert '<html lang="de"' in page.text
    assert "Passwort vergessen?" in page.text
    assert "Forgot your password?" in visitor.get("/sign-in").text


def test_a_language_nobody_translated_is_english(visitor):
    page = visitor.get("/sign-in", **{"Accept-Language": "tlh,nl;q=0.9"})

    assert '<html lang="en"' in page.text
    assert "Forgot your password?" in page.text


def speak(owner, language):
    """Change the account's language."""
    owner.get("/settings/")
    fields = {"name": "Casa Verde", "country": "DE", "timezone": "Europe/Berlin"}
    assert owner.post("/settings/", **fields, language=language).status_code == 302


def test_the_accounts_language_comes_before_the_browsers(owner):
    assert heading(owner, **GERMAN) == ("en", False)

    speak(owner, "de")

    assert heading(owner) == ("de", True)


def test_a_persons_own_language_comes_first(owner):
    owner.get("/profile")
    assert owner.post("/profile", name="Marina", language="de").status_code == 302
    assert heading(owner) == ("de", True)

    speak(owner, "de")
    owner.get("/profile")
    owner.post("/profile", name="Marina", language="en")

    assert heading(owner) == ("en", False)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/", "Übersicht"),
        ("/contacts/", "Noch ist niemand hier"),
        ("/contacts/imports/new", "Ihre Liste hochladen"),
        ("/templates/", "Der Text Ihrer Nachrichten."),
        ("/campaigns/", "Eine Nachricht an viele Menschen"),
        ("/senders/", "Noch keine Nummer"),
        ("/settings/sending/", "Zeiten für Werbung"),
        ("/settings/plugins", "Die Menschen, an die ein Konto schreiben darf"),
        ("/settings/plugins/contacts", "Kontakte ansehen"),
        ("/team/", "Jemanden einladen"),
        ("/activity", "Wer in diesem Konto was getan hat."),
        ("/security/", "Wie Sie sich anmelden und wo Sie angemeldet sind."),
        ("/nowhere", "Diese Seite gibt es nicht"),
    ],
)
def test_each_room_speaks_it(owner, path, words):
    owner.get("/profile")
    owner.post("/profile", name="Marina", language="de")

    assert words in owner.get(path).text


def test_who_signs_up_gets_mail_and_account_in_their_language(address, mails, link):
    visitor = Visitor()
    visitor.get("/sign-up")
    visitor.client.post(
        "/sign-up", data={"csrf_token": visitor.token, "email": address}, headers=GERMAN
    )
    letter = mails(address)[-1]
    path = link(address)
    visitor.get(path)
    home = {"name": "Ana Lima", "password": "teal kayak at noon", "account_name": "Ana Rad"}
    answer = visitor.client.post(
        path,
        data={"csrf_token": visitor.token, **home, "country": "DE", "timezone": "UTC"},
        headers=GERMAN,
    )
    page = visitor.get("/")

    assert letter["Subject"] == "Bestätigen Sie Ihre E-Mail-Adresse"
    assert answer.status_code == 302
    assert "Willkommen bei Clarion, Ana Lima." in page.text
    assert '<html lang="de"' in page.text


def test_the_log_is_translated_too(owner):
    owner.get("/profile")
    owner.post("/profile", name="Marina", language="de")

    assert "Angemeldet" in owner.get("/activity").text
