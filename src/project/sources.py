"""Second tables: each brings columns to the rows, by the value of one of their own.

A table is a file below data/, validated by its own columns. No row is multiplied or lost; rows
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

docs/sources.md tells the rest: what a request carries, unmatched rows, new columns, databases.
"""

from mlops.joins import Join

JOINS: tuple[Join, ...] = ()
