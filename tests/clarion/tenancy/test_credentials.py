"""Passwords: what is refused, how they are kept, how many are checked at once."""

import contextlib
import gzip
import random
import string
import threading
import time

import pytest

from clarion.base.errors import Invalid, Unavailable
from clarion.base.settings import settings
from clarion.tenancy import credentials

OWN = ("marina@casaverde.example", "Marina Lopes", "Casa Verde")


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("elevenchars", "password_short"),
        ("k" * 5 + "xj4qp9" * 60, "password_long"),
        ("password1234", "password_common"),
        ("P@ssw0rd2024!", "password_common"),
        ("iloveyou12345", "password_common"),
        ("MariaFernanda1990", "password_common"),
        ("123456789012", "password_common"),
        ("qwertyuiopas", "password_common"),
        ("1qaz2wsx3edc4rfv", "password_common"),
        ("abcabcabcabc", "password_common"),
        ("aaaaaaaaaaaab", "password_common"),
        ("zaq1xsw2cde3", "password_common"),
        ("ticketmaster", "password_common"),
        ("Mercury12345678", "password_common"),
        ("chickenwing101", "password_common"),
        ("clarion-2026!!", "password_own"),
        ("marina@casaverde", "password_own"),
        ("casaverde-9931", "password_own"),
        ("Lopes!19831231", None),
        ("correct horse battery staple", None),
        ("teal kayak at noon", None),
        ("короткий-путь-домой", None),
        ("Xk29fjw02-kkq", None),
        ("n" * 3 + "  leading and trailing  ", None),
    ],
)
def test_rules(password, code):
    if code is None:
        credentials.check(password, own=OWN)
        return
    with pytest.raises(Invalid) as refused:
        credentials.check(password, own=OWN)
    assert refused.value.code == code
    assert refused.value.field == "password"


def test_every_long_password_of_the_leaked_ones_is_refused():
    text = gzip.decompress(credentials.LEAKED.read_bytes()).decode()
    leaked = [one for one in text.split() if len(one) >= credentials.SHORTEST]
    assert len(leaked) > 300

    let_in = []
    for one in leaked:
        with contextlib.suppress(Invalid):
            credentials.check(one)
            let_in.append(one)

    assert let_in == []


def test_a_list_of_the_operators_own_is_looked_through(tmp_path, monkeypatch):
    source = random.Random(3)
    signs = string.ascii_letters + "äß 9"
    known = ["".join(source.choices(signs, k=source.randint(12, 30))) for _ in range(400)]
    listed, others = known[:300], set(known[300:])
    file = tmp_path / "passwords.txt"
    file.write_bytes(b"\n".join(sorted(one.encode() for one in listed)) + b"\n")
    chosen = settings().model_copy(update={"passwords_file": file})
    monkeypatch.setattr(credentials, "settings", lambda: chosen)

    for one in listed:
        with pytest.raises(Invalid):
            credentials.check(one)
    for one in others - set(listed):
        credentials.check(one)
    file.write_bytes(b"")
    credentials.check(listed[0])


def test_passwords_made_by_a_machine_are_taken():
    signs = string.ascii_letters + string.digits
    source = random.Random(7)

    for _ in range(300):
        credentials.check("".join(source.choices(signs, k=credentials.SHORTEST)))


def test_a_refusal_is_quick_however_long_the_password():
    started = time.perf_counter()
    with pytest.raises(Invalid):
        credentials.check("x" * 2_000_000)
    assert time.perf_counter() - started < 0.5


def test_hashes_are_argon2id_with_the_parameters_of_the_design():
    kept = credentials.hashed("teal kayak at noon")

    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert credentials.matches(kept, "teal kayak at noon")
    assert not credentials.matches(kept, "teal kayak at nooN")
    assert not credentials.outdated(kept)


def test_the_same_letters_typed_in_another_way_are_the_same_password():
    kept = credentials.hashed("caf\u00e9 au lait noir")

    assert credentials.matches(kept, "cafe\u0301 au lait noir")


def test_nobodys_password_is_checked_as_slowly_as_somebodys():
    kept = credentials.hashed("teal kayak at noon")
    credentials.matches("", "warm up")

    def seconds(stored):
        started = time.thread_time()
        for _ in range(3):
            credentials.matches(stored, "not the right one")
        return time.thread_time() - started

    somebody, nobody = seconds(kept), seconds("")

    assert not credentials.matches("", "anything at all")
    assert 0.5 < somebody / nobody < 2


def test_more_checks_than_slots_wait_and_then_are_refused(monkeypatch):
    monkeypatch.setattr(credentials, "WAIT_SECONDS", 0.05)
    for _ in range(credentials.AT_ONCE):
        credentials._slots.acquire()
    try:
        with pytest.raises(Unavailable) as refused:
            credentials.hashed("teal kayak at noon")
    finally:
        for _ in range(credentials.AT_ONCE):
            credentials._slots.release()

    assert refused.value.retry_after_seconds > 0


def test_a_burst_of_checks_never_runs_more_than_the_slots_at_once(monkeypatch):
    running, most = 0, 0
    lock, real = threading.Lock(), credentials._hasher

    class Counting:
        def hash(self, text):
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            try:
                return real.hash(text)
            finally:
                with lock:
                    running -= 1

    monkeypatch.setattr(credentials, "_hasher", Counting())
    monkeypatch.setattr(credentials, "WAIT_SECONDS", 30)
    threads = [
        threading.Thread(target=credentials.hashed, args=(f"teal kayak {n}",))
        for n in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 1 <= most <= credentials.AT_ONCE
