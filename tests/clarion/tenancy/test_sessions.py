"""Sessions and one-time links are beyond the reach of an account's own database role."""

import pytest
from sqlalchemy import select
from sqlalchemy.exc import ProgrammingError

from clarion.base import db
from clarion.base.limits import LimitCounter
from clarion.tenancy.models import AuditLink, ConsoleSession, OneTimeToken, PortalSession


@pytest.mark.parametrize(
    "model", [PortalSession, ConsoleSession, OneTimeToken, LimitCounter, AuditLink]
)
def test_an_account_cannot_even_read_them(model, account):
    with (
        pytest.raises(ProgrammingError, match="permission denied"),
        db.transaction() as orm,
    ):
        orm.execute(select(model)).all()
