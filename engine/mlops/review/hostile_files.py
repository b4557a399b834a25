"""Reject files of a change that do harm before any of its code runs, because DVC reads them.

A small YAML file can expand to gigabytes, and a link can expose another file or never end. The
change's own code could do the same, but a person reviews it.
"""

from pathlib import Path

import yaml

from mlops.errors import UserError
from mlops.review.checkouts import git
from mlops.typed_yaml import check_plain, plain_text

_READ_BY_DVC = ("dvc.yaml", "dvc.lock", ".dvc")
_LINK = "120000"


def refuse_hostile(root: Path) -> None:
    """Check all files that git tracks, before DVC reads them.

    Raises:
        UserError: a file that DVC reads is no plain YAML, or a link leads out of the repository or
            to no file.
    """
    problems = []
    for line in filter(None, git("ls-files", "--stage", "-z", root=root).split("\0")):
        state, _, name = line.partition("\t")
        if name.endswith(_READ_BY_DVC):
            problems += _yaml_problems(root, name)
        elif state.startswith(_LINK) and not _stays(root, name):
            problems.append(f"{name}: is a link that leads out of the repository, or to no file")
    if problems:
        raise UserError(
            f"{len(problems)} file(s) that DVC must not read:",
            problems,
            "Write YAML out, and put data in place of a link, or let ingest.source name the place",
        )


def _yaml_problems(root: Path, name: str) -> list[str]:
    if not (root / name).exists() and not (root / name).is_symlink():
        return []  # deleted in the work tree
    try:
        check_plain(plain_text(root / name))
    except yaml.YAMLError:  # its readers report or repair it
        return []
    except UserError as error:
        return [str(error).removeprefix(f"{root}/")]
    except ValueError as error:
        return [f"{name}: {error}"]
    return []


def _stays(root: Path, name: str) -> bool:
    target = (root / name).resolve()
    return target.is_relative_to(root.resolve()) and (target.is_file() or target.is_dir())
