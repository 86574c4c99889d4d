"""The banner over every page while nothing is sent, because the database was restored."""

import datetime as dt

from sqlalchemy.exc import SQLAlchemyError

from clarion.messaging import epoch


def restored() -> dt.datetime | None:
    """Say since when nothing is sent; None when all is well, or nobody can tell.

    One small query for each page. The page of an error is drawn as well when the
    database is the error.
    """
    try:
        found = epoch.standing()
    except SQLAlchemyError:
        return None
    return found.restored_at if found.shut else None
