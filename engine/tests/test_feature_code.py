"""Features may read only what every process has: not the clock, a file, or a seed of its own."""

import ast
import dataclasses
from pathlib import Path

import pytest

from clones import copy, run, stages_run
from mlops.columns import Column, Derived, Rule
from mlops.metrics import Metric
from mlops.pipeline.code_meaning import _WORDING, hash_meaning, read_modules
from mlops.pipeline.feature_code import code_problems

CLOCK, FILE = "reads the clock", "reads a file or service"

READING = {
    "np.datetime64('now') - at": CLOCK,
    "np.datetime64('today', 'us') - at": CLOCK,
    "pd.to_datetime('now', utc=True) - at": CLOCK,
    "pd.Timestamp.now() - at": CLOCK,
    "np.datetime64(datetime.datetime.now()) - at": CLOCK,
    "np.datetime64(dt.now(UTC)) - at": CLOCK,
    "datetime.date.today().year - at.astype('datetime64[Y]').astype(int)": CLOCK,
    "at.astype(float) + time.time()": CLOCK,
    "at.astype(float) + clock()": CLOCK,
    "at.astype(float) + t.time_ns()": CLOCK,
    "at.astype(float) + next(iter(map(dt.timestamp, [dt.now()])))": CLOCK,
    "np.full(len(at), int(time.strftime('%Y')))": CLOCK,
    "pd.read_csv('data/source/prices.csv')['price'].mean() + at": FILE,
    "pd.read_feather('means.feather')['price'].mean() + at": FILE,
    "np.load('means.npy')[0] + at": FILE,
    "np.loadtxt('means.txt')[0] + at": FILE,
    "loaded('means.joblib')[at]": FILE,
    "float(open('artifacts/mean').read()) + at": FILE,
    "float(gzip.open('mean.gz').read()) + at": FILE,
    "float(Path('mean').read_text()) + at": FILE,
    "json.loads(Path(__file__).with_name('m.json').read_bytes())['m'] + at": FILE,
    "at + float(os.getenv('LEVEL'))": FILE,
    "at + float(os.environ['LEVEL'])": FILE,
    "at + float(environ.get('LEVEL', 0))": FILE,
    "at + requests.get('https://rates').json()['eur']": FILE,
    "at + float(urllib.request.urlopen('https://rates').read())": FILE,
    "at + sqlite3.connect('rates.db').execute('select eur').fetchone()[0]": FILE,
    "at + load_rows()['price'].mean()": FILE,
    "at + len(list(Path('data').glob('*')))": FILE,
    "at + len(sys.argv)": FILE,
}

HONEST = [
    "np.where(note == 'now', 1.0, 0.0)",
    "[{'today': 1, 'now': 2}.get(one, 0) for one in note]",
    "open - close",
    "np.vectorize(len)(note) + id % 7",
    "os.path.basename('a/b') == note",
    "json.loads('{\"a\": 1}')['a'] + at",
    "time.strptime('2020', '%Y').tm_year + at",
    "np.datetime64('2020-01-01') - at",
    "datetime.datetime.fromisoformat('2020-01-01') > at",
    "from_own_module.read_prices(at)",
    "read_prices(at)",
    "np.random.default_rng(0).permutation(7)[at.astype(int) % 7]",
]

IMPORTS = """import datetime, gzip, json, os, sqlite3, sys, time, urllib.request
import time as t
import numpy as np, pandas as pd, requests
from datetime import UTC, datetime as dt
from joblib import load as loaded
from mlops import load_rows
from os import environ
from pathlib import Path
from time import time as clock
from . import from_own_module
from .prices import read_prices
from project.prices import read_prices as open_prices
"""


def problems(line: str, arguments: str) -> list[str]:
    code = f"{IMPORTS}\n\ndef make({arguments}):\n    return {line}\n"
    return code_problems({"project.features": ast.parse(code)})


@pytest.mark.parametrize("line", READING)
def test_a_line_that_reads_the_clock_or_a_file_is_named(line: str) -> None:
    told = problems(line, "at")

    number = len(IMPORTS.splitlines()) + 4
    assert told
    assert all(one.startswith(f"project.features, line {number}: ") for one in told)
    assert READING[line] in told[0]


@pytest.mark.parametrize("line", HONEST)
def test_a_line_that_reads_neither_is_not(line: str) -> None:
    assert problems(line, "at, note, open, close, id") == []


def test_what_is_read_once_at_import_is_named_too() -> None:
    code = "import pandas as pd\nMEANS = pd.read_csv('means.csv')\nSTARTED = pd.Timestamp.now\n"

    told = code_problems({"project.features": ast.parse(code)})

    assert [one.split(": ")[:2] for one in told] == [
        ["project.features, line 2", "pd.read_csv"],
        ["project.features, line 3", "pd.Timestamp.now"],
    ]


