"""The prediction log's tables, to select from; `prediction_log/tables.py` creates them."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

_PREDICTIONS = ("prediction_id", "at", "model_version", "features", "predicted")
_FEEDBACK = ("prediction_id", "at", "actual")


@dataclass(frozen=True)
class Log:
    """A connection to the prediction log, and its tables.

    Attributes:
        record: id of the record that feedback is for.
    """

    connection: sa.Connection
    predictions: sa.FromClause
    feedback: sa.FromClause
    refusals: sa.FromClause
    record: sa.ColumnElement[str]


def tables_of(connection: sa.Connection) -> Log:
    """Return the log, also one that the API of this release has not migrated yet."""
    n_rows: sa.ColumnElement[Any] = sa.column("n_rows")
    record_id: sa.ColumnElement[Any] = sa.column("record_id")
    names = connection.execute(sa.text("SELECT * FROM predictions LIMIT 0")).keys()
    if "n_rows" not in names:
        n_rows, record_id = sa.literal(1), sa.cast(sa.null(), sa.Text)
    predictions = _columns("predictions", _PREDICTIONS, n_rows.label("n_rows"))
    feedback = _columns("feedback", _FEEDBACK, record_id.label("record_id"))
    record = sa.func.coalesce(feedback.c.record_id, feedback.c.prediction_id).label("record")
    refusals = sa.table("refusals", *map(sa.column, ("at", "reason", "requests")))
    return Log(connection, predictions, feedback, refusals, record)


def _columns(table: str, names: tuple[str, ...], own: sa.ColumnElement[Any]) -> sa.FromClause:
    from_ = sa.table(table, *map(sa.column, names))
    return sa.select(*from_.c, own).select_from(from_).subquery(table)
