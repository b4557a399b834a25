"""Warn of features that the base's model lacks and that leak the target in the training rows."""

from collections.abc import Collection

import pandas as pd

from mlops.adopt.leak_pairs import questions
from mlops.adopt.leaks import gives_away
from mlops.columns import Schema
from mlops.frames import read_rows, with_derived
from mlops.paths import TRAIN_ROWS
from mlops.review.checkouts import Side
from mlops.review.gate import Check

_ROWS = 2000  # sampled if there are more


def check_leaks(schema: Schema, base: Side | None = None) -> list[Check]:
    """Warn of features that predict the target almost perfectly: each may be known only after it.

    Args:
        base: the side whose features were reviewed before; None: no model was reviewed yet.
    """
    known = set(base.manifest["data"]["seen"]) if base else set()
    new = [feature.name for feature in schema.features if feature.name not in known]
    if not new:
        return []
    rows = with_derived(read_rows(TRAIN_ROWS), schema)
    rows = rows.sample(min(_ROWS, len(rows)), random_state=0)
    found = _findings(rows, new, [feature.name for feature in schema.features], schema)
    why = "{}: if it is not known before {} is, the metrics promise too much; leave it out"
    return [
        Check("leak of the target", None, None, "warn", why.format(finding, schema.target.name))
        for finding in found
    ]


def _findings(
    rows: pd.DataFrame, new: Collection[str], features: list[str], schema: Schema
) -> list[str]:
    """Describe which new features leak the target, alone or with another."""
    target = rows[schema.target.name]
    alone = [name for name in new if gives_away(rows[name], target, schema.task)]
    found = [f"{name} alone gives {target.name} away" for name in alone]
    rest = rows[[name for name in features if name not in alone]]
    for finding, names in questions(rest, target, schema.task):
        if set(names) & set(new):
            found.append(finding)
    return found
