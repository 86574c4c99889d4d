"""Every kind of file, through the verbs a person's clicks call: right people or a reason."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from clarion.base import clock, db
from clarion.base.errors import Invalid
from clarion.base.settings import settings
from clarion_contacts import jobs, service
from clarion_contacts.models import Consent, Contact, Field, Import, ImportRow
from clarion_contacts.service import uploads
from clarion_contacts.tests import workbooks as made
from clarion_contacts.tests.workbooks import ods, xlsx

DATA = Path(__file__).parent / "data"
FILES = sorted(
    path
    for path in DATA.rglob("*")
    if path.suffix in (".csv", ".tsv", ".psv", ".xlsx", ".ods")
)
NOBODY = {"small": "file_header_only", "utf8bom": "file_header_only"}
HEAD = "telefone;nome\n"
ANA = ("+5511987654321", "Ana")
WIDE = ("phone", "name", *(f"x{n}" for n in range(19_998)))


def csv(*rows, sign=";", coding="utf-8"):
    return "".join(f"{sign.join(row)}\n" for row in (("telefone", "nome"), *rows)).encode(
        coding
    )


CARD = (
    "BEGIN:VCARD\nVERSION:3.0\nFN:Ana\nTEL;TYPE=CELL:+5511987654321\nEND:VCARD\n"
    "BEGIN:VCARD\nVERSION:3.0\nFN:Bob\nEND:VCARD\n"
)
RIGHT = {
    "utf-16 without a mark": (csv(("11987654321", "João"), coding="utf-16-le"), [("+5511987654321", "João")], {}),
    "windows-1252": (csv(("11987654321", "João Conceição"), ("11987654322", "José"), coding="cp1252"), [("+5511987654321", "João Conceição"), ("+5511987654322", "José")], {}),
    "gb18030": ("手机,姓名\n+8613812345678,张伟\n+8613812345679,王芳\n".encode("gb18030"), [("+8613812345678", "张伟"), ("+8613812345679", "王芳")], {}),
    "mixed encodings": (csv(ANA, ("11987654322", "José")) + "11987654323;Conceição\n".encode("cp1252"), [ANA, ("+5511987654322", "José")], {"row_encoding": 1}),
    "semicolons": (csv(ANA), [ANA], {}),
    "tabs": (csv(ANA, sign="\t"), [ANA], {}),
    "bars": (csv(ANA, sign="|"), [ANA], {}),
    "new lines in fields": (b'telefone;nome\n+5511987654321;"Ana\nMaria"\n+5511987654322;"a;b"\n', [("+5511987654321", "Ana Maria"), ("+5511987654322", "a;b")], {}),
    "duplicate headers": (b"phone,name,name\n+5511987654321,Ana,Other\n", [ANA], {}),
    "digits lost by excel": (csv(ANA, ("1,23457E+12", "Bob"), ("5.51199E+12", "Cai")), [ANA], {"phone_scientific": 2}),
    "two numbers in one cell": (csv(("11987654321 / 11987654322", "Bob"), ANA), [ANA], {"phone_two_numbers": 1}),
    "an extension": (csv(("+55 11 98765-4321 ramal 12", "Ana")), [ANA], {}),
    "arabic-indic digits": (csv(("+٥٥١١٩٨٧٦٥٤٣٢١", "Ana")), [ANA], {}),
    "full-width digits": (csv(("＋５５　１１　９８７６５－４３２１", "Ana")), [ANA], {}),
    "formulas": (csv(('"=""+5511987654321"""', "=cmd|' /C calc'!A0"), ("=1+1", "Bob")), [("+5511987654321", "=cmd|' /C calc'!A0")], {"phone_signs": 1}),
    "a workbook": (xlsx([["telefone", "nome"], [11987654321, "Ana"], ["12", "Bob"]]), [ANA], {"phone_too_short": 1}),
    "digits lost in a workbook": (xlsx([["telefone", "nome"], list(ANA), [made.cell("n", "5.5119876543212345E+16"), "Bob"]]), [ANA], {"phone_scientific": 1}),
    "an opendocument": (ods([["telefone", "nome"], [11987654321, "Ana"], ["12", "Bob"]]), [ANA], {"phone_too_short": 1}),
    "contact cards": (CARD.encode(), [ANA], {"phone_empty": 1}),
}  # fmt: skip
REFUSED = {
    "nul bytes": (csv(ANA).replace(b"Ana", b"A\0a"), "file_nul"),
    "20,000 columns": (",".join(WIDE).encode() + b"\n" + b",".join([b"1"] * 20_000) + b"\n", "file_too_many_columns"),
    "a bomb": (made.bomb(), "file_unpacks_too_large"),
    "a bomb that lies": (made.with_size(made.bomb(), "xl/worksheets/sheet1.xml", 900), "file_damaged"),
    "encrypted": (made.ole("EncryptedPackage"), "file_encrypted"),
    "macros": (xlsx([["phone"], ["1"]], **{"xl__vbaProject.bin": b"x"}), "file_macros"),
    "excel before 2007": (made.ole("Workbook"), "file_xls"),
}  # fmt: skip


