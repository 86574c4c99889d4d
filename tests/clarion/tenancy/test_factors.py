"""Second factors as rows: sealed, each code once, the last one of staff stays."""

import threading

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import ProgrammingError

from clarion.base import clock, crypto, db
from clarion.base.errors import Conflict, Invalid, NotFound, TooMany
from clarion.tenancy import devices, factors, networks, totp
from clarion.tenancy.models import PersonDevice, PersonFactor, StaffDevice, StaffFactor
from clarion.testing.authenticator import registered

NET = "203.0.113.0"
SYSTEM = db.Entry("clarion_system")


@pytest.fixture
def subject(clean):
    return f"p:{db.new_id()}"


def connected(subject):
    """Connect an app a while ago; returns its secret."""
    secret = factors.begin_app(subject)
    with clock.freeze(at=clock.now()):
        clock.advance(minutes=-5)
        factors.confirm_app(subject, totp.code(secret, totp.step_at(clock.now())))
    return secret


def present(secret):
    return totp.code(secret, totp.step_at(clock.now()))


@pytest.mark.parametrize("model", [PersonFactor, StaffFactor, PersonDevice, StaffDevice])
def test_an_account_cannot_even_read_them(model, account):
    with (
        pytest.raises(ProgrammingError, match="permission denied"),
        db.transaction() as orm,
    ):
        orm.execute(select(model)).all()


# --- an app


def test_an_app_counts_once_its_first_code_was_typed(subject):
    secret = factors.begin_app(subject)
    assert not factors.of(subject).any

    with pytest.raises(Invalid):
        factors.confirm_app(subject, "000000")
    assert not factors.of(subject).any

    factors.confirm_app(subject, present(secret))
    assert factors.of(subject).app


def test_the_first_code_does_not_sign_in_as_well(subject):
    secret = factors.begin_app(subject)
    with clock.freeze():
        factors.confirm_app(subject, present(secret))
        with pytest.raises(Invalid):
            factors.check_code(subject, present(secret), NET, known=False)


def test_a_secret_is_sealed_and_opens_in_its_own_row_only(subject):
    secret = connected(subject)
    with db.apart(SYSTEM) as orm:
        row = orm.scalars(select(PersonFactor).where(PersonFactor.subject == subject)).one()

    assert secret not in row.secret
    with pytest.raises(crypto.Unreadable):
        crypto.unseal(row.secret, place=f"person_factor.secret:{db.new_id()}")


def test_each_code_is_good_once(subject):
    secret = connected(subject)
    with clock.freeze():
        factors.check_code(subject, present(secret), NET, known=False)
        with pytest.raises(Invalid, match="not good, or was used"):
            factors.check_code(subject, present(secret), NET, known=False)
        clock.advance(seconds=30)
        factors.check_code(subject, present(secret), NET, known=False)


def test_an_older_code_is_no_good_after_a_newer_one(subject):
    secret = connected(subject)
    with clock.freeze():
        older = totp.code(secret, totp.step_at(clock.now()) - 1)
        factors.check_code(subject, present(secret), NET, known=False)
        with pytest.raises(Invalid):
            factors.check_code(subject, older, NET, known=False)


