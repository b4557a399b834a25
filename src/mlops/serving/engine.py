"""The exported model: rows of features to predictions, without the library that trained it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mlops.serving.encoding import Encoding, Floats, Row
from mlops.serving.trees import Trees

FORM_FILE = "form.json"
TREES_FILE = "trees.bin"


class Engine(Protocol):
    """What predicts."""

    def predict(self, rows: Sequence[Row]) -> Floats:
        """Predict values, shape (n_rows,), or probabilities of the target's choices in their
        order, shape (n_rows, n_choices). A gap is None; every feature has a key.
        """


class Exported:
    """A model of plain tables, and of treelite's trees if it has any.

    Args:
        form: what stands in FORM_FILE: encoding, link, inverse, n_choices, classes (the places of
            the model's classes among the target's choices) and either coef and intercept, or
            n_outputs and single_precision of trees.
        trees: the bytes of TREES_FILE.
    """

    def __init__(self, form: dict[str, Any], trees: bytes | None) -> None:
        self._encoding = Encoding.from_json(form["encoding"])
        self._link, self._inverse = form["link"], form["inverse"]
        self._n_choices, self._classes = form["n_choices"], form["classes"]
        self._single = form.get("single_precision", False)
        self._trees = None if trees is None else Trees(trees, form["n_outputs"])
        if self._trees is None:
            self._coef = np.array(form["coef"], dtype=np.float64)
            self._intercept = np.array(form["intercept"], dtype=np.float64)

    @classmethod
    def read(cls, folder: Path) -> "Exported":
        """Load from a folder whose files were found to be as recorded."""
        form = json.loads((folder / FORM_FILE).read_text(encoding="utf-8"))
        trees = folder / TREES_FILE
        return cls(form, trees.read_bytes() if "n_outputs" in form else None)

    def predict(self, rows: Sequence[Row]) -> Floats:
        matrix = self._encoding.matrix(rows)
        if self._trees is None:
            raw = matrix @ self._coef.T + self._intercept
        else:
            if self._single:  # scikit-learn's forests compare in single precision
                matrix = matrix.astype(np.float32).astype(np.float64)
            raw = self._trees.raw(matrix)
        if not self._n_choices:
            return np.exp(raw[:, 0]) if self._inverse == "exp" else raw[:, 0]
        proba = np.zeros((len(rows), self._n_choices))
        proba[:, self._classes] = _LINKS[self._link](raw)
        return proba


def _sigmoid(raw: Floats) -> Floats:
    """Two classes from one score, without overflow: shapes (n_rows, 1) to (n_rows, 2)."""
    small = np.exp(-np.abs(raw))
    second = np.where(raw >= 0, 1.0, small) / (1.0 + small)
    return np.hstack([1.0 - second, second])


def _softmax(raw: Floats) -> Floats:
    powers = np.exp(raw - raw.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


_LINKS = {"identity": lambda raw: raw, "sigmoid": _sigmoid, "softmax": _softmax}
