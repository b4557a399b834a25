"""The served model: a verified bundle, its engine, and the format of its answers."""

import json
import math
import timeit
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mlops.bundle import load_model, read_manifest
from mlops.columns import Schema
from mlops.decision_rule import decided_choices
from mlops.errors import UserError
from mlops.inference.derived_engine import with_features
from mlops.inference.encoding import Coded, Columns, Floats
from mlops.inference.engine import FEW, Engine, Exported
from mlops.lookups import with_tables_of
from mlops.records import Manifest
from mlops.request import describe_columns, describe_derived

_HELD_UP = 0.005  # seconds for which a prediction may hold up other requests
_TIMED = 100  # rows predicted to find out how long one takes


@dataclass(frozen=True)
class Served:
    """One verified bundle.

    Attributes:
        quick_rows: rows that are predicted within _HELD_UP.
    """

    manifest: Manifest
    engine: Engine
    schema: Schema
    quick_rows: int = FEW

    @cached_property
    def key(self) -> str:
        """The name of a prediction in answers."""
        return f"predicted_{self.schema.target.name}"

    @cached_property
    def choices(self) -> tuple[str, ...]:
        """The classes, in the order of the probabilities; empty for a regression."""
        return self.schema.target.choices

    @cached_property
    def threshold(self) -> float | None:
        """The decision threshold of two classes; None, as in old bundles: the most likely one."""
        return self.manifest.get("threshold")

    @cached_property
    def version(self) -> str:
        """The model's version."""
        return str(self.manifest["model_version"])

    @classmethod
    def read(cls, folder: Path, schema: Schema) -> "Served":
        """Verify a bundle, load its engine, and predict some rows as a test.

        Raises:
            UserError: the bundle is missing, truncated, altered, or made with another version of
                the libraries or of the schema.
        """
        manifest = read_manifest(folder, to_serve=True)
        if manifest.get("columns") != _plain(describe_columns(schema)):
            raise UserError(
                f"{folder}: made for another src/project/schema.py",
                advice="Rebuild it: dvc repro export",
            )
        if manifest.get("derived") != _plain(describe_derived(schema)):
            raise UserError(
                f"{folder}: made with other functions than those of src/project/features.py",
                advice="Rebuild it: dvc repro export",
            )
        try:
            schema = with_tables_of(schema, folder)
            engine = (
                _Pickled(folder, schema)
                if _is_pickled(manifest)
                else Exported.read(folder, manifest["engine_files"])
            )
        except RuntimeError as error:
            raise UserError(f"{folder}: {error}") from error
        if read_manifest(folder, to_serve=True) != manifest:
            raise UserError(f"{folder}: was replaced while it was being read; read it again")
        whole = with_features(engine, schema)
        return cls(manifest, whole, schema, _quick_rows(whole, schema))

    def values(self, predicted: Floats) -> list[Any]:
        """Convert predictions to an answer's values: numbers, or a probability for each choice.

        Raises:
            ValueError: one is not finite, which JSON can't represent.
        """
        values = predicted.ravel().tolist()
        # A sum is quicker for a few values; that of finite ones may overflow.
        if not math.isfinite(sum(values)) and not all(map(math.isfinite, values)):
            raise ValueError("the model predicts no finite number")
        if not self.choices:
            return values
        lines = zip(*[iter(values)] * len(self.choices), strict=True)
        return [dict(zip(self.choices, line, strict=True)) for line in lines]

    def answers(self, values: list[Any]) -> list[Any]:
        """Return the answer for each value: the number, or the choice that is decided for."""
        return decided_choices(values, self.threshold) if self.choices else values


def _quick_rows(engine: Engine, schema: Schema) -> int:
    """Predict rows without a value, and return how many rows are predicted in _HELD_UP seconds."""
    blank = {column.name: [None] * _TIMED for column in schema.inputs}
    took = min(timeit.repeat(lambda: engine.predict_columns(blank), number=1, repeat=3))
    return max(FEW, int(_HELD_UP / took * _TIMED))


class _Pickled:
    """The pickled pipeline, for a model that has no exported form."""

    def __init__(self, folder: Path, schema: Schema) -> None:
        self._model, self._names = load_model(folder), [c.name for c in schema.features]
        self._target = schema.target

    def predict_columns(self, columns: Columns) -> Floats:
        import pandas as pd

        from mlops.pipeline.model import predict

        values = {
            name: given.texts() if isinstance(given, Coded) else given
            for name, given in columns.items()
        }
        frame = pd.DataFrame(values, columns=self._names)
        return np.asarray(predict(self._model, frame, self._target), dtype=np.float64)


def _is_pickled(manifest: Manifest) -> bool:
    return bool(manifest["engine"] == "joblib")


def _plain(content: Any) -> Any:
    """Return content after a round trip through JSON."""
    return json.loads(json.dumps(content))
