"""Split the bytes of a text file into rows of fields; detect encoding, delimiter and quote.

If two dialects fit, the user has to name one. DuckDB's sniffer was measured on the files that
failed here (2026-11): it drops a trailing field, takes a header for a row and silently shifts
times to UTC, so the standard library's reader is used.
"""

import codecs
import csv
import io
from dataclasses import dataclass, replace

from mlops.errors import UserError

_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, because it begins with the UTF-16 mark
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_GUESSES = ("cp1252", "cp1250", "cp1251", "shift_jis")  # shown to the user, never applied
_DELIMITERS = (",", ";", "\t", "|")
_LONGEST_FIELD = 10_000_000

Lines = list[tuple[int, list[str]]]


@dataclass(frozen=True)
class Dialect:
    """The format of a text file.

    Attributes:
        escape: the character before a quote within quotes; empty: the quote is doubled.
        spaced: there are blanks between a delimiter and the quote after it.
        above: number of lines above the header, such as Excel's `sep=;`.
    """

    encoding: str = "utf-8"
    delimiter: str = ","
    quote: str = '"'
    escape: str = ""
    spaced: bool = False
    above: int = 0

    def notes(self) -> list[str]:
        """Describe the differences from a plain CSV file."""
        shown = {"\t": "a tab"}.get(self.delimiter, repr(self.delimiter))
        said = {
            f"encoding {self.encoding}": self.encoding not in ("utf-8", "utf-8-sig"),
            f"delimiter {shown}": self.delimiter != ",",
            f"quote {self.quote!r}": self.quote != '"',
            f"{self.escape!r} before quotes": bool(self.escape),
            "blanks before quotes": self.spaced,
            "a first line with the delimiter": bool(self.above),
        }
        found = [words for words, true in said.items() if true]
        return [f"read with {', '.join(found)}"] if found else []


def decode(content: bytes, asked: str | None) -> tuple[str, str]:
    """Decode by the requested encoding, the byte order mark or UTF-8; return text and encoding.

    Raises:
        UserError: the bytes have another encoding; the message shows possible readings.
    """
    marked = next((name for bom, name in _BOMS.items() if content.startswith(bom)), "utf-8")
    encoding = asked or marked
    try:
        text = content.decode(encoding).removeprefix("\ufeff")
    except LookupError as error:
        raise UserError(f"--encoding {asked}: no such encoding") from error
    except UnicodeError as error:
        raise _no_text(content, encoding, error) from error
    if "\0" in text:
        raise UserError(
            f"Read as {encoding}, the file contains the character 0, so it has another encoding",
            advice="Pass --encoding, for example utf-16-le",
        )
    return text, encoding


def _no_text(content: bytes, encoding: str, error: UnicodeError) -> UserError:
    start = error.start if isinstance(error, UnicodeDecodeError) else 0
    around = content[max(0, start - 15) : start + 15].split(b"\n")
    part = max(around, key=lambda piece: any(byte > 127 for byte in piece))
    shown = [f"--encoding {name}: {part.decode(name, 'replace')!r}" for name in _GUESSES]
    line = content.count(b"\n", 0, start) + 1
    return UserError(
        f"line {line}: byte {content[start : start + 1].hex()} is not {encoding}. Possible:",
        shown,
        "Pass the right encoding, or save the file as UTF-8",
    )


def split(text: str, asked: Dialect | None = None, **named: str) -> tuple[Dialect, Lines]:
    """Split a text into lines of fields, each with the number of its last line.

    Args:
        asked: the dialect, if it is known.
        named: `delimiter` and `quote`, if the user names them.

    Raises:
        UserError: a line has another number of fields than the header, or two dialects fit.
    """
    if asked:
        found = _read(text, asked)
        if isinstance(found, UserError):
            raise found
        return asked, found
    first, above = text.lstrip("\r\n").splitlines()[:1], 0
    if first and first[0].lower().startswith("sep=") and len(first[0]) == 5:
        named, above = {"delimiter": first[0][4]} | named, 1
    header = text.splitlines()[above] if len(text.splitlines()) > above else ""
    names = [d for d in _DELIMITERS if d in header] or [","]
    tried = [_best(text, d, named.get("quote"), above) for d in _named(named, names)]
    fitting = [(dialect, lines) for dialect, lines in tried if not isinstance(lines, UserError)]
    if len(fitting) > 1:
        raise UserError(
            "Two delimiters fit each line: "
            + " and ".join(repr(dialect.delimiter) for dialect, _ in fitting),
            advice="Pass --delimiter",
        )
    if not fitting:
        _, problem = max(tried, key=lambda pair: header.count(pair[0].delimiter))
        assert isinstance(problem, UserError)
        raise problem
    return _single_quoted(text, *fitting[0]) if "quote" not in named else fitting[0]


