"""What every plugin promises, and what contacts promise to others."""

from clarion.testing.contracts import (
    ContactsContract,
    PersonalDataContract,
    PluginContract,
)
from clarion_contacts import contract


class TestPlugin(PluginContract):
    """It loads, can be switched off, keeps the walls, says what it does."""

    plugin = "contacts"


class TestPersonalData(PersonalDataContract):
    """Who is in its tables, and what becomes of it."""

    plugin = "contacts"


class TestContract(ContactsContract):
    """What others build upon does what it says."""


def test_the_contract_lists_what_it_has():
    listed = [name for names in contract.PARTS.values() for name in names]

    assert sorted([*listed, "PARTS", "VERSION"]) == sorted(contract.__all__)
    assert len(set(listed)) == len(listed)
    spoken = [name for name in listed if name not in ("Purpose", "Rule")]  # of types alone
    assert [n for n in spoken if not (getattr(contract, n).__doc__ or "").strip()] == []
