"""Ingestion held against a model of it in plain Python, over random histories of a source."""

import datetime
import random
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest

from mlops.errors import UserError
from mlops.files import sha256
from mlops.frames import read_rows
from mlops.paths import INGESTED_ROWS
from mlops.pipeline import ingest
from mlops.project import load_project_params
from project.schema import SCHEMA
from source_rows import (
    KEY,
    TARGET,
    TIME,
    csv_bytes,
    parquet_bytes,
    plain,
    put,
    put_params,
    shipped_rows,
)

HISTORIES, STEPS = 200, 5
MAX_GAP_DAYS = 45

ALL_ROWS, NEWEST = shipped_rows(48)
DAYS = [ALL_ROWS[TIME].iloc[0].date() - datetime.timedelta(days=1), *ALL_ROWS[TIME].dt.date]
"""Days up to which rows are taken in: before all of them, and on each one's day."""

Row = tuple[Any, ...]
PLACE = {name: place for place, name in enumerate(SCHEMA.names)}

BROKEN: tuple[tuple[bytes, str], ...] = (
    (b"", "is empty"),
    (csv_bytes(ALL_ROWS[:0]), "no rows after the header"),
    (csv_bytes(ALL_ROWS[:3])[:-5], "the file is truncated"),
    (csv_bytes(ALL_ROWS[:3]) + b"\xe0\n", "is not UTF-8"),
    (csv_bytes(ALL_ROWS[:3]) + b"\n", "found an empty line"),
    (csv_bytes(ALL_ROWS[:3]).replace(KEY.encode(), b"nr", 1), f"missing column(s) {KEY}"),
    (csv_bytes(ALL_ROWS[:3]) + b"1,2\n", "found 2 field(s)"),
)


class Partition(NamedTuple):
    """What a partition holds: rows, or the fault that it must be refused for."""

    rows: tuple[Row, ...]
    ending: str = ".csv"
    fault: int | None = None


Source = dict[str, Partition]


def expected(source: Source, until: datetime.date) -> list[Row] | list[str]:
    """Say what ingestion must give: the rows, or all that its refusal must name."""
    if not source:
        return ["no partition found"]
    faults = {name: part.fault for name, part in source.items() if part.fault is not None}
    if faults:
        named = [f"\n  {name}: " for name in faults]
        return ["in its partitions", *named, *(BROKEN[fault][1] for fault in faults.values())]
    times = [row[PLACE[TIME]] for partition in source.values() for row in partition.rows]
    kept = [time for time in times if time.date() <= until]
    if not kept:
        return ["no row is that old", str(min(times))]
    if (until - max(kept).date()).days > MAX_GAP_DAYS:
        return ["the next partition is late", str(max(kept).date())]
    rows: dict[Any, set[Row]] = {}
    for partition in source.values():
        for row in partition.rows:
            if row[PLACE[TIME]].date() <= until:
                rows.setdefault(row[PLACE[KEY]], set()).add(row)
    if conflicts := [key for key, found in rows.items() if len(found) > 1]:
        return ["with conflicting rows", *(f"\n  {KEY} {key}: " for key in conflicts)]
    unique = [row for found in rows.values() for row in found]
    return sorted(unique, key=lambda row: (row[PLACE[TIME]], row[PLACE[KEY]]))


# What may happen to a source. Each takes the source, the rows that have not come yet, and chance.

Step = Callable[[Source, list[Row], random.Random], None]


def _some(source: Source, rng: random.Random, whole: bool = True) -> str | None:
    """Choose a partition, or none if there is none with rows."""
    names = [name for name in source if source[name].fault is None or not whole]
    return rng.choice(names) if names else None


def _new_name(source: Source, ending: str, rng: random.Random) -> str:
    while (name := f"{rng.randrange(1000):03}{ending}") in source:
        pass
    return name


def add(source: Source, to_come: list[Row], rng: random.Random) -> None:
    """Let rows come that were not there."""
    number = rng.randint(1, max(1, len(to_come)))
    rows = tuple(to_come[:number])
    del to_come[:number]
    if rows:
        ending = rng.choice([".csv", ".parquet"])
        source[_new_name(source, ending, rng)] = Partition(rows, ending)


def delay(source: Source, to_come: list[Row], rng: random.Random) -> None:
    """Take the partition with the newest row away, to come late."""
    whole = {name: part for name, part in source.items() if part.fault is None}
    if whole:
        late = max(whole, key=lambda name: max(row[PLACE[TIME]] for row in whole[name].rows))
        to_come += [row for row in source.pop(late).rows if row not in to_come]


def duplicate(source: Source, to_come: list[Row], rng: random.Random) -> None:
    """Deliver some rows of a partition once more."""
    if name := _some(source, rng):
        rows = source[name].rows
        again = tuple(rng.choices(rows, k=rng.randint(1, len(rows))))
        ending = rng.choice([".csv", ".parquet"])
        source[_new_name(source, ending, rng)] = Partition(again, ending)


def correct(source: Source, to_come: list[Row], rng: random.Random) -> None:
    """Change a value in a row of a partition: its time, its target or another one."""
    if name := _some(source, rng):
        rows = list(source[name].rows)
        number = rng.randrange(len(rows))
        row = list(rows[number])
        if rng.random() < 0.3:
            row[PLACE[TIME]] += datetime.timedelta(days=rng.choice([-400, -1, 1, 400]))
        else:
            row[PLACE[TARGET]] = float(rng.randint(1, 3))
        rows[number] = tuple(row)
        source[name] = source[name]._replace(rows=tuple(rows))


