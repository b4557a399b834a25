"""The whole loop on this machine: serve, traffic, shock, alarm, retraining, review, release, ok.

The model of 2009 is served by the API; predictions and feedback for the sales of 2010 are sent on
simulated days. The shock is simulated with a fixed seed: prices in Ames did not change. Everything
runs in a clone below artifacts/loop; this repository is not changed.
"""

import datetime
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from mlops.database import Database
from mlops.database_address import parse_address
from mlops.files import atomic_write, whole_folder
from mlops.github.monitor_issue import BRANCH
from mlops.monitoring.__main__ import monitor
from mlops.monitoring.performance import overall
from mlops.pipeline.partitions import read_partitions
from mlops.project import load_metrics, load_project_params, load_schema

SCHEMA = load_schema()
METRICS = load_metrics(SCHEMA)
HERE = Path("artifacts/loop").resolve()
CLONE, SERVED, LOG = HERE / "repository", HERE / "served", HERE / "log.db"
PICTURE = HERE / "loop.png"
URL = f"sqlite:///{LOG}"

SEED = 0
START, END = datetime.date(2010, 1, 4), datetime.date(2010, 7, 5)
STEP = datetime.timedelta(days=7)
ASKED = 8  # predictions requested for each house that is sold
DELAY = datetime.timedelta(days=4)  # between a sale and its feedback

SHOCK = datetime.date(2010, 3, 29)
FALL = 0.85  # prices, from the shock on
MISTAKE = SHOCK + STEP  # until then, a client sends lot sizes in square meters
STRANGERS = SHOCK + 2 * STEP  # until then, every fifth house is where none was ever sold
SQUARE_FEET = 10.764
NOWHERE = "Landmrk"


def main() -> int:
    began = time.monotonic()
    prepare()
    params = load_project_params(CLONE / "params.yaml")
    server, port = serve()
    history: list[dict[str, Any]] = []
    try:
        replay = Replay(port)
        for number in range((END - START) // STEP):
            day = START + (number + 1) * STEP
            replay.week(day - STEP, day)
            found = monitor(URL, SERVED, params, SCHEMA, METRICS, _seconds(day))
            (metric, *_) = [*overall(found.performance), None]
            entry = {
                "day": day,
                "verdict": found.verdict,
                "model": found.model_version,
                "event": "",
            }
            entry["error"] = metric.value if metric else None
            history.append(entry)
            reason = next((r.text for r in found.reasons if r.verdict == found.verdict), "")
            print(f"{day}  {found.verdict:5}  {reason[:100]}", flush=True)
            if found.retrain:
                entry["event"] = retrain(day)
                print(f"            {entry['event']}", flush=True)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)
    draw(history)
    print(f"{PICTURE.relative_to(Path.cwd())}, after {time.monotonic() - began:.0f} s")
    released = any("released" in entry["event"] for entry in history)
    return 0 if released and history[-1]["verdict"] == "ok" else 1


def run(*command: str, **variables: str) -> str:
    """Run a command in the clone; print its output only if it fails."""
    known = {"PYTHONPATH": "engine:src", "DVC_NO_ANALYTICS": "1", "PREDICTION_LOG_URL": URL}
    identity = {f"GIT_{who}_{what}": "loop@localhost" for who in ("AUTHOR", "COMMITTER")
                for what in ("NAME", "EMAIL")}  # fmt: skip
    done = subprocess.run(
        command, cwd=CLONE, env=os.environ | known | identity | variables,
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    return done.stdout


def prepare() -> None:
    """Clone this repository's HEAD, remove the data of 2010, and build the model."""
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir(parents=True)
    subprocess.run(["git", "clone", "--quiet", ".", str(CLONE)], check=True)
    run("git", "checkout", "--quiet", "-B", "main")
    for path in (CLONE / "data/source").glob("2010-*"):
        path.unlink()
    run("git", "commit", "--quiet", "--all", "--message", "The data end in 2009")
    run("dvc", "cache", "dir", "--local", str(Path(".dvc/cache").resolve()))
    run("dvc", "repro", "--quiet", "--no-run-cache")
    run("git", "commit", "--quiet", "--all", "--allow-empty", "--message", "The model of 2009")
    release()


def release() -> None:
    """Replace the served bundle with the clone's."""
    with whole_folder(SERVED) as folder:
        shutil.copytree(CLONE / "artifacts/bundle", folder, dirs_exist_ok=True)


def serve() -> tuple[subprocess.Popen[bytes], int]:
    """Start the API and wait until it is ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"SERVE_BUNDLE": str(SERVED), "SERVE_PORT": str(port), "PREDICTION_LOG_URL": URL}
    settings |= {"SERVE_RELOAD_SECONDS": "0.2", "SERVE_DRAIN_SECONDS": "0", "OMP_NUM_THREADS": "1"}
    with (HERE / "server.log").open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "mlops.serving"], env=os.environ | settings, stdout=output
        )
    for _ in range(300):
        try:
            ask(port, "/health/ready")
            return server, port
        except OSError:
            time.sleep(0.1)
    server.kill()
    sys.exit(f"the server did not start: see {HERE / 'server.log'}")


def ask(port: int, path: str, body: Any = None) -> Any:
    """Send a request to the API; return the decoded JSON."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", data, timeout=30) as answer:
        return json.load(answer)


