"""Second tables: each adds columns to the rows, by the value of one of the rows' own columns.

A table is a file below data/, validated by its own columns. No row is duplicated or lost; rows
without a match are counted. For example:

    JOINS = (
        Join(
            table="shops",
            path="data/shops.csv",
            columns=(
                Column("shop", "Number of the shop", int, role="key"),
                Column("area", "Area of the shop", float, "square metres", 1, nullable=True),
            ),
            on="shop",
            serve="table",
        ),
    )

See docs/sources.md for fields of requests, unmatched rows, new columns and databases.
"""

from mlops.joins import Join

JOINS: tuple[Join, ...] = ()
