"""Hyper-parameter search: deterministic, later rows score earlier ones, progress is shown."""

import numpy as np
import pandas as pd
import pytest

import classification
from fitted import chosen
from mlops.errors import UserError
from mlops.kinds import Kind
from mlops.metric_registry import Metrics
from mlops.params import Params, Train
from mlops.pipeline import search as searching_module
from mlops.pipeline.search import cut_folds, search
from mlops.sampling import valid_rows
from project.schema import SCHEMA
from standard import PRICES

OUTCOMES = Metrics("classification", classification.SCHEMA.target.choices)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    made = valid_rows(SCHEMA, 300, seed=7)
    return made.sort_values(["sold_on", "sale_id"], ignore_index=True)


def searching(params: Params, **changes: object) -> tuple[Kind, Train]:
    kind, train = chosen(params, "hist_gradient_boosting", max_iter=3)
    found = train.search.model_copy(
        update={
            "candidates": 3,
            "folds": 2,
            "space": {"max_leaf_nodes": [2, 4, 8], "max_iter": [3, 30]},
            **changes,
        }
    )
    return kind, train.model_copy(update={"search": found})


def test_the_best_candidate_is_taken_and_all_are_recorded(
    params: Params, rows: pd.DataFrame
) -> None:
    best_kind, tried = search(rows, *searching(params), SCHEMA, PRICES)

    assert len(tried) == 4
    assert set(tried[0]) == {"rmse"}  # the parameters as given, to beat
    best = min(tried, key=lambda candidate: candidate["rmse"])
    assert {key: getattr(best_kind, key) for key in best if key != "rmse"} == {
        key: value for key, value in best.items() if key != "rmse"
    }
    assert best_kind.max_iter == 30


def test_the_number_of_jobs_changes_nothing(params: Params, rows: pd.DataFrame) -> None:
    reference = search(rows, *searching(params, jobs=1), SCHEMA, PRICES)

    best_kind, tried = search(rows, *searching(params, jobs=2), SCHEMA, PRICES)

    assert best_kind == reference[0]
    assert tried == reference[1]


def test_candidates_are_scored_on_rows_later_than_those_they_are_fitted_on(
    params: Params, rows: pd.DataFrame
) -> None:
    for train, test in cut_folds(rows, searching(params, folds=3)[1], SCHEMA):
        assert rows.loc[train, "sold_on"].max() <= rows.loc[test, "sold_on"].min()


def test_without_datescut_folds_are_drawn_by_the_seed(params: Params) -> None:
    kind, train = searching(params, jobs=1, candidates=2, space={"max_iter": [3, 9]})
    rows = valid_rows(classification.SCHEMA, 200)

    first, again = (cut_folds(rows, train, classification.SCHEMA) for _ in range(2))

    assert all(np.array_equal(a[1], b[1]) for a, b in zip(first, again, strict=True))
    best_kind, tried = search(rows, kind, train, classification.SCHEMA, OUTCOMES)
    assert best_kind.max_iter == 9
    assert set(tried[1]) == {"max_iter", "log_loss"}


@pytest.mark.parametrize("n_rows", [1, 2])
def test_fewer_rows_thancut_folds_are_refused_in_words(params: Params, n_rows: int) -> None:
    few = valid_rows(SCHEMA, n_rows)

    with pytest.raises(UserError, match=rf"folds 2: found {n_rows} training rows, wanted more"):
        search(few, *searching(params), SCHEMA, PRICES)


def test_a_fold_that_trains_on_one_class_is_refused_in_words(params: Params) -> None:
    rows = valid_rows(classification.SCHEMA, 9).assign(outcome="grew")

    with pytest.raises(UserError, match="training rows of fold 1 are all 'grew'"):
        search(rows, *searching(params, jobs=1), classification.SCHEMA, OUTCOMES)


@pytest.mark.parametrize("undefined", [[0], [0, 1, 2, 3]])
def test_candidates_whose_leading_metric_is_undefined_are_named_and_never_win(
    params: Params,
    rows: pd.DataFrame,
    undefined: list[int],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    scores = [np.nan if n in undefined else float(9 - n) for n in range(4) for _ in range(2)]
    monkeypatch.setattr(searching_module, "run_all", lambda *given: iter(scores))

    if len(undefined) == 4:
        with pytest.raises(UserError, match="4 of 4 candidates predict no finite number: rmse is"):
            search(rows, *searching(params), SCHEMA, PRICES)
        return
    best, tried = search(rows, *searching(params), SCHEMA, PRICES)

    assert best.max_leaf_nodes == tried[3]["max_leaf_nodes"]
    assert "1 of 4 candidates predict no finite number: rmse is undefined" in capfd.readouterr().err


def test_progress_is_plain_lines_where_there_is_no_terminal(
    params: Params, rows: pd.DataFrame, capfd: pytest.CaptureFixture[str]
) -> None:
    search(rows, *searching(params, jobs=1), SCHEMA, PRICES)

    assert capfd.readouterr().err.splitlines()[-1] == "search: 8 of 8 fits"
