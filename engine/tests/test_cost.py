"""What serving costs: both models in turn, as a ratio with an interval."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from github_markdown import powers
from hostile_markdown import SPELLINGS
from mlops.frames import write_rows
from mlops.params import Gate, Params
from mlops.review.cost import Cost, check_cost, cost_section
from mlops.review.serving_times import Ratio, ratio_of, timed_in_turn
from mlops.sampling import valid_rows
from paths import PYTHONPATH
from project.schema import SCHEMA

SLOWER, UNSURE = Ratio(1.0, 1.4, 1.4, 1.3, 1.5), Ratio(1.0, 1.4, 1.4, 0.9, 2.0)
SAME = Ratio(1.0, 1.0, 1.0, 0.98, 1.02)


def cost(row: Ratio | None = SAME, **changes: object) -> Cost:
    known = {"engine": ("arrays", "arrays"), "reason": None, "n_bytes": (100, 250)}
    return Cost(**(known | {"row": row, "thousand": SAME} | changes))  # type: ignore[arg-type]


def gate(params: Params, **changes: object) -> Gate:
    return params.gate.model_copy(update=changes)


def test_without_limits_nothing_is_checked(params: Params) -> None:
    assert params.gate.max_slower is params.gate.max_bytes is None
    assert check_cost(cost(SLOWER), params.gate) == []
    assert check_cost(None, gate(params, max_bytes=1, max_slower=0.1)) == []


@pytest.mark.parametrize(
    ("ratio", "outcome"), [(SLOWER, "block"), (UNSURE, "warn"), (SAME, "pass"), (None, "warn")]
)
def test_slower_than_allowed_blocks_if_chance_does_not_explain_it(
    params: Params, ratio: Ratio | None, outcome: str
) -> None:
    found = {c.name: c for c in check_cost(cost(ratio), gate(params, max_slower=0.2))}

    assert found["time for a row"].outcome == outcome
    assert found["time for a thousand rows"].outcome == "pass"


def test_slower_within_the_limit_passes(params: Params) -> None:
    found = check_cost(cost(SLOWER), gate(params, max_slower=0.5))

    assert found[0].outcome == "pass"
    assert found[0].why == ("time for a row is 40% longer than the base's, allowed are 50% longer")


@pytest.mark.parametrize(("limit", "outcome"), [(249, "block"), (250, "pass")])
def test_a_bundle_of_more_bytes_than_allowed_blocks(
    params: Params, limit: int, outcome: str
) -> None:
    (check,) = check_cost(cost(), gate(params, max_bytes=limit))

    assert check.outcome == outcome


def times(ratio: float, seed: int) -> Any:
    """Give the times of a pair of processes on a machine that is busy at times."""
    rng = np.random.default_rng(seed)
    machine = rng.uniform(1, 5, 41)
    candidate = ratio * machine * rng.uniform(0.98, 1.02, 41)
    candidate[:8] *= 20
    return np.column_stack([machine, candidate])


def test_the_ratio_is_that_of_turns_and_a_few_slow_ones_change_it_little() -> None:
    found = ratio_of([times(1.2, seed) for seed in range(3)])

    assert 1.1 < found.low < 1.17 < found.value < 1.25 < found.high < 1.32
    assert found.slower


def test_one_pair_of_processes_with_an_unlucky_layout_makes_no_model_slower() -> None:
    assert not ratio_of([times(one, 0) for one in (1.0, 1.1, 1.0)]).slower
    assert not ratio_of([times(one, 0) for one in (1.1, 1.0, 1.1)]).slower


def test_pairs_that_differ_more_than_layouts_do_make_the_interval_wider() -> None:
    alike, apart = (ratio_of([times(one, 0) for one in of]) for of in ([1.2] * 3, (0.9, 1.2, 1.6)))

    assert apart.high / apart.low > 1.5 * alike.high / alike.low
    assert not apart.slower


def test_two_processes_of_one_model_are_timed_in_turn(bundle: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.parquet"
    write_rows(rows, valid_rows(SCHEMA, 50, seed=1))

    memory, row, thousand = timed_in_turn([(bundle, PYTHONPATH)] * 2, rows)

    assert min(memory) > 1e7
    for ratio in (row, thousand):
        assert 0 < ratio.low <= ratio.value <= ratio.high
        assert math.isfinite(ratio.high)
    assert thousand.base > row.base


def test_a_model_that_can_not_be_timed_is_an_error_and_no_wait(
    bundle: Path, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.parquet"
    write_rows(rows, valid_rows(SCHEMA, 50, seed=1))

    with pytest.raises(ValueError, match="can't be timed"):
        timed_in_turn([(bundle, PYTHONPATH), (tmp_path / "none", PYTHONPATH)], rows)


def test_the_sentence_has_size_memory_and_times() -> None:
    text = cost_section(cost(SLOWER, memory=(10**8, 2 * 10**8), engine=("arrays", "joblib")))

    assert (
        "By scikit-learn itself, the base by the engine arrays: 0.00 MB (2.50 times "
        "the base's), memory 200 MB (2.00 times the base's), a row in 1.4 ms (1.40 times the "
        "base's, 1.30 to 1.50), a thousand rows in 1 ms (1.00 times the base's, 0.98 to 1.02)."
    ) in text
    assert cost_section(None) == ""


def test_hostile_reasons_and_engines_stay_text() -> None:
    for text in (text for spelled in SPELLINGS.values() for text in spelled):
        assert powers(cost_section(cost(reason=text, engine=(text, text)))) == set(), text
