"""Parse dates and times in common formats; both orders of day and month are tried."""

import itertools
import re
import zoneinfo
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import pandas as pd

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
_OFFSET = r"\s?(Z|UTC|[+-]\d\d:?\d\d)$"
_YEAR, _COMPACT = re.compile(r"(1[89]|20|21)\d\d"), re.compile(r"(1[89]|20|21)\d{6}")


@dataclass(frozen=True)
class Clock:
    """The format of a column's times.

    Attributes:
        zone: time zone that times with an offset are converted to; empty: as written.
    """

    format: str = ISO
    zone: str = ""

    def read(self, texts: pd.Series) -> pd.Series:
        """Parse texts to local times without a zone; NaT where that fails."""
        if self.format in _NUMBERS:
            origin = "1899-12-30" if self.format == "excel" else "unix"
            numbers = pd.to_numeric(texts, errors="coerce")
            found = pd.to_datetime(
                numbers, unit=_NUMBERS[self.format], origin=origin, errors="coerce"
            )
            return found.astype("datetime64[us]")
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
        return utc.dt.tz_localize("UTC").dt.tz_convert(self.zone).dt.tz_localize(None)


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


def _in_zone(values: pd.Series, clock: Clock, zone: str | None) -> Clock | Doubt:
    """Keep times as written unless a zone is requested; differing offsets are a doubt.

    Raises:
        UserError: there is no such zone.
    """
    if zone and zone != "written":
        try:
            zoneinfo.ZoneInfo(zone)
        except (ValueError, OSError) as error:
            raise UserError(
                f"--timezone {zone}: no such zone", advice="Wanted a name such as Europe/Paris"
            ) from error
        return Clock(clock.format, zone)
    offsets = (
        sorted(values.str.extract(_OFFSET)[0].dropna().unique()) if clock.format == ISO else []
    )
    some = values.str.extract(_OFFSET)[0].notna().mean() if offsets else 0
    if (len(offsets) > 1 or 0 < some < 1) and zone != "written":
        shown = ", ".join(itertools.islice(offsets, 5))
        return Doubt(
            f"times with different offsets ({shown}); pass --timezone Europe/Paris, or "
            "--timezone written to keep the local times"
        )
    return clock


def offset(texts: Collection[str]) -> str:
    """Return the offsets of the times, joined by commas; empty if there are none."""
    found = {match[1] for text in texts if (match := re.search(_OFFSET, text))}
    return ", ".join(sorted(found))
