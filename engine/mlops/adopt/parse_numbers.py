"""Parse numbers in common notations: decimal, thousands, currency, percent, sign."""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

EXACT = 2**53
"""Whole numbers beyond this may have no exact float."""

_MARKS = (
    *(r"US\$", r"R\$", "C\\$", "A\\$", r"\$", "€", "£", "¥", "₹", "₩", "₽", "₺", "zł", "Kč", "kr"),
    *("EUR", "USD", "GBP", "CHF", "JPY", "CNY", "INR", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF"),
    *("AUD", "CAD", "NZD", "BRL", "ZAR", "Fr", "%"),
)
_MARK = rf"(?:{'|'.join(_MARKS)})\.?"
_PARTS = re.compile(
    rf"(?P<open>\()?\s*(?P<sign>[-+\u2212])?\s*(?P<before>{_MARK})?\s*(?P<inner>[-+\u2212])?"
    r"(?P<body>[0-9.,'\u2019 \u00a0\u202f]*[0-9][0-9.,]*(?:[eE][-+]?[0-9]+)?)"
    rf"\s*(?P<trail>-)?\s*(?P<after>{_MARK})?\s*(?P<close>\))?"
)
_GROUPS = {"": "", ",": ",", ".": r"\.", " ": "[ \u00a0\u202f]", "'": "['\u2019]"}
_CHARACTERS = {"": "", ",": ",", ".": ".", " ": " \u00a0\u202f", "'": "'\u2019"}
_FORMS = [(".", ""), (",", ""), (".", ","), (",", "."), *((d, t) for t in " '" for d in ".,")]
_PLAIN = re.compile(r"-?(0|[1-9][0-9]*)?(\.[0-9]+)?([eE][-+][0-9]+)?")
_CODE = re.compile(r"[-+\u2212]?0[0-9].*|0[ '\u2019\u00a0\u202f].*")
_BARE_POWER = re.compile(r"[0-9]+[eE][0-9]+")


@dataclass(frozen=True)
class Numeral:
    """The notation of a column's numbers.

    Attributes:
        sure: false if a point before three digits in every value was taken as a decimal point.
    """

    decimal: str = "."
    thousands: str = ""
    before: str = ""
    after: str = ""
    sure: bool = True

    @property
    def unit(self) -> str:
        """The mark beside every number."""
        return self.before or self.after

    def read(self, text: str) -> str | None:
        """Return a number as Python writes it, or None if the text is not a number."""
        parts = _PARTS.fullmatch(text)
        if not parts or (parts["before"] or "", parts["after"] or "") != (self.before, self.after):
            return None
        signs = [s for s in (parts["sign"], parts["inner"], parts["trail"]) if s]
        if bool(parts["open"]) != bool(parts["close"]) or len(signs) + bool(parts["open"]) > 1:
            return None
        body = parts["body"].strip()
        if not _pattern(self.decimal, self.thousands).fullmatch(body):
            return None
        for group in _CHARACTERS[self.thousands]:
            body = body.replace(group, "")
        minus = parts["open"] or (signs and signs[0] in "-\u2212")
        return ("-" if minus else "") + body.replace(self.decimal, ".")


@dataclass(frozen=True)
class Doubt:
    """Why texts were not read as numbers or times, and which option decides it."""

    reason: str


_COMPILED: dict[tuple[str, str], re.Pattern[str]] = {}


def _pattern(decimal: str, thousands: str) -> re.Pattern[str]:
    key = (decimal, thousands)
    if key not in _COMPILED:
        whole, group, point = "[0-9]+", _GROUPS[thousands], re.escape(decimal)
        if thousands:
            whole = rf"(?:[1-9][0-9]{{0,2}}(?:{group}[0-9]{{2,3}})*{group}[0-9]{{3}}|[0-9]+)"
        _COMPILED[key] = re.compile(
            rf"(?:{whole}(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][-+]?[0-9]+)?"
        )
    return _COMPILED[key]


def recognise(
    texts: Collection[str], decimal: str | None, thousands: str | None, loose: bool
) -> Numeral | Doubt | None:
    """Find the only notation in which all texts are numbers.

    Args:
        texts: the distinct texts.
        decimal: the file's decimal character, if it is known.
        thousands: the character between groups of three digits, if it is known.
        loose: in this file, a single point before three digits may be a thousands separator.

    Returns:
        The notation; a doubt, if several fit or marks differ; None, if some are not numbers.
    """
    parts = [_PARTS.fullmatch(text) for text in texts]
    if not texts or not all(parts):
        return None
    found = {(p["before"] or "", p["after"] or "") for p in parts if p}
    if len(found) > 1:
        shown = ", ".join(sorted(f"{b or a}" or "no mark" for b, a in found))
        return Doubt(f"numbers with different marks ({shown}); use the same mark in all of them")
    (before, after) = found.pop()
    readings: dict[tuple[float, ...], Numeral] = {}
    for point, group in _FORMS:
        if (decimal or point) != point or (thousands and group and group != thousands):
            continue
        numeral = Numeral(point, group, before, after)
        read = [numeral.read(text) for text in texts]
        if None not in read:
            readings.setdefault(tuple(float(number or 0) for number in read), numeral)
    ways = list(readings.values())
    if thousands and len(ways) > 1:
        ways = [way for way in ways if way.thousands == thousands] or ways
    if len(ways) > 1 and (before or after) not in ("", "%"):
        ways = [way for way in ways if way.thousands]  # no currency has thousandths
    if len(ways) > 1 and not loose and ways[0].decimal == "." and not ways[0].thousands:
        ways = [replace(ways[0], sure=False)]
    if len(ways) > 1:
        example = next(t for t in texts if len({way.read(t) for way in ways}) > 1)
        values = " or ".join(f"{float(way.read(example) or 0):.12g}" for way in ways)
        return Doubt(f"{example!r} may be {values}; pass --decimal or --thousands")
    return ways[0] if ways else None


def is_code(texts: Collection[str]) -> bool:
    """Return whether texts are codes, not numbers: 01234, or 1E2 without any point."""
    if any(_CODE.fullmatch(text) for text in texts):
        return True
    power = any(_BARE_POWER.fullmatch(text) for text in texts)
    return power and not any(set(".,") & set(text) or re.search("[eE][-+]", text) for text in texts)


def is_plain(text: str) -> bool:
    """Return whether a text is a number as programs write it."""
    return bool(_PLAIN.fullmatch(text))
