"""Dates and times of a project: without an offset, in its own time zone."""

import datetime
import zoneinfo
from typing import Any, Self


def zone(name: str) -> datetime.tzinfo:
    """Give a time zone by its name; UTC also where the system has no table of them.

    Raises:
        ZoneInfoNotFoundError, ValueError or OSError: there is none of that name.
    """
    return datetime.UTC if name == "UTC" else zoneinfo.ZoneInfo(name)


def parse_time(value: Any, kind: type, timezone: str) -> Any:
    """Parse a text such as 2024-05-01 or 2024-05-01T10:30:00+02:00; leave anything else as it is.

    Args:
        kind: datetime.date or datetime.datetime.
        timezone: a value with an offset is converted to it; one without is meant in it.

    Raises:
        ValueError: the text names no moment.
    """
    if not isinstance(value, str):
        return value
    wanted = (
        "a date such as 2024-05-01"
        if kind is datetime.date
        else ("a date and time such as 2024-05-01T10:30:00")
    )
    try:
        moment = datetime.datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f"wanted {wanted}") from None
    if moment.tzinfo is not None:
        try:
            moment = moment.astimezone(zone(timezone)).replace(tzinfo=None)
        except OverflowError:
            raise ValueError(f"wanted {wanted}") from None
    if kind is not datetime.date:
        return moment
    if moment.time() != datetime.time():
        raise ValueError(f"wanted {wanted}, without a time")
    return moment.date()


class Moment(datetime.datetime):
    """A date or time of one request, which a rule may use as it uses a column's."""

    @property
    def dt(self) -> Self:
        """Itself: what pandas calls the accessor of a column's parts."""
        return self

    @classmethod
    def of(cls, day: datetime.date) -> Self:
        """Take a date as its midnight, as frames do."""
        if isinstance(day, datetime.datetime):
            return cls.combine(day.date(), day.time())
        return cls.combine(day, datetime.time())


def present(kind: type, timezone: str) -> datetime.date:
    """Give the present day or moment in a time zone, without its offset."""
    now = datetime.datetime.now(zone(timezone)).replace(tzinfo=None)
    return now.date() if kind is datetime.date else now
