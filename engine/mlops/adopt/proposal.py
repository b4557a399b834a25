"""Propose schema columns for a user's table; note which columns are left out and why."""

import datetime
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import pandas as pd

from mlops.adopt import parse_datetimes
from mlops.adopt.infer_column import (
    MOST_LISTED,
    Unusable,
    describe,
    follows_ratios,
    is_row_number,
)
from mlops.adopt.leak_pairs import questions
from mlops.adopt.leaks import gives_away
from mlops.adopt.names import column_names, words
from mlops.adopt.parse_datetimes import Clock
from mlops.adopt.parse_numbers import Doubt
from mlops.adopt.texts import is_whole, texts
from mlops.columns import Column
from mlops.errors import UserError
from mlops.metrics import Task

ROW_KEY = "row_id"
_NOTHING_LEFT = (
    "Add a column that can be a feature. From a text, derive its length, its number of words, or "
    "whether it contains a certain word; pass a date as --time and see docs/features.md"
)
_FEW_CLASSES = 10  # at most so many distinct whole numbers are classes


@dataclass(frozen=True)
class Proposal:
    """The content of the schema, the parameters and the partition.

    Attributes:
        rows: under the columns' names, in their order, each with a target.
        notes: the decisions in words, for the user to review.
        names: header -> column, of the columns that are used.
    """

    task: Task
    columns: tuple[Column, ...]
    rows: pd.DataFrame
    notes: tuple[str, ...]
    names: dict[str, str] = field(default_factory=dict)

    def of_role(self, role: str) -> Column | None:
        """Return the column of a role that at most one column has, or None."""
        return next((column for column in self.columns if column.role == role), None)


def propose(
    table: pd.DataFrame,
    target: str,
    key: str | None = None,
    time: str | None = None,
    task: Task | None = None,
    keep: Collection[str] = (),
    doubts: Mapping[str, str] | None = None,
    time_format: str | None = None,
) -> Proposal:
    """Propose a schema for a table. Arguments name columns as its header does.

    Args:
        key: column that identifies a row; None: one that numbers the rows, or a new one.
        task: None: inferred from the target's values.
        keep: features to keep although they seem to leak the target, or are in doubt; these
            are kept as texts.
        doubts: header -> why its values may not be what they seem.
        time_format: format of the days in `time`, if they are not parsed yet.

    Raises:
        UserError: a requested column does not exist or can't have its role.
    """
    _check_asked(table, [target, *filter(None, (key, time)), *keep])
    doubts = {header: doubt for header, doubt in (doubts or {}).items() if header not in keep}
    for role, header in (("target", target), ("time", time)):
        if header in doubts:
            raise UserError(f"{header} can't be the {role}: {doubts[header]}")
    names = column_names(table.columns)
    labelled = table[table[target].notna()]
    renamed = [f"{old} to {new}" for old, new in names.items() if old != new]
    notes = [f"renamed: {', '.join(renamed)}"] if renamed else []
    if len(labelled) < len(table):
        notes.append(f"{len(table) - len(labelled)} rows have no {target}: left out")
    task = task or _guess(labelled[target])
    notes.append(f"task: {task}, inferred from the values of {target}; to change it: --task")
    label, actual = _target(labelled[target], names[target], task)
    if key is None and (key := _row_number(table, {target, time})):
        notes.append(f"key: {key}, which is unique; to change it: --key")
    when = None if time is None else _days(labelled[time], time, time_format)
    features = [header for header in labelled if header not in (target, key, time)]
    found, left_out = _features(labelled[features], names, actual, task, keep, doubts)
    notes += left_out
    actual = actual.rename(label.name)
    columns = [*(column for column, _ in found), label]
    rows = {column.name: values for column, values in found} | {label.name: actual}
    features_found = pd.DataFrame({c.name: values for c, values in found})
    notes += [
        f"question: {finding}: is each known before {label.name}? If not: --leave-out"
        for finding, _ in questions(features_found, actual, task)
    ]
    if len(columns) == 1:
        raise UserError("No column is left to predict from:", notes, _NOTHING_LEFT)
    if when is not None and time is not None:
        hours = bool((when != when.dt.normalize()).any())
        days = datetime.datetime if hours else datetime.date
        columns.insert(0, Column(names[time], words(time), days, role="time"))
        rows[names[time]] = when
    if key is None:
        columns.insert(0, Column(ROW_KEY, "Number of the row", int, low=1, role="key"))
        rows[ROW_KEY] = pd.Series(range(1, len(labelled) + 1), index=labelled.index)
        notes.append(f"no key: rows are numbered as {ROW_KEY}, in the order of the file")
    else:
        kind = int if is_whole(labelled[key]) else str
        columns.insert(0, Column(names[key], words(key), kind, role="key"))
        rows[names[key]] = labelled[key] if kind is int else texts(labelled[key])
        _check_keys(labelled[key])
    order = [column.name for column in columns]
    taken = {header: name for header, name in names.items() if name in order}
    return Proposal(task, tuple(columns), pd.DataFrame(rows)[order], tuple(notes), taken)


