"""Convert one column of texts to values; return the conversion and notes for the user too."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from mlops.adopt import parse_datetimes, parse_numbers
from mlops.adopt.parse_datetimes import Clock
from mlops.adopt.parse_numbers import EXACT, Doubt, Numeral

_NOTHING = {
    *("na", "n/a", "n.a.", "#n/a", "nan", "null", "none", "nil", "-", "--", "?", ".", "missing"),
    *("unknown", "undefined", "k.a.", "#div/0!", "#value!", "#ref!", "inf", "-inf", "\\n", "x"),
}
_TRUE = {"true": True, "false": False}
_DIGITS = 17  # significant ones of a decimal; a float has no more


@dataclass(frozen=True)
class Asked:
    """The user's settings for a file, for all columns or, in `missing`, for one."""

    decimal: str | None = None
    thousands: str | None = None
    time_format: str | None = None
    timezone: str | None = None
    missing: tuple[str, ...] = ()
    time: str | None = None
    loose: bool = False

    def missing_in(self, header: str) -> set[str]:
        """Return the missing-value words of a column; `COLUMN=WORD` is for that one only."""
        own = {w[len(header) + 1 :] for w in self.missing if w.startswith(f"{header}=")}
        return own | set(self.missing)


@dataclass(frozen=True)
class Truth:
    """The texts true and false, in any letter case."""


Conversion = Numeral | Clock | Truth | None


@dataclass(frozen=True)
class Read:
    """A column that was read.

    Attributes:
        conversion: how its texts become values; None: they stay texts.
        doubt: why it should not be a feature as it is; empty: nothing is wrong.
    """

    values: pd.Series
    conversion: Conversion
    notes: tuple[str, ...] = ()
    doubt: str = ""


def without_missing(header: str, texts: Sequence[str], asked: Asked) -> tuple[list[str], list[str]]:
    """Strip values and empty the missing-value words; return notes with their counts too."""
    words, notes = asked.missing_in(header), list[str]()
    numbers = {
        float(word)
        for word in words
        if parse_numbers.is_plain(word) and any(map(str.isdigit, word))
    }
    clean: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for text, times in Counter(texts).items():
        bare = text.strip()
        counts["blanks around {} value(s) removed"] += times if bare != text else 0
        gone = bare in words or (numbers and _number(bare) in numbers)
        counts["{} value(s) read as missing"] += times if gone else 0
        clean[text] = "" if gone else bare
    notes += [words.format(n) for words, n in counts.items() if n]
    return [clean[text] for text in texts], notes


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def read_column(header: str, given: Sequence[str], asked: Asked, plain_noted: bool = False) -> Read:
    """Infer how a column's texts are to be converted; an empty text is missing.

    Args:
        plain_noted: add a note on plain numbers too, because the file has types.
    """
    texts, notes = without_missing(header, given, asked)
    present = dict.fromkeys(filter(None, texts))
    read = _known(texts, tuple(present), header, asked)
    notes += read.notes
    if read.conversion and not read.doubt:
        notes += _shown(texts, read, plain_noted)
    return replace(read, notes=tuple(notes))


def _known(texts: list[str], present: tuple[str, ...], header: str, asked: Asked) -> Read:
    if present and {text.lower() for text in present} <= set(_TRUE):
        return Read(apply(Truth(), texts), Truth())
    named = header == asked.time
    clock = parse_datetimes.recognise(present, asked.time_format, asked.timezone, named)
    if isinstance(clock, Clock):
        return Read(apply(clock, texts), clock)
    numeral = (
        None
        if clock
        else parse_numbers.recognise(present, asked.decimal, asked.thousands, asked.loose)
    )
    if isinstance(numeral, Numeral):
        return _numbers(texts, present, numeral)
    doubt = clock or numeral
    words = [text for text in present if text.lower() in _NOTHING]
    if doubt is None and words:
        doubt = _but_for(texts, present, words, header, asked)
    as_text = pd.Series([t or None for t in texts], dtype="object")
    counts = Counter(texts)
    notes = () if doubt else tuple(
        f"{word!r} occurs {counts[word]} time(s) and is kept as a value; if it means missing, "
        f"pass --missing '{header}={word}'" for word in words
    )  # fmt: skip
    return Read(as_text, None, notes, doubt.reason if doubt else "")


