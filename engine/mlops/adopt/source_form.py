"""The format of the user's files, stored beside the schema to read the next files."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mlops.adopt.dialect import Dialect
from mlops.adopt.parse_column import Conversion, Truth
from mlops.adopt.parse_datetimes import Clock
from mlops.adopt.parse_numbers import Numeral
from mlops.errors import UserError
from mlops.paths import SOURCE_FORM

_KINDS: dict[str, Any] = {"Numeral": Numeral, "Clock": Clock, "Truth": Truth}


@dataclass(frozen=True)
class SourceForm:
    """The format that adoption found in a file.

    Attributes:
        dialect: None for a Parquet file.
        missing: words for missing values, in the form of --missing.
        conversions: header -> how its texts become values.
        names: header -> the schema's column, without the headers that were left out.
        numbered: the column of row numbers that adoption added, if no other is the key.
        questions: adoption's questions on columns that seem to leak the target.
    """

    dialect: Dialect | None
    missing: tuple[str, ...] = ()
    conversions: dict[str, Conversion] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    numbered: str = ""
    questions: tuple[str, ...] = ()

    def zone_of(self, header: str | None) -> str:
        """Return the time zone of a column's times; empty: unknown, or no times."""
        clock = self.conversions.get(header or "")
        return clock.zone if isinstance(clock, Clock) else ""

    def text(self) -> str:
        """Return the form as JSON."""
        kinds = {
            header: {"kind": type(conversion).__name__, **asdict(conversion)}
            for header, conversion in self.conversions.items()
            if conversion is not None
        }
        return (
            json.dumps(asdict(self) | {"conversions": kinds}, indent=2, ensure_ascii=False) + "\n"
        )


def load_form(path: Path = SOURCE_FORM) -> SourceForm:
    """Load the form that adoption wrote.

    Raises:
        UserError: the file does not exist or is invalid.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        kinds = {
            header: _KINDS[kind.pop("kind")](**kind)
            for header, kind in found["conversions"].items()
        }
        dialect = found["dialect"] and Dialect(**found["dialect"])
        lists = {name: tuple(found[name]) for name in ("missing", "questions")}
        return SourceForm(**found | lists | {"conversions": kinds, "dialect": dialect})
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: missing: no file has been adopted yet",
            advice="Adopt the first one: python -m mlops.adopt FILE --target COLUMN",
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: can't be read: {error}", advice="Restore it from git") from error
