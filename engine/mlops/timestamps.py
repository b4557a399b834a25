"""Dates and times of a project: without an offset, in the project's time zone."""

import datetime
import re
import zoneinfo
from typing import Any, Self


def zone(name: str) -> datetime.tzinfo:
    """Return a time zone by its name, or by a fixed offset such as +01:00.

    UTC and offsets also work without a time zone database.

    Raises:
        ZoneInfoNotFoundError, ValueError or OSError: there is no such time zone.
    """
    if name == "UTC":
        return datetime.UTC
    if re.fullmatch(r"[+-]\d\d:[0-5]\d", name):
        offset = datetime.datetime.fromisoformat(f"2000-01-01T00:00{name}").tzinfo
        assert offset is not None
        return offset
    return zoneinfo.ZoneInfo(name)


def parse_time(value: Any, kind: type, timezone: str) -> Any:
    """Parse a text such as 2024-05-01 or 2024-05-01T10:30:00+02:00; return other types unchanged.

    Args:
        kind: datetime.date or datetime.datetime.
        timezone: of a value without an offset; one with an offset is converted to it.

    Raises:
        ValueError: the text is not a valid date or time.
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
    """A date or time of one request, which a rule can use like a column of them."""

    @property
    def dt(self) -> Self:
        """Itself, so that pandas' accessor `.dt` works on a single value too."""
        return self

    @classmethod
    def of(cls, day: datetime.date) -> Self:
        """Create it from a datetime, or from a date as midnight, as in frames."""
        if isinstance(day, datetime.datetime):
            return cls.combine(day.date(), day.time())
        return cls.combine(day, datetime.time())


def present(kind: type, timezone: str) -> datetime.date:
    """Return the current date or time in a time zone, without an offset."""
    now = datetime.datetime.now(zone(timezone))
    return now.date() if kind is datetime.date else now.replace(tzinfo=None)
