"""Keep only trusted entries of dvc.lock: the base's, and those that DVC wrote in this work tree.

DVC skips a stage whose entry matches, and checks out the outputs that it names from cache or
remote. A pull request may write any entry, so stages whose entries it changed are rebuilt.
"""

from pathlib import Path
from typing import Any

import yaml
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.stage import PipelineStage
from dvc.utils.serialize import dumps_yaml

from mlops.dvc_lock import Stages
from mlops.errors import UserError
from mlops.files import write_text
from mlops.review.checkouts import git
from mlops.typed_yaml import parse_yaml, plain_text

LOCK = "dvc.lock"


def keep_believed(root: Path, base: str) -> None:
    """Remove untrusted stages from the locks of a checkout, so that DVC runs them.

    An entry is trusted if it is identical in the base's lock and names exactly the stage's present
    dependencies, parameters and outputs, or if the work tree's lock differs there from the
    commit's: then DVC wrote it here. A runner's work tree is the commit.
    """
    used = _used(root)
    for name in sorted({lock for lock, _ in used}):
        if not (root / name).exists():
            continue
        now = _stages(plain_text(root / name))
        committed, vouched = stages_at("HEAD", name, root), stages_at(base, name, root)
        clean = not git("status", "--porcelain", "--", name, root=root)
        kept = {
            stage: entry
            for stage, entry in now.items()
            if (not clean and entry != committed.get(stage))
            or (entry == vouched.get(stage) and used.get((name, stage)) == _named(entry))
        }
        if kept != now:
            write_text(root / name, dumps_yaml({"schema": "2.0", "stages": kept}))


def _used(root: Path) -> dict[tuple[str, str], Any]:
    """Return each stage's dependencies, parameters and outputs in dvc.yaml; None if frozen."""
    try:
        with Repo(str(root)) as repo:
            return {
                (_lock_of(stage, root), stage.name): None if stage.frozen else _paths(stage)
                for stage in repo.index.stages
                if isinstance(stage, PipelineStage)
            }
    except (DvcException, OSError, yaml.YAMLError):  # `dvc repro` reports it
        return {}


def _lock_of(stage: PipelineStage, root: Path) -> str:
    place = Path(stage.dvcfile.path).resolve().relative_to(root.resolve())
    return place.with_name(LOCK).as_posix()


def _paths(stage: PipelineStage) -> Any:
    deps, params = set[str](), set[str]()
    for dep in stage.deps:
        names = getattr(dep, "params", None)
        if names is None:
            deps.add(dep.def_path)
        else:
            params |= {f"{dep.def_path}: {name}" for name in names}
    return deps, params, {out.def_path for out in stage.outs}


def _named(entry: dict[str, Any]) -> Any:
    params = {
        f"{file}: {name}" for file, values in entry.get("params", {}).items() for name in values
    }
    deps, outs = ({one["path"] for one in entry.get(key, [])} for key in ("deps", "outs"))
    return deps, params, outs


def stages_at(commit: str, name: str = LOCK, root: Path = Path()) -> Stages:
    """Read the stages of a commit's lock; empty if it has no lock."""
    try:
        return _stages(git("show", f"{commit}:./{name}", root=root))
    except UserError:  # there is none
        return {}


def _stages(text: str) -> Stages:
    try:
        stages = parse_yaml(text)["stages"]
    except (yaml.YAMLError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{LOCK}: can't be read: {error}") from error
    return stages if isinstance(stages, dict) else {}
