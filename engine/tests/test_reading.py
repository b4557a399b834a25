"""Files in the wild forms: what is read of them, what is asked, and that nothing shifts."""

import datetime
import gzip
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops.adopt.parse_column import Asked
from mlops.adopt.reading import Reading, read_table
from mlops.adopt.source_form import load_form
from mlops.errors import UserError

N = 30
MINUTE = datetime.timedelta(minutes=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def read(folder: Path, text: str | bytes, asked: Asked | None = None, **named: Any) -> Reading:
    file = folder / "rows.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_table(file, asked, **named)


def column(folder: Path, *values: str, asked: Asked | None = None) -> tuple[list[Any], str]:
    """Give what is read of one column beside another, and all that is said of it."""
    quoted = ['"' + value.replace('"', '""') + '"' for value in values]
    lines = [f"{value},{place}" for place, value in enumerate(quoted)]
    found = read(folder, "\n".join(["x,y", *lines]), asked)
    said = [*found.notes, *(found.doubts or {}).values()]
    return [None if v is None or v != v else v for v in found.table["x"]], " | ".join(said)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a,b\n1,2,\n3,4,\n", ["line 2: found 3 field(s), wanted 2: 1,2,", "line 3"]),
        ("a,b\n1,2,\n3,4\n", ["line 2: found 3"]),
        ("a,b\n1,2\n3,4,\n", ["line 3: found 3"]),
        ("a,b\nh1,1,2\nh2,3,4\n", ["line 2: found 3", "line 3", "begins with its name"]),
        ("a;b\n1;2;3\n4;5\n", ["line 2: found 3"]),
        ("a\tb\n1\n4\t5\n", ["line 2: found 1"]),
        ('a,b\n"x\ny",2\n3\n', ["line 4: found 1"]),
        ("a,b\n1,2\nTotal\n", ["line 3: found 1"]),
        ('a,b\n"1,2\n3,4\n', ["line 3", "--quote"]),
    ],
)
def test_lines_of_another_length_than_the_header_are_refused_by_line(
    text: str, lines: list[str], folder: Path
) -> None:
    with pytest.raises(UserError) as refused:
        read(folder, text)

    for line in lines:
        assert line in str(refused.value)


@pytest.mark.parametrize(
    ("text", "header", "note"),
    [
        (",b\n1,2\n3,4\n", "column_1", "column 1 has no name in the header"),
        ('"",b\n1,2\n3,4\n', "column_1", "column 1 has no name"),
        ("a,,b\n1,2,3\n3,4,3\n", "column_2", "column 2 has no name"),
        ("a,a\n1,2\n3,4\n", "a 2", "has the same name as another column, a"),
        (" a , b \n1,2\n3,4\n", "b", ""),
    ],
)
def test_every_column_has_a_name_and_stays(text: str, header: str, note: str, folder: Path) -> None:
    found = read(folder, text)

    assert header in found.table
    assert note in " ".join(found.notes)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_delimiters_line_ends_and_marked_encodings_are_recognised(
    delimiter: str, ends: str, encoding: str, folder: Path
) -> None:
    lines = [["é", "b"], ["ü x", "1"], [f"a{delimiter}b", "2"], ['say "ß"', "3"]]
    text = ends.join(
        delimiter.join('"' + field.replace('"', '""') + '"' for field in line) for line in lines
    )

    found = read(folder, text.encode(encoding))

    assert found.table["é"].tolist() == [line[0] for line in lines[1:]]
    assert found.table["b"].tolist() == [1, 2, 3]


def test_an_encoding_without_a_mark_is_asked_for_and_then_taken(folder: Path) -> None:
    text = "a,b\nCafé,1\nThé,2\n".encode("cp1252")

    with pytest.raises(UserError, match=r"(?s)line 2: byte e9.*--encoding cp1252: 'a,b|Café"):
        read(folder, text)
    assert read(folder, text, encoding="cp1252").table["a"].tolist() == ["Café", "Thé"]
    with pytest.raises(UserError, match="no such encoding"):
        read(folder, text, encoding="nonsense")
    with pytest.raises(UserError, match="character 0"):
        read(folder, "a,b\n1,2\n".encode("utf-16-le"))


