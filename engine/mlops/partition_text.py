"""Write rows as the text of a CSV partition that ingestion can read."""

import datetime
import io
from typing import Any

import pandas as pd

from mlops.columns import Schema


def csv_text(rows: pd.DataFrame, schema: Schema) -> str:
    """Return rows as CSV in the order of their keys; the same rows give the same text."""
    shown: dict[str, Any] = {}
    for column in (column for column in schema.columns if column.name in rows):
        values = rows[column.name]
        if column.type is int:
            shown[column.name] = values.astype("Int64")
        elif column.type is bool:
            shown[column.name] = values.map({0.0: "false", 1.0: "true"})
        elif column.type is datetime.date:
            shown[column.name] = values.dt.strftime("%Y-%m-%d")
        else:
            shown[column.name] = values
    text = io.StringIO()
    pd.DataFrame(shown).sort_values(schema.key.name).to_csv(text, index=False, lineterminator="\n")
    return text.getvalue()
