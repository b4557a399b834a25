"""The project's code that a pickled model needs: a pickle has only the names of its classes."""

import pickle
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mlops.pipeline.code_meaning import hash_meaning

_LIBRARIES = {"site-packages", "dist-packages"}


def needed_code(model: Any) -> dict[str, str]:
    """Return the modules of the project whose classes or functions a model's pickle names.

    Returns:
        Name of a module -> hash of its meaning.
    """
    pickler = _Modules(_Nowhere(), protocol=5, buffer_callback=lambda _: None)
    pickler.dump(model)
    found = {name: _meaning(name) for name in sorted(pickler.modules)}
    return {name: meaning for name, meaning in found.items() if meaning}


def changed_code(needed: Mapping[str, str]) -> Iterator[str]:
    """Yield a problem for each module that has another meaning than `needed_code` returned."""
    for name, wanted in needed.items():
        if _meaning(name) != wanted:
            yield f"src/{name.replace('.', '/')}.py: is not the code that the model was made with"


def _meaning(module: str) -> str | None:
    """Hash a module of the project; None for one of the engine, of a library, or of Python."""
    if module.partition(".")[0] in {"mlops", "__main__", *sys.stdlib_module_names}:
        return None
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:  # its package
        spec = None
    if spec is None or spec.origin is None or _LIBRARIES & set(Path(spec.origin).parts):
        return None
    levels = module.count(".") + (spec.submodule_search_locations is not None)
    return hash_meaning(module, [Path(spec.origin).parents[levels]])


class _Nowhere:
    def write(self, content: bytes) -> int:
        return len(content)


class _Modules(pickle.Pickler):
    """Collects the modules of all classes and functions, and of those of all objects."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.modules = set[str]()

    def reducer_override(self, obj: Any) -> Any:
        named = obj if hasattr(obj, "__qualname__") else type(obj)
        self.modules.add(str(getattr(named, "__module__", None) or "builtins"))
        return NotImplemented
