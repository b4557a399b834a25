"""Check that each derived feature depends on its own row alone: a request has no other rows."""

import ast
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from mlops.columns import Schema
from mlops.errors import UserError
from mlops.frames import with_derived
from mlops.pipeline.feature_code import code_problems

CHECKED_ROWS = 500
_ALONE = 50

Values = Mapping[str, NDArray[Any]]
"""The derived features of some rows, by name."""


def check_features(
    rows: pd.DataFrame,
    schema: Schema,
    modules: Mapping[str, ast.Module] = MappingProxyType({}),
    elsewhere: Callable[[pd.DataFrame], Values] | None = None,
) -> None:
    """Derive features of some rows among different other rows, and check their functions' code.

    Args:
        rows: with the schema's inputs.
        modules: syntax trees of the modules that define the features, by name.
        elsewhere: derives the features of rows in another process.

    Raises:
        UserError: a value depends on other rows, on chance, on an earlier call, or on what a
            server has not; the message lists all such features and lines.
    """
    if not schema.derived:
        return
    problems = code_problems(modules)
    step = max(1, len(rows) // CHECKED_ROWS)
    sample = rows.iloc[::step].head(CHECKED_ROWS).reset_index(drop=True)
    together = derived_values(sample, schema)
    tried = [
        ("in another order", sample.iloc[::-1]),
        ("with fewer other rows", sample.iloc[: max(1, len(sample) // 3)]),
        ("when computed again", sample),
        ("next to a copy of it", pd.concat([sample, sample])),
        *(("alone", sample.iloc[[place]]) for place in range(min(len(sample), _ALONE))),
    ]
    found: dict[str, str] = {}
    for how, part in tried:
        for name, values in derived_values(part, schema).items():
            if not _same(values, together[name][part.index]):
                found.setdefault(name, how)
    try:
        others = elsewhere(sample) if elsewhere else {}
    except UserError as error:
        problems.append(str(error))
    else:
        for name, values in others.items():
            if not _same(values, together[name]):
                found.setdefault(name, "in another process, with another time zone and hash seed")
    problems += [
        f"feature {name!r}: a row has another value {how}: each value must depend only on its own "
        "row, or requests would get other values than training"
        for name, how in found.items()
    ]
    if problems:
        raise UserError(f"src/project/features.py: {len(problems)} problem(s)", problems)


def derived_values(rows: pd.DataFrame, schema: Schema) -> Values:
    """Derive the features of rows that have the schema's inputs."""
    made = with_derived(rows, schema)
    return {feature.name: made[feature.name].to_numpy() for feature in schema.derived}


def _same(found: NDArray[Any], wanted: NDArray[Any]) -> bool:
    gaps = pd.isna(wanted)
    return bool((pd.isna(found) == gaps).all() and (found[~gaps] == wanted[~gaps]).all())