@pytest.mark.parametrize(
    ("statement", "file"),
    [
        ("from project.geo import near", "project/geo.py"),
        ("import project.geo", "project/geo.py"),
        ("import project.geo as g", "project/geo.py"),
        ("from project import geo", "project/geo.py"),
        ("from .geo import near", "project/geo.py"),
        ("from . import geo", "project/geo.py"),
        ("from .geo import *", "project/geo.py"),
        ("from .maps.geo import near", "project/maps/geo.py"),
        ("from .maps.geo import near", "project/maps/__init__.py"),
        ("from .maps import near", "project/maps/base.py"),
        ("from .maps import near", "project/base.py"),
        ("from project import CENTRE", "project/__init__.py"),
        ("import numpy", "project/__init__.py"),
        ("from geography import near", "geography.py"),
        ("from geography.maps import near", "geography/maps.py"),
    ],
)
def test_every_module_that_features_import_counts(
    statement: str, file: str, tmp_path: Path
) -> None:
    files = {
        "project/__init__.py": "",
        "project/maps/__init__.py": "from .base import near\nfrom ..base import far\n",
        "project/maps/base.py": "",
        "project/maps/geo.py": "",
        "project/base.py": "",
        "project/features.py": f"def make(a):\n    {statement.replace('*', 'near')}\n",
        "mlops/columns.py": "",  # in an image, the engine is beside the project
    }
    files.setdefault(file, "")
    files["project/features.py"] += "from mlops.columns import Derived\n"
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")

    def meaning() -> str:
        return hash_meaning("project.features", [tmp_path])

    before = meaning()
    (tmp_path / file).write_text("# words\n" + files[file], encoding="utf-8")
    assert meaning() == before
    (tmp_path / file).write_text(files[file] + "NEAR = 2\n", encoding="utf-8")
    assert meaning() != before
    modules = read_modules("project.features", [tmp_path])
    assert file.removesuffix(".py").removesuffix("/__init__").replace("/", ".") in modules
    assert not any(name.startswith("mlops") for name in modules)


TEXTS = """from mlops.columns import Column, Derived, Rule
from mlops.metrics import Metric
import numpy as np

KNOWN = (
    Column("size", "size", float, "m"), Column(name="rooms", description="rooms", unit="s"),
    Rule("some", ("size",), "at least", lambda size: size > 1), Metric("cost", "euro", "EUR", sum),
)
FEATURES = (
    Derived("each", "each", float, "m", ("size", "rooms"), lambda a, b: a / b),
    Derived("more", "more", float, unit="s", needs=("each",), make=lambda a: {"m": 1}["m"] * a),
    Derived("late", "late", float, "s", ("at",), lambda at: at / np.timedelta64(1, "m")),
)
"""


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ('"size", "size", float, "m"', '"size", "Living area", float, "square feet"', True),
        ('description="rooms", unit="s"', 'description="Rooms", unit="rooms"', True),
        ('"at least"', '"at the least"', True),
        ('"euro", "EUR"', '"What it costs", "euro"', True),
        ('"late", "late", float, "s"', '"late", "Lateness", float, "minutes"', True),
        ('"each", "each", float, "m"', '"more", "each", float, "m"', False),
        # Texts that are also descriptions or units mean something elsewhere.
        ('("size", "rooms")', '("rooms", "size")', False),
        ('needs=("each",)', 'needs=("more",)', False),
        ('timedelta64(1, "m")', 'timedelta64(1, "s")', False),
        ('["m"]', '["s"]', False),
        ('Column("size"', 'Column("rooms"', False),
        ('Rule("some"', 'Rule("each"', False),
        ('Column("size", "size", float, "m")', 'Column(*("size", "m"), float, "s")', False),
    ],
)
def test_a_description_or_a_unit_has_no_meaning_and_the_same_text_elsewhere_has(
    old: str, new: str, same: bool, tmp_path: Path
) -> None:
    path = tmp_path / "project/features.py"
    path.parent.mkdir()
    path.write_text(TEXTS, encoding="utf-8")
    before = hash_meaning("project.features", [tmp_path])

    assert TEXTS.count(old) == 1
    path.write_text(TEXTS.replace(old, new), encoding="utf-8")

    assert (hash_meaning("project.features", [tmp_path]) == before) == same


def test_the_places_of_words_are_those_of_the_classes() -> None:
    for made in (Column, Derived, Metric, Rule):
        names = [field.name for field in dataclasses.fields(made)]
        places = tuple(names.index(name) for name in ("description", "unit") if name in names)
        assert _WORDING[made.__name__] == places


FEATURES = """from mlops.columns import Derived

from .parts import part_of

FEATURES = (
    Derived("part", "Part of the town", int, "", ("neighborhood",), part_of),
    Derived("age", "Age", int, "years", ("sold_on", "year_built"), lambda day, year: (
        day.astype("datetime64[Y]").astype(int) + 1970 - year)),
)
"""
PARTS = "def part_of(names):\n    return [{} for name in names.tolist()]\n"


def test_a_value_of_this_process_alone_is_refused_and_an_edited_import_is_another_model(
    quick: Path, tmp_path: Path
) -> None:
    repository = copy(quick, tmp_path / "own")
    own, parts = (repository / "src/project" / name for name in ("features.py", "parts.py"))
    own.write_text(FEATURES, encoding="utf-8")
    for value in ("hash(name) % 7", "[*{*'abcdefghijklmnop', name}].index(name)"):
        parts.write_text(PARTS.format(value), encoding="utf-8")
        told = run(repository, "dvc repro train", wanted=255)
        assert "feature 'part': a row has another value in another process" in told
        assert "'age'" not in told
        assert "Traceback" not in told
    local = "import datetime\n\n" + PARTS.format(
        "datetime.datetime(2020, 1, 1, 12).astimezone().utcoffset().seconds"
    )
    parts.write_text(local, encoding="utf-8")
    assert "in another process" in run(repository, "dvc repro train", wanted=255)

    parts.write_text(PARTS.format("len(name)"), encoding="utf-8")
    run(repository, "dvc repro --quiet")
    assert stages_run(run(repository, "dvc repro")) == []
    parts.write_text(PARTS.format("len(name) + 1"), encoding="utf-8")
    served = "PYTHONPATH=engine:src timeout 60 python -m mlops.serving"
    told = run(repository, f"SERVE_BUNDLE=artifacts/bundle SERVE_PORT=0 {served} 2>&1", wanted=1)
    assert "made with other functions than those of src/project/features.py" in told
    assert "train" in stages_run(run(repository, "dvc repro"))
