"""Files of a change that harm before any code of it runs: DVC reads them and what they name.

A small YAML can become gigabytes, and a link can print another file or never end. The change's own
code could do the same, but that a person reads.
"""

from pathlib import Path

import yaml

from mlops.errors import UserError
from mlops.review.checkouts import git
from mlops.typed_yaml import check_plain, plain_text

_READ_BY_DVC = ("dvc.yaml", "dvc.lock", ".dvc")
_LINK = "120000"


def refuse_hostile(root: Path) -> None:
    """Look through all that git tracks, before DVC does.

    Raises:
        UserError: a file that DVC reads is no plain YAML, or a link leads out of the repository.
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
    except yaml.YAMLError:  # whoever uses it tells it in words, or puts it right
        return []
    except UserError as error:
        return [str(error).removeprefix(f"{root}/")]
    except ValueError as error:
        return [f"{name}: {error}"]
    return []


def _stays(root: Path, name: str) -> bool:
    target = (root / name).resolve()
    return target.is_relative_to(root.resolve()) and (target.is_file() or target.is_dir())
