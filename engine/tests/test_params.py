"""params.yaml: what is shipped is valid, and every fault is named with its place."""

from dataclasses import replace
from pathlib import Path

import pytest

from mlops.columns import Schema
from mlops.errors import UserError
from mlops.params import Params, load_params
from paths import DEMO
from project.models import KINDS
from project.schema import SCHEMA

SHIPPED = DEMO / "params.yaml"


def edited(folder: Path, *changes: tuple[str, str]) -> Path:
    """Write the shipped file with pieces of text replaced."""
    text = SHIPPED.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, f"params.yaml no longer holds {old!r}"
        text = text.replace(old, new, 1)
    path = folder / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def load(path: Path) -> Params:
    return load_params(path, SCHEMA, KINDS)


def problems(path: Path) -> str:
    with pytest.raises(UserError) as error:
        load(path)
    return str(error.value)


def test_the_shipped_file_stops_at_the_end_of_2009() -> None:
    params = load(SHIPPED)

    assert params.ingest.until.isoformat() == "2009-12-31"
    assert params.split.test_from is not None
    assert params.split.test_from.isoformat() == "2009-01-01"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("alpha: 3.0", "alhpa: 3.0", "models.ridge.alhpa: unknown key; did you mean alpha?"),
        ("alpha: 3.0", "alhpa: 3.0", "models.ridge.alpha: missing"),
        ("seed: 0", "zzz: 0", "train.zzz: unknown key; wanted one of kind, seed"),
        ("alpha: 3.0", "alpha: 1e-3", "found '1e-3', wanted a valid number (YAML reads 1e-3"),
        ("alpha: 3.0", "alpha: -1", "models.ridge.alpha: found -1, wanted greater than 0"),
        ("alpha: 3.0", "alpha: .inf", "models.ridge.alpha: found inf, wanted a finite number"),
        ("alpha: 3.0", "alpha: .nan", "models.ridge.alpha: found nan"),
        ("alpha: 3.0", "alpha: yes", "models.ridge.alpha: found True, wanted a valid number"),
        (
            "max_iter: 300",
            "max_iter: 300.5",
            "models.hist_gradient_boosting.max_iter: found 300.5, wanted a valid int",
        ),
        (
            "max_iter: 300",
            "max_iter: '300'",
            "models.hist_gradient_boosting.max_iter: found '300', wanted a valid integ",
        ),
        ("quarantine: false", "quarantine: 0", "validate.quarantine: found 0, wanted a valid bool"),
        ('"2009-12-31"', "2009-12-31", "ingest.until: found a bare date, wanted it in quotes"),
        ('"2009-12-31"', '"2009-13-31"', "ingest.until: found '2009-13-31', wanted a valid date"),
        ('"2009-12-31"', "2009-02-30", "ingest.until: found '2009-02-30', wanted a valid date"),
        ("test_share: null", "test_share: 0.2", "split.test_from, test_share: set one of them"),
        ('test_from: "2009-01-01"', "test_from: null", "split.test_from, test_share: set one of"),
        ("seed: 0", "seed: 0\n  seed: 1", "seed: is on line"),
        (
            "      max_leaf_nodes: [6,",
            "      depth: [6,",
            "train.search.space.depth: wanted one of",
        ),
        ("[0.02, 0.03,", "[0.02, 3,", "train.search.space.learning_rate: found 3, wanted less"),
        ("[building_type,", "[color,", "evaluate.slices: 'color': wanted features: size, "),
        ("r2: 0.85", "r3: 0.85", "gate.floors: 'r3': wanted metrics: rmse, mae, "),
        ("    rmse: 0.05", "    roc_auc: 0.05", "gate.max_regression: 'roc_auc': wanted metrics"),
        ("task: regression", "task: classification", "task: classification needs choices of the"),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path: Path, old: str, new: str, problem: str) -> None:
    assert problem in problems(edited(tmp_path, (old, new)))


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    path = edited(
        tmp_path,
        ("alpha: 3.0", "alhpa: 3.0"),
        ("min_rows: 500", "min_rows: many"),
        ("folds: 3", "folds: 1\n    folds: 2"),
        ("confidence: 0.95", "confidence: 95"),
    )

    found = problems(path)

    assert found.startswith(f"{path}: 5 problem(s)")
    for place in (
        "models.ridge.alhpa",
        "models.ridge.alpha",
        "validate.min_rows",
        "folds: is on line",
        "evaluate.c",
    ):
        assert place in found


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "ingest: missing"),
        (b"a: [", "not valid YAML"),
        (b"\xff\xfe", "can't be read"),
        (b"- 1", "wanted a valid dictionary or"),
    ],
)
def test_a_file_that_is_no_params_file_is_refused(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)

    assert problem in problems(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "params.yaml: can't be read" in problems(tmp_path / "params.yaml")


def test_params_can_not_be_changed_by_code() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(SHIPPED).train.seed = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "anchor or alias"),
        ("task: &t regression\n", "anchor or alias"),
        ("<<: {task: regression}\n", "merge key"),
        ("a: !!str 1\n", "a tag"),
        ("a: !!python/object/apply:os.system [true]\n", "a tag"),
        ("a: " + "[" * 20_000, "more than 40 levels"),
        ("a: [" + "1," * 200_000 + "]", "more than 100,000 values"),
        ("a: " + "9" * 5_000, "5,000 characters without quotes"),
        ("a: 1" + ":59" * 2_000, "characters without quotes"),
        ("#" * 1_000_001, "at most 1,000,000"),
        ("? [a]\n: 1\n", "not valid YAML"),
    ],
)
def test_what_makes_a_small_file_expensive_is_refused(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(UserError, match=told):
        load(path)


@pytest.mark.parametrize("target", ["/proc/self/environ", "/dev/zero", "there/is/none"])
def test_a_link_is_not_followed(target: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.symlink_to(target)

    with pytest.raises(UserError, match="is a link"):
        load(path)


@pytest.mark.parametrize("low", [None, -1.0, 0.0])
def test_the_logarithm_of_a_target_wants_a_low_above_nought(low: float | None) -> None:
    columns = tuple(replace(c, low=low) if c is SCHEMA.target else c for c in SCHEMA.columns)

    with pytest.raises(UserError) as error:
        load_params(SHIPPED, Schema(columns), KINDS)

    assert "train.log_target: true fits logarithms, but the schema allows price to be 0" in str(
        error.value
    )
    assert "set low above 0 in Column('price', …) of src/project/schema.py, or set false" in str(
        error.value
    )


def test_without_a_logarithm_the_target_may_be_nought(tmp_path: Path) -> None:
    columns = tuple(replace(c, low=0.0) if c is SCHEMA.target else c for c in SCHEMA.columns)
    path = edited(tmp_path, ("log_target: true", "log_target: false"))

    assert not load_params(path, Schema(columns), KINDS).train.log_target
