"""Write the schema as source code, formatted as by ruff."""

import datetime
import json

from mlops.columns import Column

_WIDTH = 100
_EACH_ON_A_LINE = 12  # up to this many choices; more are written several to a line

_HEAD = '''\
"""The columns of the data set, defined only here.

Everything else is derived from this schema: validation, the request model and its JSON schema,
the rows that tests generate, the features that the drift monitor tests. A new column is a new line
here, and a column of that name in the source.
"""

'''


def schema_text(columns: tuple[Column, ...], timezone: str | None = None) -> str:
    """Return the text of src/project/schema.py for these columns, without rules.

    Args:
        timezone: time zone of the times; "written" or None: unknown.
    """
    zone = f"    timezone={_text(timezone)},\n" if timezone not in (None, "written") else ""
    dated = any(column.role == "time" for column in columns)
    head = _HEAD + ("import datetime\n\n" if dated else "")
    body = "".join(_column(column) for column in columns)
    return (
        f"{head}from mlops.columns import Column, Schema\n\n"
        f"SCHEMA = Schema(\n    columns=(\n{body}    ),\n{zone})\n"
    )


def _column(column: Column) -> str:
    bounds = [_value(bound) for bound in (column.low, column.high)]
    parts = [_text(column.name), _text(column.description), _type(column)]
    named = []
    if column.unit and column.low is not None:
        parts += [_text(column.unit), *bounds]
    else:
        named += [f"unit={_text(column.unit)}"] if column.unit else []
        named += [f"{k}={v}" for k, v in zip(("low", "high"), bounds, strict=True) if v != "None"]
    if column.choices:
        named.append(f"choices={_choices(column.choices)}")
    named += ["open=True"] if column.open else []
    named += ["nullable=True"] if column.nullable else []
    named += [f'role="{column.role}"'] if column.role != "feature" else []
    return _call("Column", [*parts, *named], 8)


def _call(name: str, arguments: list[str], indent: int) -> str:
    """Format a call on one line, its arguments on one line, or each on its own."""
    pad, inner = " " * indent, " " * (indent + 4)
    whole, within = f"{name}({', '.join(arguments)})", ", ".join(arguments)
    flat = "\n" not in whole
    if flat and len(pad + whole) + 1 <= _WIDTH:
        return f"{pad}{whole},\n"
    if flat and len(inner + within) <= _WIDTH:
        return f"{pad}{name}(\n{inner}{within}\n{pad}),\n"
    return f"{pad}{name}(\n" + "".join(f"{inner}{a},\n" for a in arguments) + f"{pad}),\n"


def _choices(choices: tuple[str, ...]) -> str:
    texts = [_text(choice) for choice in choices]
    if len(f"choices=({', '.join(texts)}),") + 12 <= _WIDTH:
        return f"({', '.join(texts)})"
    pad = " " * 16
    if len(texts) <= _EACH_ON_A_LINE:
        return "(\n" + "".join(f"{pad}{text},\n" for text in texts) + " " * 12 + ")"
    lines, line = [], [texts[0]]
    for text in texts[1:]:
        if len(f"{pad}*({', '.join([*line, text])}),") > _WIDTH:
            lines.append(line)
            line = []
        line.append(text)
    lines.append(line)
    return "(\n" + "".join(f"{pad}{_group(line)},\n" for line in lines) + " " * 12 + ")"


def _group(line: list[str]) -> str:
    return line[0] if len(line) == 1 else f"*({', '.join(line)})"


def _type(column: Column) -> str:
    dated = issubclass(column.type, datetime.date)
    return f"datetime.{column.type.__name__}" if dated else column.type.__name__


def _value(bound: float | None) -> str:
    if bound is None:
        return "None"
    whole = int(bound)
    if whole != bound:
        return repr(float(bound))
    return f"{whole:_}" if abs(whole) >= 100_000 else str(whole)


def _text(text: str) -> str:
    return repr(text) if '"' in text else json.dumps(text, ensure_ascii=False)