def test_quotes_of_other_kinds_are_recognised_and_said(folder: Path) -> None:
    single = read(folder, "a,b\n'x, y',1\n'z',2\n")
    escaped = read(folder, 'a,b\n"say \\"x\\"",1\nz,2\n')
    spaced = read(folder, 'a, b\n"x, y", "1"\n"z", "2"\n')
    excel = read(folder, "sep=;\na;b\nx,y;1\nz;2\n")

    assert single.table["a"].tolist() == ["x, y", "z"]
    assert escaped.table["a"].tolist() == ['say "x"', "z"]
    assert spaced.table["b"].tolist() == [1, 2]
    assert excel.table["a"].tolist() == ["x,y", "z"]
    for found, said in ((single, "quote"), (escaped, "before quotes"), (spaced, "blanks before")):
        assert said in found.notes[0]


def test_two_delimiters_that_fit_are_asked_for(folder: Path) -> None:
    text = "a;b,c\n1;2,3\n4;5,6\n"

    with pytest.raises(UserError, match=r"Two delimiters fit each line: ',' and ';'"):
        read(folder, text)
    assert list(read(folder, text, delimiter=";").table) == ["a", "b,c"]


def test_packed_files_are_read_and_archives_refused(folder: Path) -> None:
    assert read(folder, gzip.compress(b"a,b\n1,2\n3,4\n")).table["b"].tolist() == [2, 4]
    with pytest.raises(UserError, match="zip archive or an Excel file"):
        read(folder, b"PK\x03\x04...")
    with pytest.raises(UserError, match="can't be read"):
        read(folder, b"\x1f\x8b broken")
    with pytest.raises(UserError, match="line 1 contains only numbers"):
        read(folder, b"1,2\n3,4\n5,6\n")


@pytest.mark.parametrize(
    ("texts", "values", "said"),
    [
        (["1,5", "2,25"], [1.5, 2.25], "decimal ','"),
        (["1.234,56", "7,5"], [1234.56, 7.5], "thousands '.'"),
        (["1,234.56", "7.5"], [1234.56, 7.5], "thousands ','"),
        (["1,234,567", "12"], [1234567, 12], "thousands ','"),
        (["12,34,567", "12"], [1234567, 12], "thousands ','"),
        (["1 234,5", "12,5"], [1234.5, 12.5], "thousands ' '"),
        (["1\u202f234", "12"], [1234, 12], "thousands ' '"),
        (["1'234.50", "12.5"], [1234.5, 12.5], 'thousands "\'"'),
        (["$1,200", "$950"], [1200, 950], "'$' removed"),
        (["-$5.5", "$-2.5", "$3"], [-5.5, -2.5, 3], "'$' removed"),
        (["1.200 €", "950 €"], [1200, 950], "'€' removed"),
        (["EUR 1.5", "EUR 2"], [1.5, 2], "'EUR' removed"),
        (["12%", "7.5 %"], [12, 7.5], "'%' removed"),
        (["12,5%", "7%"], [12.5, 7], "decimal ','"),
        (["(1,200.5)", "3"], [-1200.5, 3], "value(s) read as numbers"),
        (["5-", "3"], [-5, 3], "value(s) read as numbers"),
        (["\u22125", "3"], [-5, 3], "value(s) read as numbers"),
        (["+5", "3"], [5, 3], "value(s) read as numbers"),
        (["0,123", "1,390"], [0.123, 1.39], "decimal ','"),
        (["1e-05", "2.5"], [1e-05, 2.5], ""),
        (["1.390", "2.200"], [1.39, 2.2], "read as numbers, decimal '.'"),
        (["01234", "10115"], ["01234", "10115"], "codes"),
        (["007", "1"], ["007", "1"], "codes"),
        (["1E2", "2E3"], ["1E2", "2E3"], "codes"),
        (["1E2", "2B3"], ["1E2", "2B3"], ""),
        (["9007199254740993", "1"], ["9007199254740993", "1"], "2^53"),
        (["9007199254740992", "1"], [9007199254740992, 1], ""),
        (["1.5e400", "1"], ["1.5e400", "1"], "1e308"),
        (["1,390", "2,904"], ["1,390", "2,904"], "may be 1.39 or 1390; pass --decimal"),
        (["$5", "€5"], ["$5", "€5"], "different marks ($, €)"),
        (["12%", "12"], ["12%", "12"], "different marks (%, no mark)"),
        (["1,2,3", "4,5,6"], ["1,2,3", "4,5,6"], ""),
        (["1.2.3", "1.2.4"], ["1.2.3", "1.2.4"], ""),
        (["12 kg", "13 kg"], ["12 kg", "13 kg"], ""),
        (["NA", "DE"], ["NA", "DE"], "'NA' occurs 1 time(s) and is kept as a value"),
        (["None", "Mild"], ["None", "Mild"], "--missing 'x=None'"),
        (["n/a", "5", "6"], ["n/a", "5", "6"], "numbers, and 'n/a' 1 time(s)"),
        (["-", "1,5", "6,5"], ["-", "1,5", "6,5"], "numbers, and '-' 1 time(s)"),
        (["?", "2026-01-31"], ["?", "2026-01-31"], "times, and '?' 1 time(s)"),
        (["TRUE", "false", ""], [True, False, None], ""),
        ([" a ", "b"], ["a", "b"], "blanks around 1 value(s) removed"),
        (["09:30", "10:15"], ["09:30", "10:15"], ""),
    ],
)
def test_a_column_is_what_its_texts_prove_and_what_changed_is_said(
    texts: list[str], values: list[Any], said: str, folder: Path
) -> None:
    found, notes = column(folder, *texts)

    assert found == values
    assert [isinstance(value, str) for value in found] == [isinstance(v, str) for v in values]
    assert said in notes
    assert said or not notes