def _but_for(
    texts: list[str], present: tuple[str, ...], words: list[str], header: str, asked: Asked
) -> Doubt | None:
    """Return a doubt if all but words that may mean missing are numbers or times."""
    rest = tuple(text for text in present if text not in words)
    found = parse_numbers.recognise(rest, asked.decimal, asked.thousands, asked.loose)
    kind = "numbers" if found and not parse_numbers.is_code(rest) else ""
    if not found and isinstance(
        parse_datetimes.recognise(rest, asked.time_format, "written"), Clock
    ):
        kind = "times"
    counts = Counter(texts)
    shown = ", ".join(f"{word!r} {counts[word]} time(s)" for word in words)
    asks = " ".join(f"--missing '{header}={word}'" for word in words)
    return Doubt(f"{kind}, and {shown}; if that means missing, pass {asks}") if kind else None


def _numbers(texts: list[str], present: tuple[str, ...], numeral: Numeral) -> Read:
    """Convert texts to numbers, or keep the texts if numbers would not be the same."""
    kept = ""
    if parse_numbers.is_code(present):
        kept = "kept as texts: leading zeros or the like show that these are codes, not numbers"
    found = [str(numeral.read(text)) for text in present]
    whole = all(_is_whole(number) for number in found)
    if not kept and whole and any(abs(int(number)) > EXACT for number in found):
        kept = "whole numbers beyond 2^53 are kept as texts: floats can't represent them exactly"
    if not kept and any(abs(float(number)) == float("inf") for number in found):
        kept = "numbers beyond 1e308 are kept as texts"
    if kept:
        values = pd.Series([text or None for text in texts], dtype="object")
        return Read(values, None, (kept,))
    long = sum(len(number.split("e")[0].replace(".", "").strip("-0")) > _DIGITS for number in found)
    notes = (f"{long} value(s) have more than {_DIGITS} digits and are rounded",) if long else ()
    return Read(apply(numeral, texts), numeral, notes)


def _is_whole(number: str) -> bool:
    return number.removeprefix("-").isdigit()


def apply(conversion: Conversion, texts: Sequence[str]) -> pd.Series:
    """Convert texts by a known conversion; a text that does not fit is missing."""
    if conversion is None:
        return pd.Series([text or None for text in texts], dtype="object")
    if isinstance(conversion, Truth):
        values = pd.Series([_TRUE.get(text.lower()) for text in texts], dtype="object")
        return values.infer_objects()
    if isinstance(conversion, Clock):
        distinct = pd.Series(list(dict.fromkeys(filter(None, texts))), dtype="str")
        read: Mapping[str, Any] = dict(zip(distinct, conversion.read(distinct), strict=True))
        return pd.Series([read.get(t, pd.NaT) for t in texts], dtype="datetime64[us]")
    found = {text: conversion.read(text) for text in set(texts)}
    if all(number is not None and _is_whole(number) for number in found.values()):
        return pd.Series([int(found[text] or 0) for text in texts], dtype="int64")
    floats = {t: float("nan") if number is None else float(number) for t, number in found.items()}
    return pd.Series([floats[text] for text in texts], dtype="float64")


def _shown(texts: list[str], read: Read, plain_noted: bool) -> list[str]:
    """Describe a conversion that is not obvious, with the first and the last value."""
    known = [(text, value) for text, value in zip(texts, read.values, strict=True) if text]
    if isinstance(read.conversion, Numeral):
        form = read.conversion
        changed = sum(not parse_numbers.is_plain(text) for text, _ in known)
        if not changed and form.sure and not plain_noted:
            return []
        how = f"numbers, decimal {form.decimal!r}"
        how += f", thousands {form.thousands!r}" if form.thousands else ""
        how += f", {form.unit!r} removed" if form.unit else ""
    elif isinstance(read.conversion, Clock):
        how = f"times as {read.conversion.format}"
        zone = read.conversion.zone
        how += f", converted to {zone}" if zone else ""
        if zone.startswith(("+", "-")):
            how += " (where clocks change, pass a name such as --timezone Europe/Paris)"
        elif not zone and (away := parse_datetimes.offset([text for text, _ in known[:1000]])):
            how += f", as local times; the offset {away} is dropped"
            how += ": set timezone in src/project/schema.py"
        changed = len(known)
        known = [(text, value) for text, value in known if value == read.values.min()][:1] + [
            (text, value) for text, value in known if value == read.values.max()
        ][-1:]
    else:
        return []
    ends = " to ".join(f"{text!r} = {value}" for text, value in (known[0], known[-1]))
    return [f"{changed or len(known)} value(s) read as {how}: {ends}"]
