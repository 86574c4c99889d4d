"""What every plugin promises."""

from clarion.testing.contracts import PersonalDataContract, PluginContract


class TestPlugin(PluginContract):
    """It loads, can be switched off, keeps the walls, says what it does."""

    plugin = "campaigns"


class TestPersonalData(PersonalDataContract):
    """Who is in its tables, and what becomes of it."""

    plugin = "campaigns"