def spoil(source: Source, to_come: list[Row], rng: random.Random) -> None:
    """Break a partition, or empty it."""
    if name := _some(source, rng):
        fault = rng.randrange(len(BROKEN)) if name.endswith(".csv") else 0
        source[name] = source[name]._replace(fault=fault)


def mend(source: Source, to_come: list[Row], rng: random.Random) -> None:
    """Put back what all broken partitions held."""
    for name in source:
        source[name] = source[name]._replace(fault=None)


def remove(source: Source, to_come: list[Row], rng: random.Random) -> None:
    """Take a partition away for good."""
    if name := _some(source, rng, whole=False):
        del source[name]


def part(source: Source, to_come: list[Row], rng: random.Random) -> None:
    """Make two partitions of one."""
    if (name := _some(source, rng)) and len(source[name].rows) > 1:
        whole = source.pop(name)
        cut = rng.randrange(1, len(whole.rows))
        for rows in (whole.rows[:cut], whole.rows[cut:]):
            source[_new_name(source, whole.ending, rng)] = whole._replace(rows=rows)


def rename(source: Source, to_come: list[Row], rng: random.Random) -> None:
    """Call a partition by another name."""
    if name := _some(source, rng, whole=False):
        partition = source.pop(name)
        source[_new_name(source, partition.ending, rng)] = partition


def convert(source: Source, to_come: list[Row], rng: random.Random) -> None:
    """Make a CSV partition Parquet, or the other way round."""
    if name := _some(source, rng):
        old = source.pop(name)
        ending = ".parquet" if old.ending == ".csv" else ".csv"
        source[_new_name(source, ending, rng)] = old._replace(ending=ending)


def shuffle(source: Source, to_come: list[Row], rng: random.Random) -> None:
    """Write the rows of a partition in another order."""
    if name := _some(source, rng):
        rows = source[name].rows
        source[name] = source[name]._replace(rows=tuple(rng.sample(rows, len(rows))))


HAPPENINGS: dict[Step, int] = {
    **{add: 4, delay: 1, duplicate: 4, correct: 4, spoil: 1, mend: 3, remove: 1},
    **{part: 2, rename: 1, convert: 2, shuffle: 1},
}


@cache
def content_of(partition: Partition) -> bytes:
    """Write a partition as the bytes of a file."""
    if partition.fault is not None:
        return BROKEN[partition.fault][0]
    rows = pd.DataFrame(partition.rows, columns=SCHEMA.names).astype(ALL_ROWS.dtypes)
    return csv_bytes(rows) if partition.ending == ".csv" else parquet_bytes(rows)


def lay_out(folder: Path, source: Source) -> None:
    """Make the folder hold exactly the partitions of `source`."""
    for path in folder.iterdir():
        if path.name not in source:
            path.unlink()
    for name, partition in source.items():
        path = folder / name
        if not path.exists() or path.read_bytes() != content_of(partition):
            put(path, content_of(partition))


def ingested() -> list[Row] | str:
    """Run the stage: the rows that it wrote, or its refusal, which must leave the old table."""
    before = sha256(INGESTED_ROWS) if INGESTED_ROWS.exists() else None
    try:
        ingest.main()
    except UserError as error:
        after = sha256(INGESTED_ROWS) if INGESTED_ROWS.exists() else None
        return str(error) if after == before else "a refusal changed the table"
    return plain(read_rows(INGESTED_ROWS))


def test_ingestion_does_what_the_model_says_after_every_step_of_any_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    put_params(tmp_path, "source", NEWEST, MAX_GAP_DAYS)
    (tmp_path / "source").mkdir()
    params = load_project_params()
    rows = plain(ALL_ROWS)
    outcomes: Counter[str] = Counter()
    for seed in range(HISTORIES):
        rng = random.Random(seed)
        until = rng.choice([*DAYS[:1] * 2, *DAYS[1:], *DAYS[-1:] * 50])
        of_ingest = params.ingest.model_copy(update={"until": until})
        given = params.model_copy(update={"ingest": of_ingest})
        monkeypatch.setattr(ingest, "load_project_params", lambda given=given: given)
        source: Source = {}
        to_come = rng.sample(rows, len(rows)) if rng.random() < 0.3 else list(rows)
        for start in range(0, rng.choice([0, 24, 48, 48, 48]), 12):
            source[f"start-{start}.csv"] = Partition(tuple(to_come[start : start + 12]))
        del to_come[: 12 * len(source)]
        done = []
        for _ in range(STEPS):
            [step] = rng.choices([*HAPPENINGS], [*HAPPENINGS.values()])
            step(source, to_come, rng)
            done.append(step.__name__)
            lay_out(tmp_path / "source", source)
            found, wanted = ingested(), expected(source, until)
            if isinstance(found, str):
                assert all(str(text) in found for text in wanted), (seed, done, found, wanted)
            else:
                assert found == wanted, (seed, done)
            outcomes[str(wanted[0]) if isinstance(found, str) else "taken in"] += 1
    # Each outcome must come about often, or the histories show little.
    assert len(outcomes) == 6
    assert min(outcomes.values()) >= 10, outcomes


@pytest.mark.parametrize("step", HAPPENINGS, ids=lambda step: step.__name__)
def test_every_happening_changes_the_source(step: Step) -> None:
    """Else the test above would be green for nothing."""
    rows = plain(ALL_ROWS)
    spoiled = Partition(tuple(rows[24:30]), fault=0)
    before = {"a.csv": Partition(tuple(rows[:12])), "b.csv": Partition(tuple(rows[12:24]))}
    source: Source = {**before, "c.csv": spoiled}
    step(source, rows[30:], random.Random(0))

    assert source != {**before, "c.csv": spoiled}
