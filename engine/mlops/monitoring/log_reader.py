"""Read the monitor's window from the prediction log, limited to a number of rows."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import sqlalchemy as sa

from mlops.columns import Schema
from mlops.database import cause_of
from mlops.database_address import VARIABLE
from mlops.database_engine import read_only_engine
from mlops.errors import UserError
from mlops.monitoring.log_oddities import odd_rows, other_models
from mlops.monitoring.log_tables import Log, tables_of
from mlops.monitoring.logged_rows import ACTUAL, AT, ID, REQUEST, TOLD, to_frame
from mlops.params import Monitor
from mlops.prediction_log.tables import ANY, PLACE, TIME

_DAY = 86_400.0
_TIMEOUT = 30.0
_DIGITS = 8
_TOGETHER = 100  # records


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
    with _connected(url) as log:
        return _read(log, version, schema, params, now)


def read_feedback(url: str, schema: Schema) -> pd.DataFrame:
    """Read every prediction with feedback, of any model, oldest feedback first.

    Raises:
        UserError: the log can't be read.
    """
    with _connected(url) as log:
        f = log.feedback.c
        told = sa.select(log.feedback, log.record).order_by(f.at, f.prediction_id)
        return _labelled(log, told, sa.true(), schema)


@contextmanager
def _connected(url: str) -> Iterator[Log]:
    engine = read_only_engine(url, _TIMEOUT, VARIABLE)
    try:
        try:
            connection = engine.connect()
        except Exception as error:  # not only SQLAlchemy's: the host name may be invalid
            raise _unreadable(error) from None  # the address in the trace may hold a password
        with connection:
            yield tables_of(connection)
    except sa.exc.SQLAlchemyError as error:
        raise _unreadable(error) from None
    finally:
        engine.dispose()


def _unreadable(error: Exception) -> UserError:
    return UserError(
        f"{VARIABLE}: the prediction log can't be read: {cause_of(error)}",
        advice="Check the address, the password and the network; the API makes the tables.",
    )


def _read(log: Log, version: str, schema: Schema, params: Monitor, now: float) -> Window:
    p, f, r = log.predictions.c, log.feedback.c, log.refusals.c
    connection = log.connection
    served = p.model_version == version
    newest_rows = sa.select(p.at, p.n_rows).where(served)
    start = _start(connection, newest_rows, params.window_rows, params, now)
    window = sa.select(sa.func.sum(p.n_rows)).where(p.at >= start, served)
    total = int(connection.execute(window).scalar() or 0)
    wanted = sa.select(log.predictions).where(served, p.at >= start)
    if total > params.max_rows:  # sample by random digits of the id, which follow its time
        share = f"{int(params.max_rows / total * 16**_DIGITS):0{_DIGITS}x}"
        wanted = wanted.where(sa.func.substr(p.prediction_id, TIME + 1, _DIGITS) < share)
    rows = to_frame(((one, range(one.n_rows)) for one in _stream(connection, wanted)), schema)

    newest_labels = sa.select(f.at, sa.literal(1).label("n_rows"))
    told = _start(connection, newest_labels, params.window_labels, params, now)
    newest = sa.select(log.feedback, log.record).where(f.at >= told).order_by(f.at.desc())
    labelled = _labelled(log, newest.limit(params.max_rows), served, schema)

    oddities, last = other_models(log, version, start, told)
    # Refusals name no model: those before the served model took over are not counted.
    since = start if last is None else max(start, min([last, *rows[AT]]))
    refusals = sa.select(r.reason, sa.func.sum(r.requests))
    refusals = refusals.where(r.at >= since - 60).group_by(r.reason)
    counted = {str(reason): int(n) for reason, n in connection.execute(refusals).all()}
    oddities += odd_rows(log, told, params.max_rows, now)
    return Window(rows, total, labelled, counted, oddities)


def _labelled(log: Log, told: sa.Select[Any], which: Any, schema: Schema) -> pd.DataFrame:
    """Read predictions with feedback: of the records `which`, in the order of the feedback `told`.

    Each record is read and parsed once, however many of its rows have feedback, and only these rows
    are kept.
    """
    labels = defaultdict(list)
    for place, label in enumerate(log.connection.execute(told)):
        labels[label.record].append((place, label))
    names = sa.select(told.subquery().c.record)
    records = sa.select(log.predictions)
    records = records.where(log.predictions.c.prediction_id.in_(names), which)
    kept = []  # the labels in the order of the frame's rows

    def found() -> Iterator[tuple[Any, list[int]]]:
        for record in _stream(log.connection, records):
            own = labels.pop(record.prediction_id, [])
            kept.extend(own)
            ids = [label.prediction_id for _, label in own]
            yield record, [int(name[-PLACE:], 16) if record.n_rows > 1 else 0 for name in ids]

    rows = to_frame(found(), schema)
    rows[ID] = pd.Series([label.prediction_id for _, label in kept], dtype="object")
    rows[TOLD] = pd.Series([label.at for _, label in kept], dtype="float64")
    rows[ACTUAL] = pd.Series([json.loads(label.actual) for _, label in kept], dtype="object")
    order = sorted(range(len(kept)), key=lambda row: kept[row][0])
    return rows.iloc[order].reset_index(drop=True)


def _stream(connection: sa.Connection, wanted: sa.Select[Any]) -> Iterable[Any]:
    """Read records a few at a time: those of many rows would fill the memory together."""
    return connection.execute(wanted, execution_options={"yield_per": _TOGETHER})


def _start(
    connection: sa.Connection, newest: sa.Select[Any], rows: int, params: Monitor, now: float
) -> float:
    """Return the time at which the window starts: see `monitor.window_*`.

    Args:
        newest: selects `at` and `n_rows` of records.
        rows: that the window has at least, if it may be as old.
    """
    oldest, start = now - params.max_age_days * _DAY, now - params.window_days * _DAY
    at = newest.selected_columns.at
    records = newest.where(at >= oldest).order_by(at.desc()).limit(rows).subquery().c
    seen = sa.func.sum(records.n_rows).over(order_by=records.at.desc()).label("seen")
    counted = sa.select(records.at, seen).subquery().c
    enough = sa.select(sa.func.max(counted.at)).where(counted.seen >= rows)
    of_enough_rows = connection.execute(enough).scalar()
    if of_enough_rows is None or of_enough_rows < start:
        return max(of_enough_rows or 0.0, oldest)
    return start
