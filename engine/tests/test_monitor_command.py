"""`python -m mlops.monitoring` as it is called: what it writes, and when it refuses."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlops.bundle import MANIFEST, read_manifest, seal
from mlops.files import write_json
from paths import PYTHONPATH, ROOT
from production import NOW, Log, reference, sales
from served import ROW, make_bundle, running, small_model

SALES = sales()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("monitored") / "bundle"
    make_bundle(folder, small_model())
    refer(folder, reference(SALES[:2000]))
    return folder


def refer(folder: Path, content: Any) -> None:
    """Put a reference into a bundle, and seal it again."""
    write_json(folder / "reference.json", content)
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    rest = {k: v for k, v in manifest.items() if k not in ("model_version", "files", "format")}
    write_json(folder / MANIFEST, seal(folder, rest))


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with contextlib.closing(Log(f"sqlite:///{tmp_path}/log.db")) as made:
        yield made


def monitor(folder: Path, bundle: Path, url: str, *more: str) -> subprocess.CompletedProcess[str]:
    command = ["-m", "mlops.monitoring", "--bundle", str(bundle), *more]
    return subprocess.run(
        [sys.executable, *command, "--out", str(folder / "monitor")],
        cwd=ROOT,
        env=os.environ | {"PREDICTION_LOG_URL": url, "PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_report_is_written_in_three_forms(bundle: Path, log: Log, tmp_path: Path) -> None:
    version = read_manifest(bundle)["model_version"]
    rows = SALES[2000:2200]
    log.tell(log.predict(rows, version=version), rows["price"] * 0.85)

    done = monitor(tmp_path, bundle, log.url, "--now", str(NOW))

    assert done.returncode == 0, done.stderr
    out = tmp_path / "monitor"
    text = (out / "report.md").read_text(encoding="utf-8")
    assert done.stdout.strip() == text.strip()
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert (report["verdict"], report["retrain"]) == ("act", True)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 2
    assert "://" not in page, "the page loads nothing"


def test_before_anything_is_deployed_one_line_says_so(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "monitor").mkdir()
    (tmp_path / "monitor" / "report.json").write_text("{}")

    done = monitor(tmp_path, bundle, "")

    assert done.returncode == 0
    assert "PREDICTION_LOG_URL is not set" in done.stdout
    assert done.stdout.count("\n") == 1
    assert not (tmp_path / "monitor").exists(), "an old report must not pass for a new one"


def test_a_log_that_is_away_fails_in_one_message(bundle: Path, tmp_path: Path) -> None:
    done = monitor(tmp_path, bundle, f"sqlite:///{tmp_path}/none.db")

    assert done.returncode == 1
    assert "the prediction log can't be read" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "none.db").exists(), "the monitor makes no log of its own"


def test_a_bundle_without_reference_is_refused(log: Log, tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle", small_model())

    done = monitor(tmp_path, tmp_path / "bundle", log.url)

    assert done.returncode == 1
    assert "has no reference.json to compare with" in done.stderr


def test_a_reference_of_other_features_is_refused_and_each_is_named(
    log: Log, tmp_path: Path
) -> None:
    make_bundle(tmp_path / "bundle", small_model())
    other = reference(SALES[:2000])
    other["features"]["color"] = other["features"].pop("size")
    other["features"]["rooms"] = other["features"]["neighborhood"]
    refer(tmp_path / "bundle", other)

    done = monitor(tmp_path, tmp_path / "bundle", log.url)

    assert done.returncode == 1
    for problem in ("size: missing", "color: unknown", "rooms: of another kind"):
        assert problem in done.stderr


def test_what_the_api_logs_is_what_the_monitor_reads(bundle: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/log.db"
    with running(bundle, url) as server:
        for price in range(40):
            answer = server.ask("GET", "/predict?size=1500&rooms=6")[1]
            told = {"prediction_id": answer["prediction_id"], "actual": 150_000 + price}
            for actual in (told, told, told | {"actual": 200_000 + price}):
                assert server.ask("POST", "/feedback", actual)[0] == 200
            assert server.ask("POST", "/feedback", told | {"prediction_id": "ff"})[0] == 404
            assert server.ask("POST", "/predict", {"rows": [ROW | {"size": 139}]})[0] == 422

        done = monitor(tmp_path, bundle, url)

    report = json.loads((tmp_path / "monitor" / "report.json").read_text(encoding="utf-8"))
    assert done.returncode == 0, done.stderr
    assert report["predictions"] == report["labelled"] == 40, "told again is told once"
    assert report["refusals"] == {"any": 40, "size: greater_than_equal": 40}
    assert "50% of 80 requests were refused" in done.stdout
