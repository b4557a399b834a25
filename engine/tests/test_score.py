"""Batch scoring: the engine's answers, the contract of a request, and nothing lost by a kill."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fitted
from clones import run, stages_run
from mlops.adopt.dialect import Dialect
from mlops.adopt.parse_numbers import Numeral
from mlops.adopt.source_form import SourceForm
from mlops.errors import UserError
from mlops.frames import read_rows, write_rows
from mlops.inference.engine import Exported
from mlops.inference.loaded_model import Served
from mlops.pipeline.exporter import export_form
from mlops.pipeline.model import predict
from mlops.sampling import valid_rows
from mlops.score import part_files, rows
from mlops.score.__main__ import score_any, score_file
from paths import DEMO, PYTHONPATH, ROOT
from project.schema import SCHEMA
from served import make_bundle, small_model

ROWS, GROUP = 3000, 100


@pytest.fixture
def served(bundle: Path) -> Served:
    return Served.read(bundle, SCHEMA)


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Rows in small row groups, of which each makes a part."""
    monkeypatch.setattr(part_files, "PART_ROWS", GROUP)
    path = tmp_path / "in.parquet"
    made = pa.Table.from_pandas(valid_rows(SCHEMA, ROWS, seed=3, missing=0.2))
    pq.write_table(made, path, row_group_size=GROUP)
    return path


def put(path: Path, table: pa.Table) -> Path:
    pq.write_table(table, path, row_group_size=GROUP)
    return path


def test_every_row_has_its_key_and_what_the_pipeline_predicts_in_order(
    given: Path, served: Served, model: Any
) -> None:
    out = given.with_name("out.parquet")

    said = score_file(given, out, served)

    assert said == f"{ROWS} rows predicted by model {served.version}, 0 rejected"
    scored = read_rows(out)
    assert list(scored) == ["sale_id", "predicted_price", "problems"]
    wanted = read_rows(given)
    assert scored["sale_id"].tolist() == wanted["sale_id"].tolist()
    assert np.allclose(scored["predicted_price"], predict(model, wanted, SCHEMA.target), rtol=1e-9)
    assert pq.read_schema(out).metadata[b"model_version"].decode() == served.version
    assert sorted(path.name for path in given.parent.iterdir()) == ["in.parquet", "out.parquet"]


def test_columns_may_stand_in_any_order_beside_others_and_in_other_types(
    given: Path, served: Served
) -> None:
    plain = score_file(given, given.with_name("plain.parquet"), served)
    table = pq.read_table(given).drop_columns(["price", "sold_on"])
    spelled = {
        "remark": pa.array(["x"] * ROWS),
        "rooms": table["rooms"].cast(pa.int8()),
        "neighborhood": table["neighborhood"].dictionary_encode(),
        "building_type": table["building_type"].cast(pa.large_string()),
    }
    others = {name: table[name] for name in table.column_names if name not in spelled}
    put(given, pa.table(spelled | others))

    again = score_file(given, given.with_name("out.parquet"), served)

    assert again == plain
    first, second = (read_rows(given.with_name(f"{name}.parquet")) for name in ("plain", "out"))
    assert first.equals(second)


@pytest.mark.parametrize("name", ["two classes", "three classes"])
def test_a_classification_gives_a_probability_for_each_choice(
    name: str,
) -> None:
    schema = fitted.SCHEMAS[name]
    fit = fitted.fit(name, "hist_gradient_boosting")
    form = export_form(fit, schema)
    served = Served({}, Exported(form.content, form.files), schema)
    frame = valid_rows(schema, 50)
    frame.loc[7, "age"] = 1000

    scored = rows.score_rows(pa.Table.from_pandas(frame), served).to_pandas()

    assert pd.isna(scored.loc[7, "predicted_outcome"])
    assert "age: found 1000, wanted a whole number from 18 to 99" in scored.loc[7, "problems"]
    found = [list(line.values()) for line in scored["probabilities"].drop(index=7)]
    assert np.allclose(found, predict(fit, frame.drop(index=7), schema.target), atol=1e-6)
    each = scored.loc[0, "probabilities"]
    assert list(each) == list(schema.target.choices)
    assert scored.loc[0, "predicted_outcome"] == max(each, key=each.get)


def test_a_model_without_an_exported_form_scores_too(
    given: Path, model: Any, tmp_path: Path
) -> None:
    make_bundle(tmp_path / "pickled", model, engine="joblib")
    out = tmp_path / "out.parquet"

    score_file(given, out, Served.read(tmp_path / "pickled", SCHEMA))

    wanted = predict(model, read_rows(given), SCHEMA.target)
    assert np.array_equal(read_rows(out)["predicted_price"], wanted)


def with_bad_rows(given: Path) -> None:
    frame = read_rows(given)
    frame.loc[150, ["size", "quality"]] = [1e9, 3.5]
    frame.loc[2999, "neighborhood"] = "Nowhere"
    put(given, pa.Table.from_pandas(frame))


