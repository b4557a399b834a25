"""Parse the address of a database, for the prediction log and for sources.

A malformed address may contain a part of a password anywhere, so no message quotes any of it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from mlops.errors import UserError

VARIABLE = "PREDICTION_LOG_URL"

WANTED = (
    "Wanted sqlite:///FILE or postgresql://USER:PASSWORD@HOST:PORT/DATABASE. In user and password, "
    "percent-encode all but letters, digits and -._~: @ as %40, / as %2F, # as %23."
)
_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg", "sqlite")
_OPTIONS = {
    *("host", "port", "application_name", "target_session_attrs", "options", "channel_binding"),
    *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "gssencmode", "krbsrvname"),
    *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
}  # libpq's, except those that we set, or that repeat a part before the question mark
_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_BAD_CODE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNUSABLE = re.compile(r"[\x00\ufffd]")  # decoded from %00 (no C string has it) or invalid UTF-8
_HOST = re.compile(r"\[[0-9A-Fa-f:.]+\]|(?!-)[\w-]{1,63}(?:\.[\w-]{1,63})*\.?")


@dataclass(frozen=True, repr=False)  # so that no trace shows a password
class Address:
    """The address of a database.

    Attributes:
        file: of SQLite; None: of Postgres.
        parameters: of libpq, for Postgres: `dbname`, and those that the address has.
    """

    file: str | None
    parameters: Mapping[str, Any]


def parse_address(text: str, variable: str = VARIABLE) -> Address:
    """Parse the address that an environment variable holds.

    Raises:
        UserError: the address is invalid; the message names every problem, without quoting it.
    """
    try:
        return _parsed(text.strip())
    except _NoAddress as error:
        what = "a prediction log" if variable == VARIABLE else "a database"
        headline = f"{variable}: not an address of {what}:"
        raise UserError(headline, error.problems, WANTED) from None


class _NoAddress(Exception):
    """The address is invalid."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems


def _parsed(text: str) -> Address:
    scheme, found, rest = text.partition("://")
    if not text:
        raise _NoAddress(["it is empty"])
    if not found or scheme.lower() not in _SCHEMES:
        raise _NoAddress(["it must begin with postgresql:// or sqlite:///"])
    return _file(rest) if scheme.lower() == "sqlite" else _server(rest)


def _file(rest: str) -> Address:
    """Parse the part after sqlite://; # and % are ordinary characters of a file name."""
    file = rest.removeprefix("/")
    checks = {
        "it has no file: wanted three slashes before a relative path, four before an absolute": (
            rest == file or file in ("", ":memory:") or file.startswith("file:") or file[-1] == "/"
        ),
        "it has options after a question mark; sqlite takes none": "?" in file,
        "it contains a control character": not file.isprintable(),
    }
    if problems := [problem for problem, there in checks.items() if there]:
        raise _NoAddress(problems)
    return Address(file, {})


def _server(rest: str) -> Address:
    """Parse the part after postgresql://."""
    before, _, query = rest.partition("?")
    authority, _, path = before.partition("/")
    credentials, _, place = authority.rpartition("@")
    user, colon, password = credentials.partition(":")
    host, port = place, None
    if not place.endswith("]") and ":" in place:  # the colons of an IPv6 address are in brackets
        host, _, port = place.rpartition(":")
    options = parse_qsl(query, keep_blank_values=True)
    names = [name for name, _ in options]
    decoded = [unquote(part) for part in (user, password, path)]
    checks = {
        "it contains a character that must be percent-encoded": (
            bool(_CONTROL.search(rest)) or "#" in rest or "@" in credentials + path + query
        ),
        "it contains a % without two hexadecimal digits after it": bool(_BAD_CODE.search(rest)),
        "it contains a percent-encoded byte that is not text": any(
            map(_UNUSABLE.search, [*decoded, *(value for _, value in options)])
        ),
        "it has no host, or an invalid one": (
            not _HOST.fullmatch(host) if host else "host" not in names
        ),
        "the port is not a number from 1 to 65535": port is not None and not _is_port(port),
        "it has no database, or more than one": not path or "/" in path,
        "one of its options is unknown, duplicated or without a value": (
            len(set(names)) < len(names)
            or not _OPTIONS.issuperset(names)
            or not all(value for _, value in options)
        ),
    }
    if problems := [problem for problem, there in checks.items() if there]:
        raise _NoAddress(problems)
    named = {
        "user": unquote(user) or None,
        "password": unquote(password) if colon else None,
        "host": host.strip("[]") or None,
        "port": int(port) if port else None,
        "dbname": unquote(path),
    }
    given = {name: value for name, value in named.items() if value is not None}
    return Address(None, {**given, **dict(options)})


def _is_port(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9]{1,5}", text)) and 1 <= int(text) <= 65535
