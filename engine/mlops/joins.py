"""Second tables that a project joins to its rows: the entries of src/project/sources.py."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from mlops.columns import Column, Derived, Schema, Table
from mlops.schema_checks import column_problems

FOLDER = "data"
ENDINGS = (".csv", ".csv.gz", ".parquet", ".pq")


@dataclass(frozen=True, kw_only=True)
class Join:
    """A table that adds columns to each row, by the value of one of the row's own columns.

    Attributes:
        table: its name, for messages.
        path: a CSV or Parquet file below data/, in git or tracked by `dvc add`.
        columns: the table's; one has role "key", those to add have role "feature" or "input".
        on: the column of src/project/schema.py that holds the key.
        serve: how a request gets the columns. "request": it has them, like any other column.
            "table": it has `on`, and the table is part of the bundle.
        unmatched: for rows whose key is not in the table: "missing" values, or "refuse" the data.
    """

    table: str
    path: str
    columns: tuple[Column, ...]
    on: str
    serve: Literal["request", "table"]
    unmatched: Literal["missing", "refuse"] = "missing"

    @property
    def keyed(self) -> Table:
        """The table itself, for validation."""
        return Table(self.columns)

    @property
    def brought(self) -> tuple[Column, ...]:
        """The columns that the table adds."""
        return tuple(column for column in self.columns if column.role in ("feature", "input"))

    @property
    def carried(self) -> frozenset[str]:
        """Names of the added columns that rows and requests contain."""
        if self.serve == "table":
            return frozenset()
        return frozenset(column.name for column in self.brought)


def with_joins(schema: Schema, joins: tuple[Join, ...]) -> Schema:
    """Add the columns that requests have and, as derived features, those that the bundle has.

    Raises:
        ValueError: the entries are inconsistent or contradict the schema; names every problem.
    """
    if problems := [*_problems(schema, joins)]:
        raise ValueError("src/project/sources.py: " + "; ".join(problems))
    carried = [column for join in joins if join.serve == "request" for column in join.brought]
    looked_up = [
        Derived(
            column.name,
            column.description,
            column.type,
            column.unit,
            (join.on,),
            _without_table,
            column.choices,
        )
        for join in joins
        if join.serve == "table"
        for column in join.brought
    ]
    return Schema(
        (*schema.columns, *carried), schema.rules, schema.timezone, tuple(looked_up), "", joins
    )


def _without_table(*_: object) -> object:
    raise NotImplementedError("the tables of the joins have not been read")


def _problems(schema: Schema, joins: tuple[Join, ...]) -> Iterator[str]:
    taken = dict.fromkeys(schema.names, "a column of src/project/schema.py")
    for place, join in enumerate(joins):
        where = f"table {join.table!r}"
        if any(join.table == other.table for other in joins[:place]):
            yield f"{where} is duplicated"
        yield from (f"{where}: {problem}" for problem in [*_own(join), *_fits(join, schema)])
        for column in join.brought:
            if column.name in taken:
                yield f"{where}: {column.name} is {taken[column.name]}, too"
            taken[column.name] = f"a column of {where}"


def _own(join: Join) -> Iterator[str]:
    """Check an entry on its own."""
    yield from column_problems(join.columns)
    keys = [column for column in join.columns if column.role == "key"]
    others = [c.name for c in join.columns if c.role not in ("key", "feature", "input", "ignore")]
    if len(keys) != 1:
        found = ", ".join(column.name for column in keys) or "none"
        yield f"wanted 1 column of role 'key', found {found}"
    if others:
        yield f"{', '.join(others)}: wanted role 'key', 'feature', 'input' or 'ignore'"
    if not join.brought:
        yield "adds no column: set role 'feature' for at least one"
    parts = PurePosixPath(join.path).parts
    if parts[:1] != (FOLDER,) or ".." in parts or not join.path.lower().endswith(ENDINGS):
        yield f"path {join.path!r}: wanted a file below {FOLDER}/: *{', *'.join(ENDINGS)}"
    if join.serve not in ("request", "table"):
        yield f"serve {join.serve!r}: wanted 'request' or 'table'"
    if join.unmatched not in ("missing", "refuse"):
        yield f"unmatched {join.unmatched!r}: wanted 'missing' or 'refuse'"


def _fits(join: Join, schema: Schema) -> Iterator[str]:
    """Check an entry against the schema that it is joined to."""
    on = next((column for column in schema.columns if column.name == join.on), None)
    key = next((column for column in join.columns if column.role == "key"), None)
    if on is None or on.role == "target":
        yield f"on {join.on!r}: wanted a column of src/project/schema.py other than the target"
        return
    if key is not None and key.type is not on.type:
        yield f"key {key.name} is {key.type.__name__}, {on.name} is {on.type.__name__}"
    if join.serve == "table":
        if on.role not in ("feature", "input", "time"):
            yield f"on {on.name!r}: requests don't have it (role {on.role!r}): set serve='request'"
        wrong = [c.name for c in join.brought if c.role == "input"]
        if wrong:
            yield f"{', '.join(wrong)}: wanted role 'feature', because serve='table'"
    elif join.unmatched == "missing":
        wrong = [column.name for column in join.brought if not column.nullable]
        if wrong:
            yield f"{', '.join(wrong)}: wanted nullable=True, or unmatched='refuse'"