def test_what_one_column_proves_of_the_decimal_character_counts_for_the_others(
    folder: Path,
) -> None:
    german = read(folder, "a;b\n1.390;2,5\n2.904;3,75\n")
    english = read(folder, 'a,b\n"1,390",2.5\n"2,904",3.75\n')
    asked = read(folder, 'a,b\n"1,390",2\n"2,904",3\n', Asked(decimal=","))
    unknown = read(folder, "a;b\n1.390;2\n2.904;3\n")

    assert german.table["a"].tolist() == english.table["a"].tolist() == [1390, 2904]
    assert asked.table["a"].tolist() == [1.39, 2.904]
    assert "may be 1.39 or 1390" in (unknown.doubts or {})["a"]


@pytest.mark.parametrize(
    ("texts", "first", "asked"),
    [
        (["2026-01-31", "2026-02-01"], "2026-01-31", None),
        (["2026-01-31T22:30:00-05:00"] * 2, "2026-01-31 22:30", None),
        (["2026-01-31 22:30:15.25"] * 2, "2026-01-31 22:30:15.25", None),
        (["2026-01-31T22:30Z"] * 2, "2026-01-31 22:30", None),
        (["31/01/2026", "01/02/2026"], "2026-01-31", None),
        (["01/31/2026", "02/01/2026"], "2026-01-31", None),
        (["31.01.2026 09:05", "1.2.2026 10:00"], "2026-01-31 09:05", None),
        (["31-Jan-2026", "01-Feb-2026"], "2026-01-31", None),
        (["Jan 31, 2026", "Feb 1, 2026"], "2026-01-31", None),
        (["1/31/2026 10:05 PM", "2/1/2026 1:00 AM"], "2026-01-31 22:05", None),
        (["01/02/2026", "02/02/2026"], "2026-02-01", Asked(time_format="%d/%m/%Y")),
        (["1700000000", "1700086400"], "2023-11-14 22:13:20", Asked(time_format="unix", time="x")),
        (["44927", "44928"], "2023-01-01", Asked(time_format="excel", time="x")),
        (["20230101", "20230102"], "2023-01-01", Asked(time="x")),
        (["1990", "1991"], "1990-01-01", Asked(time="x")),
        (["2026-01-31T22:30:00-05:00"] * 2, "2026-02-01 04:30", Asked(timezone="Europe/Paris")),
        (["2026-01-31T22:30:00-05:00"] * 2, "2026-02-01 09:15", Asked(timezone="+05:45")),
        (["2026-01-31T22:30-05:00"] * 2, "2026-01-31 22:30", Asked(timezone="written")),
        (
            ["1700000000", "1700086400"],
            "2023-11-14 23:13:20",
            Asked(time_format="unix", time="x", timezone="Europe/Paris"),
        ),
        (
            ["1700000000000", "1700086400000"],
            "2023-11-15 03:58:20",
            Asked(time_format="unix_ms", time="x", timezone="+05:45"),
        ),
        (
            ["44927", "44928"],
            "2023-01-01",
            Asked(time_format="excel", time="x", timezone="Europe/Paris"),
        ),
    ],
)
def test_times_are_read_with_their_hours_and_the_ends_are_shown(
    texts: list[str], first: str, asked: Asked | None, folder: Path
) -> None:
    found, notes = column(folder, *texts, asked=asked)

    assert found[0] == pd.Timestamp(first)
    assert texts[0] in notes
    assert str(pd.Timestamp(first)) in notes


