"""Moves of predictions, and the rows that moved most, as Markdown."""

from typing import Any

from mlops.review.github_markdown import cell, folded, number, table

_BAR = 20
_NAMED = 3


def moved_line(moved: dict[str, Any] | None, key: str) -> str:
    """Summarize in one paragraph how many predictions moved, and which rows moved most."""
    if moved is None:
        return ""
    if moved["kind"] == "classes":
        return _flips_line(moved, key)
    rows = f"{moved['rows']:,} test rows"
    if not any(moved["shares"].values()):
        return f"**Predictions:** none of {rows} moved by more than 1%."
    shares = [f"{_percent(v)} by more than {float(k):.0%}" for k, v in moved["shares"].items() if v]
    text = (
        f"**Predictions:** of {rows}, {', '.join(shares).replace('% by', '% moved by', 1)}: "
        f"{moved['up']:,} up, {moved['down']:,} down."
    )
    for words, up in (("Most up", True), ("Most down", False)):
        named_rows = [row for row in moved["most"] if (row["moved"] > 0) is up][:_NAMED]
        named = ", ".join(f"{cell(row['key'])} ({row['moved']:+.0%})" for row in named_rows)
        text += f" {words}: {cell(key)} {named}." if named_rows else ""
    return text


def _flips_line(moved: dict[str, Any], key: str) -> str:
    if not moved["flipped"]:
        return f"**Predictions:** none of {moved['rows']:,} test rows changed class."
    text = (
        f"**Predictions:** {moved['flipped']:,} of {moved['rows']:,} test rows changed class: "
        f"{moved['fixed']:,} are right now, {moved['broken']:,} are wrong now."
    )
    rows = [row for row in moved["most"] if row["base"] != row["candidate"]][:_NAMED]
    named = ", ".join(
        f"{cell(row['key'])} ({cell(row['base'])} → {cell(row['candidate'])})" for row in rows
    )
    return text + (f" Surest: {cell(key)} {named}." if rows else "")


def moved_section(moved: dict[str, Any] | None, key: str, target: str) -> str:
    """Show the distribution of moves and the rows that moved most."""
    if moved is None or not (any(moved["shares"].values()) or moved["most"]):
        return ""
    of_numbers = moved["kind"] == "numbers"
    unit = "" if of_numbers else " (probability of a class)"
    steps = ", ".join(
        f"{_percent(v)} by more than {_percent(float(k))}" for k, v in moved["shares"].items()
    )
    parts = [f"Moved{unit}: {steps} of {moved['rows']:,} test rows."]
    parts.append(
        _moves_table(moved["distribution"]) if of_numbers else _flips_table(moved["flips"])
    )
    if moved["most"]:
        rows = _number_rows if of_numbers else _class_rows
        parts.append(rows(moved["most"], key, target))
    title = (
        f"Predictions: the {len(moved['most'])} rows that moved most"
        if moved["most"]
        else "Predictions: how far they moved"
    )
    return folded(title, "\n\n".join(part for part in parts if part))


def _moves_table(distribution: list[dict[str, Any]]) -> str:
    most = max(part["rows"] for part in distribution) or 1
    rows = [
        (
            _range(part),
            f"{part['rows']:,}",
            "█" * round(_BAR * part["rows"] / most) or ("▏" * bool(part["rows"])),
        )
        for part in distribution
    ]
    return table(("change of the prediction", "rows", ""), "lrl", rows)


def _range(part: dict[str, Any]) -> str:
    low, high = part["from"], part["to"]
    if low is None:
        return f"down by more than {-high:.0%}"
    if high is None:
        return f"up by more than {low:.0%}"
    if low < 0 < high:
        return f"less than {high:.0%}"
    return f"up by {low:.0%} to {high:.0%}" if low > 0 else f"down by {-high:.0%} to {-low:.0%}"


def _flips_table(flips: list[dict[str, Any]]) -> str:
    if not flips:
        return ""
    rows = [
        (
            cell(one["from"]),
            cell(one["to"]),
            f"{one['rows']:,}",
            f"{one['right_now']:,}",
            f"{one['right_before']:,}",
        )
        for one in flips[:20]
    ]
    head = ("base predicts", "candidate predicts", "rows", "candidate is right", "base was right")
    return table(head, "llrrr", rows)


def _number_rows(most: list[dict[str, Any]], key: str, target: str) -> str:
    features = list(most[0]["features"])
    head = [cell(key), *map(cell, features), "base", "candidate", "change"]
    head += [f"actual {cell(target)}", "error before", "error now"]
    rows = [
        [cell(row["key"]), *_features(row)]
        + [number(row[side], 6) for side in ("base", "candidate")]
        + [f"{row['moved']:+.1%}", number(row["actual"], 6)]
        + [number(row[f"{side}_error"], 4) for side in ("base", "candidate")]
        for row in most
    ]
    return table(head, "l" * (1 + len(features)) + "r" * 6, rows)


def _class_rows(most: list[dict[str, Any]], key: str, target: str) -> str:
    features = list(most[0]["features"])
    head = [cell(key), *map(cell, features), "base", "candidate", f"actual {cell(target)}"]
    rows = [
        [cell(row["key"]), *_features(row)]
        + [f"{cell(row[s])} ({row[f'{s}_probability']:.0%})" for s in ("base", "candidate")]
        + [cell(row["actual"])]
        for row in most
    ]
    return table(head, "l" * (4 + len(features)), rows)


def _features(row: dict[str, Any]) -> list[str]:
    return [_shown(value) for value in row["features"].values()]


def _shown(value: Any) -> str:
    if value is None:
        return "missing"
    return number(value, 6) if isinstance(value, float) else cell(value)


def _percent(share: float) -> str:
    return "less than 0.1%" if 0 < share < 0.001 else f"{100 * share:.2g}%"
