"""The bytes of one partition: what is taken, and what a person is told of what is not."""

import datetime
import random

import pyarrow as pa
import pytest

from mlops.columns import Column, Schema
from mlops.pipeline.csv_parsing import parse_csv
from mlops.pipeline.parquet_parsing import parse_parquet
from mlops.pipeline.parsing import LISTED
from source_rows import HEADER, SALES, parquet_bytes, plain, sales

GOOD = "1,2009-01-05,100,house,5000"
OTHER = "2,2009-01-06,,,5000.5"

ROWS = [
    (1, datetime.datetime(2009, 1, 5), 100.0, "house", 5000.0),
    (2, datetime.datetime(2009, 1, 6), None, None, 5000.5),
]


def problems_of(content: str | bytes) -> list[str]:
    table, problems = parse_csv(content.encode() if isinstance(content, str) else content, SALES)
    assert table is None
    return problems


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(sales(GOOD, OTHER), id="as shipped"),
        pytest.param("\ufeff" + sales(GOOD, OTHER), id="with a byte order mark"),
        pytest.param(sales(GOOD, OTHER).replace("\n", "\r\n"), id="with Windows line ends"),
        pytest.param(sales('"1","2009-01-05","100","house","5000"', OTHER), id="in quotes"),
        pytest.param(sales("1,2009-01-05, 100 ,house,5e3", '2,2009-01-06,"","",5000.5'), id="1e3"),
        pytest.param(sales("1,2009-01-05 00:00,100,house,5000.", OTHER), id="with a time of day"),
        pytest.param(
            "price,kind,id,size,day\n5000,house,1,100,2009-01-05\n5000.5,,2,,2009-01-06\n",
            id="columns in another order",
        ),
    ],
)
def test_a_csv_partition_gives_typed_rows(content: str) -> None:
    table, problems = parse_csv(content.encode(), SALES)

    assert problems == []
    assert table is not None
    assert plain(table) == ROWS


@pytest.mark.parametrize("content", [b"", b"\n", b" \r\n\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_named_so(content: bytes) -> None:
    assert problems_of(content) == ["is empty, wanted a header and rows"]


@pytest.mark.parametrize("content", [HEADER, HEADER.replace("\n", "\r\n")])
def test_a_header_alone_is_no_partition(content: str) -> None:
    assert problems_of(content) == ["line 2: no rows after the header"]


@pytest.mark.parametrize("kept", [1, 12, len(OTHER)])
def test_a_file_cut_in_mid_line_is_named_truncated(kept: int) -> None:
    found = problems_of(sales(GOOD) + OTHER[:kept])

    assert found == ["line 3: has no line end: the file is truncated"]


def test_a_header_cut_in_mid_line_is_named_truncated() -> None:
    assert problems_of(HEADER.rstrip()) == ["line 1: has no line end: the file is truncated"]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("2,2009-01-06,100", "3 field(s)"),
        ("2,2009-01-06,100,house,5000,", "6 field(s)"),
        ("2,2009-01-06,1,234,house,5000", "6 field(s)"),
        ("", "an empty line"),
        (" ", "1 field(s)"),
    ],
)
@pytest.mark.parametrize("last", [True, False])
def test_a_line_of_another_length_is_named(line: str, found: str, last: bool) -> None:
    content = sales(GOOD, line) if last else sales(GOOD, line, OTHER)
    wanted = [f"line 3: found {found}, wanted 5 fields"]

    assert problems_of(content) == wanted
    assert problems_of(content.replace("\n", "\r\n")) == wanted


def test_an_empty_line_below_the_header_is_no_row() -> None:
    assert problems_of(HEADER + "\n") == ["line 2: found an empty line, wanted 5 fields"]


def test_bytes_that_are_not_utf_8_are_named_with_their_line() -> None:
    content = sales(GOOD, "2,2009-01-06,100,maison à louer,5000").encode("latin-1")

    assert problems_of(content) == ["line 3: byte 0xe0 is not UTF-8; save as UTF-8"]


def test_a_file_in_utf_16_is_named() -> None:
    found = problems_of(sales(GOOD).encode("utf-16"))

    assert found == ["line 1: byte 0xff is not UTF-8; save as UTF-8"]


