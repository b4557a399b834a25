"""An engine that derives the model's features from the inputs of requests."""

from mlops.columns import Schema
from mlops.derived import derive
from mlops.inference.encoding import Coded, Columns, Floats
from mlops.inference.engine import Engine


def with_features(engine: Engine, schema: Schema) -> Engine:
    """Return an engine that takes inputs; the same one if no feature is derived."""
    return WithFeatures(engine, schema) if schema.derived else engine


class WithFeatures:
    """Derives features as `mlops.derived` does for training, then lets `engine` predict."""

    def __init__(self, engine: Engine, schema: Schema) -> None:
        self._engine, self._schema = engine, schema
        self._texts = [c.name for c in schema.needed_inputs if c.type is str]

    def predict_columns(self, columns: Columns) -> Floats:
        coded = {n: v.texts() for n in self._texts if isinstance(v := columns[n], Coded)}
        found = derive({**columns, **coded} if coded else columns, self._schema)
        return self._engine.predict_columns({**columns, **found})
