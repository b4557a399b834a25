"""The serving bundle: a folder with a model and a manifest with the hash of every file in it."""

import hashlib
import json
from collections.abc import Collection, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

from mlops.errors import UserError
from mlops.files import read_json, sha256
from mlops.records import FileRecord, Manifest, ManifestContent

MANIFEST = "manifest.json"
MODEL_FILE = "model.joblib"
REFERENCE_FILE = "reference.json"
FORMAT = 1

# A model unpickles and predicts the same only with the releases that it was fitted with. Python's
# version doesn't matter: all supported ones write the same pickle and give the same predictions.
_LIBRARIES = ("scikit-learn", "numpy", "joblib")


_REBUILD = "Rebuild it: dvc repro export"


def libraries(names: Collection[str] = _LIBRARIES) -> dict[str, str]:
    """Return installed releases, major and minor; by default those that a pickled model needs."""
    return {name: _installed(name) for name in names}


def seal(folder: Path, content: ManifestContent) -> Manifest:
    """Complete a manifest: format, hashes of the folder's files, and the model's version.

    The version is a hash of the other content, so it changes with any byte of model, schema,
    metrics or parameters, and with nothing else: it contains no time of day, path or commit.
    """
    files = {
        file.relative_to(folder).as_posix(): {"sha256": sha256(file), "bytes": file.stat().st_size}
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != MANIFEST
    }
    sealed = {"format": FORMAT, "files": files, **content}
    return cast(Manifest, {"model_version": _version_of(sealed), **sealed})


def read_manifest(folder: Path, *, to_serve: bool = False) -> Manifest:
    """Read a bundle's manifest and check every file against it.

    Args:
        to_serve: check only the files and libraries that the manifest's engine needs. An exported
            model needs neither the pickled one nor the libraries that trained it: an image may
            omit them.

    Raises:
        UserError: the bundle is missing, truncated, altered, or made for other library releases;
            the message names every file and release that doesn't match.
    """
    path = folder / MANIFEST
    try:
        manifest: Manifest = read_json(path)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no bundle found", advice=_REBUILD) from error
    except (OSError, UserError) as error:
        raise UserError(f"{error}", advice=_REBUILD) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise UserError(f"{path}: not a manifest of format {FORMAT}", advice=_REBUILD)
    rest = {name: value for name, value in manifest.items() if name != "model_version"}
    if manifest.get("model_version") != _version_of(rest):
        raise UserError(f"{path}: was altered: it doesn't match its own version", advice=_REBUILD)
    files, wanted = manifest["files"], manifest["libraries"]
    if to_serve:
        files = {name: files[name] for name in manifest["engine_files"]}
        wanted = manifest["engine_libraries"]
    if problems := [*_file_problems(folder, files), *_library_problems(wanted)]:
        raise UserError(f"{folder}: {len(problems)} problem(s) in the bundle", problems, _REBUILD)
    return manifest


def load_model(folder: Path) -> Any:
    """Unpickle the bundle's model, after `read_manifest` has verified the hash of every file.

    Raises:
        UserError: the bundle is not as it was made, or the project's code, which it needs, is not.
    """
    import joblib  # requests to an exported model don't need it

    from mlops.pickled_code import changed_code

    manifest = read_manifest(folder)
    if problems := [*changed_code(manifest.get("pickled_code", {}))]:
        raise UserError(f"{folder}: {len(problems)} problem(s) in the bundle", problems, _REBUILD)
    return joblib.load(folder / MODEL_FILE)


def _version_of(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _release(full: str) -> str:
    return ".".join(full.split(".")[:2])


def _installed(name: str) -> str:
    try:
        return _release(version(name))
    except PackageNotFoundError:
        return "none"


def _file_problems(folder: Path, files: dict[str, FileRecord]) -> list[str]:
    problems = []
    for name, recorded in files.items():
        file = folder / name
        if not file.is_file():
            problems.append(f"{name}: missing")
        elif (size := file.stat().st_size) != recorded["bytes"]:
            problems.append(f"{name}: found {size} bytes, wanted {recorded['bytes']}")
        elif sha256(file) != recorded["sha256"]:
            problems.append(f"{name}: its hash differs from the recorded one")
    return problems


def _library_problems(wanted: dict[str, str]) -> list[str]:
    return [
        f"{name}: found {found}, wanted {wanted[name]}"
        for name, found in libraries(wanted).items()
        if found != wanted[name]
    ]
