"""Predict with trees by treelite's C library, without its Python package, which imports scipy."""

import ctypes
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from mlops.inference.encoding import Floats

_NAMES = {"darwin": "libtreelite.dylib", "win32": "treelite.dll"}


_BLOCK = 10_000  # rows whose values of all trees are in memory at once


class Trees:
    """A forest serialized by treelite; `content` is from `Model.serialize_bytes`.

    Predictions are the sums (or means) of the leaves, before any link function: treelite computes
    the softmax in single precision. Calls from several threads at once are safe.

    Args:
        n_outputs: number of values that the forest predicts for a row.
        start: initial values of the sums, for a forest that adds in single precision, tree by
            tree; tree t adds to output t % n_outputs.
    """

    def __init__(self, content: bytes, n_outputs: int, start: list[float] | None = None) -> None:
        self._library = _load()
        self._n_outputs, self._start = n_outputs, start
        self._model, self._config = ctypes.c_void_p(), ctypes.c_void_p()
        buffer = ctypes.create_string_buffer(content, len(content))
        self._call("DeserializeModelFromBytes", buffer, ctypes.c_size_t(len(content)), self._model)
        predicted = "raw" if start is None else "score_per_tree"
        config = json.dumps({"predict_type": predicted, "nthread": 1}).encode()
        self._call("GTILParseConfig", config, self._config)
        self._n_values = n_outputs if start is None else self._count_trees()

    def raw(self, matrix: Floats) -> Floats:
        """Return the sums of the leaves: shape (n_rows, n_outputs).

        Raises:
            RuntimeError: the library failed; the message is its own.
        """
        if self._start is None:
            return self._values(matrix)
        blocks = [matrix[at : at + _BLOCK] for at in range(0, len(matrix), _BLOCK)]
        start = np.array(self._start, dtype=np.float32)
        return np.concatenate([self._added(self._values(block), start) for block in blocks])

    def _added(self, values: Floats, start: Any) -> Any:
        """Add as XGBoost does, each sum rounded to single precision."""
        rounds = values.astype(np.float32).reshape(len(values), -1, self._n_outputs)
        first = np.broadcast_to(start, (len(values), 1, self._n_outputs))
        return np.add.accumulate(np.concatenate([first, rounds], axis=1), axis=1)[:, -1]

    def _count_trees(self) -> int:
        number = ctypes.c_size_t()
        self._call("QueryNumTree", self._model, number)
        return number.value

    def _values(self, matrix: Floats) -> Floats:
        matrix = np.ascontiguousarray(matrix, dtype=np.float64)
        out = np.empty((len(matrix), self._n_values))
        failed = self._library.TreeliteGTILPredict(
            self._model,
            ctypes.c_void_p(matrix.ctypes.data),
            b"float64",
            ctypes.c_uint64(len(matrix)),
            ctypes.c_void_p(out.ctypes.data),
            self._config,
        )
        if failed:
            raise RuntimeError(self._message())
        return out

    def __del__(self) -> None:
        # After a failed __init__ the handles are null, which the library accepts.
        self._library.TreeliteGTILDeleteConfig(self._config)
        self._library.TreeliteFreeModel(self._model)

    def _call(self, name: str, *arguments: object) -> None:
        *given, handle = arguments
        assert isinstance(handle, ctypes.c_void_p | ctypes.c_size_t)
        if getattr(self._library, f"Treelite{name}")(*given, ctypes.byref(handle)):
            raise RuntimeError(self._message())

    def _message(self) -> str:
        return f"treelite: {self._library.TreeliteGetLastError().decode()}"


def _load() -> ctypes.CDLL:
    spec = importlib.util.find_spec("treelite")  # without importing it
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("treelite is not installed: pip install --no-deps treelite")
    folder = Path(spec.submodule_search_locations[0]) / "lib"
    library = ctypes.CDLL(str(folder / _NAMES.get(sys.platform, "libtreelite.so")))
    library.TreeliteGetLastError.restype = ctypes.c_char_p
    return library
