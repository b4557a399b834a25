"""What an upgrade does to each file, decided before any is written."""

import hashlib
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlops.errors import UserError
from mlops.integrity import LIST, sha256
from mlops.upgrade.template import NEW, OLD, files_of, git


@dataclass
class Plan:
    """What an upgrade does to each file.

    Attributes:
        write: name -> new content and file mode.
        delete: what the template dropped, and nobody edited.
        merged: among `write`; edited on both sides, in different places.
        unsettled: edited on both sides in the same places; the new version is written beside it.
    """

    write: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    delete: list[str] = field(default_factory=list)
    merged: list[str] = field(default_factory=list)
    unsettled: list[str] = field(default_factory=list)


def make_plan(old: Mapping[str, str], have_old: bool) -> Plan:
    """Compare what is here with the list that it came with, and with the new version.

    Args:
        old: the list of this repository: name -> hash.
        have_old: whether the old version itself is here, to merge by.
    """
    plan, new = Plan(), files_of(NEW)
    for name, (blob, mode) in new.items():
        path = Path(name)
        if not path.exists():
            if name not in old and not _is_removed(path, old):
                plan.write[name] = (git("cat-file", "blob", blob), mode)
            continue
        content, mine = git("cat-file", "blob", blob), path.read_bytes()
        if content == mine:
            continue
        if sha256(path) == old.get(name):
            plan.write[name] = (content, mode)
        elif _hash(content) != old.get(name):
            _merge(plan, name, content, mode, have_old)
    for name in old.keys() - new.keys():
        if Path(name).exists():
            same = sha256(Path(name)) == old[name]
            (plan.delete if same else plan.unsettled).append(name)
    return plan


def _is_removed(path: Path, old: Mapping[str, str]) -> bool:
    """Tell whether a new file belongs to a part of the template that this repository dropped."""
    folder = "/".join(path.parts[:2]) + "/"
    known = [name for name in old if name.startswith(folder)]
    return len(path.parts) > 2 and bool(known) and not any(Path(name).exists() for name in known)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _merge(plan: Plan, name: str, content: bytes, mode: int, have_old: bool) -> None:
    """Merge a file that both sides edited, if it can be; else leave the new version beside it."""
    base = subprocess.run(["git", "show", f"{OLD}:{name}"], capture_output=True)
    if have_old and base.returncode == 0:
        merged = _three_way(Path(name).read_bytes(), base.stdout, content)
        if merged is not None:
            plan.write[name] = (merged, mode)
            plan.merged.append(name)
            return
    plan.write[f"{name}.new"] = (content, mode)
    plan.unsettled.append(name)


def _three_way(mine: bytes, base: bytes, new: bytes) -> bytes | None:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("mine", "base", "new")]
        for path, content in zip(paths, (mine, base, new), strict=True):
            path.write_bytes(content)
        run = subprocess.run(["git", "merge-file", "-p", *map(str, paths)], capture_output=True)
    return run.stdout if run.returncode == 0 else None


def carry_out(plan: Plan) -> None:
    """Write and delete; all is as before if that fails."""
    try:
        for name, (content, mode) in plan.write.items():
            path = Path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(mode)
        for name in plan.delete:
            Path(name).unlink()
        LIST.write_bytes(git("show", f"{NEW}:{LIST}"))
    except BaseException as error:
        git("reset", "--quiet", "--hard")
        git("clean", "--quiet", "--force", "--", *(n for n in plan.write if not _is_tracked(n)))
        if isinstance(error, OSError):
            raise UserError(f"{error}; nothing was changed") from error
        raise


def _is_tracked(name: str) -> bool:
    return bool(git("ls-files", "--", name))
