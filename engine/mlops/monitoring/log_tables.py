"""The tables of the prediction log, to select from; `serving/tables.py` creates and fills them."""

import sqlalchemy as sa

PREDICTIONS = sa.table(
    "predictions",
    *map(sa.column, ("prediction_id", "at", "model_version", "features", "predicted", "n_rows")),
)
FEEDBACK = sa.table("feedback", *map(sa.column, ("prediction_id", "at", "actual", "record_id")))
REFUSALS = sa.table("refusals", *map(sa.column, ("at", "reason", "requests")))

RECORD = sa.func.coalesce(FEEDBACK.c.record_id, FEEDBACK.c.prediction_id).label("record")
"""Id of the record that feedback is for."""