def people():
    db.session().expire_all()
    query = select(Contact.phone, Contact.name).order_by(Contact.phone)
    return [tuple(one) for one in db.session().execute(query)]


def uploaded(raw, name="list.csv"):
    with db.transaction():
        return service.upload(name, raw)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_file_of_the_world_is_a_table_or_says_why_not(path, account):
    """Few have numbers; the rest waits for somebody to name the column that has."""
    if path.stem in NOBODY:
        with pytest.raises(Invalid) as refused:
            uploaded(path.read_bytes(), path.name)
        assert refused.value.code == NOBODY[path.stem]
        return

    row = uploaded(path.read_bytes(), path.name)

    view = service.describe(row.id)
    assert row.row_count > 0
    assert view.columns
    has_phone = "phone" in view.fields
    assert has_phone == (path.stem in ("location_coordinates", "characters"))
    refused = "Choose the column that has the phone numbers."
    assert view.problem == ("" if has_phone else refused)


@pytest.mark.parametrize("name", RIGHT)
def test_the_right_people_come_of_it(name, take_in, state_of):
    raw, expected, reasons = RIGHT[name]

    row = state_of(take_in(raw))

    assert (row.state, row.problem) == ("done", "")
    assert people() == expected
    assert row.counts["reasons"] == reasons
    if reasons:
        text = "".join(service.rejected_rows(row.id))
        assert text.count("\r\n") == 1 + sum(reasons.values())


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_list_is_refused_and_nothing_is_kept(name, account):
    raw, code = REFUSED[name]

    with pytest.raises(Invalid) as refused:
        uploaded(raw)

    assert refused.value.code == code
    assert db.session().scalar(select(func.count()).select_from(Import)) == 0


@pytest.mark.parametrize("make", [xlsx, ods])
def test_a_workbook_goes_all_the_way_and_back(make, take_in, state_of, run_jobs):
    raw = make(
        [["telefone", "nome", "tags"], ["11987654321", "Ana", "vip"], ["1", "x", ""]]
    )
    row = state_of(take_in(raw))
    assert people() == [ANA]

    again = state_of(take_in(raw))

    assert again.counts["states"] == {"same": 1, "invalid": 1}
    assert service.describe(again.id).earlier == row.finished_at
    lines = "".join(service.rejected_rows(row.id)).lstrip("\ufeff").splitlines()
    assert lines[0] == "telefone,nome,tags,Row,Reason"
    assert lines[1].startswith("1,x,,3,")
    with db.transaction():
        service.undo(row.id)
    run_jobs()
    assert people() == []


def test_another_sheet_can_be_chosen(account):
    raw = xlsx(
        sheets={
            "Old": [["phone", "name"], ["+5511987654321", "Ana"]],
            "New": [
                ["phone", "name"],
                ["+5511987654322", "Bob"],
                ["+5511987654323", "Cai"],
            ],
        }
    )
    row = uploaded(raw)
    assert (row.format, row.sheet, row.row_count) == ("xlsx", 1, 2)

    with db.transaction():
        service.reread(row.id, sheet=0)

    view = service.describe(row.id)
    assert (view.row.sheet, view.row.row_count) == (0, 1)
    assert view.sheets == [("Old", False), ("New", False)]
    assert dict(view.preview)["Name"] == "Ana"


@pytest.mark.parametrize(
    "raw",
    [
        b"phone;name;city\n+5511987654321;Ana\n+5511987654322;Bob;Recife\n",
        xlsx([["phone", "city"], ["+5511987654321"], ["+5511987654322", "Recife"]]),
    ],
)
def test_a_first_row_that_is_shorter_than_the_header_is_shown(raw, account):
    row = uploaded(raw)

    assert service.describe(row.id).preview


# --- the same header again


MONTHLY = "Celular;Cliente;Filial;Stop\n11987654321;Ana;Recife;x\n"
NEXT_MONTH = "Filial;stop;CLIENTE;Celular\nNatal;;Bob;11987654322\n"


def monthly(take_in, raw=MONTHLY):
    return take_in(
        raw, fields={0: "phone", 1: "name", 2: "custom:Shop", 3: ""}, country="BR"
    )


