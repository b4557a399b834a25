"""The two sides of a review: the work tree, and its base in a second work tree beside it."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from dvc.config import Config

from mlops import paths
from mlops.errors import FAILURE_FILE, UserError
from mlops.fetch import fetch
from mlops.files import read_json
from mlops.records import Manifest
from mlops.remote import CONFIG
from mlops.repair_dvc import recover
from mlops.typed_yaml import parse_yaml, plain_text


class PipelineFailed(Exception):
    """`dvc repro` failed on one side; the message is the stage's."""


@dataclass(frozen=True)
class Side:
    """One reproduced checkout.

    Attributes:
        root: its folder.
        commit: full SHA of the commit that is checked out.
        stages: stage name -> its command, dependencies, params and outputs in dvc.lock.
    """

    root: Path
    commit: str
    params: dict[str, Any]
    stages: dict[str, Any]
    manifest: Manifest

    @property
    def columns(self) -> list[dict[str, Any]]:
        """Return the bundle's columns; before engine 1.0 the manifest had them elsewhere."""
        found: list[dict[str, Any]] = (
            self.manifest["columns"]
            if "columns" in self.manifest
            else self.manifest["schema"]["columns"]
        )
        return found

    @property
    def threshold(self) -> float | None:
        """Return the model's decision threshold; a bundle of an older engine has none."""
        return self.manifest.get("threshold")

    @property
    def pythonpath(self) -> str:
        """Return the PYTHONPATH of this side's own code."""
        return os.pathsep.join(str(self.root / folder) for folder in ("engine", "src"))

    @classmethod
    def read(cls, root: Path) -> "Side":
        """Read the files of a reproduced checkout."""
        return cls(
            root,
            git("rev-parse", "HEAD", root=root),
            # The candidate's file was checked before; the base's may be older than that check.
            yaml.safe_load(plain_text(root / "params.yaml")),
            parse_yaml(plain_text(root / "dvc.lock"))["stages"],
            read_json(root / paths.BUNDLE / "manifest.json"),
        )


def git(*arguments: str, root: Path = Path()) -> str:
    """Run git and return what it prints.

    Raises:
        UserError: git failed; the message is git's own.
    """
    run = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
    if run.returncode:
        raise UserError(f"git {' '.join(arguments)}: {run.stderr.strip()}")
    return run.stdout.strip()


def merge_base(revision: str) -> str:
    """Find the commit at which the work tree's history diverged from that of `revision`.

    Raises:
        UserError: there is no such revision, or no common history (a shallow clone?).
    """
    try:
        commit = git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        return git("merge-base", commit, "HEAD")
    except UserError as error:
        raise UserError(
            f"BASE {revision}: no such commit, or none in common with this branch",
            advice="Fetch it: git fetch --unshallow, or git fetch origin " + revision,
        ) from error


def reproduce(root: Path) -> list[str]:
    """Update a checkout's outputs: from remote or cache if known, else by running stages.

    The run cache stays off: anyone who can write to it can forge the outputs of a stage.

    Returns:
        The outputs that dvc.lock names and the remote lacks.

    Raises:
        PipelineFailed: a stage failed.
        UserError: dvc.lock has a merge conflict, or the remote failed.
    """
    recover(root)
    lacking = fetch(root)
    # Outputs that the cache lacks are no failure here: repro rebuilds them.
    subprocess.run(
        ["dvc", "checkout", "--quiet", "--force", "--allow-missing"],
        cwd=root,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with tempfile.TemporaryDirectory() as folder:
        failure = Path(folder) / "message"
        run = subprocess.run(
            ["dvc", "repro", "--no-run-cache"],
            cwd=root,
            stdout=sys.stderr,
            env=os.environ | {FAILURE_FILE: str(failure)},
        )
        if run.returncode:
            told = failure.read_text(encoding="utf-8") if failure.exists() else ""
            raise PipelineFailed(told or f"dvc repro ended with exit code {run.returncode}")
    return lacking


@contextmanager
def base_tree(commit: str) -> Iterator[Path]:
    """Check `commit` out in a second work tree that shares the DVC cache; remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="mlops-base-") as folder:
        root = Path(folder) / "base"
        git("worktree", "prune")  # remove a killed review's entry
        git("worktree", "add", "--quiet", "--detach", str(root), commit)
        try:
            if (root / ".dvc").is_dir():
                _share_cache(root)
            yield root
        finally:
            git("worktree", "remove", "--force", str(root))


def _share_cache(root: Path) -> None:
    """Let a second work tree use the cache and the remote of this one."""
    own = Path(".dvc")
    if CONFIG.exists():
        shutil.copy(CONFIG, root / CONFIG)
    kept = Config(str(own))["cache"].get("dir")
    if kept is None:
        # DVC writes settings as ASCII, which a path with a name like Jörg is not.
        cache = (own / "cache").resolve()
        cache.mkdir(exist_ok=True)  # DVC doesn't create a link's target
        (root / own / "cache").symlink_to(cache)
        return
    with Config(str(root / own)).edit("local") as config:
        config["cache"]["dir"] = str(Path(kept).resolve())
