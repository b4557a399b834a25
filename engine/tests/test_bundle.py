"""The serving bundle: it vouches for every byte, and what doesn't fit is never unpickled."""

import json
import pickle
from pathlib import Path
from typing import Any

import joblib
import pytest

from mlops import bundle
from mlops.bundle import MANIFEST, MODEL_FILE, libraries, load_model, read_manifest, seal
from mlops.errors import UserError
from mlops.files import write_json


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "bundle"
    made.mkdir()
    joblib.dump({"weights": list(range(200))}, made / MODEL_FILE)
    write_json(made / MANIFEST, seal(made, {"libraries": libraries(), "target": "price"}))
    return made


def edit_manifest(folder: Path, **changes: Any) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    rest = {k: v for k, v in (manifest | changes).items() if k != "model_version"}
    version = bundle._version_of(rest)
    write_json(folder / MANIFEST, {"model_version": version, **rest})


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as error:
        load_model(folder)
    return str(error.value)


def test_a_whole_bundle_loads(folder: Path) -> None:
    assert load_model(folder) == {"weights": list(range(200))}
    assert len(read_manifest(folder)["model_version"]) == 12


def test_the_version_follows_from_the_content_alone(folder: Path) -> None:
    first = read_manifest(folder)["model_version"]

    again = seal(folder, {"libraries": libraries(), "target": "price"})
    other = seal(folder, {"libraries": libraries(), "target": "rent"})

    assert again["model_version"] == first
    assert other["model_version"] != first


def test_one_flipped_byte_anywhere_is_found(folder: Path) -> None:
    path = folder / MODEL_FILE
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert "model.joblib: its hash differs from the recorded one" in refusal(folder)


def test_a_cut_file_is_found_by_its_length(folder: Path) -> None:
    path = folder / MODEL_FILE
    whole = path.read_bytes()
    for length in range(0, len(whole), 40):
        path.write_bytes(whole[:length])
        assert f"found {length} bytes, wanted {len(whole)}" in refusal(folder)


def test_an_edited_manifest_is_found(folder: Path) -> None:
    text = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(text.replace('"price"', '"rent"'))

    assert "was altered" in refusal(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 99}', "\x00"])
def test_what_is_no_manifest_is_refused(folder: Path, content: str) -> None:
    (folder / MANIFEST).write_text(content)

    assert MANIFEST in refusal(folder)


def test_a_missing_bundle_says_how_to_make_one(tmp_path: Path) -> None:
    assert "no bundle found\nRebuild it: dvc repro export" in refusal(tmp_path / "none")


def test_files_and_libraries_that_do_not_fit_are_named_at_once(folder: Path) -> None:
    edit_manifest(folder, libraries=libraries() | {"scikit-learn": "0.1", "numpy": "0.2"})
    (folder / MODEL_FILE).unlink()

    found = refusal(folder)

    assert "3 problem(s) in the bundle" in found
    assert "model.joblib: missing" in found
    assert f"scikit-learn: found {libraries()['scikit-learn']}, wanted 0.1" in found


class Bomb:
    """Unpickling it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def test_a_swapped_pickle_runs_no_code(folder: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    (folder / MODEL_FILE).write_bytes(pickle.dumps(Bomb(mark)))

    assert "model.joblib: found" in refusal(folder)
    assert not mark.exists()
