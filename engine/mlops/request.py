"""Requests: pydantic model and JSON schema, derived from the schema's inputs."""

import dataclasses
import datetime
from functools import partial
from typing import Annotated, Any, Literal, Optional

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model, model_validator

from mlops.columns import LONGEST, Column, Rule, Schema
from mlops.timestamps import Moment, parse_time, present


def _whole(value: Any) -> Any:
    """Convert 6.0 to 6: clients whose columns have missing values send only floats."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def request_model(schema: Schema, name: str = "Row") -> type[BaseModel]:
    """Build the model of one row of inputs.

    Strict: unknown fields, numbers as text, booleans as numbers, NaN and infinity are errors. A
    nullable input may be null or omitted, and so may the time. Rules among inputs apply as in
    frames.
    """
    known = {column.name for column in schema.inputs}
    rules = [rule for rule in schema.rules if known.issuperset(rule.columns)]
    fields: dict[str, Any] = {
        column.name: column_field(column, schema.timezone) for column in schema.inputs
    }
    return create_model(name, __base__=_base(rules, schema), **fields)


def _base(rules: list[Rule], schema: Schema) -> type[BaseModel]:
    timed = schema.timed

    def value(row: BaseModel, name: str) -> Any:
        found = getattr(row, name)
        if found is None and timed is not None and name == timed.name:
            found = present(timed.type, schema.timezone)
        return Moment.of(found) if isinstance(found, datetime.date) else found

    class Base(BaseModel):
        model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

        @model_validator(mode="after")
        def _rules_hold(self) -> "Base":
            broken = []
            for rule in rules:
                values = [value(self, column) for column in rule.columns]
                if None not in values and not rule.holds(*values):
                    broken.append(rule.description)
            if broken:
                raise ValueError("; ".join(broken))
            return self

    return Base


def column_field(column: Column, timezone: str = "UTC") -> tuple[Any, Any]:
    """Return the type and the pydantic field of one column."""
    optional = column.nullable or column.role == "time"
    kind: Any = Literal[column.choices] if column.choices else column.type
    bounds = {"ge": column.low, "le": column.high}
    constraints: dict[str, Any] = {k: v for k, v in bounds.items() if v is not None}
    # Bounds are on the type: next to the default, they are lost in a nullable's JSON schema.
    if column.type is int:
        constraints = {k: int(v) for k, v in constraints.items()}
        kind = Annotated[int, Field(**constraints), BeforeValidator(_whole)]
    elif issubclass(column.type, datetime.date):
        parse = partial(parse_time, kind=column.type, timezone=timezone)
        kind = Annotated[kind, BeforeValidator(parse)]
    elif column.type is str and not column.choices:
        kind = Annotated[str, Field(min_length=1, max_length=LONGEST if column.open else None)]
    else:
        kind = Annotated[kind, Field(**constraints)]
    return (
        Optional[kind] if optional else kind,  # noqa: UP045 - `kind | None` needs a type
        Field(
            default=None if optional else ...,
            description=column.description,
            json_schema_extra={"unit": column.unit} if column.unit else None,
        ),
    )


def describe_schema(schema: Schema) -> dict[str, Any]:
    """Return the columns as plain values, and the JSON schema of a request."""
    columns = []
    for column in schema.columns:
        fields = {f.name: getattr(column, f.name) for f in dataclasses.fields(column)}
        columns.append({**fields, "type": column.type.__name__, "choices": list(column.choices)})
    derived = [
        {
            "name": feature.name,
            "description": feature.description,
            "unit": feature.unit,
            "type": feature.type.__name__,
            "choices": list(feature.choices),
            "open": feature.open,
            "needs": list(feature.needs),
        }
        for feature in schema.derived
    ]
    request = request_model(schema).model_json_schema()
    return {"columns": columns, "derived": derived, "request": request}


def describe_columns(schema: Schema) -> list[dict[str, Any]]:
    """Return the columns that a model was fitted for, without descriptions and units."""
    wording = ("description", "unit")
    columns = describe_schema(schema)["columns"]
    return [{k: v for k, v in column.items() if k not in wording} for column in columns]


def describe_derived(schema: Schema) -> dict[str, Any]:
    """Return the names of the derived features, the time zone, and a hash of their code."""
    names = [feature.name for feature in schema.derived]
    return {"names": names, "timezone": schema.timezone, "code": schema.derived_code}
