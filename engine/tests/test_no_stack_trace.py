"""No command answers a small file with a stack trace: it does its work, or says why not."""

from pathlib import Path

import pytest

from clones import clone, edit_params, run
from paths import SOURCES

CASES = Path(__file__).parent / "cases"

TARGETS = {
    "a02b_target_None.csv": "severity", "f05b_rare_class.csv": "kind", "feedback.csv": "bought",
    "f05e_imbalanced.csv": "fraud", "h03_one_zero.csv": "rain", "h05_orig.csv": "'Sale Price'",
    "h05_next.csv": "'Sale Price'",
    "h07_const_test.csv": "y", "h09_one_class_train.csv": "churn", "h10_single_day.csv": "y",
}  # fmt: skip

OPTIONS = {
    "a05d_thousands_target.csv": "--thousands ,",
    "a06_dayfirst_monthly.csv": "--time day --time-format %d/%m/%Y",
    "a06b_unix_seconds.csv": "--time ts --time-format unix",
    "a06c_excel_serial.csv": "--time day --time-format excel",
    "a06d_year.csv": "--time year",
    "a06e_yyyymmdd.csv": "--time day",
    "a06f_tz.csv": "--time ts",
    "a08c_15pct_missing_word.csv": "--missing missing",
    "a08e_sentinel.csv": "--missing=-999",
    "h07_const_test.csv": "--time day",
    "h09_one_class_train.csv": "--time day",
    "h10_single_day.csv": "--time day",
}

REFUSED = ("a01_", "a01b", "a01c", "a01d", "feedback")

DRIVER = """
import importlib, sys
from mlops.errors import UserError
stages = "ingest validate prepare split train evaluate export".split()
steps = [(f"mlops.pipeline.{stage}", []) for stage in stages]
steps += [("mlops.score.__main__", [sys.argv[1], "scored.csv"]), ("mlops.monitoring.__main__", [])]
steps += [("mlops.adopt.__main__", [sys.argv[1], "--add", "--yes"])]
for module, words in steps:
    sys.argv = [module, *words]
    try:
        importlib.import_module(module).main()
        print("done:", module)
    except UserError as error:
        print("refused:", module, error)
    except SystemExit as error:
        print("left:", module, error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir()))
def test_no_command_answers_a_file_with_a_stack_trace(
    case: str, origin: Path, tmp_path: Path
) -> None:
    folder, file = clone(origin, tmp_path / "repository"), CASES / case
    words = f"{file} --target {TARGETS.get(case, 'price')} {OPTIONS.get(case, '')} --yes"
    refused = case.startswith(REFUSED)

    told = run(folder, f"python -m mlops.adopt {words}", int(refused), PYTHONPATH=SOURCES)
    if not refused:
        edit_params(folder, {"models.hist_gradient_boosting.max_iter": 3})
    (folder / "engine/mlops/driver.py").write_text(DRIVER, encoding="utf-8")
    log = "sqlite:///artifacts/none.db"
    told += run(
        folder, f"python -m mlops.driver {file}", PYTHONPATH=SOURCES, PREDICTION_LOG_URL=log
    )

    assert "Traceback" not in told
    assert "done: mlops.pipeline.export" in told
    if not refused:
        assert "done: mlops.score" in told
