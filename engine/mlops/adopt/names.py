"""Convert a table's headers to names that Python, the API and people can use."""

import keyword
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

_UNIT = re.compile(r"\s*[(\[]([^()\[\]]+)[)\]]\s*$")


def column_names(headers: Iterable[Any]) -> dict[Any, str]:
    """Return a unique name for each header: lower case, words joined by underscores."""
    found: dict[Any, str] = {}
    for header in headers:
        name = _name(header)
        number = 1
        while (unique := name if number == 1 else f"{name}_{number}") in found.values():
            number += 1
        found[header] = unique
    return found


def _name(header: Any) -> str:
    text = unicodedata.normalize("NFKD", _UNIT.sub("", str(header))).encode("ascii", "ignore")
    text = re.sub(rb"(?<=[a-z0-9])(?=[A-Z])", b"_", text)
    name = re.sub(r"[^a-z0-9]+", "_", text.decode().lower()).strip("_") or "column"
    if name[0].isdigit():
        name = f"x_{name}"
    # A request's fields are attributes of a pydantic model, which has names of its own.
    return f"{name}_" if keyword.iskeyword(name) or hasattr(BaseModel, name) else name


def words(header: Any) -> str:
    """Return a header as readable words."""
    text = re.sub(r"[\W_]+", " ", _UNIT.sub("", str(header))).strip() or str(header)
    return text[0].upper() + text[1:]


def unit(header: Any) -> str:
    """Return the text in brackets at a header's end, as in `length (cm)`."""
    found = _UNIT.search(str(header))
    return found[1].strip() if found else ""
