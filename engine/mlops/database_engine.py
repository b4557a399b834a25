"""SQLAlchemy's engine of a database that is only read: by the monitor, and as a source."""

import sqlalchemy as sa

from mlops.database import connect
from mlops.database_address import parse_address


def read_only_engine(address: str, timeout: float, variable: str) -> sa.Engine:
    """Create the engine of a database, without connecting yet. `timeout` in seconds.

    Args:
        variable: the environment variable that holds the address, for messages.

    Raises:
        UserError: the address is invalid.
    """
    parsed = parse_address(address, variable)
    dialect = "postgresql+psycopg" if parsed.file is None else "sqlite"
    return sa.create_engine(
        f"{dialect}://",
        creator=lambda: connect(parsed, timeout, read_only=True),
        poolclass=sa.NullPool,
    )
