"""A search on a Dask cluster gives what it gives here, even when workers die; or it is refused."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dask_cluster import SECONDS, Cluster, cluster
from mlops.errors import UserError
from mlops.frames import write_rows
from mlops.params import Params
from mlops.paths import MODEL, TRAIN_ROWS, TRAINING
from mlops.pipeline import cluster as backend
from mlops.pipeline.cluster import ADDRESS, run_all
from mlops.sampling import valid_rows
from paths import DEMO, PYTHONPATH, ROOT
from project.schema import SCHEMA


@pytest.fixture
def dask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    (tmp_path / "dask").mkdir()
    with cluster(tmp_path / "dask") as started:
        monkeypatch.setenv(ADDRESS, started.address)
        yield started


def on_dask(params: Params, function: Any = abs) -> list[Any]:
    search = params.train.search.model_copy(update={"backend": "dask"})
    return list(run_all(search, function, -1, [()]))


def lay_out(folder: Path, chosen: str) -> None:
    """Write the training rows, and parameters of a search that takes some seconds."""
    params = yaml.safe_load((DEMO / "params.yaml").read_text(encoding="utf-8"))
    params["train"]["search"] |= {"candidates": 5, "folds": 2, "backend": chosen, "jobs": 2}
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    rows = valid_rows(SCHEMA, 1500, seed=7).sort_values(["sold_on", "sale_id"], ignore_index=True)
    write_rows(folder / TRAIN_ROWS, rows)


def training(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mlops.pipeline.train"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": PYTHONPATH},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcome(folder: Path) -> tuple[bytes, bytes]:
    return (folder / MODEL).read_bytes(), (folder / TRAINING).read_bytes()


@pytest.mark.slow
def test_workers_that_die_in_mid_search_cost_time_alone_and_the_model_is_that_of_loky(
    tmp_path: Path, dask: Cluster
) -> None:
    first, second = dask.worker(), dask.worker()
    lay_out(tmp_path, "loky")
    with training(tmp_path) as here:
        assert here.wait(SECONDS) == 0
    wanted = outcome(tmp_path)
    lay_out(tmp_path, "dask")

    with training(tmp_path) as run:
        try:
            assert run.stderr is not None
            progress = []
            for line in run.stderr:
                if not line.startswith("search:"):
                    continue  # Dask says which results were lost
                progress.append(line)
                if len(progress) == 1:
                    first.kill()
                if len(progress) == 3:  # all that knew the data are gone then
                    dask.worker()
                    second.kill()
            assert run.wait(SECONDS) == 0
        finally:
            run.kill()

    assert progress == [f"search: {done} of 12 fits\n" for done in range(2, 13, 2)]
    assert outcome(tmp_path) == wanted


def test_a_fit_that_kills_its_workers_ends_the_search_and_is_named(
    tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "0")
    with cluster(tmp_path) as started:
        monkeypatch.setenv(ADDRESS, started.address)
        started.worker()

        with pytest.raises(UserError, match="several workers died"):
            on_dask(params, os._exit)


def test_workers_of_other_versions_code_or_threads_are_refused_all_at_once(
    tmp_path: Path, dask: Cluster, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "engine/mlops", tmp_path / "mlops")
    shutil.copytree(DEMO / "src/project", tmp_path / "project")
    for file in ("mlops/columns.py", "project/schema.py"):
        with (tmp_path / file).open("a") as code:
            code.write("# another commit\n")
    dask.worker(source=str(tmp_path), threads=2)
    installed = backend.version
    monkeypatch.setattr(
        backend, "version", lambda name: "0.1" if name == "scikit-learn" else installed(name)
    )

    with pytest.raises(UserError) as refused:
        on_dask(params)

    text = str(refused.value)
    assert "the cluster's workers differ from this machine\n" in text
    assert f"scikit-learn: found {installed('scikit-learn')}, wanted 0.1\n" in text
    for package in ("mlops", "project"):
        assert f"wanted {backend.versions()[package]}\n" in text
    assert "found 2 threads, wanted --nthreads 1\n" in text


def test_a_worker_without_this_package_is_refused(
    tmp_path: Path, dask: Cluster, params: Params
) -> None:
    (tmp_path / "mlops").mkdir()
    (tmp_path / "mlops" / "__init__.py").touch()
    dask.worker(source=str(tmp_path))

    with pytest.raises(UserError, match="ModuleNotFoundError"):
        on_dask(params)


def test_a_scheduler_without_workers_is_named(
    dask: Cluster, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "_SECONDS", 1)

    with pytest.raises(UserError, match="the scheduler has no workers"):
        on_dask(params)


@pytest.mark.parametrize(
    ("address", "said"),
    [("", "is not set"), ("tcp://127.0.0.1:9", "no scheduler at"), ("nonsense://", "no scheduler")],
)
def test_an_address_without_a_scheduler_is_named(
    address: str, said: str, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "_SECONDS", 1)
    monkeypatch.setenv(ADDRESS, address)

    with pytest.raises(UserError, match=said):
        on_dask(params)


def test_what_has_to_be_installed_is_named(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)

    with pytest.raises(UserError, match=r"make \.venv/dask"):
        on_dask(params)