@pytest.mark.parametrize(
    ("header", "problems"),
    [
        ("id,day,size,kind", ["missing column(s) price"]),
        ("id,day,size,sort,price", ["missing column(s) kind", "unknown column(s) 'sort'"]),
        ("id,day,size,kind,price,", ["unknown column(s) ''"]),
        ("id,day, size,kind,price", ["missing column(s) size", "unknown column(s) ' size'"]),
        ("id,day,size,kind,price,size", ["column 'size' is duplicated"]),
        ("id;day;size;kind;price", ["missing column(s) id, day, size, kind, price", None]),
    ],
)
def test_a_wrong_header_is_named_column_by_column(header: str, problems: list[str]) -> None:
    found = problems_of(f"{header}\n{GOOD}\n")

    assert len(found) == len(problems)
    for line, problem in zip(found, problems, strict=True):
        assert line.startswith(f"line 1: {problem or 'unknown column(s)'}")
    if "unknown" in found[-1]:
        assert found[-1].endswith("(add them to src/project/schema.py?)")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("two,2009-01-06,1,,5", "id: found 'two', wanted a whole number of at least 1"),
        ("2.0,2009-01-06,1,,5", "id: found '2.0', wanted a whole number of at least 1"),
        (f"{2**63},2009-01-06,1,,5", f"id: found '{2**63}', wanted a whole number of at least 1"),
        (",2009-01-06,1,,5", "id: found nothing, wanted a whole number of at least 1"),
        (",,,,", "id: found nothing, wanted a whole number of at least 1"),
        ("2,20090106,1,,5", "day: found '20090106', wanted a date"),
        ("2,2009-02-30,1,,5", "day: found '2009-02-30', wanted a date"),
        ("2,06/01/2009,1,,5", "day: found '06/01/2009', wanted a date"),
        ("2,2009-01-06T00:00+01:00,1,,5", "day: found '2009-01-06T00:00+01:00', wanted a date"),
        ("2,2009-01-06,1_000,,5", "size: found '1_000', wanted a number from 10 to 6,000"),
        ("2,2009-01-06,NA,,5", "size: found 'NA', wanted a number from 10 to 6,000"),
        ("2,2009-01-06,٣,,5", "size: found '٣', wanted a number from 10 to 6,000"),
        ('2,2009-01-06,"1,5",,5', "size: found '1,5', wanted a number from 10 to 6,000"),
        ("2,2009-01-06,1,,true", "price: found 'true', wanted a number of at least 1"),
        (
            f"2,2009-01-06,{'x' * 41},,5",
            f"size: found '{'x' * 40}…', wanted a number from 10 to 6,000",
        ),
        (f"2,2009-01-06,1,{'x' * 2**18},?", "field larger than field limit (131072)"),
        ('2,2009-01-06,1,"ho,5', 'found a " that is not closed on the same line'),
        (
            "2,2009-01-06,1,ho\ruse,5",
            "found a carriage return within the line, wanted line ends LF or CRLF",
        ),
    ],
)
def test_a_value_that_cannot_be_read_is_named_with_line_and_column(line: str, problem: str) -> None:
    assert problems_of(sales(GOOD, line, GOOD)) == [f"line 3: {problem}"]


def test_a_line_break_within_quotes_is_named_for_it_would_shift_all_line_numbers() -> None:
    found = problems_of(sales(GOOD, '2,2009-01-06,1,"ho\nuse",5', OTHER))

    assert found == [
        f'line {line}: found a " that is not closed on the same line' for line in (3, 4)
    ]


def test_line_ends_of_the_first_apple_computers_are_named() -> None:
    assert problems_of(sales(GOOD).replace("\n", "\r")) == [
        "line 1: found a carriage return within the line, wanted line ends LF or CRLF"
    ]


def test_all_faults_of_a_partition_are_told_at_once() -> None:
    lines = ["1,soon,1,,5", GOOD, "2,2009-01-06,big,,cheap", "3", ""]

    assert problems_of(sales(*lines)) == [
        "line 2: day: found 'soon', wanted a date",
        "line 4: size: found 'big', wanted a number from 10 to 6,000",
        "line 4: price: found 'cheap', wanted a number of at least 1",
        "line 5: found 1 field(s), wanted 5 fields",
        "line 6: found an empty line, wanted 5 fields",
    ]


@pytest.mark.parametrize("n", [LISTED - 1, LISTED, LISTED + 1, 1000])
def test_many_faults_are_counted_to_the_end(n: int) -> None:
    found = problems_of(sales(*["1,2009-01-05,big,,5"] * n))

    assert len(found) == min(n, LISTED + 1)
    assert found[LISTED:] == ([f"… and {n - LISTED} more"] if n > LISTED else [])


def test_whatever_is_refused_in_a_line_is_named_with_that_line() -> None:
    seeds = ["2009-01-06", "2009-01-06 10:20:30.5", "12.5", "-1e5", "nan", "inf", " 7", "0x1F"]
    signs = "0123456789-+T:.,Z _eEnaifx\t\"\r\x0b\u0663\u00a0é'"
    rng = random.Random(0)
    refused = 0
    for _ in range(4000):
        value = list(rng.choice(seeds))
        for _ in range(rng.randint(1, 3)):
            value[rng.randrange(len(value))] = rng.choice(signs)
        fields = GOOD.split(",")
        fields[rng.choice([0, 1, 2, 4])] = "".join(value)
        content = sales(GOOD, ",".join(fields), OTHER)
        table, problems = parse_csv(content.encode(), SALES)
        refused += table is None
        assert (table is None) == bool(problems)
        assert all(problem.startswith("line 3: ") for problem in problems), (content, problems)
    assert 1000 < refused < 4000  # else the values tried say little


