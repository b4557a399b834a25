"""Changes of the data, as Markdown."""

from typing import Any

from mlops.review.github_markdown import cell, folded, table

LISTED_COLUMNS = 25
_LISTED_GUESSES = 3
_BARS = "▁▂▃▄▅▆▇█"
_NOTABLE = 0.02
"""A column whose distribution differs by less is left out of the comment, unless cells changed."""

_MOST_TEXT = 60


def data_line(data: dict[str, Any] | None) -> str:
    """Summarize in one paragraph whether the data changed, and how."""
    if data is None:
        return ""
    now = f"{data['rows'][1]:,} rows"
    if data["same"] is None:
        text = "rows can't be compared: the base's data has no column of the schema's key."
    elif data["same"]:
        text = f"no row differs ({now})."
    else:
        days = f" ({cell(' to '.join(data['added_days']))})" if data["added_days"] else ""
        added = f"{data['added']:,} rows added{days}"
        text = f"{added}, {data['removed']:,} removed, {data['changed']:,} changed ({now} now)."
    guesses = [_guess(guess) for guess in data["guesses"][:_LISTED_GUESSES]]
    left = len(data["guesses"]) - len(guesses)
    guesses += [f"{left} more guesses below"] if left > 0 else []
    text += "".join(f" {one}." for one in guesses)
    if data["schema"]:
        text += f" Schema: {_several(list(map(cell, data['schema'])), 2)}."
    if data["quarantine"]:
        before, after = data["quarantine"]["rows"]
        text += f" In quarantine: {after:,} rows (base: {before:,})."
    return f"**Data:** {text}"


def _guess(guess: dict[str, Any]) -> str:
    columns = ", ".join(map(cell, guess["columns"][:3]))
    return f"{columns}: {cell(guess['text'])} ({guess['rows']:,} rows)".removeprefix(": ")


def _several(texts: list[str], most: int) -> str:
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return "; ".join(texts[:most]) + more


def data_section(data: dict[str, Any] | None) -> str:
    """Show examples of changes, and both sides of the columns whose distributions differ."""
    if data is None:
        return ""
    parts = [*_guesses(data), _changed(data), _keys(data), _schema(data), _quarantine(data)]
    parts.append(_columns(data))
    body = "\n\n".join(part for part in parts if part)
    return (
        folded(f"Data: {data['rows'][0]:,} rows before, {data['rows'][1]:,} now", body)
        if body
        else ""
    )


def _guesses(data: dict[str, Any]) -> list[str]:
    if len(data["guesses"]) <= _LISTED_GUESSES:
        return []
    return ["\n".join(f"- {_guess(guess)}" for guess in data["guesses"][:LISTED_COLUMNS])]


def _changed(data: dict[str, Any]) -> str:
    """List the columns with the most changed cells, with examples."""
    counts = sorted(data["changed_columns"].items(), key=lambda one: -one[1])
    if not counts:
        return ""
    rows = []
    for name, n in counts[:LISTED_COLUMNS]:
        shown = data["examples"]["changed"].get(name, [])
        text = ", ".join(
            f"{_short(one['key'])}: {_short(one['before'])} → {_short(one['after'])}"
            for one in shown
        )
        rows.append((cell(name), f"{n:,}", text))
    text = table(("changed column", "cells", "for example"), "lrl", rows)
    left = len(counts) - len(rows)
    return text + (f"\n\n… and {left} more columns with changed cells" if left else "")


def _keys(data: dict[str, Any]) -> str:
    lines = []
    for what in ("added", "removed"):
        if keys := data["examples"][what]:
            lines.append(f"{what.capitalize()}, for example: {', '.join(map(_short, keys))}.")
    return " ".join(lines)


def _schema(data: dict[str, Any]) -> str:
    if not data["schema"]:
        return ""
    listed = "\n".join(f"- {cell(change)}" for change in data["schema"][:LISTED_COLUMNS])
    left = len(data["schema"]) - LISTED_COLUMNS
    return f"Changes of the schema:\n\n{listed}" + (f"\n- and {left} more" if left > 0 else "")


def _quarantine(data: dict[str, Any]) -> str:
    if not data["quarantine"] or not data["quarantine"]["reasons"]:
        return ""
    rows = [
        (
            cell(reason["column"] or ""),
            _short(reason["wanted"]),
            f"{reason['rows']:,}",
            ", ".join(map(_short, reason["examples"][:3])),
        )
        for reason in data["quarantine"]["reasons"]
    ]
    return table(("in quarantine: column", "wanted", "rows", "found, for example"), "llrl", rows)


def _columns(data: dict[str, Any]) -> str:
    """List columns by how much their distributions differ."""
    differing = [
        column
        for column in data["columns"]
        if column["column"] in data["changed_columns"]
        or column["distance"] is None
        or column["distance"] >= _NOTABLE
    ]
    differing.sort(key=lambda one: -(1 if one["distance"] is None else one["distance"]))
    if not differing:
        return ""
    rows = []
    for column in differing[:LISTED_COLUMNS]:
        fields = [cell(column["column"])]
        for side in ("base", "candidate"):
            missing = column[side]["missing"]
            gaps = f", {missing:.1%} missing" if missing else ""
            fields += [f"{_short(column[side]['text'])}{gaps}", _spark(column["bins"][side])]
        distance = column["distance"]
        rows.append([*fields, "" if distance is None else f"{distance:.0%}"])
    head = ("column", "base", "", "candidate", "", "differs")
    text = table(head, "lllllr", rows)
    left = len(differing) - len(rows)
    return text + (f"\n\n… and {left} more columns that differ less" if left else "")


def _spark(shares: list[float]) -> str:
    """Draw shares as a row of bars; empty if there is no value."""
    most = max(shares, default=0.0)
    if not most:
        return ""
    return "".join(_BARS[round((len(_BARS) - 1) * share / most)] for share in shares)


def _short(value: Any) -> str:
    """Format a cell of the data; long ones are cut."""
    if value is None:
        return "missing"
    if isinstance(value, float):
        return cell(f"{value:,.8g}")
    text = str(value)
    blank = text != text.strip() or not text
    text = repr(text) if blank else text
    return cell(text if len(text) <= _MOST_TEXT else text[:_MOST_TEXT] + "…")
