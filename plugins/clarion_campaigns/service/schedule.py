"""When a campaign begins and ends: chosen in a zone, or on the clock of each person. Pure."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from clarion.messaging import windows

LATE_MINUTES = 120
LATE_CHOICES = (15, 30, 60, 120, 240, 720, 1440)


@dataclass(frozen=True, slots=True)
class Schedule:
    """The times of a draft, as they were chosen; instants are made of them when needed.

    Attributes:
        local: the planned beginning on the clock of `zone`; None: as soon as launched.
        zone: in which the times were chosen.
        own_time: the beginning is meant on each person's own clock.
        finish: what has not left by then does not leave.
        spread: the people are spread evenly until then.
        late_minutes: not begun so long after the plan, it does not begin.
    """

    local: dt.datetime | None
    zone: str
    own_time: bool
    finish: dt.datetime | None
    spread: dt.datetime | None
    late_minutes: int = LATE_MINUTES

    @property
    def finish_by(self) -> dt.datetime | None:
        """The end as an instant."""
        return self._at(self.finish)

    @property
    def spread_until(self) -> dt.datetime | None:
        """The end of the spread as an instant."""
        return self._at(self.spread)

    def starts_at(self, keys: Iterable[str] = ()) -> dt.datetime | None:
        """The first instant of the beginning; `keys` are the calendars of the people."""
        if self.local is None:
            return None
        if self.own_time:
            local = self.local
            return min((windows.start_for(k, local) for k in keys), default=self._at(local))
        return self._at(self.local)

    def start_by(self, planned: dt.datetime) -> dt.datetime:
        """The last instant at which it may still begin."""
        return planned + dt.timedelta(minutes=self.late_minutes)

    def facts(self) -> dict[str, str | int | bool]:
        """Say all of it in plain values: what an approval is bound to."""

        def said(moment: dt.datetime | None) -> str:
            return moment.isoformat() if moment else ""

        return {
            "local": said(self.local),
            "zone": self.zone,
            "own_time": self.own_time,
            "finish": said(self.finish),
            "spread": said(self.spread),
            "late_minutes": self.late_minutes,
        }

    def _at(self, local: dt.datetime | None) -> dt.datetime | None:
        if local is None:
            return None
        zone = self.zone if windows.known(self.zone) else "UTC"
        return windows.instant(ZoneInfo(zone), local)
