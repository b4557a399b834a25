"""An engine that derives the model's features from the inputs of requests."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlops.columns import Schema
from mlops.derived import as_array, derive
from mlops.serving.encoding import Coded, Columns, Floats, Row
from mlops.serving.engine import Engine


def with_features(engine: Engine, schema: Schema) -> Engine:
    """Return an engine that takes inputs; the same one if no feature is derived."""
    return WithFeatures(engine, schema) if schema.derived else engine


class WithFeatures:
    """Derives features as `mlops.derived` does for training, then lets `engine` predict."""

    def __init__(self, engine: Engine, schema: Schema) -> None:
        self._engine, self._schema = engine, schema
        self._needed = [column for column in schema.inputs if column.name in schema.needed]

    def predict(self, rows: Sequence[Row]) -> Floats:
        arrays = {c.name: as_array([row[c.name] for row in rows], c) for c in self._needed}
        found = {name: values.tolist() for name, values in derive(arrays, self._schema).items()}
        made = zip(*found.values(), strict=True)
        return self._engine.predict(
            [
                {**row, **dict(zip(found, own, strict=True))}
                for row, own in zip(rows, made, strict=True)
            ]
        )

    def predict_columns(self, columns: Columns) -> Floats:
        arrays = {c.name: as_array(_plain(columns[c.name]), c) for c in self._needed}
        found: dict[str, Any] = derive(arrays, self._schema)
        for feature in self._schema.derived:
            if feature.is_categorical:
                values = found[feature.name]
                texts = feature.choices or sorted({value for value in values if value is not None})
                places = {text: place for place, text in enumerate(texts)}
                codes = np.array([places.get(value, -1) for value in values])
                found[feature.name] = Coded(texts, codes)
        return self._engine.predict_columns({**columns, **found})


def _plain(values: Any) -> Any:
    """Return a category's choice in each row; None for a missing value."""
    if isinstance(values, Coded):
        return np.array([*values.choices, None], dtype=object)[values.codes]
    return values
