"""A large file at the door: in pieces everywhere, with no connection held, sealed in order."""

import io
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from clarion.base import crypto, db
from clarion.base.errors import Invalid
from clarion.testing.factories import make_account
from clarion.testing.visitor import Visitor
from clarion_contacts import service
from clarion_contacts.importing import confined
from clarion_contacts.importing.encodings import guess_encoding
from clarion_contacts.models import Import, ImportPart
from clarion_contacts.service import uploads

ROW = "+55119{:08},Ana Lima,ana{}@example.org,{}\n"
MANY = "phone,name,e-mail,city\n" + "".join(
    ROW.format(number, number, "Recife " * 20) for number in range(20_000)
)


@pytest.fixture
def large(account, tmp_path):
    """Upload three parts and a bit, from a file."""
    path = tmp_path / "people.csv"
    path.write_text(MANY)
    with path.open("rb") as file, db.transaction():
        return service.receive("people.csv", service.look(file)).id


def parts():
    query = select(ImportPart.number, ImportPart.body).order_by(ImportPart.number)
    return [tuple(row) for row in db.session().execute(query)]


def read(import_id):
    with uploads.opened(uploads.get(import_id)) as file:
        file.seek(0)
        return file.read()


def highest_kb():
    """The most memory this process has had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def put(number, body):
    db.session().execute(
        update(ImportPart).where(ImportPart.number == number).values(body=body)
    )


def test_a_large_file_is_kept_in_parts_nobody_can_read_or_reorder(large):
    kept = parts()
    assert [number for number, _body in kept] == [0, 1, 2, 3]
    assert not any(b"Ana Lima" in body for _number, body in kept)
    assert read(large) == MANY.encode()

    put(1, kept[2][1])
    put(2, kept[1][1])
    with pytest.raises(crypto.Unreadable):
        read(large)


def test_a_file_with_its_end_cut_off_is_not_taken_for_whole(large):
    db.session().execute(delete(ImportPart).where(ImportPart.number == 3))

    with pytest.raises(crypto.Unreadable):
        read(large)


def test_no_connection_is_held_while_a_file_is_looked_at(clean, monkeypatch):
    held = []
    only = confined.only
    monkeypatch.setattr(
        confined,
        "only",
        lambda *given: held.append(db.engine().pool.checkedout()) or only(*given),
    )
    visitor = Visitor(make_account(country="BR"))
    file = (io.BytesIO(MANY.encode()), "clientes.csv")
    answer = visitor.post("/contacts/imports/new", file=file)

    assert (answer.status_code, held) == (302, [0])


def test_a_file_as_large_as_a_million_people_comes_in_with_little_memory(account, tmp_path):
    """The door took 25 MB; a list of the promised million rows has 88."""
    path = tmp_path / "people.csv"
    with path.open("w") as file:
        file.write("phone,name,e-mail,city\n")
        for number in range(1_000):
            file.write(
                "".join(ROW.format(number * 200 + n, n, "Recife " * 15) for n in range(200))
            )
    assert path.stat().st_size > 26 * 1024 * 1024
    Path("/proc/self/clear_refs").write_text("5")  # forget the highest so far
    before = highest_kb()

    with path.open("rb") as file, db.transaction():
        row = service.receive("people.csv", service.look(file))

    assert (row.row_count, row.file_size) == (200_000, path.stat().st_size)
    assert highest_kb() - before < 16 * 1024


def test_too_large_is_said_and_nothing_is_kept(account, monkeypatch):
    monkeypatch.setattr(uploads, "MAX_BYTES", 1_000)

    with pytest.raises(Invalid, match="larger than 200 MB") as refused, db.transaction():
        service.upload("people.csv", b"phone\n" + b"+5511912340001\n" * 100)

    assert refused.value.code == "file_too_large"
    assert db.session().scalar(select(Import.id)) is None


@pytest.mark.parametrize(
    ("text", "coding", "named"),
    [
        ("ção", "utf-8", "utf-8"),
        ("ção", "cp1252", "cp1252"),
        ("ção", "utf-16-le", "utf-16-le"),
    ],
)
def test_a_letter_across_two_chunks_is_one_letter(text, coding, named):
    line = f"Conceição;João;{text}\n"
    raw = (line * (3 * 1024 * 1024 // len(line.encode(coding)))).encode(coding)

    assert guess_encoding(raw).name == named