@pytest.mark.parametrize(
    ("texts", "zone", "said"),
    [
        (["2026-01-01T10:00Z"] * 2, "UTC", "converted to UTC"),
        (["2026-01-01 10:00 UTC"] * 2, "UTC", "converted to UTC"),
        (["2026-01-01T10:00Z", "2026-07-01T10:00+00:00"], "UTC", "converted to UTC"),
        (["2026-01-01T10:00-00:00"] * 2, "UTC", "converted to UTC"),
        (["2026-01-01T10:00+01:00"] * 2, "+01:00", "where clocks change, pass a name such as"),
        (["2026-01-01T10:00+0100", "2026-07-01T10:00+01:00"], "+01:00", "converted to +01:00"),
        (["2026-01-01T10:00-03:30"] * 2, "-03:30", "converted to -03:30"),
        (["2026-01-01T10:00"] * 2, "", "read as times as ISO8601: "),
        (["2026-01-01", "2026-07-01"], "", "read as times as ISO8601: "),
    ],
)
def test_times_with_one_offset_stay_as_written_and_it_is_their_zone(
    texts: list[str], zone: str, said: str, folder: Path
) -> None:
    lines = [f"{text},{place}" for place, text in enumerate(texts)]
    found = read(folder, "\n".join(["x,y", *lines]), None)

    assert found.form.zone_of("x") == zone
    assert found.form.zone_of("y") == found.form.zone_of(None) == ""
    assert [str(t)[:16] for t in found.table["x"]] == [
        t[:16].replace("T", " ").ljust(16) if len(t) > 10 else f"{t} 00:00" for t in texts
    ]
    assert said in " ".join(found.notes)


@pytest.mark.parametrize(
    "zone", ["Nowhere", "Europe/Pari", "+1:00", "+25:00", "+01:75", "/etc", ""]
)
@pytest.mark.parametrize("parquet", [False, True])
def test_a_time_zone_that_does_not_exist_is_refused(zone: str, parquet: bool, folder: Path) -> None:
    path = folder / "rows"
    rows = pd.DataFrame({"x": ["2026-01-01T10:00Z", "2026-01-02T10:00Z"], "y": [1, 2]})
    if parquet:
        rows.assign(x=pd.to_datetime(rows["x"])).to_parquet(path)
    else:
        rows.to_csv(path, index=False)

    with pytest.raises(
        UserError, match="no such zone\nWanted a name such as Europe/Paris, or an off"
    ):
        read_table(path, Asked(timezone=zone))


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["01/02/2020", "02/03/2020"], "'01/02/2020' fits %d/%m/%Y (2020-02-01) and %m/%d/%Y"),
        (["01.02.20", "02.03.20"], "pass --time-format"),
        (["2026-01-01T10:00+01:00", "2026-07-01T10:00+02:00"], "pass --timezone"),
        (["2026-01-01T10:00+01:00", "2026-07-01T10:00"], "pass --timezone"),
        (["2026-01-01T10:00+25:00"] * 2, ""),
        (["2026-01-01T10:00-01:75"] * 2, ""),
    ],
)
def test_times_that_may_be_two_are_asked_for(texts: list[str], said: str, folder: Path) -> None:
    found, notes = column(folder, *texts)

    assert found == texts
    assert said in notes


@pytest.mark.parametrize("number", ["1700000000", "44927", "3"])
def test_bare_numbers_are_no_times(number: str, folder: Path) -> None:
    found, notes = column(folder, number, "1", asked=Asked(time="x"))

    assert found == [int(number), 1]
    assert not notes


@pytest.mark.parametrize(
    ("word", "texts", "count"),
    [
        ("NA", ["NA", "5", "6"], 1),
        ("x=-", ["-", "-", "6"], 2),
        ("-999", ["-999", "-999.0", "6"], 2),
        ("missing", ["missing", "1,5", "2,5"], 1),
        ("None", ["None", "None", "0.5"], 2),
        ("n/a", ["n/a", "7", "8"], 1),
    ],
)
def test_a_word_that_is_named_is_missing_and_counted(
    word: str, texts: list[str], count: int, folder: Path
) -> None:
    found, notes = column(folder, *texts, asked=Asked(missing=(word,)))

    assert found[:count] == [None] * count
    assert isinstance(found[-1], float)
    assert f"x: {count} value(s) read as missing" in notes