def sales_table(**columns: pa.Array) -> pa.Table:
    given = {
        "id": pa.array([1, 2]),
        "day": pa.array([ROWS[0][1], ROWS[1][1]], pa.timestamp("us")),
        "size": pa.array([100.0, None]),
        "kind": pa.array(["house", None]),
        "price": pa.array([5000.0, 5000.5]),
    }
    return pa.table(given | columns)


DAYS = pa.array([ROWS[0][1], ROWS[1][1]], pa.timestamp("us"))
KINDS = ["house", None]


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"day": DAYS.cast(pa.date32())},
        {"day": DAYS.cast(pa.date64())},
        {"day": DAYS.cast(pa.timestamp("ns"))},
        {"day": DAYS.cast(pa.timestamp("s"))},
        {"day": DAYS.dictionary_encode()},
        {"id": pa.array([1, 2], pa.int8())},
        {"id": pa.array([1, 2], pa.uint64())},
        {"id": pa.array([1.0, 2.0])},
        {"size": pa.array([100, None], pa.int32())},
        {"size": pa.array([100, None], pa.float32())},
        {"size": pa.array([100, None]).dictionary_encode()},
        {"price": pa.array([5000, 5000.5]).cast(pa.decimal128(22, 2))},
        {"kind": pa.array(KINDS, pa.large_string())},
        {"kind": pa.array(KINDS, pa.string_view())},
        {"kind": pa.array(KINDS).dictionary_encode()},
        {"kind": pa.array(KINDS, pa.large_string()).dictionary_encode()},
    ],
    ids=lambda columns: ", ".join(f"{name} {values.type}" for name, values in columns.items()),
)
def test_a_parquet_partition_of_any_fitting_types_gives_the_rows_of_the_csv(
    columns: dict[str, pa.Array],
) -> None:
    table, problems = parse_parquet(parquet_bytes(sales_table(**columns)), SALES)
    of_csv, _ = parse_csv(sales(GOOD, OTHER).encode(), SALES)

    assert problems == []
    assert table is not None
    assert of_csv is not None
    assert plain(table) == ROWS
    assert table.schema == of_csv.schema


def test_a_parquet_column_without_any_value_is_one_of_missing_values() -> None:
    empty = {"size": pa.nulls(2), "kind": pa.nulls(2)}
    table, problems = parse_parquet(parquet_bytes(sales_table(**empty)), SALES)

    assert problems == []
    assert table is not None
    assert [row[2:4] for row in plain(table)] == [(None, None)] * 2


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"size": pa.array(["100", "200"])}, "column size: found string, wanted double: another"),
        ({"kind": pa.array([1, 2])}, "column kind: found int64, wanted string: another"),
        ({"price": pa.array([True, False])}, "column price: found bool, wanted double: another"),
        (
            {"day": pa.array(["2009-01-05"] * 2)},
            "column day: found string, wanted timestamp[us]: another type of value",
        ),
        (
            {"day": pa.array([20090105, 20090106])},
            "column day: found int64, wanted timestamp[us]: another type of value",
        ),
        ({"id": DAYS}, "column id: found timestamp[us], wanted int64: another type of value"),
        ({"size": pa.array([[1.0], None])}, "column size: found list<element: double>, wanted"),
        ({"kind": pa.array([b"a", b"b"])}, "column kind: found binary, wanted string: another"),
        ({"id": pa.array([1.5, 2])}, "column id: found double, wanted int64: Float value 1.5"),
        ({"id": pa.array([1, None])}, "row 2: id: found nothing, wanted a whole number of at lea"),
        ({"id": pa.nulls(2)}, "row 1: id: found nothing, wanted a whole number of at least 1"),
        ({"size": pa.array([2**60 + 1, 1])}, "column size: found int64, wanted double: Integer"),
        (
            {"day": pa.array([1, 2], pa.timestamp("ns"))},
            "column day: found timestamp[ns], wanted timestamp[us]: Casting",
        ),
    ],
)
def test_a_parquet_column_of_another_kind_is_named(
    columns: dict[str, pa.Array], problem: str
) -> None:
    table, problems = parse_parquet(parquet_bytes(sales_table(**columns)), SALES)

    assert table is None
    assert problems[0].startswith(problem)


