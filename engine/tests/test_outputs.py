"""What a release takes from the remote, and what it does where the remote lacks it."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clones import clone, copy, run
from mlops.bundle import seal
from paths import SOURCES

OUTPUTS = "python -m mlops.release.restore_outputs"


@pytest.fixture
def released(reproduced: Path, tmp_path: Path) -> Path:
    """A fresh clone, as a runner has it: no cache; beside it a remote that has everything."""
    source = copy(reproduced, tmp_path / "source")
    run(source, "dvc push --quiet", PYTHONPATH=SOURCES)
    folder = clone(source, tmp_path / "fresh/repository")
    run(folder, f"dvc remote modify --local storage url {source}/.dvc-remote")
    return folder


def bring(folder: Path, wanted: int = 0) -> str:
    return run(folder, OUTPUTS, wanted, PYTHONPATH=SOURCES, OMP_NUM_THREADS="1")


def test_what_the_remote_has_is_pulled_and_not_trained_again(released: Path) -> None:
    assert "pulled from the remote" in bring(released)

    assert not (released / "artifacts/train").exists()
    assert run(released, "git status --porcelain") == ""


@pytest.mark.slow
def test_what_the_remote_lacks_is_made_anew_and_sent_there(released: Path, tmp_path: Path) -> None:
    run(tmp_path, "rm -r source/.dvc-remote/files")
    # Who can write to the remote may say there what a stage gives: nobody asks.
    run(tmp_path, "mkdir -p source/.dvc-remote/runs/ab && echo x > source/.dvc-remote/runs/ab/c")

    assert "rebuilt, because missing from the remote: artifacts/bundle" in bring(released)

    assert not (released / ".dvc/cache/runs/ab/c").exists()
    run(released, "rm -r .dvc/cache artifacts")
    assert "pulled from the remote" in bring(released)


@pytest.mark.slow
def test_other_code_than_was_reproduced_is_not_released(released: Path, tmp_path: Path) -> None:
    run(tmp_path, "rm -r source/.dvc-remote")
    file = released / "params.yaml"
    file.write_text(file.read_text().replace("max_iter: 300", "max_iter: 60"))
    run(released, "git commit -qam 'Fewer trees, lock forgotten'")

    told = bring(released, wanted=1)

    assert "The reviewed outputs can't be reproduced" in told
    assert "train: params.yaml: train: reviewed" in told or "max_iter" in told
    assert "commit dvc.lock" in told


def test_a_tampered_object_in_the_remote_is_never_released(released: Path, tmp_path: Path) -> None:
    lock = (released / "dvc.lock").read_text()
    (md5,) = re.findall(r"path: artifacts/evaluate/metrics.json\n +hash: md5\n +md5: (\w+)", lock)
    stored = tmp_path / f"source/.dvc-remote/files/md5/{md5[:2]}/{md5[2:]}"
    stored.chmod(0o644)
    stored.write_text('{"rmse": 1.0}\n')

    bring(released, wanted=1)

    assert not (released / "artifacts/evaluate/metrics.json").exists()


def test_a_remote_that_can_not_be_asked_stops_the_release(released: Path) -> None:
    run(released, "dvc remote modify --local storage url s3://no-such-bucket/path")
    run(released, "dvc remote modify --local storage endpointurl http://127.0.0.1:9")

    told = bring(released, wanted=1)

    assert "dvc data status: exit code" in told
    assert not (released / "artifacts").exists()


def rewrite(path: Path, content: bytes) -> None:
    path.unlink()  # DVC leaves it read-only, perhaps a link to its cache
    path.write_bytes(content)


def worse_everywhere(bundle: Path) -> None:
    leaves = np.load(bundle / "leaves.npy")
    (bundle / "leaves.npy").unlink()
    np.save(bundle / "leaves.npy", leaves * 1.01)


def worse_for_few(bundle: Path) -> None:
    """Change a choice that few rows have, so that neither metrics nor a sample show much."""
    form = json.loads((bundle / "form.json").read_text())
    category = next(c for c in form["encoding"]["categories"] if len(c["choices"]) > 5)
    category["choices"][-1], category["choices"][-2] = category["choices"][-2:]
    rewrite(bundle / "form.json", json.dumps(form).encode())


def better_by_word(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["evaluation"]["metrics"]["rmse"]["value"] /= 2
    rewrite(bundle / "manifest.json", json.dumps(manifest).encode())


@pytest.mark.parametrize("change", [worse_everywhere, worse_for_few, better_by_word])
def test_a_bundle_that_is_not_the_reviewed_one_is_not_released_though_lock_and_storage_name_it(
    reproduced: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    source = copy(reproduced, tmp_path / "source")
    bundle, model = source / "artifacts/bundle", source / "artifacts/train/model.joblib"
    rewrite(model, model.read_bytes() + b".")
    rewrite(bundle / "model.joblib", model.read_bytes())
    change(bundle)
    manifest = json.loads((bundle / "manifest.json").read_text())
    kept = {k: v for k, v in manifest.items() if k not in ("model_version", "files", "format")}
    rewrite(bundle / "manifest.json", json.dumps(seal(bundle, kept)).encode())
    run(source, "dvc commit --quiet --force && git commit -qam forged && dvc push --quiet")
    folder = clone(source, tmp_path / "fresh/repository")
    run(folder, f"dvc remote modify --local storage url {source}/.dvc-remote")

    told = bring(folder, wanted=1)

    assert "The bundle is not the one that was reviewed" in told
    assert "Traceback" not in told
