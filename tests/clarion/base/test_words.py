"""Words: translated in requests and outside, without Flask when nobody loaded it."""

import subprocess
import sys

from babel.messages import mofile
from babel.messages.catalog import Catalog

from clarion.base import words
from clarion.base.words import _, lazy, ngettext, speaking


def catalogue(folder):
    made = Catalog(locale="de")
    made.add("Hello %(name)s", "Hallo %(name)s")
    made.add(("%(num)s row", "%(num)s rows"), ("%(num)s Zeile", "%(num)s Zeilen"))
    target = folder / "de" / "LC_MESSAGES"
    target.mkdir(parents=True)
    with (target / "messages.mo").open("wb") as file:
        mofile.write_mo(file, made)


def test_sentences_stay_as_written_without_a_language():
    assert _("Hello %(name)s", name="Asha") == "Hello Asha"
    assert _("100 % sure") == "100 % sure"
    assert ngettext("%(num)s row", "%(num)s rows", 1) == "1 row"
    assert ngettext("%(num)s row", "%(num)s rows", 3) == "3 rows"


def test_jobs_speak_the_language_of_a_person(tmp_path, monkeypatch):
    catalogue(tmp_path)
    monkeypatch.setattr(words, "_folders", [])
    words.add_folder(tmp_path)
    later = lazy("Hello %(name)s", name="Asha")

    with speaking("de_AT"):
        assert _("Hello %(name)s", name="Asha") == "Hallo Asha"
        assert str(later) == "Hallo Asha"
        assert ngettext("%(num)s row", "%(num)s rows", 2) == "2 Zeilen"
    assert later == "Hello Asha"
    words._read.cache_clear()


def test_flask_is_not_imported():
    code = "import sys; from clarion.base.words import _; _('x'); print('flask' in sys.modules)"

    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert told.stdout == "False\n"