def table_of(folder: Path, **columns: Any) -> Reading:
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    return read_table(folder / "rows.parquet", Asked(missing=("-999",)))


@pytest.mark.parametrize(
    ("values", "wanted", "said"),
    [
        (pa.array([Decimal("1.50"), Decimal("2.25")]), [1.5, 2.25], "read as numbers"),
        (pa.array([[1], [2]]), None, "left out: values of type list"),
        (pa.array([{"a": 1}, {"a": 2}]), None, "left out: values of type struct"),
        (pa.array([1, 2], pa.duration("s")), None, "left out: values of type duration"),
        (pa.array([b"red", b"blue"]), ["red", "blue"], "bytes read as UTF-8"),
        (pa.array([b"\xff", b"\xfe"]), None, "bytes that are not UTF-8 text"),
        (pa.array([-999, 5]), [None, 5], "1 value(s) read as missing"),
        (pa.array([-999.0, 5]), [None, 5], "1 value(s) read as missing"),
        (pa.array(["-999", "5"]), [None, 5], "1 value(s) read as missing"),
        (pa.array([2**53 + 1, 5]), [str(2**53 + 1), "5"], "2^53"),
        (pa.array([2**64 - 1, 5], pa.uint64()), [str(2**64 - 1), "5"], "2^53"),
        (pa.array(["01234", "5"]), ["01234", "5"], "codes"),
        (pa.array(["$90,000", "$5"]), [90000, 5], "'$' removed"),
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"], ""),
        (pa.array([True, None]), [True, None], ""),
        (pa.array([datetime.date(2026, 1, 31), None]), [pd.Timestamp("2026-01-31"), None], ""),
        (
            pa.array([0, 3600], pa.timestamp("s", "America/New_York")),
            [pd.Timestamp("1969-12-31 19:00"), pd.Timestamp("1969-12-31 20:00")],
            "times converted to America/New_York",
        ),
    ],
)
def test_parquet_of_every_type_is_read_or_left_out_with_a_note(
    values: Any, wanted: list[Any] | None, said: str, folder: Path
) -> None:
    found = table_of(folder, x=values, y=[1, 2], z=[2, 1])

    assert said in " ".join(found.notes)
    if wanted is None:
        assert "x" not in found.table
    else:
        assert [None if v is None or v != v else v for v in found.table["x"]] == wanted


@pytest.mark.parametrize(
    ("index", "name"),
    [
        (pd.Index([5, 6], name="id"), "id"),
        (pd.Index(["a", "b"]), "index_0"),
        (pd.RangeIndex(10, 14, 2, name="id"), "id"),
        (pd.MultiIndex.from_tuples([(1, "x"), (2, "y")], names=["id", "kind"]), "kind"),
        (pd.Index([0.5, 1.5], name="level"), "level"),
        (pd.MultiIndex.from_tuples([("b", 2), ("a", 1)]), "index_1"),
    ],
)
def test_the_levels_of_an_index_are_columns(index: pd.Index, name: str, folder: Path) -> None:
    file = folder / "rows.parquet"
    pd.DataFrame({"a": [1, 2], "b": [3, 4]}, index=index).to_parquet(file)

    found = read_table(file).table

    assert name in found
    if len(index.names) == 1:
        assert found[name].tolist() == index.tolist()


def test_the_form_of_a_file_is_the_same_when_it_is_read_again(folder: Path) -> None:
    text = "a;b;c;d\n1,5;31.01.2026;true;$5\n2,5;01.02.2026;false;$6\n"
    form = read(folder, text, Asked(missing=("NA",))).form
    (folder / "form.json").write_text(form.text(), encoding="utf-8")

    assert load_form(folder / "form.json") == form


# A known frame, written in the forms of the wild.

_WORDS = ["red", "NA", "None", "x y", "a,b", "ß;é", 'say "hi"', "it's", "n/a", "O'Neil", "-", "1E2"]


