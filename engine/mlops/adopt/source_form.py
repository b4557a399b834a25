"""How the files of one's own system are written, kept beside the schema for the next of them."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mlops.adopt.dialect import Dialect
from mlops.adopt.parse_column import Conversion, Truth
from mlops.adopt.parse_datetimes import Clock
from mlops.adopt.parse_numbers import Numeral
from mlops.errors import UserError

FORM_FILE = Path("src/project/source_form.json")
"""Written by adoption, read by `python -m mlops.adopt --add` and `python -m mlops.score`."""

_KINDS: dict[str, Any] = {"Numeral": Numeral, "Clock": Clock, "Truth": Truth}


@dataclass(frozen=True)
class SourceForm:
    """What adoption found out about a file.

    Attributes:
        dialect: None of a Parquet file.
        missing: words for nothing, as --missing takes them.
        conversions: header -> how its texts become values.
        names: header -> the schema's column; headers that were left out are not there.
        numbered: the column of row numbers that adoption made, if no other is the key.
        questions: what adoption asked of columns that seem to give the target away.
    """

    dialect: Dialect | None
    missing: tuple[str, ...] = ()
    conversions: dict[str, Conversion] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    numbered: str = ""
    questions: tuple[str, ...] = ()

    def text(self) -> str:
        """Write it as JSON."""
        kinds = {
            header: {"kind": type(conversion).__name__, **asdict(conversion)}
            for header, conversion in self.conversions.items()
            if conversion is not None
        }
        return (
            json.dumps(asdict(self) | {"conversions": kinds}, indent=2, ensure_ascii=False) + "\n"
        )


def load_form(path: Path = FORM_FILE) -> SourceForm:
    """Read what adoption wrote.

    Raises:
        UserError: it did not, or somebody broke the file.
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
            f"{path}: is not there: no file was adopted yet",
            advice="The first one: python -m mlops.adopt FILE --target COLUMN",
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: can't be read: {error}", advice="Take it back from git"
        ) from error
