"""The served model's card: what it is good at and not, its data, metrics, slices and limits."""

from collections.abc import Sequence
from html import escape
from typing import Any

from mlops.columns import Schema
from mlops.records import Manifest, MetricRecord, RowsRecord, SliceRecord
from mlops.undefined import UNDEFINED, reason_of

_LISTED_SLICES = 60
_LEAST_ROWS = 30
"""Rows of a slice that is named; the default of gate.slices.min_rows, which a bundle lacks."""
_NAMED_SLICES = 3
_WORDS = {
    "mape": "A prediction is off by {value} of the actual value on average",
    "mae": "A prediction is off by {value} on average",
    "balanced_accuracy": "Of the rows of each class, {value} are decided right on average",
}
"""Metrics that can be said in a sentence."""
_SHARES = ("mape", "balanced_accuracy")
_HIGHER_IS_BETTER = ("balanced_accuracy",)


def strengths(manifest: Manifest, schema: Schema) -> str:
    """Say as HTML how far off the model is, and for which slices clearly less or more.

    Clearly: the slice has at least _LEAST_ROWS rows, and its interval excludes the value of all.
    """
    evaluation = manifest["evaluation"]
    name, unit = _in_words(manifest), schema.target.unit
    metric, baseline = evaluation["metrics"][name], evaluation["baseline"].get(name)
    if metric["value"] is None:
        return (
            f"<p>{escape(name)} of the test rows is {UNDEFINED}: {escape(reason_of(metric))}.</p>"
        )
    words = _WORDS.get(name, f"{name} is {{value}}")
    told = words.format(value=_said(name, metric["value"], unit))
    if baseline is not None:
        told += f"; without a model, it would be {_said(name, baseline, unit)}"
    parts = [f"<p>{escape(told)} ({_window(manifest['data']['test'])}, unseen in training).</p>"]
    better, worse = _apart(evaluation["slices"], name, metric["value"])
    for title, found in (("Better than that for", better), ("Worse than that for", worse)):
        if found:
            lines = "".join(f"<li>{escape(_named(s, name, schema))}</li>" for s in found)
            parts.append(f"<div><h3>{title}</h3><ul>{lines}</ul></div>")
    if not (better or worse):
        parts.append("<p>No slice is clearly better or worse than the others.</p>")
    return "\n".join(parts)


def _in_words(manifest: Manifest) -> str:
    """Choose the metric to put in words; shares of the target only for a model that fits them."""
    metrics = manifest["evaluation"]["metrics"]
    left_out = () if manifest["params"].get("log_target") else ("mape",)
    known = (
        name
        for name in _WORDS
        if name in metrics and metrics[name]["value"] is not None and name not in left_out
    )
    return next(known, next(iter(metrics)))


def _said(name: str, value: float, unit: str) -> str:
    if name in _SHARES:
        return f"{value:.1%}"
    return f"{_number(value)} {unit if name == 'mae' else ''}".strip()


def _apart(
    parts: list[SliceRecord], name: str, overall: float
) -> tuple[list[SliceRecord], list[SliceRecord]]:
    """Return the slices that are clearly better, and clearly worse, the farthest first."""
    known = [one for one in parts if one["rows"] >= _LEAST_ROWS]
    known.sort(key=lambda one: one["metrics"][name]["value"] or 0.0)
    lower = [one for one in known if _side(one["metrics"][name], overall) < 0]
    higher = [one for one in reversed(known) if _side(one["metrics"][name], overall) > 0]
    better, worse = (higher, lower) if name in _HIGHER_IS_BETTER else (lower, higher)
    return better[:_NAMED_SLICES], worse[:_NAMED_SLICES]


def _side(metric: MetricRecord, overall: float) -> int:
    """Return -1 or 1 if the interval is wholly below or above a value, else 0."""
    low, high = metric["low"], metric["high"]
    return 0 if low is None or high is None else int(low > overall) - int(high < overall)


def _named(one: SliceRecord, name: str, schema: Schema) -> str:
    described = {feature.name: feature.description for feature in schema.features}
    value = one["metrics"][name]["value"]
    told = "" if value is None else _said(name, value, schema.target.unit)
    column = described.get(one["column"], one["column"])
    return f"{column}: {one['slice']} ({told}, {one['rows']:,} rows)"


def model_card(manifest: Manifest) -> str:
    """Return the model's card as HTML: version, data, metrics, slices and limits."""
    evaluation, data = manifest["evaluation"], manifest["data"]
    kind, confidence = manifest["params"]["kind"], evaluation["confidence"]
    parts = [
        f"<p>Version <code>{manifest['model_version']}</code>, {escape(kind)}; "
        f"trained on {_window(data['train'])}, tested on {_window(data['test'])}.</p>",
        _table(
            f"On the test rows, with {confidence:.0%} intervals",
            ("metric", "value", "interval", "without a model"),
            [
                (name, *_interval(value), _number(evaluation["baseline"].get(name)) or UNDEFINED)
                for name, value in evaluation["metrics"].items()
            ],
        ),
    ]
    if (threshold := manifest.get("threshold")) is not None:
        parts.append(
            f"<p>Decides for the second of the classes from a probability of {threshold:g} on.</p>"
        )
    own = evaluation.get("own_metrics", {})
    parts += [f"<p>{escape(name)}: {escape(words)}.</p>" for name, words in own.items()]
    leading = next(iter(evaluation["metrics"]))
    lines = [
        (f"{s['column']}: {s['slice']}", str(s["rows"]), *_interval(s["metrics"][leading]))
        for s in evaluation["slices"][:_LISTED_SLICES]
    ]
    slices = _table(f"{leading} by slice", ("slice", "rows", leading, "interval"), lines)
    parts.append(f"<details><summary>By slice</summary>{slices}</details>")
    ranges = [(name, _range(seen)) for name, seen in data["seen"].items()]
    limits = _table("Values in the training rows", ("feature", "values"), ranges)
    parts.append(
        "<details><summary>Limits</summary><p>For rows unlike those that trained it, a prediction "
        f"is a guess that no metric above vouches for.</p>{limits}</details>"
    )
    return "\n".join(parts)


def _window(part: RowsRecord) -> str:
    days = f" of {part['from']} to {part['to']}" if "from" in part else ""
    return f"{part['rows']:,} rows{days}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def _interval(metric: MetricRecord) -> tuple[str, str]:
    if metric["value"] is None:
        return UNDEFINED, reason_of(metric)
    low, high = _number(metric["low"]), _number(metric["high"])
    return _number(metric["value"]), f"{low} to {high}" if low else ""


def _range(seen: list[Any]) -> str:
    if not seen or isinstance(seen[0], str):
        return ", ".join(map(str, seen)) or "none"
    return f"{seen[0]:,.12g} to {seen[1]:,.12g}"


def _table(caption: str, heads: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>" for line in lines
    )
    return (
        f'<div class="table" tabindex="0" role="group" aria-label="{escape(caption)}">'
        f"<table><caption>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