def _features(
    table: pd.DataFrame,
    names: dict[str, str],
    target: pd.Series,
    task: Task,
    keep: Collection[str],
    doubts: Mapping[str, str],
) -> tuple[list[tuple[Column, pd.Series]], list[str]]:
    """Describe the usable features; note why the others are left out."""
    found, notes = [], []
    for header in table.columns:
        try:
            if header in doubts:
                raise Unusable(doubts[header])
            column, values = describe(table[header], names[header], words(header))
            if header not in keep and gives_away(values, target, task):
                away = f"gives {target.name} away"
                raise Unusable(f"{away}; if it is known before the target: --keep {header}")
        except Unusable as reason:
            notes.append(f"{header}: left out: {reason}")
        else:
            found.append((column, values))
    return found, notes


def _check_asked(table: pd.DataFrame, asked: list[str]) -> None:
    if missing := [name for name in asked if name not in table.columns]:
        raise UserError(
            f"No such column: {', '.join(missing)}",
            advice=f"The file has: {', '.join(map(str, table.columns))}",
        )


def _check_keys(keys: pd.Series) -> None:
    wrong = keys[keys.isna() | keys.duplicated(keep=False)]
    if len(wrong):
        shown = ", ".join(map(str, wrong.unique()[:10]))
        raise UserError(
            f"{keys.name} can't be the key: {len(wrong)} rows have none or a duplicate: {shown}",
            advice="Wanted a unique value in each row; omit --key to number the rows",
        )


def _row_number(table: pd.DataFrame, taken: Collection[str | None]) -> str | None:
    """Find a column that can be the key: it numbers the rows or is named as an id."""
    for header in table.columns:
        if header not in taken and is_row_number(table[header]):
            return str(header)
    return None


def _days(values: pd.Series, header: str, form: str | None) -> pd.Series:
    """Parse days and times; keep the hours.

    Raises:
        UserError: some values are not days, or several formats fit.
    """
    if pd.api.types.is_datetime64_any_dtype(values) and values.notna().all():
        return values.dt.tz_localize(None).astype("datetime64[us]")
    written = texts(values)
    distinct = list(written.dropna().unique())
    clock = parse_datetimes.recognise(distinct, form, None, named=True)
    if isinstance(clock, Doubt):
        raise UserError(f"{header} can't be the time: {clock.reason}")
    days = (clock or Clock()).read(written.astype("str"))
    if days.isna().any():
        wrong = values[days.isna()]
        raise UserError(
            f"{header}: {len(wrong)} rows have no day",
            [f"row {row}: found {value}" for row, value in wrong.head().items()],
            "Wanted days such as 2026-01-31 in every row; for another format, pass --time-format; "
            "or omit --time",
        )
    return days


def _guess(target: pd.Series) -> Task:
    if not pd.api.types.is_numeric_dtype(target) or pd.api.types.is_bool_dtype(target):
        return "classification"
    few = is_whole(target) and target.nunique() <= _FEW_CLASSES
    return "classification" if few or target.nunique() <= 2 else "regression"


def _classes(values: pd.Series) -> tuple[str, ...]:
    classes = sorted(values.dropna().unique())
    if len(classes) > MOST_LISTED:
        raise Unusable(f"{len(classes):,} classes, wanted at most {MOST_LISTED}")
    return tuple(classes)


def _target(values: pd.Series, name: str, task: Task) -> tuple[Column, pd.Series]:
    """Describe the target.

    Raises:
        UserError: the column can't be the target of this task.
    """
    try:
        if task == "classification":
            values = texts(values)
        elif not pd.api.types.is_numeric_dtype(values):
            raise Unusable("not a number; --task regression needs one")
        column, described = describe(values, name, words(str(values.name)))
        if column.open:
            column = replace(column, choices=_classes(described), open=False)
    except Unusable as reason:
        raise UserError(f"{values.name} can't be the target: {reason}") from reason
    kind = str if task == "classification" else float  # a mean of whole numbers need not be whole
    if kind is float and (column.low or 0) <= 0 and follows_ratios(described):
        column = replace(column, low=float(f"{described.min() / 10:.1g}"))  # for the logarithm
    return replace(column, type=kind, role="target", nullable=False), described