def _named(named: dict[str, str], found: list[str]) -> list[str]:
    asked = named.get("delimiter")
    return [{"\\t": "\t", "tab": "\t"}.get(asked, asked)] if asked else found


def _best(
    text: str, delimiter: str, quote: str | None, above: int
) -> tuple[Dialect, Lines | UserError]:
    """Read with one delimiter and the simplest dialect that fits each line."""
    plain = Dialect(delimiter=delimiter, quote=quote or '"', above=above)
    others = [replace(plain, spaced=True), replace(plain, escape="\\")]
    others += [] if quote or '"' in text else [replace(plain, quote="'")]
    first = _read(text, plain)
    if not isinstance(first, UserError) and not _quotes_left(first, plain.quote):
        return plain, first
    for dialect in others:
        found = _read(text, dialect)
        if not isinstance(found, UserError) and not _quotes_left(found, dialect.quote):
            return dialect, found
    return plain, first


def _quotes_left(lines: Lines, quote: str) -> bool:
    """Return whether fields begin with blanks and a quote, so were not parsed as quoted."""
    return any(f[:1] == " " and f.lstrip()[:1] == quote for _, line in lines for f in line)


def _single_quoted(text: str, dialect: Dialect, lines: Lines | UserError) -> tuple[Dialect, Lines]:
    """Parse single quotes as quotes if they surround every value of a column."""
    assert isinstance(lines, list)
    for values in zip(*(fields for _, fields in lines[1:]), strict=True):
        known = [value for value in values if value]
        if known and all(len(v) > 1 and v[0] == v[-1] == "'" for v in known):
            other = replace(dialect, quote="'")
            again = _read(text, other)
            if not isinstance(again, UserError):
                return other, again
    return dialect, lines


def _read(text: str, dialect: Dialect) -> Lines | UserError:
    """Return the lines of fields without empty lines, or the error in them."""
    source = io.StringIO(text.lstrip("\r\n"), newline="")
    for _ in range(dialect.above):
        source.readline()
    reader = csv.reader(
        source,
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
        doublequote=not dialect.escape,
        escapechar=dialect.escape or None,
        skipinitialspace=dialect.spaced,
        strict=True,
    )
    above = len(text) - len(text.lstrip("\r\n")) + dialect.above
    limit = csv.field_size_limit(_LONGEST_FIELD)  # process-wide
    try:
        lines = [(reader.line_num + above, fields) for fields in reader if fields]
    except csv.Error as error:
        return UserError(f"line {reader.line_num + above}: {error}", advice=_ADVICE)
    finally:
        csv.field_size_limit(limit)
    if not lines:
        return UserError("The file is empty", advice="Wanted a header and rows")
    width = len(lines[0][1])
    wrong = [
        f"line {number}: found {len(fields)} field(s), wanted {width}: "
        + dialect.delimiter.join(fields)[:60]
        for number, fields in lines
        if len(fields) != width
    ]
    if wrong:
        return UserError(
            f"{len(wrong)} line(s) have another number of fields than the header", wrong, _ADVICE
        )
    if width < 2:
        return UserError(
            f"found {len(lines) - 1} rows of 1 column(s)",
            advice="Wanted two or more columns; pass --delimiter if it is not , ; | or tab",
        )
    return lines


_ADVICE = (
    "Values would be assigned to the wrong columns. Fix these lines; if each row begins with its "
    "name or ends with a delimiter, add a name to the header; for other delimiters and quotes, "
    "pass --delimiter, --quote"
)
