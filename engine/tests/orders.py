"""Orders with dates, booleans, texts and derived features, for tests of what serves them."""

import datetime
from typing import Any

import numpy as np

from mlops.columns import Column, Derived, Schema

WORDS = {"wood": 1.5, "stone": 2.5}
EPOCH = np.datetime64("1970-01-01T00:00", "us")


def hour(ordered: Any) -> Any:
    return (ordered - ordered.astype("datetime64[D]")).astype("timedelta64[h]").astype(int)


def weekday(ordered: Any) -> Any:
    return (ordered.astype("datetime64[D]").astype(int) + 3) % 7


def age_days(ordered: Any, since: Any) -> Any:
    return (ordered - since) / np.timedelta64(1, "D")


def band(weight: Any) -> Any:
    return np.where(weight > 500, "heavy", "light")


COLUMNS = (
    Column("order_id", "Order", int, role="key"),
    Column("ordered", "When", datetime.datetime, role="time"),
    Column("since", "Customer since", datetime.date, nullable=True, role="input"),
    Column("note", "Remark", str, nullable=True, role="input"),
    Column("material", "Material", str, choices=("wood", "stone", "clay"), nullable=True),
    Column("weight", "Weight", float, "kg", 0, 1000, nullable=True),
    Column("clerk", "Clerk", str, nullable=True, role="ignore"),
    Column("pieces", "Pieces", int, "pieces", 0, 9, role="input"),
    Column("express", "Express", bool, nullable=True),
    Column("hours", "Hours until delivery", float, "hours", 1, 500, role="target"),
)
FEATURES = (
    Derived("hour", "Hour", int, "h", ("ordered",), hour),
    Derived("weekday", "Day of the week", int, "", ("ordered",), weekday),
    Derived("age_days", "Customer for", float, "days", ("ordered", "since"), age_days),
    Derived("each", "Weight of a piece", float, "kg", ("weight", "pieces"), lambda w, p: w / p),
    Derived("log_each", "The same, log", float, "", ("each",), np.log),
    Derived("power", "Power", float, "", ("weight", "pieces"), lambda w, p: w**0.37 * np.sin(p)),
    Derived("length", "Length of the note", int, "", ("note",), np.strings.str_len),
    Derived("words", "Words", int, "", ("note",), lambda n: np.strings.count(n, " ") + 1),
    Derived(
        "density", "Density", float, "", ("material",), lambda m: [WORDS.get(x, 0.0) for x in m]
    ),
    Derived("band", "Band", str, "", ("weight",), band, choices=("light", "heavy")),
    Derived("slow", "Not express", bool, "", ("express",), lambda e: ~e),
    Derived("noted", "There is a note", bool, "", ("note",), lambda n: n != "", takes_missing=True),
)
SCHEMA = Schema(COLUMNS, timezone="Europe/Berlin", derived=FEATURES)
