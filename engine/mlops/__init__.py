"""A model that is changed by pull requests. For a notebook: `load_rows` and `load_model`.

Nothing is imported before it is asked for: the jobs that write to GitHub have no library.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

_ROOT = Path(__file__).parents[2]


def load_rows(which: Literal["valid", "quarantined", "train", "test"] = "valid") -> "pd.DataFrame":
    """Read the rows of a finished pipeline run, from any working directory.

    Args:
        which: `valid`: all rows that the schema accepts, oldest first; `train` and `test`: the two
            parts of them; `quarantined`: rows that it rejects, as they came.

    Returns:
        A frame with the columns of the schema, and the derived features of all but quarantined
        rows.

    Raises:
        BadInput: the pipeline has not run here.
        KeyError: there are no such rows.
    """
    from mlops import artifacts
    from mlops.frames import read_rows, with_derived
    from mlops.project import load_schema

    path = {
        "valid": artifacts.VALID_ROWS,
        "quarantined": artifacts.QUARANTINED_ROWS,
        "train": artifacts.TRAIN_ROWS,
        "test": artifacts.TEST_ROWS,
    }[which]
    rows = read_rows(_made(path))
    return rows if which == "quarantined" else with_derived(rows, load_schema())


def load_model() -> "Pipeline":
    """Load the fitted scikit-learn pipeline: `load_model().predict(rows)` takes rows as above.

    Raises:
        BadInput: the pipeline has not run here, or the model is of other library versions.
    """
    from mlops import artifacts, bundle

    return bundle.load_model(_made(artifacts.BUNDLE))


def _made(path: Path) -> Path:
    from mlops.errors import BadInput

    if not (_ROOT / path).exists():
        raise BadInput(f"{path}: not found in {_ROOT}", advice="Run the pipeline: make run")
    return _ROOT / path