class Replay:
    """The sales of 2010 as traffic: requests in their week, feedback later, on simulated days."""

    def __init__(self, port: int) -> None:
        self._port, self._random = port, np.random.default_rng(SEED)
        self._all = read_partitions("data/source", SCHEMA).to_pandas()
        self._untold: list[tuple[datetime.date, str, float]] = []
        self._log = Database(parse_address(URL), 10)

    def week(self, first: datetime.date, after: datetime.date) -> None:
        """Request predictions for the houses sold in a week and for others; send due feedback."""
        days = self._all["sold_on"].dt.date
        sold = self._all[(days >= first) & (days < after)]
        others = self._all.sample((ASKED - 1) * len(sold), random_state=self._random)
        asked = pd.concat([sold, others], ignore_index=True)
        names = [column.name for column in SCHEMA.features]
        rows = json.loads(self._shocked(asked, first)[names].to_json(orient="records"))
        ids = ask(self._port, "/predict", {"rows": rows})["prediction_ids"]
        self._date("predictions", ids[0], first)
        for name, price, day in zip(ids, sold["price"], sold["sold_on"].dt.date, strict=False):
            paid = price * (FALL if day >= SHOCK else 1)
            self._untold.append((day + DELAY, name, paid))
        due = [item for item in self._untold if item[0] < after]
        self._untold = [item for item in self._untold if item[0] >= after]
        for day, name, paid in due:
            ask(self._port, "/feedback", {"prediction_id": name, "actual": round(paid, 2)})
            self._date("feedback", name, day)

    def _shocked(self, rows: pd.DataFrame, first: datetime.date) -> pd.DataFrame:
        if SHOCK <= first < MISTAKE:
            rows = rows.assign(lot_size=(rows["lot_size"] / SQUARE_FEET).clip(lower=500))
        if SHOCK <= first < STRANGERS:
            fifth = self._random.random(len(rows)) < 0.2
            rows = rows.assign(neighborhood=rows["neighborhood"].mask(fifth, NOWHERE))
        return rows

    def _date(self, table: str, name: str, day: datetime.date) -> None:
        """Set the time of a record of the log to its simulated day."""
        with self._log.transaction(single=True) as log:
            log.execute(f"UPDATE {table} SET at = ? WHERE prediction_id = ?", _seconds(day), name)


def retrain(day: datetime.date) -> str:
    """Retrain on a branch and review; if better and not blocked, merge and release."""
    run("git", "checkout", "--quiet", "-B", BRANCH, "main")
    run(sys.executable, "-m", "mlops.monitoring.retrain", "--level", f"--today={day}")
    decision = json.loads((CLONE / "artifacts/retrain/decision.json").read_text())
    if not decision["propose"]:
        run("git", "checkout", "--quiet", "--force", "main")
        run("git", "clean", "--quiet", "--force", "data")
        return "retrained, but not better"
    verdict = json.loads((CLONE / "artifacts/review/verdict.json").read_text())["verdict"]
    run("git", "add", "--all")
    run("git", "commit", "--quiet", "--message", f"Retrain on data up to {decision['until']}")
    run("git", "checkout", "--quiet", "main")
    if verdict == "block":
        return "retrained; the review blocks it"
    run("git", "merge", "--quiet", "--no-ff", "--no-edit", BRANCH)
    release()
    time.sleep(1.5)  # the server checks for a new bundle five times a second
    return "reviewed, merged, released"


def draw(history: list[dict[str, Any]]) -> None:
    """Plot the error in production, the verdicts and the retrainings."""
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    axes = figure.subplots()
    days = [entry["day"] for entry in history]
    errors = [np.nan if e["error"] is None else 100 * e["error"] for e in history]
    top = np.nanmax(errors) * 1.3
    colours = {"ok": "#2d8659", "watch": "#e0a100", "act": "#c1121f"}
    axes.plot(days, errors, color="#2a6f97", marker="o", markersize=4)
    for verdict, colour in colours.items():
        at = [entry["day"] for entry in history if entry["verdict"] == verdict]
        axes.scatter(at, [0.4] * len(at), marker="s", s=90, color=colour, label=verdict)
    axes.axvline(SHOCK, color="black", linewidth=1, linestyle=":")
    axes.text(SHOCK, top * 0.98, "shock, made up: prices fall by 15 %; \nlots in m² for a week ",
              va="top", ha="right", fontsize=8)  # fmt: skip
    for entry in (e for e in history if e["event"]):
        axes.axvline(entry["day"], color="#9aa5b1", linewidth=1)
        axes.text(entry["day"], 1.2, entry["event"], rotation=90, ha="right", fontsize=8)
    axes.set(ylim=(0, top), ylabel="median error of labelled predictions, %",
             title="The loop: what the monitor said every week of 2010")  # fmt: skip
    locator = AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(title="monitor", frameon=False, loc="upper left", fontsize=8)
    with atomic_write(PICTURE) as temporary:
        figure.savefig(temporary, format="png", dpi=120, metadata={"Software": None})


def _seconds(day: datetime.date) -> float:
    return datetime.datetime.combine(day, datetime.time(), datetime.UTC).timestamp()


if __name__ == "__main__":
    sys.exit(main())
