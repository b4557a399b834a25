"""A model that is changed by pull requests. For a notebook: `load_rows` and `load_model`.

Imports are lazy: the jobs that write to GitHub have no third-party library.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

_ROOT = Path(__file__).parents[2]

GIT_PLACES = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX"),
    *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH"),
    *("GIT_SHALLOW_FILE", "GIT_GRAFT_FILE", "GIT_REPLACE_REF_BASE", "GIT_NAMESPACE", "GIT_CONFIG"),
    *("GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS"),
    "GIT_IMPLICIT_WORK_TREE",
)
"""Variables that git sets for a hook: they would direct our git calls, and DVC's, to the hook's
repository and index, whatever folder they are called in."""

for _name in GIT_PLACES:  # once, for this process and its children
    os.environ.pop(_name, None)


def load_rows(which: Literal["valid", "quarantined", "train", "test"] = "valid") -> "pd.DataFrame":
    """Read the rows of a finished pipeline run, from any working directory.

    Args:
        which: `valid`: all rows that the schema accepts, oldest first; `train` and `test`: the two
            sets they are split into; `quarantined`: rows that it rejects, unchanged.

    Returns:
        A frame with the columns of the schema and, except for quarantined rows, the derived
        features.

    Raises:
        UserError: the pipeline has not run here.
        KeyError: there are no such rows.
    """
    from mlops import paths
    from mlops.frames import read_rows, with_derived
    from mlops.project import load_tabled_schema

    path = {
        "valid": paths.VALID_ROWS,
        "quarantined": paths.QUARANTINED_ROWS,
        "train": paths.TRAIN_ROWS,
        "test": paths.TEST_ROWS,
    }[which]
    rows = read_rows(_made(path))
    return rows if which == "quarantined" else with_derived(rows, load_tabled_schema())


def load_model() -> "Pipeline":
    """Load the fitted scikit-learn pipeline; its `predict` accepts rows from `load_rows`.

    Raises:
        UserError: the pipeline has not run here, or the model needs other library versions.
    """
    from mlops import bundle, paths

    return bundle.load_model(_made(paths.BUNDLE))


def _made(path: Path) -> Path:
    from mlops.errors import UserError

    if not (_ROOT / path).exists():
        raise UserError(f"{path}: not found in {_ROOT}", advice="Run the pipeline: make run")
    return _ROOT / path
