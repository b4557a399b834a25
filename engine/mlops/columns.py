"""What a column and a rule are; `src/project/schema.py` holds the table of them."""

import datetime
import keyword
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from mlops.metrics import Task

Role = Literal["feature", "key", "time", "target"]
ColumnType = type[float] | type[int] | type[str] | type[datetime.date]


@dataclass(frozen=True)
class Column:
    """One column of the data, and of a request if its role is "feature".

    Bounds are inclusive. A text feature names all its `choices`; a missing value is allowed
    only where `nullable` is true.
    """

    name: str
    description: str
    type: ColumnType = float
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    nullable: bool = False
    role: Role = "feature"

    @property
    def wanted(self) -> str:
        """Say in words which values the column takes."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        kind = {float: "a number", int: "a whole number", str: "a text"}.get(self.type, "a date")
        if self.low is not None and self.high is not None:
            return f"{kind} from {self.low:,.12g} to {self.high:,.12g}"
        if self.low is not None:
            return f"{kind} of at least {self.low:,.12g}"
        if self.high is not None:
            return f"{kind} of at most {self.high:,.12g}"
        return kind

    @property
    def is_categorical(self) -> bool:
        """Tell whether a model takes the column as categories."""
        return bool(self.choices)


@dataclass(frozen=True)
class Rule:
    """A condition between columns, as a function of their values in the order of `columns`.

    `holds` is called with whole columns of a frame (and answers one truth value a row) or with
    the values of one request; it is never called with a missing value.
    """

    name: str
    columns: tuple[str, ...]
    description: str
    holds: Callable[..., Any]


@dataclass(frozen=True)
class Schema:
    """The columns and rules of one data set.

    Raises:
        ValueError: the table contradicts itself; the message names every problem.
    """

    columns: tuple[Column, ...]
    rules: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        problems = [*_column_problems(self.columns), *_role_problems(self.columns)]
        for rule in self.rules:
            problems += [
                f"rule {rule.name}: no column {name!r}"
                for name in rule.columns
                if name not in self.names
            ]
        if problems:
            raise ValueError("src/project/schema.py: " + "; ".join(problems))

    def __getitem__(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    @property
    def names(self) -> list[str]:
        """All column names, in the table's order."""
        return [column.name for column in self.columns]

    @property
    def features(self) -> tuple[Column, ...]:
        """What a model sees and a request carries."""
        return tuple(column for column in self.columns if column.role == "feature")

    @property
    def target(self) -> Column:
        """What the model predicts."""
        return next(column for column in self.columns if column.role == "target")

    @property
    def task(self) -> Task:
        """What predicting the target is."""
        return "classification" if self.target.choices else "regression"

    @property
    def key(self) -> Column:
        """What tells one row from another."""
        return next(column for column in self.columns if column.role == "key")

    @property
    def time(self) -> Column | None:
        """When the row's event took place; None in data without dates."""
        return next((column for column in self.columns if column.role == "time"), None)

    def without_rules(self) -> "Schema":
        """Give the columns alone: a rule's function can't be sent to another process."""
        return Schema(self.columns)

    def feature_kinds(self) -> dict[str, Literal["numeric", "categorical"]]:
        """List the features that the drift monitor watches, and how."""
        return {c.name: "categorical" if c.is_categorical else "numeric" for c in self.features}


def _column_problems(columns: tuple[Column, ...]) -> list[str]:
    """Check each column by itself, and that no name stands twice."""
    problems = []
    for place, column in enumerate(columns):
        where = f"column {column.name!r}"
        if not column.name.isidentifier() or keyword.iskeyword(column.name):
            problems.append(f"{where}: wanted a Python name, since it becomes a request field")
        if any(column.name == other.name for other in columns[:place]):
            problems.append(f"{where} stands twice")
        if column.low is not None and column.high is not None and column.low > column.high:
            problems.append(f"{where}: low {column.low:g} is above high {column.high:g}")
        if column.choices and column.type is not str:
            problems.append(f"{where}: choices are for type str, found {column.type.__name__}")
        if len(set(column.choices)) < len(column.choices):
            problems.append(f"{where}: a choice stands twice")
        if column.role == "feature" and column.type is str and not column.choices:
            problems.append(f"{where}: a text feature must list its choices")
        if column.role == "feature" and column.type is datetime.date:
            problems.append(f"{where}: a date can't be a feature; derive a number from it")
        if column.role != "feature" and column.nullable:
            problems.append(f"{where}: role {column.role!r} can't be nullable")
        if column.role == "time" and column.type is not datetime.date:
            problems.append(f"{where}: role 'time' needs type date")
    return problems


def _role_problems(columns: tuple[Column, ...]) -> list[str]:
    """Check that each role stands as often as it may."""
    problems = []
    for role, least, most in (("key", 1, 1), ("time", 0, 1), ("target", 1, 1)):
        found = [column.name for column in columns if column.role == role]
        if not least <= len(found) <= most:
            wanted = f"{least}" if least == most else f"at most {most}"
            problems.append(f"role {role!r}: wanted {wanted} column, found {found or 'none'}")
    if not any(column.role == "feature" for column in columns):
        problems.append("role 'feature': wanted at least 1 column, found none")
    return problems
