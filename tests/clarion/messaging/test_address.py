"""Identifiers: one spelling per person, a named reason for everything else."""

import random

import phonenumbers
import pytest

from clarion.base import crypto
from clarion.base.errors import Invalid
from clarion.messaging import address
from clarion.messaging.address import BadPhone, index, mask, normalise, parse_phone

READ = [
    ("+919876543210", None, "+919876543210"),
    ("98765 43210", "IN", "+919876543210"),
    ("919876543210", "BR", "+919876543210"),  # the plus was forgotten
    ("0091 98765 43210", "US", "+919876543210"),
    ("011 91 98765 43210", "US", "+919876543210"),
    ("'+91 98765-43210", "BR", "+919876543210"),
    ("９８７６５４３２１０", "IN", "+919876543210"),
    ("٩٨٧٦٥٤٣٢١٠", "IN", "+919876543210"),
    ("९८७६५४३२१०", "IN", "+919876543210"),
    ("\u202a+91\u00a098765\u200b43210\u202c", None, "+919876543210"),
    ("919876543210+", "IN", "+919876543210"),  # copied from a right-to-left cell
    ("919.876.543.210", "IN", "+919876543210"),
    ("919,876,543,210", "IN", "+919876543210"),
    ("Mobile: 9876543210", "IN", "+919876543210"),
    ("tel:+49-151-23456789;ext=12", "DE", "+4915123456789"),
    ("+49 (0)151 23456789", None, "+4915123456789"),
    ("0151/23456789", "DE", "+4915123456789"),
    ("15123456789", "DE", "+4915123456789"),  # Excel ate the zero
    ("+4915123456789.0", "DE", "+4915123456789"),
    ("030/1234567", "DE", "+49301234567"),
    ("+39 (0)6 12345678", None, "+390612345678"),
    ("11987654321.0", "BR", "+5511987654321"),
    ("0 11 98765-4321", "BR", "+5511987654321"),
    ("+55 011 98765-4321", None, "+5511987654321"),
    ("=+5511987654321", "BR", "+5511987654321"),
    ('="5511987654321"', "BR", "+5511987654321"),
    ("11 98765-4321 ramal 12", "BR", "+5511987654321"),
    ("+447700900123", None, "+447700900123"),  # a range the library calls unused
    # one person, one number
    ("(11) 8765-4321", "BR", "+5511987654321"),
    ("+551187654321", None, "+5511987654321"),
    ("+551134567890", None, "+551134567890"),  # a landline gets no ninth digit
    ("+551178901234", None, "+551178901234"),  # nor does trunked radio
    ("+52 1 55 1234 5678", None, "+525512345678"),
    ("044 55 1234 5678", "MX", "+525512345678"),
    ("+52 55 1234 5678", None, "+525512345678"),
    ("11 15-2345-6789", "AR", "+5491123456789"),
    ("+54 11 2345 6789", None, "+5491123456789"),
    ("+54 9 11 2345 6789", None, "+5491123456789"),
]

REFUSED = [
    ("", "IN", "phone_empty"),
    (" \u00a0", "IN", "phone_empty"),
    ("-", "IN", "phone_empty"),
    ("N/A", "IN", "phone_empty"),
    ("abc", "IN", "phone_letters"),
    ("+1 800 FLOWERS", "US", "phone_letters"),
    ("9,19877E+11", "IN", "phone_scientific"),
    ("9.19877E+11", "IN", "phone_scientific"),
    ("1,23457e+12", "DE", "phone_scientific"),
    ("12345", "IN", "phone_too_short"),
    ("0151 1234", "DE", "phone_too_short"),
    ("+49 1511234", None, "phone_too_short"),
    ("987654321", "BR", "phone_too_short"),  # no area code
    ("+", "IN", "phone_too_short"),
    ("+9198765432101", None, "phone_too_long"),
    ("1" * 40, "IN", "phone_too_long"),
    (",;" * 16_000 + "x1", "IN", "phone_too_long"),
    ("0151 23456789 / 0171 9876543", "DE", "phone_two_numbers"),
    ("98765 43210/11", "IN", "phone_two_numbers"),
    ("9876543210, 9876543211", "IN", "phone_two_numbers"),
    ("9876543210 9876543211", "IN", "phone_two_numbers"),
    ("9876543210\n9876543211", "IN", "phone_two_numbers"),
    ("9876543210 or 9876543211", "IN", "phone_two_numbers"),
    ("+919876543210+919876543211", None, "phone_two_numbers"),
    ("=1+1", "BR", "phone_signs"),
    ("98765*****", "IN", "phone_signs"),
    ("-5511987654321", "BR", "phone_signs"),
    ("919876543210.5", "IN", "phone_fraction"),
    ("9876543210", None, "phone_no_country"),
    ("+999 123456789", None, "phone_no_country"),
    ("15 2345-6789", "AR", "phone_not_possible"),
    ("919876543210", "DE", "phone_ambiguous"),  # a landline here, a mobile in India
]