def test_the_next_list_with_this_header_goes_where_the_last_one_went(take_in, state_of):
    first = state_of(monthly(take_in))

    row = uploaded(NEXT_MONTH.encode())

    view = service.describe(row.id)
    assert row.mapping == {"0": "custom:Shop", "1": "", "2": "name", "3": "phone"}
    assert {one.state for one in view.columns if one.field} == {"last"}
    assert view.as_last.id == first.id
    assert row.country == "BR"
    said = service.answers(view.row)
    assert (said.id, said.consent_source) == (first.id, "web_form")
    assert service.wording_of(said) == "I want news from Casa Verde by WhatsApp."
    assert (row.attested_by, row.attested_at, row.consent_source) == ("", None, "")


def test_what_is_remembered_can_be_guessed_anew(take_in):
    monthly(take_in)
    row = uploaded(NEXT_MONTH.encode())

    with db.transaction():
        service.reread(row.id, fresh=True)

    view = service.describe(row.id)
    assert view.as_last is None
    assert row.mapping["0"] == "custom:Filial"
    assert service.answers(view.row).id == row.id


def test_another_header_and_another_account_remember_nothing(take_in, other_account):
    from clarion.tenancy.scope import account_scope

    monthly(take_in)

    assert uploaded(b"Celular;Cliente;Filial\n11987654322;Bob;x\n").recalled_id is None
    assert uploaded(MONTHLY.encode()).recalled_id is not None
    with account_scope(other_account.id, other_account.actor):
        assert uploaded(MONTHLY.encode()).recalled_id is None


def test_only_a_list_that_was_imported_is_remembered(take_in):
    take_in(MONTHLY, until="checked")

    assert uploaded(NEXT_MONTH.encode()).recalled_id is None


# --- fields of one's own, made in place


TYPED = (
    "phone;Plan;Points;Birthday;Member;Note\n"
    + "".join(
        f"+55119876543{n:02};{'Gold' if n % 3 else 'Silver'};{n * 10};{n + 1:02}/04/1985;"
        f"{'yes' if n % 2 else 'no'};free text {n}\n"
        for n in range(16)
    )
    + "+5511987654399;Gold;many;31/02/1985;perhaps;x\n"
)


def test_columns_become_fields_of_the_kind_their_cells_have(take_in, state_of):
    raw = TYPED.rpartition("+55")[0]

    row = state_of(take_in(raw))

    fields = {
        one.key: (one.title, one.kind, one.choices)
        for one in db.session().scalars(select(Field))
    }
    assert fields == {
        "plan": ("Plan", "choice", ["Gold", "Silver"]),
        "points": ("Points", "number", []),
        "birthday": ("Birthday", "date", []),
        "member": ("Member", "yes_no", []),
        "note": ("Note", "text", []),
    }
    one = db.session().scalar(select(Contact).where(Contact.phone == "+5511987654303"))
    assert one.attributes == {
        "plan": "Silver",
        "points": 30,
        "birthday": "1985-04-04",
        "member": True,
        "note": "free text 3",
    }
    assert row.counts["noted"] == 0


def test_a_value_that_does_not_fit_is_left_out_by_name_and_the_row_is_taken(
    take_in, state_of
):
    take_in(TYPED.rpartition("+55")[0])

    row = state_of(take_in(TYPED, fields=None))

    one = db.session().scalar(select(Contact).where(Contact.phone == "+5511987654399"))
    assert one.attributes == {"plan": "Gold", "note": "x"}
    assert row.counts["noted"] == 1
    (sample,) = service.left_out(row.id)
    assert sample.line == 18
    assert sample.sentence == (
        "Row 18, column “Points”: “many” is no number we can be sure of. "
        "Row 18, column “Birthday”: “31/02/1985” is no date. "
        "Row 18, column “Member”: “perhaps” is neither yes nor no."
    )


def test_a_kind_can_be_chosen_and_a_field_that_is_there_keeps_its_own(account, run_jobs):
    row = uploaded(b"phone;Code\n+5511987654321;12\n+5511987654322;13\n")
    assert service.describe(row.id).columns[1].kind == "number"
    fields = {0: "phone", 1: "custom:Code"}

    with db.transaction():
        service.match(row.id, fields, kinds={1: "text"})
        service.attest(row.id, source="none")
        service.check(row.id)
    run_jobs()
    with db.transaction():
        service.start(row.id)
    run_jobs()

    kinds = [(one.key, one.kind) for one in db.session().scalars(select(Field))]
    assert kinds == [("code", "text")]
    later = uploaded(b"phone;Other;code\n+5511987654321;1;12\n")
    shown = service.describe(later.id).columns[2]
    assert (shown.own_name, shown.kind, shown.settled) == ("Code", "text", True)


