"""Check a project's columns, rules and derived features for inconsistencies."""

import datetime
import keyword
import zoneinfo
from typing import TYPE_CHECKING, Any

from mlops.timestamps import Moment, zone

if TYPE_CHECKING:  # the classes that are checked here
    from mlops.columns import Column, Schema


def column_problems(columns: "tuple[Column, ...]") -> list[str]:
    """Check each column on its own, and that no name is duplicated."""
    problems = []
    for place, column in enumerate(columns):
        where = f"column {column.name!r}"
        if not column.name.isidentifier() or keyword.iskeyword(column.name):
            problems.append(f"{where}: wanted a Python name, since it becomes a request field")
        if any(column.name == other.name for other in columns[:place]):
            problems.append(f"{where} is duplicated")
        if column.low is not None and column.high is not None and column.low > column.high:
            problems.append(f"{where}: low {column.low:g} is above high {column.high:g}")
        if column.choices and column.type is not str:
            problems.append(f"{where}: choices are for type str, found {column.type.__name__}")
        if len(set(column.choices)) < len(column.choices):
            problems.append(f"{where}: a choice is duplicated")
        if column.role == "feature" and column.type is str and not column.is_categorical:
            problems.append(f"{where}: a text feature must list its choices, or be open=True")
        if column.open and (column.type is not str or column.choices or column.role != "feature"):
            problems.append(f"{where}: open is for text features without choices")
        if column.role == "feature" and issubclass(column.type, datetime.date):
            problems.append(
                f"{where}: a date can't be a feature; set role 'input', and derive numbers "
                "from it in src/project/features.py"
            )
        if column.role in ("key", "time", "target") and column.nullable:
            problems.append(f"{where}: role {column.role!r} can't be nullable")
        if column.role == "time" and not issubclass(column.type, datetime.date):
            problems.append(f"{where}: role 'time' needs type date or datetime")
        if column.role in ("key", "target") and column.type not in (int, float, str):
            problems.append(f"{where}: role {column.role!r} needs type int, float or str")
    return problems


def role_problems(schema: "Schema") -> list[str]:
    """Check the number of columns of each role, and that the time zone exists."""
    columns, problems = schema.columns, []
    for role, least, most in (("key", 1, 1), ("time", 0, 1), ("target", 1, 1)):
        found = [column.name for column in columns if column.role == role]
        if not least <= len(found) <= most:
            wanted = f"{least}" if least == most else f"at most {most}"
            problems.append(f"role {role!r}: wanted {wanted} column, found {found or 'none'}")
    try:
        zone(schema.timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        problems.append(
            f"timezone {schema.timezone!r}: no such time zone; wanted a name such as "
            "Europe/Berlin, or an offset such as +01:00"
        )
    if not schema.features:
        problems.append("role 'feature': wanted at least 1 column, found none")
    return problems


def rule_problems(schema: "Schema") -> list[str]:
    """Check that rules on dates and times also work for the values of one request."""
    inputs = {column.name: column for column in schema.inputs}
    dated = {name for name, one in inputs.items() if issubclass(one.type, datetime.date)}
    problems = []
    for rule in schema.rules:
        if dated.isdisjoint(rule.columns) or not inputs.keys() >= set(rule.columns):
            continue
        try:
            bool(rule.holds(*(_example(inputs[name]) for name in rule.columns)))
        except Exception as error:
            problems.append(
                f"rule {rule.name}: a request has {', '.join(sorted(dated & set(rule.columns)))}, "
                f"and the rule fails for one value ({type(error).__name__}: {error}); use only "
                "operations that work for a column and for one value, such as day.dt.year and <="
            )
    return problems


def _example(column: "Column") -> Any:
    if issubclass(column.type, datetime.date):
        return Moment(2024, 5, 1, 10, 30)
    if column.type is str:
        return column.choices[0] if column.choices else "text"
    return column.type(1 if column.low is None else column.low)


def derived_problems(schema: "Schema") -> list[str]:
    """Check each derived feature, and that its value is known when a request is answered."""
    roles: dict[str, str] = {column.name: column.role for column in schema.columns}
    known = [column.name for column in schema.inputs if column.role != "time"]
    if schema.time is not None:
        known.append(schema.time.name)
    problems = []
    for feature in schema.derived:
        where = f"feature {feature.name!r}"
        if not feature.name.isidentifier() or keyword.iskeyword(feature.name):
            problems.append(f"{where}: wanted a Python name")
        if feature.name in roles or feature.name in known:
            problems.append(f"{where} is duplicated, or is a column of src/project/schema.py")
        if not feature.needs:
            problems.append(f"{where}: needs no column, wanted at least one")
        for name in feature.needs:
            if roles.get(name) in ("target", "key", "ignore"):
                problems.append(f"{where}: needs {name}, which requests don't have ({roles[name]})")
            elif name not in known:
                wanted = ", ".join(known)
                problems.append(
                    f"{where}: needs {name!r}, wanted a column or feature before it: {wanted}"
                )
        if (feature.type is str) != feature.is_categorical or (feature.open and feature.choices):
            problems.append(
                f"{where}: type str needs choices or open=True; other types must not have them"
            )
        elif feature.type not in (float, int, bool, str):
            problems.append(f"{where}: wanted type float, int, bool or str")
        known.append(feature.name)
    return problems
