"""Compare rows before and after the project's cleaning: removed rows, changed values."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mlops.columns import Table
from mlops.errors import UserError
from mlops.paths import PREPARED_ROWS, VALID_ROWS
from mlops.typed_yaml import parse_yaml, plain_text

Prepare = Callable[[pd.DataFrame], pd.DataFrame]


@dataclass(frozen=True)
class Differences:
    """Rows before and after `prepare`.

    Attributes:
        removed: the removed rows, as they were.
        changed: the rows with changed values, by key: True for each changed column.
    """

    removed: pd.DataFrame
    changed: pd.DataFrame

    @property
    def by_column(self) -> dict[str, int]:
        """The number of changed values of each changed column."""
        counts = self.changed.sum()
        return {str(name): int(n) for name, n in counts.items() if n}

    @property
    def said(self) -> str:
        """The counts in words."""
        columns = ", ".join(f"{name} {n:,}" for name, n in self.by_column.items()) or "none"
        return f"{len(self.removed):,} rows removed; values changed by column: {columns}"


def differences(before: pd.DataFrame, after: pd.DataFrame, schema: Table) -> Differences:
    """Compare rows by key; `after` holds some of the keys of `before`."""
    key = schema.key.name
    there = before[key].isin(after[key])
    old = before[there].set_index(key)
    new = after.set_index(key).reindex(old.index)
    names = [name for name in schema.names if name != key and name in old]
    differs = pd.DataFrame(
        {name: (old[name] != new[name]) & ~(old[name].isna() & new[name].isna()) for name in names}
    )
    return Differences(before[~there], differs[differs.any(axis=1)])


def prepared_rows(root: Path = Path()) -> Path:
    """Return the file of rows that a checkout splits; an older dvc.yaml has no stage prepare.

    Raises:
        UserError: the project has a prepare.py, but dvc.yaml has no stage for it.
    """
    pipeline = root / "dvc.yaml"
    # Not by the stage's name: an older project may have its own stage of that name.
    if not pipeline.exists() or str(PREPARED_ROWS) in _outputs(pipeline):
        return root / PREPARED_ROWS
    if (root / "src/project/prepare.py").exists():
        raise UserError(
            "src/project/prepare.py: dvc.yaml has no stage prepare to run it",
            advice="Add the stage as docs/prepare.md shows it.",
        )
    return root / VALID_ROWS


def _outputs(pipeline: Path) -> set[str]:
    stages = parse_yaml(plain_text(pipeline))["stages"].values()
    return {out for stage in stages for out in stage.get("outs", []) if isinstance(out, str)}
