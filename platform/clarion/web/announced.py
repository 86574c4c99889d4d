"""The banners over a customer's page: what we announced, while it lasts."""

from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from clarion.announcing import reading
from clarion.announcing.models import AnnouncementNotice
from clarion.tenancy.scope import current_actor
from clarion.web.ui import ui_lang


def announced() -> list[AnnouncementNotice]:
    """List what stands over this page for whoever is signed in; one small query for each.

    The page of an error is drawn as well when the database is the error.
    """
    who = current_actor()
    if who.kind != "person" or who.account_id is None:
        return []
    try:
        return reading.banners(UUID(who.id), ui_lang())
    except SQLAlchemyError:
        return []
