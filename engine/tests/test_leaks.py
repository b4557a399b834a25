"""Columns that give the target away, singly and in pairs: named, and honest ones are not."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from mlops.adopt.proposal import propose

N = 400
LEAKS: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "scaled": lambda t: t["y"] * 0.3 + 5,
    "monotone": lambda t: t["y"] ** 3,
    "ratio": lambda t: t["y"] / t["size"],
    "product": lambda t: t["y"] * t["size"],
    "difference": lambda t: t["y"] - t["size"],
    "sum": lambda t: t["size"] - t["y"],
    "sign": lambda t: t["y"].gt(t["y"].median()).map({True: "up", False: "down"}),
    "range": lambda t: pd.qcut(t["y"], 5, labels=list("caebd")).astype(str),
}


def honest(seed: int, classes: bool = False) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    size, rooms = rng.uniform(20, 300, N), rng.integers(1, 9, N)
    zone = rng.choice(list("abc"), N)
    y = 900 * size * rng.lognormal(0, 0.2, N) + 5000 * rooms
    rows = pd.DataFrame({"size": size, "rooms": rooms, "zone": zone, "age": rng.normal(40, 9, N)})
    noisy = y + 60_000 * rng.normal(size=N)
    return rows.assign(y=np.where(noisy > np.median(noisy), "hi", "lo") if classes else y)


def told(rows: pd.DataFrame) -> list[str]:
    notes = propose(rows, "y").notes
    return [note for note in notes if "gives y away" in note or note.startswith("question:")]


@pytest.mark.parametrize("kind", LEAKS)
@pytest.mark.parametrize("seed", range(3))
def test_planted_leaks_are_named(kind: str, seed: int) -> None:
    rows = honest(seed)
    leaking = rows.assign(leak=LEAKS[kind](rows))[[*rows.columns[:-1], "leak", "y"]]

    assert any("leak" in note for note in told(leaking)), kind


@pytest.mark.parametrize("sign", ["-", "+", "*", "/"])
def test_two_features_that_make_the_target_together_are_asked_about(sign: str) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.uniform(1, 9, N), rng.uniform(1, 9, N)
    made = {"-": a - b, "+": a + b, "*": a * b, "/": a / b}[sign]
    rows = honest(0).assign(a=a, b=b, y=1000 * made)

    assert any(f"a {sign} b determines y" in note for note in told(rows))


@pytest.mark.parametrize("seed", range(3))
def test_a_column_that_is_the_class_in_other_words_is_named(seed: int) -> None:
    rows = honest(seed, True)
    rows.insert(0, "result", rows["y"].map({"hi": 3.5, "lo": 1.5}))

    assert any(note.startswith("result") and "gives y away" in note for note in told(rows))


@pytest.mark.parametrize("seed", range(3))
def test_a_class_that_is_the_sign_of_a_difference_is_named(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = honest(seed).assign(due=rng.normal(100, 30, N), paid=rng.normal(100, 30, N))
    rows["y"] = np.where(rows["paid"] > rows["due"], "late", "early")

    assert any("due - paid" in note for note in told(rows))


@pytest.mark.parametrize("seed", range(3))
def test_one_feature_that_tells_nearly_all_is_asked_about(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = honest(seed)
    rows["leak"] = rng.uniform(-3, 3, N)
    rows["y"] = rows["leak"] ** 2 * 100 + rng.normal(0, 5, N)

    assert any("leak alone determines" in note for note in told(rows))


def test_honest_tables_raise_no_question() -> None:
    found = [told(honest(seed, classes)) for seed in range(5) for classes in (False, True)]

    assert sum(map(bool, found)) <= 1, found
