"""Paths that several commands use, relative to the repository; the outputs as in dvc.yaml."""

from pathlib import Path

SOURCE_FORM = Path("src/project/source_form.json")
"""Format of the user's files: adoption writes it, `mlops.adopt --add` and `mlops.score` read it."""

_ROOT = Path("artifacts")

FINGERPRINT = _ROOT / "fingerprint"

INGESTED_ROWS = _ROOT / "ingest" / "rows.parquet"

VALID_ROWS = _ROOT / "validate" / "rows.parquet"
QUARANTINED_ROWS = _ROOT / "validate" / "quarantine.parquet"
VALIDATION_JSON = _ROOT / "validate" / "report.json"
VALIDATION_MD = _ROOT / "validate" / "report.md"

PREPARED_ROWS = _ROOT / "prepare" / "rows.parquet"

TRAIN_ROWS = _ROOT / "split" / "train.parquet"
TEST_ROWS = _ROOT / "split" / "test.parquet"
HELD_OUT_ROWS = _ROOT / "split" / "held_out.parquet"

MODEL = _ROOT / "train" / "model.joblib"
TRAINING = _ROOT / "train" / "training.json"
CHOSEN = _ROOT / "train" / "chosen.json"

METRICS = _ROOT / "evaluate" / "metrics.json"
EVALUATION = _ROOT / "evaluate" / "evaluation.json"
PREDICTIONS = _ROOT / "evaluate" / "predictions.parquet"
PLOTS = _ROOT / "evaluate" / "plots"

BUNDLE = _ROOT / "bundle"

REVIEW = _ROOT / "review"
MONITOR = _ROOT / "monitor"
RETRAIN = _ROOT / "retrain"

FEEDBACK = "feedback.csv"
"""Partition of `ingest.source` that holds feedback as rows; a retraining rewrites it."""
