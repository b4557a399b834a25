"""The columns of the data set, defined only here.

Everything else is derived from this schema: validation, the request model and its JSON schema,
the rows that tests generate, the features that the drift monitor tests. A new column is a new line
here, and a column of that name in the source.
"""

import datetime

from mlops.columns import Column, Rule, Schema

SCHEMA = Schema(
    columns=(
        Column("sale_id", "Number of the sale", int, low=1, role="key"),
        Column("sold_on", "Day of the sale", datetime.date, role="time"),
        Column("size", "Living area above ground", float, "square feet", 200, 6000),
        Column("lot_size", "Area of the lot", float, "square feet", 500, 250_000, nullable=True),
        Column(
            "basement_size", "Area of the basement", float, "square feet", 0, 7000, nullable=True
        ),
        Column("garage_size", "Area of the garage", float, "square feet", 0, 2000, nullable=True),
        Column("rooms", "Rooms above ground, without bathrooms", int, "rooms", 1, 20),
        Column("bedrooms", "Bedrooms above ground", int, "rooms", 0, 10, nullable=True),
        Column("bathrooms", "Bathrooms, half ones as 0.5", float, "rooms", 0, 10, nullable=True),
        Column("year_built", "Year of construction", int, "year", 1850, 2030, nullable=True),
        Column("quality", "Material and finish, 10 is best", int, "grade", 1, 10, nullable=True),
        Column("condition", "State of repair, 10 is best", int, "grade", 1, 10, nullable=True),
        Column(
            "neighborhood",
            "Part of the town",
            str,
            choices=(
                *("Blmngtn", "Blueste", "BrDale", "BrkSide", "ClearCr", "CollgCr", "Crawfor"),
                *("Edwards", "Gilbert", "Greens", "GrnHill", "IDOTRR", "Landmrk", "MeadowV"),
                *("Mitchel", "NAmes", "NPkVill", "NWAmes", "NoRidge", "NridgHt", "OldTown"),
                *("SWISU", "Sawyer", "SawyerW", "Somerst", "StoneBr", "Timber", "Veenker"),
            ),
            nullable=True,
        ),
        Column(
            "building_type",
            "Kind of house",
            str,
            choices=("single_family", "two_family", "duplex", "townhouse_end", "townhouse_inside"),
            nullable=True,
        ),
        Column("price", "Price paid", float, "US dollars", 1, 2_000_000, role="target"),
    ),
    rules=(
        Rule(
            "bedrooms_within_rooms",
            ("bedrooms", "rooms"),
            "bedrooms must not outnumber rooms",
            lambda bedrooms, rooms: bedrooms <= rooms,
        ),
        Rule(
            # A house may be sold before it is built, and the year of completion be off by one.
            "built_before_sold",
            ("year_built", "sold_on"),
            "year_built must be no later than the year after sold_on",
            lambda year_built, sold_on: year_built <= sold_on.dt.year + 1,
        ),
    ),
)