def _column(chance: random.Random) -> list[Any]:
    kind = chance.choice(["int", "big", "float", "money", "code", "word", "day", "time", "truth"])
    low, high = chance.choice([(0, 9), (0, 1999), (1000, 9999), (-50_000, 5_000_000)])
    make = {
        "int": lambda: chance.randint(low, high),
        "big": lambda: 2**53 + chance.randint(0, 9),
        "float": lambda: round(chance.uniform(low, high), chance.choice([1, 2, 3])),
        "money": lambda: float(chance.randint(low, high)),
        "code": lambda: f"{chance.randint(0, 99999):05}",
        "word": lambda: chance.choice(_WORDS),
        "day": lambda: datetime.datetime(2020, 1, 1) + datetime.timedelta(chance.randint(0, 900)),
        "time": lambda: datetime.datetime(2020, 1, 1) + MINUTE * chance.randint(0, 10**6),
        "truth": lambda: chance.random() < 0.5,
    }[kind]  # fmt: skip
    holes = chance.choice([0, 0, 0.2])
    return [None if chance.random() < holes else make() for _ in range(N)]


def _writer(values: list[Any], chance: random.Random) -> Any:
    """Give a function that writes the values of a column in one of the wild ways."""
    known = [value for value in values if value is not None]
    first = known[0] if known else ""
    nothing = chance.choice(["", "", "", "NA", "?", "-"])
    if isinstance(first, bool):
        form = chance.choice([str, str.upper, str.lower])
        write = lambda v: form(str(v))  # noqa: E731
    elif isinstance(first, datetime.datetime):
        day = chance.choice(["%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d %b %Y"])
        hours = any(v.hour or v.minute for v in known)
        form = f"{day} %H:%M:%S" if hours else day
        zone = chance.choice(["", "-05:00"]) if day == "%Y-%m-%d" and hours else ""
        write = lambda v: v.strftime(form) + zone  # noqa: E731
    elif isinstance(first, int | float):
        group, point = chance.choice([("", "."), (",", "."), (".", ","), (" ", ","), ("'", ".")])
        before, after = chance.choice([("", ""), ("", ""), ("$", ""), ("", " €"), ("", "%")])
        places = max(len(str(float(v)).split(".")[1]) for v in known)
        places = 0 if isinstance(first, int) else places
        table = str.maketrans({",": group, ".": point})
        write = lambda v: before + f"{v:,.{places}f}".translate(table) + after  # noqa: E731
    else:
        write = str
    return lambda value: nothing if value is None else write(value)


@pytest.mark.parametrize("part", range(8))
def test_of_thousands_of_tables_in_wild_forms_no_value_differs_in_silence(
    part: int, folder: Path
) -> None:
    silent, refused = [], list[str]()
    for seed in range(part * 260, (part + 1) * 260):
        chance = random.Random(seed)
        known = {f"c{n}": _column(chance) for n in range(chance.randint(2, 5))}
        text = _written(known, chance)
        try:
            found = read(folder, text)
        except UserError as error:
            refused.append(str(error))
            continue
        said = {note.split(":")[0] for note in found.notes} | set(found.doubts or {})
        for name, values in known.items():
            if not _same(values, list(found.table[name])) and name not in said:
                silent.append((seed, name, values[:3], found.table[name].tolist()[:3]))
    assert not silent, silent[:5]
    assert len(refused) < 8
    assert all("delimiter" in why for why in refused)


def _written(known: dict[str, list[Any]], chance: random.Random) -> str:
    delimiter, ends = chance.choice(",;\t|"), chance.choice(["\n", "\r\n"])
    writers = [_writer(values, chance) for values in known.values()]
    always = chance.random() < 0.3
    lines = [list(known)]
    for row in zip(*known.values(), strict=True):
        lines.append([write(value) for write, value in zip(writers, row, strict=True)])

    def field(text: str) -> str:
        needed = always or any(c in text for c in (delimiter, '"', "\n"))
        return '"' + text.replace('"', '""') + '"' if needed else text

    return ends.join(delimiter.join(map(field, line)) for line in lines) + ends


def _same(known: list[Any], found: list[Any]) -> bool:
    for wanted, value in zip(known, found, strict=True):
        missing = value is None or value != value
        if (wanted is None) != missing:
            return False
        if isinstance(wanted, str) and not isinstance(value, str):
            value = f"{value:.0f}"  # a code in a column where none begins with 0
        if wanted is not None and value != (str(wanted) if isinstance(value, str) else wanted):
            return False
    return True
