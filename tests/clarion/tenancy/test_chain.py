"""The log's chains: one an account, whole under load, and whatever is done to one is named."""

import json
import subprocess
import sys
import threading
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner
from sqlalchemy import create_engine, func, select, text

from clarion.base import crypto, db
from clarion.base.settings import settings
from clarion.cli import clarion as command
from clarion.tenancy import audit, chain, verifier
from clarion.tenancy.actor import COMMAND
from clarion.tenancy.models import AuditEntry, AuditHead, AuditLink
from clarion.tenancy.scope import account_scope, system_scope
from clarion.work import heads


@pytest.fixture
def chained(account):
    """The two deeds that made the account and five more, in its chain."""
    for number in range(5):
        deed(number=number)
    assert chain.seal() >= 7
    return account


@pytest.fixture
def tamper(database, chained):
    """Do something to the tables as a superuser who switched the triggers off."""
    engine, ids = create_engine(database.superuser_url), {"c": chained.id, "f": uuid4()}

    def run(*statements):
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            for statement in statements:
                connection.execute(text(statement), ids)

    yield run
    engine.dispose()


def deed(**facts):
    with db.transaction():
        audit.record("portal.thing.done", **facts)


def walked(which, *given):
    with system_scope(COMMAND), db.transaction() as orm:
        return chain.verify(orm, which, given)


def said(which, *given):
    return [one.text for one in walked(which, *given).found]


def signed(which):
    """Sign the head of a chain as the daily job does; returns it as it was mailed."""
    with system_scope(COMMAND), db.transaction() as orm:
        head = chain.sign(orm, which)
    return verifier.heads(head.text())[0]


# --- whole


def test_untouched_chain_is_whole(chained):
    head = signed(chained.id)

    report = walked(chained.id, head)

    assert (report.length, report.found, report.digest) == (7, [], head.digest)


def test_sealing_again_adds_nothing(chained):
    chain.seal()
    chain.seal(window=None)

    assert walked(chained.id).length == 7


def test_a_backlog_is_sealed_part_by_part(account, monkeypatch):
    chain.seal(window=None)
    monkeypatch.setattr(chain, "SEALED_AT_ONCE", 3)
    for number in range(7):
        deed(number=number)

    assert [chain.seal_some() for _part in range(4)] == [3, 3, 1, 0]
    assert said(account.id) == []


def test_two_hundred_writers_make_one_chain(account):
    """AUD-02: they write at the same time, while three seal: no fork, no gap, none twice."""
    chain.seal(window=None)
    before = walked(account.id).length
    stop, errors = threading.Event(), []

    def safely(act):
        try:
            act()
        except Exception as error:
            errors.append(error)

    def sealing():
        while not stop.is_set():
            chain.seal()

    def writing():
        with account_scope(account.id, account.actor), db.transaction():
            audit.record("portal.thing.done")

    sealers = [threading.Thread(target=safely, args=(sealing,)) for _ in range(3)]
    writers = [threading.Thread(target=safely, args=(writing,)) for _ in range(200)]
    for one in (*sealers, *writers):
        one.start()
    for one in writers:
        one.join()
    stop.set()
    for one in sealers:
        one.join()
    chain.seal()

    report = walked(account.id)
    assert (errors, report.found, report.length) == ([], [], before + 200)


def test_deeds_of_no_account_have_a_chain_of_their_own(clean):
    with system_scope(COMMAND):
        deed()
    chain.seal()

    report = walked(crypto.PLATFORM)

    assert report.found == []
    assert report.length >= 1


def test_it_holds_when_the_accounts_key_is_destroyed(chained):
    """AUD-03: an entry has nothing in it that the account's key opens."""
    crypto.index_key(chained.id)
    key = Path(settings().key_store) / f"{chained.id}.key"
    head, kept = signed(chained.id), key.read_bytes()
    key.unlink()
    crypto.forget_keys()
    try:
        assert said(chained.id, head) == []
        assert not key.exists()
    finally:
        key.write_bytes(kept)
        crypto.forget_keys()


# --- done as the database's owner: AUD-01

