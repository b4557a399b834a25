"""Trees predict through treelite's C library, without its Python package, which imports scipy."""

import ctypes
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np

from mlops.serving.encoding import Floats

_NAMES = {"darwin": "libtreelite.dylib", "win32": "treelite.dll"}


class Trees:
    """A forest as treelite serialises it; `Model.serialize_bytes` made `content`.

    Predictions are the sums (or means) of the leaves, before any link function: treelite computes
    the softmax in single precision. Calls from several threads at once are safe.

    Args:
        n_outputs: values that the forest gives for a row.
    """

    def __init__(self, content: bytes, n_outputs: int) -> None:
        self._library = _load()
        self._n_outputs = n_outputs
        self._model, self._config = ctypes.c_void_p(), ctypes.c_void_p()
        buffer = ctypes.create_string_buffer(content, len(content))
        self._call("DeserializeModelFromBytes", buffer, ctypes.c_size_t(len(content)), self._model)
        config = json.dumps({"predict_type": "raw", "nthread": 1}).encode()
        self._call("GTILParseConfig", config, self._config)

    def raw(self, matrix: Floats) -> Floats:
        """Sum the leaves up: shape (n_rows, n_outputs).

        Raises:
            RuntimeError: the library refuses, in its own words.
        """
        matrix = np.ascontiguousarray(matrix, dtype=np.float64)
        out = np.empty((len(matrix), self._n_outputs))
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
        # A failed __init__ leaves null handles, which the library takes.
        self._library.TreeliteGTILDeleteConfig(self._config)
        self._library.TreeliteFreeModel(self._model)

    def _call(self, name: str, *arguments: object) -> None:
        *given, handle = arguments
        assert isinstance(handle, ctypes.c_void_p)
        if getattr(self._library, f"Treelite{name}")(*given, ctypes.byref(handle)):
            raise RuntimeError(self._message())

    def _message(self) -> str:
        return f"treelite: {self._library.TreeliteGetLastError().decode()}"


def _load() -> ctypes.CDLL:
    spec = importlib.util.find_spec("treelite")  # finds it, and imports nothing
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("treelite is not installed: pip install --no-deps treelite")
    folder = Path(spec.submodule_search_locations[0]) / "lib"
    library = ctypes.CDLL(str(folder / _NAMES.get(sys.platform, "libtreelite.so")))
    library.TreeliteGetLastError.restype = ctypes.c_char_p
    return library
