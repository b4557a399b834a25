"""Read a file of the adopted system as the first one, under the schema's names."""

import pandas as pd

from mlops.adopt import dialect, parse_column
from mlops.adopt.columnar import columns_of
from mlops.adopt.parse_column import Asked
from mlops.adopt.parse_datetimes import Clock
from mlops.adopt.reading import header_names
from mlops.adopt.source_form import SourceForm
from mlops.adopt.texts import texts
from mlops.columns import Column
from mlops.errors import UserError


def fields_of(content: bytes, form: SourceForm) -> dict[str, pd.Series]:
    """Return a file's columns by header, parsed with the adopted file's dialect.

    Raises:
        UserError: the file has another dialect.
    """
    if form.dialect is None:
        return columns_of(content)[0]
    text, _ = dialect.decode(content, form.dialect.encoding)
    _, lines = dialect.split(text, form.dialect)
    headers, _ = header_names(lines[0][1])
    columns = list(zip(*(line for _, line in lines[1:]), strict=True)) or [()] * len(headers)
    return {h: pd.Series(v, dtype="object") for h, v in zip(headers, columns, strict=True)}


def read_export(content: bytes, form: SourceForm, columns: tuple[Column, ...]) -> pd.DataFrame:
    """Read a file as the adopted one was read, under the schema's names.

    A column added to the schema since then has the same name in the file; a nullable one may be
    missing.

    Args:
        columns: the columns to read.

    Raises:
        UserError: the file's format differs; the message lists each place.
    """
    given = fields_of(content, form)
    since = {c.name for c in columns} - {*form.names.values(), form.numbered}
    names = form.names | {name: name for name in since}
    wanted = {header: c for header, name in names.items() for c in columns if c.name == name}
    lacking = [header for header in wanted if header not in given]
    if missing := [header for header in lacking if not wanted[header].nullable]:
        raise UserError(f"missing column(s) {', '.join(missing)}", [f"found: {', '.join(given)}"])
    rows, problems = {}, list[str]()
    for header, column in wanted.items():
        if header in lacking:
            continue
        rows[column.name], found = _convert(header, given[header], form, column)
        problems += found
    if problems:
        raise UserError(
            f"{len(problems)} value(s) have another format than in the adopted file",
            problems,
            "Nothing was added. Fix them, or adopt again with --replace",
        )
    return pd.DataFrame(rows)


def _convert(
    header: str, given: pd.Series, form: SourceForm, column: Column
) -> tuple[pd.Series, list[str]]:
    conversion, asked = form.conversions.get(header), Asked(missing=form.missing)
    if isinstance(given.dtype, pd.DatetimeTZDtype):
        return (conversion if isinstance(conversion, Clock) else Clock()).local(given), []
    if conversion is None and given.dtype != object and not pd.api.types.is_string_dtype(given):
        return (texts(given) if column.type is str else given), []
    plain = ["" if value is None or value != value else str(value) for value in given]
    clean, _ = parse_column.without_missing(header, plain, asked)
    values = parse_column.apply(conversion, clean)
    wrong = [
        f"row {row}: {header}: found {text!r}"
        for row, (text, lost) in enumerate(zip(clean, values.isna(), strict=True), 1)
        if text and lost
    ]
    return (texts(values) if column.type is str else values), wrong