def test_all_faulty_columns_of_a_parquet_partition_are_told_at_once() -> None:
    columns = {"size": pa.array(["1", "2"]), "price": pa.array(["1", "2"])}
    _, problems = parse_parquet(parquet_bytes(sales_table(**columns)), SALES)

    assert [problem.split(":")[0] for problem in problems] == ["column size", "column price"]


def test_a_parquet_partition_with_other_columns_is_named() -> None:
    table = sales_table()
    without = parquet_bytes(table.drop_columns("kind").append_column("sort", table["kind"]))
    twice = parquet_bytes(pa.table([*table.columns, table["id"]], [*table.column_names, "id"]))

    assert parse_parquet(without, SALES)[1] == [
        "missing column(s) kind",
        "unknown column(s) 'sort' (add them to src/project/schema.py?)",
    ]
    assert parse_parquet(twice, SALES)[1] == ["column 'id' is duplicated"]


def test_a_parquet_partition_without_rows_is_named() -> None:
    assert parse_parquet(parquet_bytes(sales_table().slice(0, 0)), SALES) == (None, ["has no rows"])


@pytest.mark.parametrize("content", [b"", b"PAR1", sales(GOOD).encode()])
def test_a_file_that_is_no_parquet_is_named_so(content: bytes) -> None:
    table, [problem] = parse_parquet(content, SALES)

    assert table is None
    assert problem.startswith("is empty, truncated or not Parquet: ")


def test_texts_of_a_parquet_partition_that_are_not_utf_8_are_named() -> None:
    kinds = pa.array([b"maison", b"\xe0 louer"], pa.binary()).view(pa.string())
    table, [problem] = parse_parquet(parquet_bytes(sales_table(kind=kinds)), SALES)

    assert table is None
    assert "Invalid UTF8 sequence at string index 1" in problem


def test_a_parquet_file_cut_anywhere_is_refused() -> None:
    content = parquet_bytes(sales_table())
    for length in range(0, len(content), 7):
        table, [problem] = parse_parquet(content[:length], SALES)
        assert table is None
        assert problem.startswith("is empty, truncated or not Parquet: ")


def test_a_parquet_file_with_a_bit_turned_is_taken_or_refused_with_a_message() -> None:
    content = parquet_bytes(sales_table())
    rng = random.Random(0)
    for _ in range(2000):
        broken = bytearray(content)
        broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        table, problems = parse_parquet(bytes(broken), SALES)
        assert (table is None) == bool(problems)


def test_a_key_of_text_stays_as_it_is_written() -> None:
    schema = Schema(
        (Column("id", "", str, role="key"), Column("x", ""), Column("y", "", role="target"))
    )
    table, problems = parse_csv(b"id,x,y\n007,1,2\n1e3,1,2\n", schema)

    assert problems == []
    assert table is not None
    assert table["id"].to_pylist() == ["007", "1e3"]


LARGE = Schema(
    (
        Column("id", "", int, role="key"),
        Column("x", "", float, nullable=True),
        Column("y", "", float, role="target"),
    )
)


@pytest.mark.parametrize(
    ("value", "exact"),
    [
        ("9007199254740992", True),
        ("9007199254740993", False),
        ("-9007199254740993", False),
        ("9007199254740994", True),
        ("12345678901234567890123", False),
        ("1e300", True),
        ("9007199254740993.0", True),  # a measure, which was rounded anyway
        ("0.1234567890123456789", True),
        ("", True),
    ],
)
def test_whole_numbers_are_exact_or_refused_by_line(value: str, exact: bool) -> None:
    content = f"id,x,y\n{2**53 + 1},1.5,2\n{2**53 + 3},{value},2\n".encode()

    table, problems = parse_csv(content, LARGE)

    if exact:
        assert table is not None
        assert table["id"].to_pylist() == [2**53 + 1, 2**53 + 3], "a key is no float"
    else:
        (problem,) = problems
        assert problem.startswith(f"line 3: x: found {value}, which a float can't")


def test_a_nullable_column_may_lack_in_a_partition_and_no_other() -> None:
    head, row = "id,day,size,price", "1,2009-01-01,100,5"
    table, problems = parse_csv(f"{head}\n{row}\n".encode(), SALES)
    assert problems == []
    assert table is not None
    assert table.column_names == head.split(",")
    _, [problem] = parse_csv(f"day,size,price\n{row[2:]}\n".encode(), SALES)
    assert problem == "line 1: missing column(s) id"

    table, problems = parse_parquet(parquet_bytes(sales_table().drop_columns("kind")), SALES)
    assert problems == []
    assert table is not None
    assert table.column_names == head.split(",")
    _, [problem] = parse_parquet(parquet_bytes(sales_table().drop_columns("price")), SALES)
    assert problem == "missing column(s) price"
