"""Report new texts of open features, for a person to read; they raise no alarm by themselves."""

from typing import Any

import pandas as pd

from mlops.columns import Schema
from mlops.profile import LISTED_TEXTS

_NAMED, _LETTERS = 5, 40


def note_new_texts(rows: pd.DataFrame, reference: dict[str, Any], schema: Schema) -> list[str]:
    """List each open feature's texts that are not in the reference, the most frequent first."""
    notes = []
    for feature in (one for one in schema.features if one.open):
        known, values = reference["features"][feature.name], rows[feature.name].dropna()
        new = values[~values.isin(list(known["choices"]))].value_counts()
        if new.empty:
            continue
        unlike = (
            "that are in neither training nor test rows"
            if known["whole"]
            else f"other than the {LISTED_TEXTS:,} most frequent ones"
        )
        order = sorted(new.index, key=lambda text: (-new[text], text))[:_NAMED]
        named = ", ".join(f"{text[:_LETTERS]!r} ({new[text]:,})" for text in order)
        more = f" and {len(new) - _NAMED:,} more" if len(new) > _NAMED else ""
        notes.append(
            f"{feature.name}: {new.sum():,} of {len(values):,} values are texts {unlike}: "
            f"{named}{more}"
        )
    return notes