def test_rows_that_fail_the_contract_stop_the_whole_with_all_their_problems(
    given: Path, served: Served
) -> None:
    with_bad_rows(given)
    out = given.with_name("out.parquet")

    with pytest.raises(UserError) as refused:
        score_file(given, out, served)

    text = str(refused.value)
    assert "2 of 3000 rows fail the schema; nothing is written" in text
    assert "sale_id 151: quality: found 3.5, wanted a whole number from 1 to 10; size:" in text
    assert "sale_id 3000: neighborhood: found Nowhere" in text
    assert "--set-aside" in text
    assert not out.exists()


def test_rows_set_aside_have_reasons_and_no_prediction_and_nothing_is_scored_twice(
    given: Path, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_bad_rows(given)
    out = given.with_name("out.parquet")
    with pytest.raises(UserError):
        score_file(given, out, served)
    monkeypatch.setattr(part_files, "score_rows", None)  # a call would fail

    said = score_file(given, out, served, set_aside=True)

    assert said.startswith("2998 rows predicted")
    scored = read_rows(out)
    assert scored.index[scored["predicted_price"].isna()].tolist() == [150, 2999]
    assert scored.index[scored["problems"].notna()].tolist() == [150, 2999]


def test_columns_that_are_missing_or_of_another_kind_are_named_at_once(
    given: Path, served: Served
) -> None:
    table = pq.read_table(given).drop_columns(["quality", "rooms"])
    put(given, table.append_column("rooms", pa.array(["six"] * ROWS)))

    with pytest.raises(UserError) as refused:
        score_file(given, given.with_name("out.parquet"), served)

    assert "2 column(s) can't be scored" in str(refused.value)
    assert "column quality: missing" in str(refused.value)
    assert "column rooms: found string, wanted double" in str(refused.value)


def _without_keys(table: pa.Table) -> pa.Table:
    keys = [None, None, *range(ROWS - 2)]
    return table.drop_columns("sale_id").append_column("sale_id", pa.array(keys, pa.int64()))


@pytest.mark.parametrize(
    ("change", "said"),
    [(lambda t: t.slice(0, 0), "has no rows"), (_without_keys, "2 row(s) without sale_id")],
)
def test_a_table_without_rows_or_keys_is_refused(
    change: Any, said: str, given: Path, served: Served
) -> None:
    put(given, change(pq.read_table(given)))

    with pytest.raises(UserError, match=said.replace("(", r"\(").replace(")", r"\)")):
        score_file(given, given.with_name("out.parquet"), served)


def test_damaged_bytes_are_refused_and_leave_no_output(given: Path, served: Served) -> None:
    whole, out = given.read_bytes(), given.with_name("out.parquet")
    for content in (b"", whole[:-100], whole[:5000] + bytes(3000) + whole[8000:]):
        given.write_bytes(content)
        with pytest.raises(UserError, match="Parquet"):
            score_file(given, out, served)
    assert not out.exists()


def test_the_input_is_never_overwritten(given: Path, served: Served) -> None:
    with pytest.raises(UserError, match="is the input"):
        score_file(given, given.parent / "." / given.name, served)


_CHILD = f"""
import sys
from pathlib import Path
from project.schema import SCHEMA
from mlops.score import part_files
from mlops.score.__main__ import score_any, score_file
from mlops.inference.loaded_model import Served

part_files.PART_ROWS = {GROUP}
score_file(Path(sys.argv[1]), Path(sys.argv[2]), Served.read(Path(sys.argv[3]), SCHEMA))
"""


def kill_after(n_parts: int, given: Path, out: Path, bundle: Path) -> int:
    """Start a run and kill it once there are so many parts; tell how many there are then."""
    folder = out.with_name(f"{out.name}.parts")
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, given, out, bundle],
        env=os.environ | {"PYTHONPATH": PYTHONPATH},
    )
    try:
        deadline = time.monotonic() + 60
        while len(list(folder.glob("[0-9]*"))) < n_parts:
            assert child.poll() is None, "ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.001)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    return len(list(folder.glob("[0-9]*")))


