"""Score a batch of rows: return each row's prediction, or the conditions that it violates."""

import numpy as np
import pyarrow as pa

from mlops import validation
from mlops.columns import Column, Schema
from mlops.decision_rule import decided
from mlops.errors import UserError
from mlops.inference.loaded_model import Served
from mlops.pipeline.equivalence import as_columns
from mlops.pipeline.parquet_parsing import cast
from mlops.pipeline.parsing import arrow_type

PROBABILITIES = "probabilities"
PROBLEMS = "problems"
"""Column of the conditions that a row violates; empty where there is a prediction."""


def columns(schema: Schema) -> tuple[Column, ...]:
    """Return the columns to read: the key and the inputs."""
    return (schema.key, *schema.inputs)


def layout(served: Served) -> pa.Schema:
    """Return the output's columns: a number, or the chosen class and each class's probability."""
    number, key = pa.float64(), served.schema.key
    predicted = [(served.key, number)]
    if served.choices:
        each = pa.struct([(choice, number) for choice in served.choices])
        predicted = [(served.key, pa.string()), (PROBABILITIES, each)]
    return pa.schema([(key.name, arrow_type(key)), *predicted, (PROBLEMS, pa.string())])


def typed(given: pa.Table, schema: Schema) -> pa.Table:
    """Select and cast the key and the inputs, which may be in any order and among other columns.

    Raises:
        UserError: columns are missing or of another type; the message lists all of them.
    """
    taken, problems = {}, []
    for column in columns(schema):
        wanted = arrow_type(column)
        try:
            taken[column.name] = cast(given[column.name], column, schema.timezone)
        except KeyError:
            problems.append(f"column {column.name}: missing or more than once")
        except pa.ArrowException as error:
            found = given[column.name].type
            problems.append(f"column {column.name}: found {found}, wanted {wanted}: {error}")
    if problems:
        raise UserError(f"{len(problems)} column(s) can't be scored", problems)
    return pa.table(taken)


def score_rows(rows: pa.Table, served: Served) -> pa.Table:
    """Predict the rows that are valid as requests; describe the problems of the others."""
    schema = served.schema
    key, rows = schema.key.name, typed(rows, schema)
    given = rows.drop_columns(key).to_pandas()
    broken = validation.reasons(validation.problems(given, schema, schema.inputs))
    reasons = broken.reindex(given.index)
    fine = reasons.isna().to_numpy()
    predicted = np.full((len(rows), len(served.choices) or 1), np.nan)
    if fine.any():
        found = served.engine.predict_columns(as_columns(given[fine], schema))
        predicted[fine] = found.reshape(fine.sum(), -1)
    values = [pa.array(value, mask=~fine) for value in predicted.T]
    if served.choices:
        chosen = np.array(served.choices)[decided(np.nan_to_num(predicted), served.threshold)]
        each = pa.StructArray.from_arrays(values, served.choices, mask=pa.array(~fine))
        values = [pa.array(chosen, pa.string(), mask=~fine), each]
    texts = pa.array(reasons, pa.string(), from_pandas=True)
    return pa.table([rows[key], *values, texts], schema=layout(served))
