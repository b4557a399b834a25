"""Classes for columns, derived features and rules; `src/project` defines those of a project."""

import datetime
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from mlops.metrics import Task
from mlops.schema_checks import (
    column_problems,
    derived_problems,
    role_problems,
    rule_problems,
)

if TYPE_CHECKING:
    from mlops.joins import Join

Role = Literal["feature", "input", "key", "time", "target", "ignore"]
ColumnType = type[float] | type[int] | type[bool] | type[str] | type[datetime.date]
"""`datetime.datetime` is allowed too: it is a subclass of date."""

LONGEST = 200
"""Maximum characters of an open feature's text."""

_WORDS: dict[type, str] = {
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    str: "a text",
    datetime.date: "a date",
    datetime.datetime: "a date and time",
}


_DTYPES: dict[type, str] = {
    **dict.fromkeys((float, int, bool), "float64"),
    str: "str",
    **dict.fromkeys((datetime.date, datetime.datetime), "datetime64[us]"),
}


@dataclass(frozen=True)
class Column:
    """One column of the data, and of a request if its role is "feature" or "input".

    An "input" is a field of a request that is only used by derived features; an "ignore" column is
    only read and checked. Bounds are inclusive. A text feature lists all its `choices`, or is
    `open`: its categories are then those of the training rows, with one more for rare and unseen
    texts, and any text of up to LONGEST characters is accepted. A missing value is allowed only
    where `nullable` is true.
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
    open: bool = False

    @property
    def wanted(self) -> str:
        """Describe in words which values the column accepts."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.open:
            return f"a text of up to {LONGEST} characters"
        kind = _WORDS[self.type]
        if self.low is not None and self.high is not None:
            return f"{kind} from {self.low:,.12g} to {self.high:,.12g}"
        if self.low is not None:
            return f"{kind} of at least {self.low:,.12g}"
        if self.high is not None:
            return f"{kind} of at most {self.high:,.12g}"
        return kind

    @cached_property
    def dtype(self) -> str:
        """The column's dtype in every frame and Arrow table of the pipeline.

        Numbers are float64 even where they must be whole, and booleans are 1 and 0, because
        integers have no missing value. Keys are int64 or text, times in the schema's time zone.
        """
        return "int64" if self.role == "key" and self.type is int else _DTYPES[self.type]

    @property
    def is_categorical(self) -> bool:
        """Whether models treat the column as categorical."""
        return bool(self.choices) or self.open


@dataclass(frozen=True)
class Derived:
    """A feature computed from columns, by one function in training, serving, scoring, monitoring.

    `make` gets an array for each name in `needs`, shape (n_rows,), and returns one of that shape.
    Numbers are float64, booleans bool, texts numpy's StringDType, dates and times datetime64[us];
    the arrays are read-only. The rows may be one request or all the data, so each value must depend
    on its own row alone. A value that is not a finite number, or not one of `choices`, is
    missing.

    Attributes:
        type: float, int, bool, or str with `choices` or `open`, as for columns.
        needs: columns of role feature, input or time, or derived features defined earlier.
        takes_missing: also call `make` for rows in which a needed value is missing: NaN, NaT or
            an empty text; booleans are then float64. By default the feature is missing there.
    """

    name: str
    description: str
    type: ColumnType
    unit: str
    needs: tuple[str, ...]
    make: Callable[..., Any]
    choices: tuple[str, ...] = ()
    takes_missing: bool = False
    open: bool = False

    @cached_property
    def dtype(self) -> str:
        """The feature's dtype in every frame, as for a column."""
        return _DTYPES[self.type]

    @property
    def is_categorical(self) -> bool:
        """Whether models treat the feature as categorical."""
        return bool(self.choices) or self.open


Feature = Column | Derived


@dataclass(frozen=True)
class Rule:
    """A condition between columns, as a function of their values in the order of `columns`.

    `holds` is called with whole columns of a frame (and returns one boolean per row), or with the
    values of one request, where dates and times are `Moment` of mlops.timestamps: `day.dt.year`
    works for both. It is never called with a missing value. In a request, an omitted time defaults
    to the current time.
    """

    name: str
    columns: tuple[str, ...]
    description: str
    holds: Callable[..., Any]


