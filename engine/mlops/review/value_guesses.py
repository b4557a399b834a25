"""Guess, in words, how a column's values changed: a unit, a time zone, a new name."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from mlops.metrics import Floats
from mlops.review.changed_values import Changed, equal_values
from mlops.review.column_pairs import Values
from mlops.review.rescaling import CLOSE, EXACT, fits, rescaling_of

ENOUGH = 3
"""Fewer changed values are no pattern."""

_MOST = 0.95
_DAY = np.timedelta64(1, "D")
_QUARTER = np.timedelta64(15, "m")


def value_guesses(changed: Changed) -> list[str]:
    """Guess how the values of one column changed; empty if no guess fits nearly all of them."""
    before, after = changed.before, changed.after
    if len(before.data) < ENOUGH or before.kind != after.kind:
        return []
    if changed.column.role != "key" and (moved := _from_neighbours(changed)):
        return [moved]
    gone, filled = ~before.missing & after.missing, before.missing & ~after.missing
    if gone.mean() >= _MOST:
        return ["values became missing"]
    if filled.mean() >= _MOST:
        return [_filled(after.take(np.flatnonzero(filled)))]
    both = np.flatnonzero(~before.missing & ~after.missing)
    if len(both) < max(ENOUGH, 0.5 * len(before.data)):
        return []
    guess = {"number": _of_numbers, "time": _of_times, "text": _of_texts}[before.kind]
    return list(guess(before.take(both), after.take(both)))[:1]


def _from_neighbours(changed: Changed) -> str:
    previous, following = (equal_values(one, changed.after) for one in changed.neighbours)
    for equal, where in ((previous, "down"), (following, "up")):
        if equal.mean() >= _MOST and len(np.unique(changed.after.data)) > ENOUGH:
            return f"values moved {where} by one row"
    return ""


def _filled(after: Values) -> str:
    values, counts = np.unique(after.data, return_counts=True)
    if counts.max() >= _MOST * counts.sum():
        constant = after.shown(np.flatnonzero(after.data == values[counts.argmax()])[:1])[0]
        return f"missing values were filled with {constant}"
    return "missing values were filled"


def _of_numbers(before: Values, after: Values) -> Iterator[str]:
    old, new = before.data.astype(np.float64), after.data.astype(np.float64)
    values, counts = np.unique(new, return_counts=True)
    if counts.max() >= _MOST * len(new) and len(np.unique(old)) > 1:
        yield f"values became {values[counts.argmax()]:,.6g}"
    for close in (EXACT, CLOSE):  # exact fits before approximate ones
        if scale := rescaling_of(old, new, close):
            yield f"values were {scale.words}"
        for name, function in _FUNCTIONS.items():
            with np.errstate(all="ignore"):
                made = function(old)
            if fits(old, new, made, close, _MOST):
                yield f"values became {name}"


_FUNCTIONS: dict[str, Callable[[Floats], Floats]] = {
    "their natural logarithms": np.log,
    "the logarithms of 1 + value": np.log1p,
    "their decimal logarithms": np.log10,
    "the exponentials of the old ones": np.exp,
    "whole numbers by rounding": np.round,
    "whole numbers by cutting digits off": np.trunc,
    "rounded to 1 digit": lambda old: np.round(old, 1),
    "rounded to tens": lambda old: np.round(old, -1),
    "rounded to hundreds": lambda old: np.round(old, -2),
    "rounded to thousands": lambda old: np.round(old, -3),
}


def _of_times(before: Values, after: Values) -> Iterator[str]:
    moves, counts = np.unique(after.data - before.data, return_counts=True)
    order = np.argsort(-counts)
    if counts.max() >= _MOST * counts.sum():
        move = moves[order[0]]
        words = _duration(move)
        is_zone = move % _DAY and not move % _QUARTER and abs(move) <= 14 * np.timedelta64(1, "h")
        yield f"times moved by {words}" + (" (a time zone?)" if is_zone else "")
    elif (
        counts[order[:2]].sum() >= _MOST * counts.sum() and not (moves[order[:2]] % _QUARTER).any()
    ):
        first, second = sorted(moves[order[:2]])
        if second - first == np.timedelta64(1, "h"):
            words = f"{_duration(first)} or {_duration(second)}"
            yield f"times moved by {words} (a time zone with daylight saving time?)"
    old, new = pd.DatetimeIndex(before.data), pd.DatetimeIndex(after.data)
    swapped = (old.day == new.month) & (old.month == new.day) & (old.year == new.year)
    if swapped.mean() >= _MOST:
        yield "day and month were swapped"
    if (old.normalize() == new).mean() >= _MOST:
        yield "the time of day was dropped"


def _duration(move: np.timedelta64) -> str:
    seconds = int(move / np.timedelta64(1, "s"))
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if seconds and seconds % size == 0:
            n = seconds // size
            return f"{n:+,} {unit}{'s' * (abs(n) != 1)}"
    return f"{seconds:+,} seconds"


def _of_texts(before: Values, after: Values) -> Iterator[str]:
    old = pd.Series(before.labels.take(before.data), dtype="str")
    new = pd.Series(after.labels.take(after.data), dtype="str")
    if (old.str.strip() == new.str.strip()).mean() >= _MOST:
        yield "only blanks at the ends differ"
    if (old.str.strip().str.casefold() == new.str.strip().str.casefold()).mean() >= _MOST:
        yield "only upper and lower case differ"
    pairs = pd.DataFrame({"old": old, "new": new}).value_counts().reset_index()
    main = pairs.drop_duplicates("old")
    if main["count"].sum() >= _MOST * len(old) and (main["count"] >= ENOUGH).any():
        main = main[main["count"] >= ENOUGH]
        into_one = main["new"].nunique() == 1 and len(main) > 1
        verb = "were merged into" if into_one else "was renamed to"
        if into_one:
            yield f"{', '.join(map(repr, main['old'][:5]))} {verb} {main['new'].iloc[0]!r}"
        yield "; ".join(
            f"{old!r} {verb} {new!r}" for old, new in main[["old", "new"]].head(3).to_numpy()
        ) + (f" and {len(main) - 3} more" if len(main) > 3 else "")
