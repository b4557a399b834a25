"""The serving bundle: a folder with a model and a manifest that vouches for every file in it."""

import hashlib
import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mlops.errors import BadInput
from mlops.files import sha256

MANIFEST = "manifest.json"
MODEL_FILE = "model.joblib"
FORMAT = 1

# A model unpickles and predicts alike only under the releases that it was fitted with.
_LIBRARIES = ("scikit-learn", "numpy", "joblib")


def libraries() -> dict[str, str]:
    """Name the releases that a pickled model depends on, without their last number."""
    found = {name: _release(version(name)) for name in _LIBRARIES}
    return {"python": _release(platform.python_version()), **found}


def seal(folder: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Complete a manifest: format, hashes of the folder's files, and the model's version.

    The version is a hash of all the rest, so it changes with any byte of model, schema, metrics
    or parameters, and with nothing else: no time of day, path or commit stands in it.
    """
    files = {
        file.relative_to(folder).as_posix(): {"sha256": sha256(file), "bytes": file.stat().st_size}
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != MANIFEST
    }
    sealed = {"format": FORMAT, "files": files, **content}
    return {"model_version": _version_of(sealed), **sealed}


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read a bundle's manifest and check every file against it.

    Raises:
        BadInput: the bundle is missing, cut short, altered, or made for other library releases;
            the message names every file and release that doesn't fit.
    """
    path = folder / MANIFEST
    advice = "Make it anew: dvc repro export"
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadInput(f"{path}: there is no bundle", advice=advice) from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BadInput(f"{path}: can't be read: {error}", advice=advice) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BadInput(f"{path}: not a manifest of format {FORMAT}", advice=advice)
    rest = {name: value for name, value in manifest.items() if name != "model_version"}
    if manifest.get("model_version") != _version_of(rest):
        raise BadInput(f"{path}: was altered: it doesn't match its own version", advice=advice)
    if problems := [*_file_problems(folder, manifest), *_library_problems(manifest)]:
        raise BadInput(f"{folder}: {len(problems)} problem(s) in the bundle", problems, advice)
    return manifest


def load_model(folder: Path) -> Any:
    """Unpickle the bundle's model, after `read_manifest` found every byte to be as recorded."""
    import joblib  # the request path of an exported model has no use for it

    read_manifest(folder)
    return joblib.load(folder / MODEL_FILE)


def _version_of(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _release(full: str) -> str:
    return ".".join(full.split(".")[:2])


def _file_problems(folder: Path, manifest: dict[str, Any]) -> list[str]:
    problems = []
    for name, recorded in manifest["files"].items():
        file = folder / name
        if not file.is_file():
            problems.append(f"{name}: missing")
        elif (size := file.stat().st_size) != recorded["bytes"]:
            problems.append(f"{name}: found {size} bytes, wanted {recorded['bytes']}")
        elif sha256(file) != recorded["sha256"]:
            problems.append(f"{name}: its bytes are not those recorded")
    return problems


def _library_problems(manifest: dict[str, Any]) -> list[str]:
    return [
        f"{name}: found {found}, wanted {manifest['libraries'].get(name)}"
        for name, found in libraries().items()
        if found != manifest["libraries"].get(name)
    ]
