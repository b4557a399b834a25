"""Which columns both models use: the same rows, each column shuffled in turn."""

import numpy as np
import pandas as pd

from github_markdown import powers
from hostile_markdown import SPELLINGS
from mlops.review.feature_use import MOST_ROWS, Use, compare_use, shuffled, use_section, uses_json
from standard import PRICES

N = 1500


def rows() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({name: rng.normal(0, 1, N) for name in "abc"})


def uses(base: str, candidate: str) -> dict[str, Use]:
    """Compare two models of which each adds up some columns; both have an error of a half."""
    asked = shuffled(rows(), ["a", "b", "c"])
    n = len(asked) // 4
    noise = np.random.default_rng(1).normal(0, 0.5, n)
    actual = np.tile(asked[list(base)].sum(axis=1).to_numpy()[:n] + noise, 4)
    answers = [asked[list(names)].sum(axis=1).to_numpy() for names in (base, candidate)]
    found = compare_use(PRICES, actual, answers, ["a", "b", "c"], 0.95)
    return {use.column: use for use in found}


def test_a_column_that_only_one_model_uses_has_changed() -> None:
    found = uses("ab", "a")

    assert found["b"].changed
    assert found["b"].candidate == 0
    assert found["b"].high < 0
    assert not found["c"].changed


def test_the_same_model_uses_every_column_alike() -> None:
    assert not any(use.changed for use in uses("ab", "ab").values())
    assert use_section([*uses("ab", "ab").values()]) == ""


def test_each_column_is_shuffled_alone_and_the_first_rows_are_as_they_are() -> None:
    asked = shuffled(rows(), ["a", "b"])
    sample, a, b = (asked.iloc[k * N : (k + 1) * N].reset_index(drop=True) for k in range(3))

    assert sorted(a["a"]) == sorted(sample["a"])
    assert (a["a"] != sample["a"]).mean() > 0.9
    assert a[["b", "c"]].equals(sample[["b", "c"]])
    assert b[["a", "c"]].equals(sample[["a", "c"]])


def test_many_columns_and_rows_ask_for_a_bounded_number_of_predictions() -> None:
    wide = pd.DataFrame(np.zeros((5000, 1000)), columns=[f"c{n}" for n in range(1000)])

    assert len(shuffled(wide, list(wide.columns))) <= 200_000
    assert len(shuffled(wide, ["c1"])) == 2 * MOST_ROWS


def test_a_model_without_any_error_has_no_importance() -> None:
    asked = shuffled(rows(), ["a"])
    actual = np.tile(asked["a"].to_numpy()[:N], 2)

    assert compare_use(PRICES, actual, [np.tile(actual[:N], 2)] * 2, ["a"], 0.95) == []


def test_hostile_names_stay_text_and_short() -> None:
    for text in (text for spelled in SPELLINGS.values() for text in spelled):
        assert powers(use_section([Use(text, 0.1, 0.3, 0.1, 0.3)])) == set(), text

    many = [Use("x" * 1000, 0.1, 0.3, 0.1, 0.3)] * 300
    assert len(use_section(many)) < 20_000
    assert len(uses_json(many)) == 300
