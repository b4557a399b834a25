"""Changes of the schema, in words."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlops.columns import Schema

_LISTED = 5


def schema_diff(base: Sequence[Mapping[str, Any]], schema: Schema) -> list[str]:
    """Describe how a schema differs from the columns of a base's bundle."""
    before = {column["name"]: column for column in base}
    words = []
    for name in (name for name in before if name not in schema.names):
        words.append(f"column {name} was removed")
    for column in schema.columns:
        now = {
            "type": column.type.__name__,
            "role": column.role,
            "low": column.low,
            "high": column.high,
            "nullable": column.nullable,
            "choices": list(column.choices),
        }
        if column.name not in before:
            words.append(f"column {column.name} ({now['type']}, {now['role']}) was added")
            continue
        words += [f"{column.name}: {change}" for change in _changes(before[column.name], now)]
    return words


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for what in ("type", "role"):
        if before[what] != now[what]:
            yield f"{what} was {before[what]}, is {now[what]}"
    for what, words in (("low", "lower bound"), ("high", "upper bound")):
        if before[what] != now[what]:
            yield f"{words} was {_bound(before[what])}, is {_bound(now[what])}"
    if before["nullable"] != now["nullable"]:
        yield "may be missing now" if now["nullable"] else "must not be missing any more"
    old, new = list(before["choices"]), list(now["choices"])
    for words, first, second in (("removed", old, new), ("added", new, old)):
        if changed := [choice for choice in first if choice not in second]:
            more = f" and {len(changed) - _LISTED} more" if len(changed) > _LISTED else ""
            yield f"{words} choices {', '.join(map(repr, changed[:_LISTED]))}{more}"


def _bound(value: float | None) -> str:
    return "none" if value is None else f"{value:,.12g}"
