"""A form made of what a manifest lets somebody choose."""

from collections.abc import Sequence
from typing import Any

from wtforms import BooleanField, IntegerField, PasswordField, SelectField, StringField
from wtforms.validators import InputRequired, Length

from clarion.base.words import _, lazy
from clarion.plugging.manifest import Setting
from clarion.tenancy import preferences
from clarion.web.pages import Form

NEEDED = InputRequired(lazy("This is needed."))


def form_of(name: str, settings: Sequence[Setting]) -> type[Form]:
    """Make a form with one field for each setting; a secret's is always empty."""
    return type(f"{name}_settings", (Form,), {one.name: _field(one) for one in settings})


def _field(setting: Setting) -> Any:  # Any: WTForms' unbound field
    title = _(setting.title)
    if isinstance(setting.kind, tuple):
        return SelectField(title, choices=[(word, _(word)) for word in setting.kind])
    if setting.kind is bool:
        return BooleanField(title)
    if setting.kind is int:
        return IntegerField(title, [NEEDED])
    kind = PasswordField if setting.secret else StringField
    return kind(title, [Length(max=preferences.LONGEST)])
