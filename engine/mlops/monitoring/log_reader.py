"""Read the monitor's window from the prediction log, limited to a number of rows."""

import datetime
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import sqlalchemy as sa

from mlops.columns import Schema
from mlops.database import cause_of, open_database
from mlops.database_address import VARIABLE
from mlops.errors import UserError
from mlops.frames import with_derived
from mlops.monitoring.log_oddities import odd_rows, other_models
from mlops.params import Monitor
from mlops.serving.tables import ANY, FEEDBACK, PLACE, PREDICTIONS, REFUSALS, TIME

_DAY = 86_400.0
_TIMEOUT = 30.0
_DIGITS = 8

PREDICTED, AT, VERSION, REQUEST = "__predicted", "__at", "__version", "__request"
ID, ACTUAL, TOLD = "__id", "__actual", "__told"
"""Columns beside the features; no feature can have these names."""


@dataclass(frozen=True)
class Window:
    """Recent predictions, feedback and refused requests.

    Attributes:
        rows: predictions of the served model with their features, all or a random sample.
        total: predictions in the window, of which `rows` is the sample.
        labelled: predictions of the served model with feedback, newest feedback first.
        refusals: reason -> requests refused in the window; under ANY, all of them.
        oddities: messages about inconsistencies of the log itself.
    """

    rows: pd.DataFrame
    total: int
    labelled: pd.DataFrame
    refusals: dict[str, int] = field(default_factory=dict)
    oddities: list[str] = field(default_factory=list)

    @property
    def refused(self) -> int:
        """Requests that were refused in the window."""
        return self.refusals.get(ANY, 0)

    @property
    def requests(self) -> int:
        """Requests that were answered in the window."""
        if not len(self.rows):
            return 0
        return round(self.rows[REQUEST].nunique() * self.total / len(self.rows))


def read_window(url: str, version: str, schema: Schema, params: Monitor, now: float) -> Window:
    """Read the window that ends at `now` (seconds since 1970) for the served model `version`.

    Raises:
        UserError: the log can't be read.
    """
    with _connected(url) as connection:
        return _read(connection, version, schema, params, now)


def read_feedback(url: str, schema: Schema) -> pd.DataFrame:
    """Read every prediction with feedback, of any model, oldest feedback first.

    Raises:
        UserError: the log can't be read.
    """
    f, both = FEEDBACK.c, _labelled()
    with _connected(url) as connection:
        return _frame(connection.execute(both.order_by(f.at, f.prediction_id)).all(), schema)


@contextmanager
def _connected(url: str) -> Iterator[sa.Connection]:
    engine = open_database(url, _TIMEOUT, read_only=True)
    try:
        try:
            connection = engine.connect()
        except Exception as error:  # not only SQLAlchemy's: the host name may be invalid
            raise _unreadable(error) from None  # the address in the trace may hold a password
        with connection:
            yield connection
    except sa.exc.SQLAlchemyError as error:
        raise _unreadable(error) from None
    finally:
        engine.dispose()


def _unreadable(error: Exception) -> UserError:
    return UserError(
        f"{VARIABLE}: the prediction log can't be read: {cause_of(error)}",
        advice="Check the address, the password and the network; the API makes the tables.",
    )


def _read(
    connection: sa.Connection, version: str, schema: Schema, params: Monitor, now: float
) -> Window:
    p, f = PREDICTIONS.c, FEEDBACK.c
    served = p.model_version == version
    start = _start(connection, p.at, served, params.window_rows, params, now)
    window = sa.select(sa.func.count()).where(p.at >= start, served)
    total = int(connection.execute(window).scalar_one())
    wanted = sa.select(p.prediction_id, p.features, p.predicted, p.at, p.model_version)
    wanted = wanted.where(served, p.at >= start)
    if total > params.max_rows:  # sample by random digits of the id, which follow its time
        share = f"{int(params.max_rows / total * 16**_DIGITS):0{_DIGITS}x}"
        wanted = wanted.where(sa.func.substr(p.prediction_id, TIME + 1, _DIGITS) < share)
    rows = _frame(connection.execute(wanted).all(), schema)

    told = _start(connection, f.at, sa.true(), params.window_labels, params, now)
    newest = sa.select(f.prediction_id).where(f.at >= told).order_by(f.at.desc())
    newest = newest.limit(params.max_rows)
    labels = _labelled().where(f.prediction_id.in_(newest), served)
    labelled = _frame(connection.execute(labels.order_by(f.at.desc())).all(), schema)

    oddities, last = other_models(connection, version, start, told)
    # Refusals name no model: those before the served model took over are not counted.
    since = start if last is None else max(start, min([last, *rows[AT]]))
    refusals = sa.select(REFUSALS.c.reason, sa.func.sum(REFUSALS.c.requests))
    refusals = refusals.where(REFUSALS.c.at >= since - 60).group_by(REFUSALS.c.reason)
    counted = {str(reason): int(n) for reason, n in connection.execute(refusals).all()}
    oddities += odd_rows(connection, told, params.max_rows, now)
    return Window(rows, total, labelled, counted, oddities)


def _labelled() -> sa.Select[Any]:
    p, f = PREDICTIONS.c, FEEDBACK.c
    both = sa.join(FEEDBACK, PREDICTIONS, f.prediction_id == p.prediction_id)
    told = (f.prediction_id, f.actual, f.at.label("told"))
    columns = (p.features, p.predicted, p.at, p.model_version, *told)
    return sa.select(*columns).select_from(both)


def _start(
    connection: sa.Connection, at: Any, which: Any, rows: int, params: Monitor, now: float
) -> float:
    """Return the time at which the window starts: see `monitor.window_*`."""
    oldest, start = now - params.max_age_days * _DAY, now - params.window_days * _DAY
    newest = sa.select(at).where(which, at >= oldest).order_by(at.desc()).offset(rows - 1).limit(1)
    of_enough_rows = connection.execute(newest).scalar()
    if of_enough_rows is None or of_enough_rows < start:
        return max(of_enough_rows or 0.0, oldest)
    return start


def _frame(found: Sequence[Any], schema: Schema) -> pd.DataFrame:
    """Convert rows of the log to a frame of inputs, features and the columns above."""
    names = [column.name for column in schema.inputs]
    features = [json.loads(row.features) for row in found]
    rows = pd.DataFrame.from_records(features, columns=names) if features else pd.DataFrame()
    rows = rows.reindex(columns=names)
    for column in schema.inputs:
        if issubclass(column.type, datetime.date):
            rows[column.name] = pd.to_datetime(rows[column.name], format="ISO8601", errors="coerce")
        elif column.type is not str:
            rows[column.name] = pd.to_numeric(rows[column.name], errors="coerce")
    rows = rows.astype({column.name: column.dtype for column in schema.inputs})
    rows = with_derived(rows, schema).copy()
    rows[PREDICTED] = pd.Series([json.loads(row.predicted) for row in found], dtype="object")
    rows[AT] = pd.Series([row.at for row in found], dtype="float64")
    rows[VERSION] = pd.Series([row.model_version for row in found], dtype="object")
    rows[REQUEST] = pd.Series([row.prediction_id[:-PLACE] for row in found], dtype="object")
    if found and hasattr(found[0], "actual"):
        rows[ID] = pd.Series([row.prediction_id for row in found], dtype="object")
        rows[TOLD] = pd.Series([row.told for row in found], dtype="float64")
        rows[ACTUAL] = pd.Series([json.loads(row.actual) for row in found], dtype="object")
    return rows
