"""An engine that derives the model's features from the inputs of requests."""

from typing import Any

from mlops.columns import Schema
from mlops.derived import as_array, derive
from mlops.serving.encoding import Coded, Columns, Floats
from mlops.serving.engine import Engine


def with_features(engine: Engine, schema: Schema) -> Engine:
    """Return an engine that takes inputs; the same one if no feature is derived."""
    return WithFeatures(engine, schema) if schema.derived else engine


class WithFeatures:
    """Derives features as `mlops.derived` does for training, then lets `engine` predict."""

    def __init__(self, engine: Engine, schema: Schema) -> None:
        self._engine, self._schema = engine, schema

    def predict_columns(self, columns: Columns) -> Floats:
        arrays, complete = {}, set()
        for column in self._schema.needed_inputs:
            values = columns[column.name]
            plain = values.texts() if isinstance(values, Coded) else values
            arrays[column.name] = as_array(plain, column)
            if _is_complete(values):
                complete.add(column.name)
        return self._engine.predict_columns({**columns, **derive(arrays, self._schema, complete)})


def _is_complete(values: Any) -> bool:
    """Return whether a request's list has no missing value; False for any other form."""
    return type(values) is list and None not in values
