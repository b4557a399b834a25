"""Stage split: prepared rows -> training rows and test rows."""

import pandas as pd

from mlops.columns import Schema
from mlops.errors import UserError, run_command
from mlops.frames import read_rows, write_rows
from mlops.params import Split
from mlops.paths import HELD_OUT_ROWS, TEST_ROWS, TRAIN_ROWS
from mlops.pipeline.prepared import prepared_rows
from mlops.pipeline.splitting import is_held_out, is_sampled, is_test
from mlops.project import load_project_params, load_schema


def check_classes(train: pd.DataFrame, params: Split, schema: Schema) -> None:
    """Check that a classification's training rows have two classes or more.

    Raises:
        UserError: they have one, so no model can learn to distinguish it.
    """
    target = schema.target
    found = train[target.name].unique()
    if target.choices and len(found) < 2:
        how = "test_share" if params.test_from is None else "test_from"
        raise UserError(
            f"split.{how} {getattr(params, how)}: all {len(train)} training rows have the "
            f"{target.name} {found[0]!r}",
            advice=f"Wanted two or more of {', '.join(target.choices)} among them: change "
            f"split.{how}, or add rows.",
        )


def main() -> None:
    params, schema, rows = load_project_params().split, load_schema(), read_rows(prepared_rows())
    test = is_test(rows, params, schema)
    held_out = is_held_out(rows, params, schema)
    train = rows[~test & ~held_out]
    kept = is_sampled(train[schema.key.name], params.max_train_rows)
    train = train if kept.all() else train[kept]
    check_classes(train, params, schema)
    write_rows(TRAIN_ROWS, train)
    write_rows(TEST_ROWS, rows[test])
    write_rows(HELD_OUT_ROWS, rows[held_out])
    cut = "" if kept.all() else f", a sample of {len(kept)}"
    print(f"split: {int(kept.sum())} training rows{cut}, {int(test.sum())} test rows")


if __name__ == "__main__":
    run_command(main)
