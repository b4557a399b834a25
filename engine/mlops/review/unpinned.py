"""Inputs of a pipeline that its lock doesn't pin by content, so that they may change."""

from pathlib import PurePosixPath

from mlops.dvc_lock import Stages, outputs
from mlops.review.github_markdown import cell

_WORDS = """\
**The source is not pinned by its content:** {}. If neither the cache nor the storage has its rows,
they are read again, and may differ. The release compares them with the hashes of this review's
rows, and stops if they differ. To pin it, keep the rows in the repository or its storage (a file in
`data/`, `dvc add`, or `dvc import-url`), and let `ingest.source` name that folder."""


def unpinned(stages: Stages) -> dict[str, str]:
    """Return each input that may differ on another machine, with the reason in words."""
    made, found = outputs(stages), {}
    for stage in stages.values():
        for entry in stage.get("deps", []):
            path = entry["path"]
            if "md5" not in entry:
                found[path] = "dvc.lock has no hash of its content, only what its server reports"
            elif path not in made and _is_outside(path):
                found[path] = "it is outside of the repository"
    return found


def unpinned_section(found: dict[str, str]) -> str:
    """Warn of unpinned inputs, and describe how to pin them."""
    named = "; ".join(f"{cell(path)} ({why})" for path, why in found.items())
    return _WORDS.format(named) if found else ""


def _is_outside(path: str) -> bool:
    parts = PurePosixPath(path)
    return parts.is_absolute() or ".." in parts.parts or "://" in path
