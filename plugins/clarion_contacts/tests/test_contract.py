"""What every plugin promises, and what contacts promise to others."""

from clarion.base import walls
from clarion.testing.contracts import (
    ContactsContract,
    PersonalDataContract,
    PluginContract,
)
from clarion_contacts import contract, privacy

ASKED = {"pd", "export", "erase", "retention", "log"}


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


def test_every_column_of_every_table_says_what_becomes_of_it():
    tables = {
        name: model
        for name, model in walls.models().items()
        if model.__module__ in ("clarion_contacts.models", "clarion_contacts.records")
    }
    columns = [c for model in tables.values() for c in model.__table__.columns]

    assert len(tables) >= 12
    assert [c for c in columns if not set(c.info) >= ASKED] == []
    for column in columns:
        said = {key: column.info[key] for key in ("export", "erase", "retention")}
        if column.info["pd"] is None:
            assert said == {"export": False, "erase": None, "retention": None}, column
        else:
            assert said["erase"], column
            assert said["retention"], column
    personal = {c.table.name for c in columns if (c.info["pd"] or "").startswith("contact")}
    assert personal == set(privacy.PersonalData().tables())
