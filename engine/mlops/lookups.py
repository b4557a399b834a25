"""Tables of joins in the bundle: derived features that are looked up by the key in a request."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops.columns import Column, Schema
from mlops.derived import as_array
from mlops.errors import UserError
from mlops.files import read_json
from mlops.joins import Join

LOOKUPS_FILE = "lookups.json"

Content = Mapping[str, list[Any]]
"""Column name -> values, None if missing, of a whole table including its key."""


class Lookup:
    """Maps each key to the value of one column; missing for a key that is not in the table."""

    def __init__(self, key: Column, column: Column, content: Content) -> None:
        keys = as_array(content[key.name], key).tolist()
        self._places = {value: place for place, value in enumerate(keys)}
        gap = None if column.choices else np.nan
        kind: Any = object if column.choices else np.float64
        self._values = np.array([*content[column.name], gap], dtype=kind)

    def __call__(self, keys: NDArray[Any]) -> NDArray[Any]:
        """Look up keys, an array as `mlops.derived` passes it."""
        found: NDArray[Any] = self._values[[self._places.get(key, -1) for key in keys.tolist()]]
        return found


def with_tables(schema: Schema, tables: Mapping[str, Content]) -> Schema:
    """Return the schema with its lookup features connected to `tables`: name -> content."""
    made = {
        column.name: Lookup(join.keyed.key, column, tables[join.table])
        for join in looked_up(schema)
        for column in join.brought
    }
    derived = tuple(
        replace(feature, make=made[feature.name]) if feature.name in made else feature
        for feature in schema.derived
    )
    return replace(schema, derived=derived)


def with_tables_of(schema: Schema, bundle: Path) -> Schema:
    """Return the schema with the tables of a bundle.

    Raises:
        UserError: a table is not in the bundle.
    """
    if not looked_up(schema):
        return schema
    try:
        return with_tables(schema, read_json(bundle / LOOKUPS_FILE))
    except (FileNotFoundError, KeyError, TypeError) as error:
        raise UserError(
            f"{bundle}: missing the tables that src/project/sources.py serves from the bundle",
            advice="Rebuild it: dvc repro export",
        ) from error


def looked_up(schema: Schema) -> list[Join]:
    """List the joins that are served from the bundle."""
    return [join for join in schema.joins if join.serve == "table"]
