"""Causes in edited settings: parameters, columns, features, bounds, code, libraries."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mlops.review.differences import ABSENT, params_diff
from mlops.review.value_causes import Cause

_LEARNS = ("ingest", "split", "train")
_NO_CAUSE = ("train.seed", "ingest.max_gap_days")
"""Another seed only draws the same model again; a limit that was not reached changes no model."""
_SEARCH = "train.search."
_LIBRARIES = (
    *("scikit-learn", "numpy", "scipy", "pandas", "pyarrow", "joblib", "threadpoolctl"),
    *("lightgbm", "xgboost", "catboost", "torch"),
)
"""Libraries of which another version may train another model."""


@dataclass(frozen=True)
class Settings:
    """Settings that a side's model was trained with, and its numbers of rows.

    Attributes:
        columns: as the bundle's manifest describes them.
        derived: names of derived features, and a hash of their functions' meaning.
        code: fingerprint of stage train; empty before engine 1.0.
    """

    params: dict[str, Any]
    columns: list[dict[str, Any]]
    derived: dict[str, Any] = field(default_factory=dict)
    code: dict[str, Any] = field(default_factory=dict)
    valid: int = 0
    quarantined: int = 0


def setting_causes(base: Settings, candidate: Settings) -> list[Cause]:
    """List the edits that can move a model."""
    return [
        *_parameters(base.params, candidate.params),
        *_features(base, candidate),
        *_bounds(base, candidate),
        *_code(base.code, candidate.code),
    ]


def _parameters(base: dict[str, Any], candidate: dict[str, Any]) -> Iterator[Cause]:
    kind = candidate.get("train", {}).get("kind")
    searches = any(side.get("train", {}).get("search", {}).get("candidates")
                   for side in (base, candidate))  # fmt: skip
    for path, old, new in params_diff(base, candidate):
        section = path.split(".")[0]
        own = path.startswith(f"models.{kind}.")
        if path in _NO_CAUSE or not (own or section in _LEARNS or path == "validate.quarantine"):
            continue
        if path.startswith(_SEARCH) and not searches:
            continue
        if old == ABSENT and new is None:  # a new setting of an upgrade, switched off
            continue
        strength = 0.9 if own or section == "train" else 0.7
        yield Cause("parameter", path, f"{path} was {old} and is {new}", strength)


def _seen(side: Settings) -> dict[str, dict[str, Any]]:
    """Return the columns that a model gets, or that its derived features use."""
    return {c["name"]: c for c in side.columns if c["role"] in ("feature", "input")}


def _features(base: Settings, candidate: Settings) -> Iterator[Cause]:
    old, new = _seen(base), _seen(candidate)
    for name in old.keys() - new.keys():
        yield Cause("column", f"{name} dropped", f"{name} is no input of the model any more", 1.2)
    for name in new.keys() - old.keys():
        yield Cause("column", f"{name} added", f"{name} is a new input of the model", 1.1)
    for name in old.keys() & new.keys():
        for what in ("type", "role"):
            if old[name][what] != new[name][what]:
                text = f"{what} of {name} was {old[name][what]} and is {new[name][what]}"
                yield Cause("column", f"{what} of {name}", text, 1.1)
    was, now = ({*side.derived.get("names", ())} for side in (base, candidate))
    for names, how in ((was - now, "dropped"), (now - was, "added")):
        for name in names:
            text = f"the derived feature {name} was {how}"
            yield Cause("feature", f"{name} {how}", text, 1.15)
    same = base.derived.get("code") == candidate.derived.get("code")
    if was & now and was == now and not same:
        text = "a function in src/project/features.py computes something else"
        yield Cause("feature", "derived features", text, 1.1)


def _bounds(base: Settings, candidate: Settings) -> Iterator[Cause]:
    """Yield changed bounds and choices if the number of valid or quarantined rows changed."""
    old, new = ({c["name"]: c for c in side.columns} for side in (base, candidate))
    aside = candidate.quarantined - base.quarantined
    edits = [
        f"{what} of {name}: was {_said(old[name].get(what))}, is {_said(new[name].get(what))}"
        for name in new
        if name in old
        for what in ("low", "high", "nullable", "choices")
        if old[name].get(what) != new[name].get(what)
    ]
    if edits and (aside or base.valid != candidate.valid):
        effect = f"{candidate.valid:,} valid rows, before {base.valid:,}"
        text = f"{'; '.join(edits[:3])} ({effect})"
        yield Cause("bounds", "bounds in the schema", text, 1.1)
    elif aside:
        text = f"{candidate.quarantined:,} rows are quarantined, before {base.quarantined:,}"
        yield Cause("bounds", "quarantined rows", text, 0.8)


def _said(value: Any) -> str:
    return f"{len(value)} values" if isinstance(value, (list, tuple)) else str(value)


def _code(base: dict[str, Any], candidate: dict[str, Any]) -> Iterator[Cause]:
    if not base or not candidate:
        return
    was, now = (
        dict(line.split("==", 1) for line in side.get("libraries", ()))
        for side in (base, candidate)
    )
    for name in _LIBRARIES:
        if was.get(name) != now.get(name):
            text = f"{name} was {was.get(name, 'absent')} and is {now.get(name, 'absent')}"
            yield Cause("library", name, text, 0.85)
    for what, text in (
        ("models", "src/project/models.py builds another model"),
        ("engine", "the engine has another version"),
    ):
        if base.get(what) != candidate.get(what):
            yield Cause("code", what, text, 0.8)