@pytest.mark.slow
def test_killed_runs_leave_no_output_and_the_next_does_only_what_is_left(
    given: Path, bundle: Path, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = given.with_name("whole.parquet"), given.with_name("out.parquet")
    score_file(given, whole, served)
    done = 0
    for _ in range(3):
        done = kill_after(done + 2, given, out, bundle)
        assert not out.exists()
    assert done < ROWS / GROUP, "nothing was left to do"
    scored, score_rows = list[int](), rows.score_rows
    monkeypatch.setattr(
        part_files, "score_rows", lambda *given: (scored.append(1), score_rows(*given))[1]
    )

    score_file(given, out, served)

    assert len(scored) == ROWS / GROUP - done
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("changed", ["input", "model"])
def test_parts_of_another_input_or_model_are_never_mixed_in(
    changed: str, given: Path, bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out, fresh = tmp_path / "out.parquet", tmp_path / "fresh.parquet"
    kill_after(2, given, out, bundle)
    if changed == "input":
        write_rows(given, valid_rows(SCHEMA, ROWS, seed=4))
    else:
        bundle = tmp_path / "other"
        make_bundle(bundle, small_model(learning_rate=0.3))
    served = Served.read(bundle, SCHEMA)

    score_file(given, out, served)

    assert "score: restarted: the parts in" in capfd.readouterr().out
    score_file(given, fresh, served)
    assert out.read_bytes() == fresh.read_bytes()


def test_an_input_that_changes_meanwhile_is_refused(
    given: Path, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    score_rows = rows.score_rows

    def change_then_score(*arguments: Any) -> pa.Table:
        with given.open("ab") as file:
            file.write(b" ")
        return score_rows(*arguments)

    monkeypatch.setattr(part_files, "score_rows", change_then_score)

    with pytest.raises(UserError, match="was changed while it was being scored"):
        score_file(given, given.with_name("out.parquet"), served)

    assert [path.name for path in given.parent.iterdir()] == ["in.parquet"]


def test_two_runs_at_once_do_not_write_into_each_other(given: Path, served: Served) -> None:
    out = given.with_name("out.parquet")

    with (
        part_files.alone(out.with_name("out.parquet.parts")),
        pytest.raises(UserError, match="another run"),
    ):
        score_file(given, out, served)


def test_the_command_tells_what_came_of_it(given: Path, bundle: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mlops.score", given, "out.parquet", "--bundle", bundle],
        cwd=given.parent,
        env=os.environ | {"PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("score: 3000 rows predicted by model ")
    assert done.stderr == ""


def test_the_stage_in_the_docs_runs_and_is_skipped_when_nothing_has_changed(
    given: Path, bundle: Path, tmp_path: Path
) -> None:
    text = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    (tmp_path / "batch").mkdir()
    (tmp_path / "batch" / "dvc.yaml").write_text(text.split("```yaml\n")[1].split("```")[0])
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "engine/mlops", tmp_path / "engine/mlops", ignore=skip)
    shutil.copyfile(ROOT / "engine/VERSION", tmp_path / "engine/VERSION")
    shutil.copytree(DEMO / "src", tmp_path / "src", ignore=skip)
    shutil.copytree(bundle, tmp_path / "artifacts" / "bundle")
    shutil.copy(ROOT / ".dvcignore", tmp_path)
    shutil.copy(ROOT / "requirements.txt", tmp_path)
    (tmp_path / "data").mkdir()
    given.rename(tmp_path / "data" / "to-score.parquet")
    run(tmp_path, "dvc init --no-scm --quiet")

    first = run(tmp_path, "dvc repro batch/dvc.yaml")

    assert "3000 rows predicted" in first
    assert read_rows(tmp_path / "artifacts/score/scored.parquet").shape == (ROWS, 3)
    assert stages_run(run(tmp_path, "dvc repro batch/dvc.yaml")) == []


def test_csv_is_scored_as_parquet_is(given: Path, served: Served) -> None:
    table = pq.read_table(given)
    text, plain = given.with_suffix(".csv"), given.with_name("plain.parquet")
    table.to_pandas().to_csv(text, index=False)
    score_any(given, plain, served)

    said = score_any(text, given.with_name("out.csv"), served)
    score_any(text, given.with_name("out.parquet"), served)

    wanted = read_rows(plain)
    assert said.startswith(f"{ROWS} rows predicted")
    found = pd.read_csv(given.with_name("out.csv"))
    assert found["sale_id"].tolist() == wanted["sale_id"].tolist()
    assert np.allclose(found["predicted_price"], wanted["predicted_price"], rtol=1e-12)
    assert read_rows(given.with_name("out.parquet")).equals(wanted)


def test_a_csv_without_the_columns_is_refused_by_name(given: Path, served: Served) -> None:
    text = given.with_suffix(".csv")
    text.write_text("sale_id,size\n1,2\n")

    with pytest.raises(UserError, match="rooms"):
        score_any(text, given.with_name("out.csv"), served)


def test_csv_is_scored_as_the_adopted_file_had_it(
    given: Path, served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pq.read_table(given).to_pandas()
    names = {f"The {name}": name for name in frame}
    form = SourceForm(
        Dialect(delimiter=";"),
        conversions={"The size": Numeral(","), "The sale_id": Numeral()}
        | {f"The {c.name}": Numeral() for c in SCHEMA.features if c.type in (int, float)}
        | {"The size": Numeral(",")},
        names=names,
    )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src/project").mkdir(parents=True)
    (tmp_path / "src/project/source_form.json").write_text(form.text())
    shown = frame.assign(size=frame["size"].map(lambda v: str(v).replace(".", ",")))
    shown.rename(columns={v: k for k, v in names.items()}).to_csv(
        "theirs.csv", sep=";", index=False
    )
    score_any(given, tmp_path / "plain.parquet", served)

    score_any(tmp_path / "theirs.csv", tmp_path / "out.parquet", served)

    found, wanted = (read_rows(tmp_path / f"{name}.parquet") for name in ("out", "plain"))
    assert np.allclose(found["predicted_price"], wanted["predicted_price"], rtol=1e-9)