@pytest.mark.parametrize(("text", "region", "e164"), READ)
def test_numbers_are_read_as_people_write_them(text, region, e164):
    assert parse_phone(text, region).e164 == e164


@pytest.mark.parametrize(("text", "region", "code"), REFUSED)
def test_what_is_no_number_gets_a_named_reason(text, region, code):
    with pytest.raises(BadPhone) as refused:
        parse_phone(text, region)

    assert refused.value.code == code
    assert refused.value.text.endswith(".") or refused.value.text.endswith("?")


def test_a_number_knows_its_country_and_its_extension():
    phone = parse_phone("+1 (204) 234-5678 ext. 9")

    assert (phone.region, phone.extension) == ("CA", "9")
    assert parse_phone("+4915123456789").region == "DE"


def _examples(rng, region, spelling):
    for kind in range(11):
        number = phonenumbers.example_number_for_type(region, kind)
        if number is None:
            continue
        text = (
            phonenumbers.format_number(number, spelling)
            if spelling is not None
            else str(number.national_number)
        )
        yield text
        for _ in range(4):
            changed = list(text)
            for _ in range(rng.randint(1, 4)):
                spot = rng.randrange(1, len(changed))
                changed[spot] = rng.choice("0123456789")
            yield "".join(changed) + rng.choice(["", "", "0"])


def _verdict(read, text, region):
    try:
        return read(text, region).e164
    except BadPhone as refused:
        return refused.code


@pytest.mark.parametrize("spelling", [0, 1, 2, None])
def test_the_fast_way_equals_the_library_in_every_region(spelling):
    rng = random.Random(20250101)
    seen = 0

    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for text in _examples(rng, region, spelling):
            fast = _verdict(parse_phone, text, region)
            assert fast == _verdict(address._read, text, region), (text, region)
            seen += not fast.startswith("phone_")

    assert seen > 1000


def test_every_example_mobile_number_is_read_and_stays_itself():
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        number = phonenumbers.example_number_for_type(
            region, phonenumbers.PhoneNumberType.MOBILE
        )
        if number is None:
            continue
        e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)

        assert parse_phone(e164).e164 == e164
        assert parse_phone(e164[1:], region).e164 == e164


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("phone", "+5511987654321"), ("wa_id", "551187654321")),
        (("phone", "+52 55 1234 5678"), ("wa_id", "5215512345678")),
        (("phone", "+54 9 11 2345-6789"), ("wa_id", "541123456789")),
        (("email", "Maria@Example.com "), ("email", "maria@example.com")),
        (("email", "maria@bücher.example"), ("email", "maria@xn--bcher-kva.example")),
        (("username", "@Maria.S"), ("username", "maria.s")),
        (("bsuid", "BR.12345"), ("parent_bsuid", "BR.12345")),
    ],
)
def test_two_spellings_of_one_person_have_one_index(one, other):
    assert index(b"key", *one) == index(b"key", *other)


def test_an_index_depends_on_key_kind_and_value():
    indexes = {
        index(b"key", "phone", "+5511987654321"),
        index(b"kez", "phone", "+5511987654321"),
        index(b"key", "phone", "+5511987654322"),
        index(b"key", "bsuid", "BR.5511987654321"),
        index(b"key", "username", "5511987654321"),
    }

    assert len(indexes) == 5
    assert {len(one) for one in indexes} == {32}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("phone", "9876543210"),
        ("wa_id", "abc"),
        ("email", "maria@localhost"),
        ("email", "a b@example.com"),
        ("email", "maria"),
        ("username", "no spaces please"),
        ("bsuid", ""),
    ],
)
def test_what_cannot_be_an_identifier_is_refused(kind, value):
    with pytest.raises(Invalid):
        normalise(kind, value)


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        ("phone", "+919876541234", "+91••••1234"),
        ("wa_id", "5511987654321", "+55••••4321"),
        ("email", "maria@example.com", "m••••@example.com"),
        ("username", "@maria", "@m••••"),
        ("bsuid", "BR.ENT.12345678", "BR.••••5678"),
    ],
)
def test_masks_show_little(kind, value, shown):
    assert mask(kind, value) == shown


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("phone", "+5511912340001"),
        ("email", "ana@example.org"),
        ("wa_id", "+4915112345678"),
    ],
)
@pytest.mark.parametrize("key", [b"k" * 32, b"", b"long" * 40])
def test_the_quick_index_is_the_index(kind, value, key):
    quick = crypto.mac(key, address.family(kind).encode())

    assert quick(value) == address.index(key, kind, value).hex()