THIRD = "(SELECT entry_id FROM audit_link WHERE chain = :c AND seq = 3)"
AFTER_THIRD = (
    (
        "DELETE FROM audit_entry WHERE id IN"
        " (SELECT entry_id FROM audit_link WHERE chain = :c AND seq > 3)"
    ),
    "DELETE FROM audit_link WHERE chain = :c AND seq > 3",
)
CLOSED_UP = (  # the numbers have no hole any more
    "UPDATE audit_link SET seq = seq + 100 WHERE chain = :c AND seq > 3",
    "UPDATE audit_link SET seq = seq - 101 WHERE chain = :c AND seq > 100",
)
FORGED = (
    "INSERT INTO audit_entry (id, account_id, at, name, actor, actor_name, address,"
    " request_id, changes, mac) SELECT CAST(:f AS uuid), account_id,"
    " at, name, actor, actor_name, address, request_id, changes, mac"
    f" FROM audit_entry WHERE id = {THIRD}"
)
DONE = {
    "deleted": (
        [f"DELETE FROM audit_entry WHERE id = {THIRD}"],
        ["entry 3 was deleted"],
    ),
    "deleted with its link": (
        [
            f"DELETE FROM audit_entry WHERE id = {THIRD}",
            "DELETE FROM audit_link WHERE chain = :c AND seq = 3",
        ],
        ["entry 3 was deleted"],
    ),
    "deleted, and the rest renumbered": (
        [
            f"DELETE FROM audit_entry WHERE id = {THIRD}",
            "DELETE FROM audit_link WHERE chain = :c AND seq = 3",
            *CLOSED_UP,
        ],
        ["1 entry before entry 3 was deleted, and what follows was renumbered"],
    ),
    "inserted": (
        [
            "UPDATE audit_link SET seq = seq + 101 WHERE chain = :c AND seq > 2",
            "UPDATE audit_link SET seq = seq - 100 WHERE chain = :c AND seq > 100",
            FORGED.replace("seq = 3", "seq = 4"),
            (
                "INSERT INTO audit_link (chain, seq, entry_id, hash) VALUES"
                " (:c, 3, CAST(:f AS uuid), sha256('x'))"
            ),
        ],
        ["entry 3 was inserted"],
    ),
    "moved": (
        [
            "UPDATE audit_link SET seq = seq + 100 WHERE chain = :c AND seq IN (3, 4)",
            (
                "UPDATE audit_link SET seq = CASE seq WHEN 104 THEN 3 ELSE 4 END"
                " WHERE chain = :c AND seq > 100"
            ),
        ],
        ["entries 3 to 4 are not where they were"],
    ),
    "put in another's place": (
        [
            "DELETE FROM audit_link WHERE chain = :c AND seq = 4",
            "UPDATE audit_link SET seq = 4 WHERE chain = :c AND seq = 5",
        ],
        ["entry 4 is not where it was", "entry 5 was deleted"],
    ),
}


@pytest.mark.parametrize("name", DONE)
def test_what_was_done_is_named(tamper, chained, name):
    statements, found = DONE[name]
    tamper(*statements)

    assert said(chained.id) == found


@pytest.mark.parametrize(
    "change",
    [
        "changes = '{}'", "actor_name = 'Somebody else'", "at = at + interval '1 s'",
        "name = 'portal.other.done'", "behind = 'staff:7'", "row = 'account:1'",
        "request_id = 'req_2'", "account_id = NULL", "mac = sha256('x')",
    ],
)  # fmt: skip
def test_changed_entry_is_found(tamper, chained, change):
    tamper(f"UPDATE audit_entry SET {change} WHERE id = {THIRD}")

    assert said(chained.id) == ["entry 3 was changed"]


def test_an_entry_that_clarion_did_not_write_is_sealed_as_that(tamper, chained):
    tamper(FORGED)
    chain.seal(window=None)
    deed()
    chain.seal()

    assert said(chained.id) == ["entry 8 was inserted"]


def test_cut_tail_is_found_by_the_heads_beside_it(tamper, chained):
    signed(chained.id)
    tamper(*AFTER_THIRD)

    assert said(chained.id) == ["what came after entry 3 was cut off"]


def test_an_older_copy_is_found_by_a_mailed_head_only(tamper, chained):
    """The database, put back to yesterday: nothing in it knows of today."""
    head = signed(chained.id)
    tamper(*AFTER_THIRD, "DELETE FROM audit_head WHERE chain = :c")

    assert said(chained.id) == []
    assert said(chained.id, head) == [
        "an older copy was put back: it ends with entry 3, and entry 7 was known"
    ]


def test_a_chain_written_anew_is_found_by_a_mailed_head(tamper, chained):
    head = signed(chained.id)
    tamper(
        f"DELETE FROM audit_entry WHERE id = {THIRD}",
        "DELETE FROM audit_link WHERE chain = :c",
        "DELETE FROM audit_head WHERE chain = :c",
    )
    chain.seal(window=None)
    deed()
    chain.seal()

    assert said(chained.id) == []
    [found] = walked(chained.id, head).found
    assert (found.kind, found.seq) == ("rolled back", 7)


def test_a_forged_head_is_named(tamper, chained):
    signed(chained.id)
    tamper("UPDATE audit_head SET seq = 9 WHERE chain = :c")

    assert said(chained.id) == ["the head of entry 9 is not one that this Clarion signed"]


# --- heads


def test_heads_are_signed_daily_and_mailed_to_owners(chained, mails, run_jobs, monkeypatch):
    grown = chain.grown  # of the thousands of accounts of other tests only this one's
    monkeypatch.setattr(chain, "grown", lambda: [i for i in grown() if i == chained.id])
    for _day in range(2):  # on the second nothing was added
        with system_scope(COMMAND):
            heads.sign_all()
        run_jobs()

    with system_scope(COMMAND), db.transaction() as orm:
        count = select(func.count()).where(AuditHead.chain == chained.id)
        assert orm.scalar(count) == 1
    [mail] = [one for one in mails(chained.email) if "head of your log" in one["subject"]]
    [head] = verifier.heads(mail.get_content())
    assert (head.chain, head.genuine()) == (chained.id, True)
    assert said(chained.id, head) == []


