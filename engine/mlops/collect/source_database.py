"""Run the query of a file on a source's database; no message contains its address."""

import datetime
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from mlops.database import cause_of
from mlops.database_engine import read_only_engine
from mlops.errors import UserError

VARIABLE = "SOURCE_DATABASE_URL"
QUERY = Path("data/query.sql")
WAIT_SECONDS = 30.0

_OURS = ("postgresql", "postgres", "postgresql+psycopg", "sqlite")
_PARAMETERS = {"since", "until"}


def read_query(path: Path = QUERY) -> sa.TextClause:
    """Read the query; its parameters are the first day and the day after the last.

    Raises:
        UserError: it can't be read, or has other parameters.
    """
    advice = "Wanted e.g.: SELECT … FROM sales WHERE sold_on >= :since AND sold_on < :until"
    try:
        query = sa.text(path.read_text(encoding="utf-8").strip().rstrip(";"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: can't be read: {error}", advice=advice) from error
    found = set(query.compile().params)
    if found != _PARAMETERS:
        shown = ", ".join(f":{name}" for name in sorted(found)) or "none"
        raise UserError(
            f"{path}: found the parameters {shown}, wanted :since and :until", (), advice
        )
    return query


def ask(
    address: str, query: sa.TextClause, since: datetime.date, until: datetime.date
) -> tuple[list[str], Sequence[Sequence[Any]]]:
    """Return the column names and the rows of the days from `since` to before `until`.

    Raises:
        UserError: the address is invalid, its driver is not installed, or the query fails.
    """
    bound = query.bindparams(
        sa.bindparam("since", since, type_=sa.Date()), sa.bindparam("until", until, type_=sa.Date())
    )
    engine = _open(address)
    try:
        with engine.begin() as connection:
            result = connection.execute(bound)
            if not result.returns_rows:
                raise UserError(f"{QUERY}: returns no rows, wanted a SELECT")
            return list(result.keys()), result.all()
    except (sa.exc.SQLAlchemyError, OSError) as error:
        raise UserError(f"{VARIABLE}: the query failed: {_cause(error)}") from None
    finally:
        engine.dispose()


def _open(address: str) -> sa.Engine:
    scheme = address.strip().partition("://")[0].lower()
    if scheme in _OURS or not re.fullmatch(r"[a-z0-9_]+(\+[a-z0-9_]+)?", scheme):
        return read_only_engine(address, WAIT_SECONDS, VARIABLE)
    try:
        return sa.create_engine(address.strip())
    except (sa.exc.NoSuchModuleError, ImportError):
        raise UserError(
            f"{VARIABLE}: the library for {scheme}:// is not installed",
            advice="Add SQLAlchemy's driver to dependencies of pyproject.toml, then: make lock",
        ) from None
    except Exception:  # each dialect has its own, with parts of the address in its message
        raise UserError(
            f"{VARIABLE}: not an address of a database",
            advice="Wanted DIALECT://USER:PASSWORD@HOST:PORT/DATABASE, as SQLAlchemy parses it.",
        ) from None


_OF_QUERY = (
    (r"^42601|syntax error|incomplete input", f"{QUERY} is not valid SQL for it"),
    (r"^42703|no such column", f"{QUERY} names a column that does not exist"),
    (r"^42P01|no such table", f"{QUERY} names a table that does not exist"),
    (r"^22|^42|mismatch", f"{QUERY} compares or converts values that don't fit"),
)


def _cause(error: BaseException) -> str:
    own = getattr(error, "orig", None) or error
    state = getattr(own, "sqlstate", None) or ""
    for pattern, words in _OF_QUERY:
        if state != "42501" and (
            re.search(pattern, state) or re.search(pattern, str(own), re.IGNORECASE)
        ):
            return words
    return cause_of(error)
