"""Parse dates and times in common formats; both orders of day and month are tried."""

import re
import zoneinfo
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mlops import timestamps
from mlops.adopt.parse_numbers import Doubt, is_plain
from mlops.errors import UserError

ISO = "ISO8601"
_NUMBERS: dict[str, Any] = {"unix": "s", "unix_ms": "ms", "excel": "D"}
_DAYS = [
    *(f.replace("/", s) for s in "/.-" for f in ("%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d")),
    *(f.replace("/", s) for s in "/.-" for f in ("%d/%m/%y", "%m/%d/%y", "%y/%m/%d")),
    *("%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%d-%b-%y", "%d/%b/%Y", "%b %d, %Y", "%B %d, %Y"),
    *("%d. %B %Y", "%b %d %Y", "%B %d %Y"),
]
_HOURS = ["", "%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p"]
_FORMATS = [f"{d}{gap}{h}" for d in _DAYS for h in _HOURS for gap in ([" ", "T"] if h else [""])]
_ISO = re.compile(r"\d{4}-\d\d(-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?)?)?", re.ASCII)
_OFFSET = r"\s?(Z|UTC|[+-](?:0\d|1[0-4]):?[0-5]\d)$"
_YEAR, _COMPACT = re.compile(r"(1[89]|20|21)\d\d"), re.compile(r"(1[89]|20|21)\d{6}")


@dataclass(frozen=True)
class Clock:
    """The format of a column's times.

    Attributes:
        zone: time zone that moments are converted to; empty: as written. Moments are times with
            an offset, and seconds since 1970.
    """

    format: str = ISO
    zone: str = ""

    def read(self, texts: pd.Series) -> pd.Series:
        """Parse texts to local times without a zone; NaT where that fails."""
        if self.format in _NUMBERS:
            excel = self.format == "excel"
            origin = "1899-12-30" if excel else "unix"
            numbers = pd.to_numeric(texts, errors="coerce")
            found = pd.to_datetime(
                numbers, unit=_NUMBERS[self.format], origin=origin, errors="coerce"
            )
            found = found.astype("datetime64[us]")
            return found if excel or not self.zone else self.local(found.dt.tz_localize("UTC"))
        offsets = texts.str.extract(_OFFSET)[0] if self.format == ISO else None
        plain = texts if offsets is None else texts.str.replace(_OFFSET, "", regex=True)
        if self.format == ISO:
            plain = plain.where(plain.str.fullmatch(_ISO), None)
        found = pd.to_datetime(plain, format=self.format, errors="coerce").astype("datetime64[us]")
        if offsets is None or not self.zone or not offsets.notna().any():
            return found
        signs = offsets.fillna("Z").replace({"Z": "+00:00", "UTC": "+00:00"})
        away = signs.str.replace(":", "").astype(int)
        minutes = away.abs() // 100 * 60 + away.abs() % 100
        utc = found - pd.to_timedelta(minutes.where(away >= 0, -minutes), unit="min")
        return self.local(utc.dt.tz_localize("UTC")).where(offsets.notna(), found)

    def local(self, moments: pd.Series) -> pd.Series:
        """Convert moments, of any zone, to local times; by default, of their own zone."""
        return moments.dt.tz_convert(self.zone or moments.dt.tz).dt.tz_localize(None)


def recognise(
    texts: Collection[str], asked: str | None, zone: str | None, named: bool = False
) -> Clock | Doubt | None:
    """Find the only format in which all texts are dates or times.

    Args:
        asked: a format to try first; on bare numbers only if `named`.
        zone: time zone that times with an offset are converted to, or "written".
        named: the user says that these are times, so 1990 is a year and 20230101 a day.
    """
    values = pd.Series(list(texts), dtype="object").astype("str")
    bare = all(map(is_plain, values))  # 1990 fits %Y, any number fits seconds since 1970
    if asked and (named or not bare) and len(values) and Clock(asked).read(values).notna().all():
        return _in_zone(values, Clock(asked), zone)
    if named:
        for pattern, form in ((_YEAR, "%Y"), (_COMPACT, "%Y%m%d")):
            if values.str.fullmatch(pattern).all() and Clock(form).read(values).notna().all():
                return Clock(form)
    first = values.iloc[0] if len(values) else ""
    if not re.search(r"\d\D+\d|[A-Za-z]{3}", first) or len(first) > 40:
        return None
    if Clock().read(values).notna().all():
        return _in_zone(values, Clock(), zone)
    few = values.iloc[:20]
    likely = [
        form for form in _FORMATS if _fits(first, form) and Clock(form).read(few).notna().all()
    ]
    ways: dict[tuple[int, ...], Clock] = {}
    for form in likely:
        found = Clock(form).read(values)
        if found.notna().all():
            ways.setdefault(tuple(found.astype("int64")), Clock(form))
    if len(ways) > 1:
        days = pd.DataFrame({clock.format: clock.read(values) for clock in ways.values()})
        apart = values[days.nunique(axis=1) > 1].iloc[0]
        shown = [f"{clock.format} ({_day(clock, apart)})" for clock in ways.values()]
        return Doubt(f"{apart!r} fits {' and '.join(shown)}; pass --time-format")
    return next(iter(ways.values()), None)


def _fits(text: str, form: str) -> bool:
    try:
        pd.to_datetime(text, format=form)
    except ValueError:
        return False
    return True


def _day(clock: Clock, text: str) -> str:
    return str(clock.read(pd.Series([text], dtype="str")).iloc[0].date())


def clock_of(moments: pd.Series, zone: str | None) -> Clock:
    """Return the clock of a column of moments: of the requested zone, or of their own.

    Raises:
        UserError: there is no such zone.
    """
    own = str(moments.dt.tz).removeprefix("UTC") or "UTC"  # pandas calls +01:00 UTC+01:00
    return Clock(zone=_requested(zone) or own)


def _requested(zone: str | None) -> str:
    """Return the zone that is requested, or an empty text if none is."""
    if zone is None or zone == "written":
        return ""
    try:
        timestamps.zone(zone)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError) as error:
        raise UserError(
            f"--timezone {zone}: no such zone",
            advice="Wanted a name such as Europe/Paris, or an offset such as +01:00",
        ) from error
    return zone


def _in_zone(values: pd.Series, clock: Clock, zone: str | None) -> Clock | Doubt:
    """Return the clock with the requested zone, or with the only offset that all times have.

    Raises:
        UserError: there is no such zone.
    """
    if requested := _requested(zone):
        return Clock(clock.format, requested)
    if clock.format != ISO or zone == "written":
        return clock
    offsets = values.str.extract(_OFFSET)[0]
    distinct = sorted({_normal(offset) for offset in offsets.dropna()})
    if len(distinct) > 1 or (distinct and offsets.isna().any()):
        shown = ", ".join(distinct[:5])
        return Doubt(
            f"times with different offsets ({shown}); pass --timezone Europe/Paris, or "
            "--timezone written to keep the local times"
        )
    return Clock(clock.format, *distinct)


def _normal(offset: str) -> str:
    """Return an offset as +01:00, or as UTC."""
    if offset in ("Z", "UTC") or not int(offset.replace(":", "")):
        return "UTC"
    return f"{offset[:3]}:{offset[-2:]}"


def offset(texts: Collection[str]) -> str:
    """Return the offsets of the times, joined by commas; empty if there are none."""
    found = {match[1] for text in texts if (match := re.search(_OFFSET, text))}
    return ", ".join(sorted(found))