# --- a death at half


WORKER = """
import sys
from uuid import UUID
from clarion import boot
from clarion.tenancy.actor import SYSTEM_JOB
from clarion.tenancy.scope import account_scope
from clarion_contacts import jobs
from clarion_contacts.service import reading
from clarion.work.jobs import run
boot.boot()
reading.PAGE = 200
account, name, row = sys.argv[1:]
with account_scope(UUID(account), SYSTEM_JOB):
    payload = {"actor": SYSTEM_JOB.to_json() | {"account_id": account}, "args": {"import_id": row}}
    run(f"clarion_contacts.jobs:{name}", payload, raises=True)
"""


def worker(account, job, row):
    urls = {
        "CLARION_DATABASE_URL": settings().database_url,
        "CLARION_REDIS_URL": settings().redis_url,
    }
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(account.id), job, str(row.id)],
        env=os.environ | urls,
        start_new_session=True,
    )


def until(true, process, seconds=120):
    end = time.monotonic() + seconds
    while not (found := true()):
        assert process.poll() is None, "the worker ended before it could be killed"
        assert time.monotonic() < end
        time.sleep(0.01)
    return found


def children_of(pid):
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, check=False
    )
    return [int(one) for one in found.stdout.split()]


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def progress(row):
    with db.transaction() as orm:
        return orm.scalar(select(Import.progress).where(Import.id == row.id))


def big(count):
    rows = ([f"+5511{900_000_000 + n}", f"Person {n}"] for n in range(count))
    return xlsx([["phone", "name"], *rows])


@pytest.mark.faults
def test_a_worker_killed_at_half_of_a_check_leaves_nothing_double(
    account, run_jobs, state_of
):
    row = uploaded(big(20_000), "people.xlsx")
    with db.transaction():
        service.match(row.id, {0: "phone", 1: "name"})
        service.attest(row.id, source="none")
        service.check(row.id)

    process = worker(account, "run_check", row)
    until(lambda: 2_000 < progress(row) < 18_000, process)
    readers = children_of(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    half = progress(row)
    assert 0 < half < 20_000
    assert readers
    end = time.monotonic() + 30
    while any(map(is_running, readers)):
        assert time.monotonic() < end, "a reader outlived its worker"
        time.sleep(0.02)

    with clock.freeze():
        clock.advance(minutes=3)
        jobs.resume_imports()
    run_jobs()

    done = state_of(row.id)
    assert (done.state, done.counts["states"]) == ("checked", {"new": 20_000})
    query = select(func.count(), func.count(ImportRow.line.distinct()))
    assert tuple(db.session().execute(query).one()) == (20_000, 20_000)


@pytest.mark.faults
def test_a_worker_killed_at_half_of_an_import_leaves_all_or_nothing(
    account, run_jobs, state_of, servers
):
    row = uploaded(big(20_000), "people.xlsx")
    with db.transaction():
        service.match(row.id, {0: "phone", 1: "name"})
        service.attest(
            row.id,
            source="web_form",
            place="https://casaverde.example",
            agreed_on=clock.now().date(),
            wording="I want news from Casa Verde by WhatsApp.",
            typed_name="Marina Lopes",
        )
        service.check(row.id)
    run_jobs()
    with db.transaction():
        service.start(row.id)

    process = worker(account, "run_import", row)
    until(lambda: writing(servers), process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert people() == []

    with clock.freeze():
        clock.advance(minutes=3)
        jobs.resume_imports()
    run_jobs()

    assert state_of(row.id).state == "done"
    assert len(people()) == 20_000
    assert db.session().scalar(select(func.count()).select_from(Consent)) == 20_000


def writing(servers):
    """Whether somebody else's transaction writes contacts at this moment."""
    from sqlalchemy import create_engine

    engine = create_engine(servers.superuser_url)
    with engine.connect() as connection:
        found = connection.scalar(
            text(
                "SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
                " AND query ILIKE '%INSERT INTO contacts_contact%' AND pid <> pg_backend_pid()"
            )
        )
    engine.dispose()
    return found


def test_the_parent_never_reads_a_strangers_bytes(account, monkeypatch):
    """Upload, reading again and the refused rows go through the child, all of them."""
    from clarion_contacts.importing import opening

    def refuse(*_any, **_more):
        raise AssertionError("read in our own process")

    for module in (opening, uploads.looking):
        for name in ("open_table", "rows_of"):
            monkeypatch.setattr(module, name, refuse)

    row = uploaded(xlsx([["phone"], ["+5511987654321"]]))
    with db.transaction():
        service.reread(row.id, header=True)
    assert "".join(service.rejected_rows(row.id)).startswith("\ufeffphone,Row")