def test_what_was_changed_is_not_signed(tamper, chained):
    signed(chained.id)
    deed()
    chain.seal()
    tamper(
        "UPDATE audit_entry SET name = 'portal.other.done' WHERE id ="
        " (SELECT entry_id FROM audit_link WHERE chain = :c AND seq = 8)"
    )

    with system_scope(COMMAND), db.transaction() as orm:
        assert chain.sign(orm, chained.id) is None


def test_the_command_names_it_and_takes_a_mail(tamper, chained, tmp_path):
    head = signed(chained.id)
    mail = tmp_path / "mail.txt"
    mail.write_text("> " + head.text().replace("\n", "\n> "))
    which = ["audit", "verify", "--account", str(chained.id)]

    whole = CliRunner().invoke(command, [*which, "--head", str(mail)])
    tamper(*AFTER_THIRD, "DELETE FROM audit_head WHERE chain = :c")
    cut = CliRunner().invoke(command, [*which, "--head", "-"], input=mail.read_text())

    assert (whole.exit_code, cut.exit_code) == (0, 1)
    assert "Every chain is whole" in whole.output
    assert "✗ rolled back: an older copy was put back" in cut.output


# --- the verifier that runs without Clarion: AUD-05


@pytest.fixture
def file(chained, tmp_path):
    """A downloaded log, and the program beside it."""
    head = signed(chained.id)
    (tmp_path / "mail.txt").write_text(head.text())
    log = tmp_path / "log.jsonl"
    log.write_text("".join(chain.written(chained.id, "Casa Verde")))
    (tmp_path / "clarion_verify.py").write_bytes(Path(verifier.__file__).read_bytes())
    return log


def alone(file, *arguments):
    """Run the program in an interpreter that knows no other package."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "clarion_verify.py", file.name, *arguments],
        cwd=file.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert not done.stderr
    return done.returncode, done.stdout


def swap(rows, one, other):
    rows[one]["entry"], rows[other]["entry"] = rows[other]["entry"], rows[one]["entry"]


EDITS = {  # rows: header, head, entries 1 to 7, end
    "changed": (lambda r: r[4]["entry"].update(actor_name="X"), "entry 3 was changed"),
    "deleted": (lambda r: r.pop(4), "entry 3 was deleted"),
    "moved": (lambda r: swap(r, 4, 5), "entries 3 to 4 are not where they were"),
    "out of order": (lambda r: r.insert(5, r.pop(4)), "is not where it was"),
    "cut": (lambda r: r.__delitem__(slice(6, 9)), "what came after entry 4 was cut off"),
    "no end": (lambda r: r.pop(), "what came after entry 7 was cut off"),
    "forged head": (
        lambda r: r[1]["head"].update(entries=9),
        "the head of entry 9 is not genuine",
    ),
}


def test_a_downloaded_log_verifies_without_clarion(file):
    status, words = alone(file, "mail.txt")

    assert status == 0
    assert "7 entries; 1 heads of yours.\n✓ Whole" in words


@pytest.mark.parametrize("name", EDITS)
def test_the_program_names_what_was_done_to_the_file(file, name):
    edit, found = EDITS[name]
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    edit(rows)

    _length, said = verifier.check(map(json.dumps, rows))

    assert found in "; ".join(one.text for one in said)


def test_a_file_written_anew_is_found_by_the_mailed_head(file, chained, tamper):
    """Whoever runs Clarion has its keys, and can write another log; not another mail."""
    tamper(
        f"UPDATE audit_entry SET actor_name = 'X' WHERE id = {THIRD}",
        "DELETE FROM audit_head WHERE chain = :c",
    )
    file.write_text("".join(chain.written(chained.id, "Casa Verde")))

    unseen, _words = alone(file)
    seen, words = alone(file, "mail.txt")

    assert (unseen, seen) == (0, 1)
    assert "entry 7 ended another chain" in words


def test_the_programs_signature_check_is_the_librarys(chained):
    """Ed25519 twice: by the library, and by the file's own few lines."""
    head = signed(chained.id)

    assert head.genuine()
    assert not head._replace(seq=8).genuine()
    assert not head._replace(signature=bytes(64)).genuine()
    assert not head._replace(key=bytes(range(32))).genuine()


def test_nothing_of_another_account_is_in_the_file(file, chained, other_account):
    rows = [json.loads(line) for line in file.read_text().splitlines()]

    owners = {row["entry"]["account_id"] for row in rows if "entry" in row}
    assert owners == {str(chained.id)}


def test_every_entry_of_an_account_is_in_one_place(chained):
    with system_scope(COMMAND), db.transaction() as orm:
        mine = select(AuditEntry.id).where(AuditEntry.account_id == chained.id)
        placed = select(AuditLink.entry_id).where(AuditLink.chain == chained.id)

        assert sorted(orm.scalars(mine)) == sorted(orm.scalars(placed))
