"""The exported model, which predicts without the library that trained it."""

import io
import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mlops.inference.encoding import Columns, Encoding, Floats, count_rows
from mlops.inference.quickscorer import FewRows, Masks
from mlops.inference.trees import Trees

FORM_FILE = "form.json"
TREES_FILE = "trees.bin"
MASKS_FILE, LEAVES_FILE = _MASKS = "masks.npy", "leaves.npy"

FEW = 32
"""Rows up to which lists of Python are quicker than arrays of numpy."""


class Engine(Protocol):
    """Interface of a serving engine."""

    def predict_columns(self, columns: Columns) -> Floats:
        """Predict values, shape (n_rows,), or probabilities of the target's choices in their
        order, shape (n_rows, n_choices). Every feature has a key.

        A row's prediction is the same, bit for bit, whatever other rows are predicted with it.
        """


class Exported:
    """A model stored as tables, and as trees if it has any.

    Args:
        form: the content of FORM_FILE: encoding, link, inverse, n_choices, classes (the indices of
            the model's classes in the target's choices); and either coef and intercept, or
            masks, or n_outputs, single_precision and optionally start of treelite's trees.
        files: the bytes of the other files, by name.
    """

    def __init__(self, form: dict[str, Any], files: Mapping[str, bytes]) -> None:
        self._encoding = Encoding.from_json(form["encoding"])
        self._link, self._inverse = form["link"], form["inverse"]
        self._n_choices, self._classes = form["n_choices"], form["classes"]
        # scikit-learn's forests and XGBoost compare in single precision
        self._single = form.get("single_precision", False)
        self._raw: Callable[[Floats], Floats]
        self._few: Callable[[Columns], Floats] | None = None
        if TREES_FILE in files:
            self._raw = Trees(files[TREES_FILE], form["n_outputs"], form.get("start")).raw
        elif "masks" in form:
            given, (masks, leaves) = form["masks"], (_array(files[name]) for name in _MASKS)
            trees = Masks(given["thresholds"], masks, leaves, given["baseline"])
            self._raw = trees.raw
            self._few = FewRows(trees, self._encoding).raw if self._encoding.plain else None
        else:
            self._raw = _linear(form["coef"], form["intercept"])

    @classmethod
    def read(cls, folder: Path, files: Collection[str]) -> "Exported":
        """Load from a folder whose `files` have been verified."""
        form = json.loads((folder / FORM_FILE).read_text(encoding="utf-8"))
        return cls(form, {f: (folder / f).read_bytes() for f in files if f != FORM_FILE})

    def predict_columns(self, columns: Columns) -> Floats:
        if self._few is not None and count_rows(columns) <= FEW:
            return self._linked(self._few(columns))
        matrix = self._encoding.matrix(columns)
        if self._single:
            matrix = matrix.astype(np.float32).astype(np.float64)
        return self._linked(self._raw(matrix))

    def _linked(self, raw: Floats) -> Floats:
        if not self._n_choices:
            values = np.exp(raw[:, 0]) if self._inverse == "exp" else raw[:, 0]
            return values.astype(np.float64, copy=False)
        proba = np.zeros((len(raw), self._n_choices))
        proba[:, self._classes] = _LINKS[self._link](raw)
        return proba


def _linear(coef: list[list[float]], intercept: list[float]) -> Callable[[Floats], Floats]:
    weights, start = np.array(coef, dtype=np.float64).T, np.array(intercept, dtype=np.float64)
    # Row by row: a product of all would round a row differently with other rows beside it.
    return lambda matrix: (matrix[:, None, :] @ weights)[:, 0] + start


def _array(content: bytes) -> Any:
    return np.load(io.BytesIO(content), allow_pickle=False)


def _sigmoid(raw: Floats) -> Floats:
    """Compute two classes' probabilities without overflow: shapes (n_rows, 1) to (n_rows, 2)."""
    small = np.exp(-np.abs(raw))
    second = np.where(raw >= 0, 1.0, small) / (1.0 + small)
    return np.hstack([1.0 - second, second])


def _softmax(raw: Floats) -> Floats:
    powers = np.exp(raw - raw.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


_LINKS = {"identity": lambda raw: raw, "sigmoid": _sigmoid, "softmax": _softmax}