def test_twenty_at_the_same_moment_get_in_once(subject):
    secret, won = connected(subject), []
    typed = present(secret)

    def try_it():
        try:
            factors.check_code(subject, typed, str(threading.get_ident()), known=True)
            won.append(1)
        except Invalid:
            pass

    threads = [threading.Thread(target=try_it) for _n in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(won) == 1


def test_guessing_is_stopped_near_and_far_and_a_known_device_stays_open(subject):
    secret = connected(subject)
    with clock.freeze():
        for _n in range(factors.NEAR.times):
            with pytest.raises(Invalid):
                factors.check_code(subject, "000000", NET, known=False)
        with pytest.raises(TooMany):
            factors.check_code(subject, present(secret), NET, known=False)
        for n in range(factors.FAR.times):
            with pytest.raises((Invalid, TooMany)):
                factors.check_code(subject, "000000", f"198.51.{n}.0", known=False)
        with pytest.raises(TooMany):
            factors.check_code(subject, present(secret), "192.0.2.0", known=False)

        factors.check_code(subject, present(secret), "192.0.2.0", known=True)


def test_another_app_takes_the_place_of_the_first(subject):
    first = connected(subject)
    second = factors.begin_app(subject)
    factors.confirm_app(subject, present(second))
    with clock.freeze():
        clock.advance(minutes=2)
        with pytest.raises(Invalid):
            factors.check_code(subject, present(first), NET, known=False)
        factors.check_code(subject, present(second), NET, known=False)


# --- codes on paper


def test_ten_codes_each_good_once(subject):
    codes = factors.new_codes(subject)
    assert len(set(codes)) == 10

    factors.use_code(subject, codes[0].lower().replace("-", " "), NET, known=False)
    with pytest.raises(Invalid):
        factors.use_code(subject, codes[0], NET, known=False)
    assert factors.of(subject).codes_left == 9


def test_new_codes_end_the_old_ones_and_are_nobody_elses(subject):
    old = factors.new_codes(subject)
    new = factors.new_codes(subject)
    for wrong, whose in ((old[0], subject), (new[0], f"p:{db.new_id()}")):
        with pytest.raises(Invalid):
            factors.use_code(whose, wrong, NET, known=True)


def test_codes_on_paper_are_no_factor_by_themselves_and_are_not_kept(subject):
    codes = factors.new_codes(subject)
    assert not factors.of(subject).any

    with db.apart(SYSTEM) as orm:
        stored = str(orm.execute(text("SELECT * FROM person_factor")).all())
    assert not any(one in stored for one in codes)


# --- fewer


def test_the_last_factor_of_staff_stays(clean):
    subject = f"s:{db.new_id().int % 10_000_000}"
    registered(subject, "ada@example.org")
    secret = factors.begin_app(subject)
    factors.confirm_app(subject, present(secret))
    factors.new_codes(subject)
    has = factors.of(subject)

    factors.remove(subject, has.passkeys[0].id, keep_one=True)
    with pytest.raises(Conflict, match="last one"):
        factors.remove(subject, has.app.id, keep_one=True)
    assert factors.of(subject).any


def test_with_the_last_factor_of_a_customer_the_codes_go(subject):
    connected(subject)
    factors.new_codes(subject)

    factors.remove(subject, factors.of(subject).app.id, keep_one=False)

    assert factors.of(subject) == factors.Factors()


def test_nobody_removes_anothers(subject):
    connected(subject)
    with pytest.raises(NotFound):
        factors.remove(f"p:{db.new_id()}", factors.of(subject).app.id, keep_one=False)


# --- devices


def test_a_browser_is_known_by_its_key_and_for_its_person(subject):
    key = devices.remember(subject, "", device="Firefox", address=NET)

    assert devices.known(subject, key)
    assert not devices.known(subject, "")
    assert not devices.known(subject, key + "x")
    assert not devices.known(f"p:{db.new_id()}", key)


def test_a_planted_key_is_replaced_and_others_in_the_browser_stay_known(subject):
    other = f"p:{db.new_id()}"
    planted = devices.remember(other, "", device="Firefox", address=NET)

    key = devices.remember(subject, planted, device="Firefox", address=NET)

    assert not devices.known(subject, planted)
    assert not devices.known(other, planted)
    assert devices.known(other, key)


def test_a_browser_not_seen_for_half_a_year_is_unknown(subject):
    key = devices.remember(subject, "", device="Firefox", address=NET)
    with clock.freeze():
        clock.advance(days=181)
        assert not devices.known(subject, key)
        devices.purge()
        with db.apart(SYSTEM) as orm:
            query = select(PersonDevice.id).where(PersonDevice.subject == subject)
            assert orm.scalars(query).all() == []


def test_a_mailed_code_is_tried_five_times(subject):
    code, mark = devices.new_code(subject)
    assert code not in mark
    for _n in range(devices.TRIES.times):
        with pytest.raises(Invalid):
            devices.check_code(subject, "1234", mark)
    with pytest.raises(TooMany):
        devices.check_code(subject, code, mark)


def test_a_mailed_code_is_for_one_person(subject):
    code, mark = devices.new_code(subject)
    with pytest.raises(Invalid):
        devices.check_code(f"p:{db.new_id()}", code, mark)
    devices.check_code(subject, f"{code[:4]} {code[4:]}", mark)


# --- from where the console opens


@pytest.mark.parametrize(
    ("address", "listed", "inside"),
    [
        ("203.0.113.9", ["203.0.113.0/24"], True),
        ("203.0.114.9", ["203.0.113.0/24"], False),
        ("::ffff:203.0.113.9", ["203.0.113.0/24"], True),
        ("2001:db8::1", ["203.0.113.0/24", "2001:db8::/48"], True),
        ("2001:db9::1", ["2001:db8::/48"], False),
        ("", ["203.0.113.0/24"], False),
        ("nonsense", ["0.0.0.0/0"], False),
    ],
)
def test_which_addresses_are_inside(address, listed, inside):
    assert networks._inside(address, listed) is inside
