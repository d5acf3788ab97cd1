"""Times as people read them: those that the clock of this PC showed."""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo


@dataclass(slots=True)
class Clock:
    """zone: None for that of the PC, whose offset from UTC changes with the season. offsets: of all times that were asked for."""

    zone: tzinfo | None = None
    offsets: set[timedelta] = field(default_factory=set)

    def local(self, moment: datetime) -> datetime:
        """The same moment with the offset that was in force then; as it came where the PC knows none, near the first and the last year."""
        with suppress(OverflowError, OSError, ValueError):
            moment = moment.astimezone(self.zone)
        self.offsets.add(moment.utcoffset() or timedelta())
        return moment

    def says(self, moment: datetime | str) -> str:
        """To the second. moment: with an offset, or as results hold it."""
        moment = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        return self.local(moment).replace(tzinfo=None).isoformat(" ", "seconds")

    def __str__(self) -> str:
        """All offsets that were met: `UTC+01:00 and UTC+02:00`."""
        return " and ".join(str(timezone(offset)) for offset in sorted(self.offsets))