@dataclass(frozen=True)
class Table:
    """Columns of which one is the key, and the rules among them.

    Attributes:
        timezone: time zone of dates and times without an offset; others are converted to it. A name
            such as Europe/Berlin, or an offset such as +01:00.
        place: the file that defines the columns, for messages.
    """

    place: ClassVar[str] = "src/project/sources.py"

    columns: tuple[Column, ...]
    rules: tuple[Rule, ...] = ()
    timezone: str = "UTC"

    def __getitem__(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    @property
    def names(self) -> list[str]:
        """All column names, in the table's order."""
        return [column.name for column in self.columns]

    @property
    def key(self) -> Column:
        """The column that identifies a row."""
        return next(column for column in self.columns if column.role == "key")

    @property
    def optional(self) -> frozenset[str]:
        """Columns that a file of rows may omit: their values are then missing."""
        return frozenset(column.name for column in self.columns if column.nullable)


@dataclass(frozen=True)
class Schema(Table):
    """The columns, rules and derived features of one data set.

    Attributes:
        derived: features; the composition root adds those of src/project/features.py.
        derived_code: hash of the code of their functions.
        joins: the composition root adds those of src/project/sources.py, with their columns.

    Raises:
        ValueError: the schema is inconsistent; the message names every problem.
    """

    place: ClassVar[str] = "src/project/schema.py"

    derived: tuple[Derived, ...] = ()
    derived_code: str = ""
    joins: "tuple[Join, ...]" = ()

    def __post_init__(self) -> None:
        problems = [*column_problems(self.columns), *role_problems(self)]
        for rule in self.rules:
            problems += [
                f"rule {rule.name}: no column {name!r}"
                for name in rule.columns
                if name not in self.names
            ]
        problems = problems or rule_problems(self)
        if problems:
            raise ValueError("src/project/schema.py: " + "; ".join(problems))
        if problems := derived_problems(self):
            raise ValueError("src/project/features.py: " + "; ".join(problems))

    def feature(self, name: str) -> Feature:
        """Return the feature of that name."""
        return next(feature for feature in self.features if feature.name == name)

    @property
    def optional(self) -> frozenset[str]:
        """As for any table, and the columns that joins add to rows without them."""
        return super().optional.union(*(join.carried for join in self.joins))

    @property
    def own(self) -> tuple[Column, ...]:
        """The columns without those that joins add."""
        brought = frozenset[str]().union(*(join.carried for join in self.joins))
        return tuple(column for column in self.columns if column.name not in brought)

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """The features of a model: columns, then derived features."""
        own = (column for column in self.columns if column.role == "feature")
        return (*own, *self.derived)

    @cached_property
    def inputs(self) -> tuple[Column, ...]:
        """The fields of a request, in column order; the time if a derived feature needs it."""
        return tuple(
            column
            for column in self.columns
            if column.role in ("feature", "input")
            or (column.role == "time" and column.name in self.needed)
        )

    @cached_property
    def needed(self) -> frozenset[str]:
        """Names of the columns and features that derived features need."""
        return frozenset(name for feature in self.derived for name in feature.needs)

    @cached_property
    def needed_inputs(self) -> tuple[Column, ...]:
        """The fields of a request that derived features need."""
        return tuple(column for column in self.inputs if column.name in self.needed)

    @cached_property
    def needed_numbers(self) -> tuple[str, ...]:
        """Names of those of `needed_inputs` that are numbers or booleans."""
        return tuple(c.name for c in self.needed_inputs if c.type in (float, int, bool))

    @cached_property
    def needed_others(self) -> tuple[Column, ...]:
        """Those of `needed_inputs` that are texts, dates or times."""
        return tuple(c for c in self.needed_inputs if c.name not in self.needed_numbers)

    @cached_property
    def needed_booleans(self) -> frozenset[str]:
        """Names of the booleans that derived features need."""
        known: tuple[Feature, ...] = (*self.needed_inputs, *self.derived)
        return self.needed.intersection(c.name for c in known if c.type is bool)

    @cached_property
    def timed(self) -> Column | None:
        """The time column if a request may have it; it defaults to the current time."""
        return next((column for column in self.inputs if column.role == "time"), None)

    @property
    def target(self) -> Column:
        """The column that the model predicts."""
        return next(column for column in self.columns if column.role == "target")

    @property
    def task(self) -> Task:
        """The task: classification if the target has choices, else regression."""
        return "classification" if self.target.choices else "regression"

    @property
    def time(self) -> Column | None:
        """The column with the time of the row's event; None in data without one."""
        return next((column for column in self.columns if column.role == "time"), None)

    def without_functions(self) -> "Schema":
        """Drop functions, which can't be pickled; rows sent along contain the derived features."""
        derived = tuple(replace(feature, make=_not_here) for feature in self.derived)
        return replace(self, rules=(), derived=derived)

    def feature_kinds(self) -> dict[str, Literal["numeric", "categorical"]]:
        """Return the kind of each feature that the drift monitor tests."""
        return {c.name: "categorical" if c.is_categorical else "numeric" for c in self.features}


def _not_here(*_: Any) -> Any:
    raise NotImplementedError("a feature is derived before its rows are sent to another process")
