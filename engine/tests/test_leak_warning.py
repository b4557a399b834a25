"""The first review warns of features that give the target away; a later one of new ones alone."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from mlops.columns import Column, Derived, Schema
from mlops.frames import write_rows
from mlops.paths import TRAIN_ROWS
from mlops.review.checkouts import Side
from mlops.review.gate import verdict
from mlops.review.leak_warning import check_leaks

N = 400


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def schema_of(*names: str, derived: tuple[Derived, ...] = ()) -> Schema:
    features = [Column(name, name, float, nullable=True) for name in names]
    key, target = Column("id", "", int, role="key"), Column("y", "", float, role="target")
    return Schema((key, *features, target), derived=derived)


def written(**leaks: Any) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    size, age = rng.uniform(20, 300, N), rng.normal(40, 9, N)
    rows = pd.DataFrame({"id": np.arange(N), "size": size, "age": age})
    rows["y"] = 900 * size * rng.lognormal(0, 0.3, N)
    rows = rows.assign(**{name: make(rows) for name, make in leaks.items()})
    write_rows(TRAIN_ROWS, rows)
    return rows


def reviewed(*names: str) -> Side:
    manifest = {"data": {"seen": {name: [] for name in names}}}
    return cast(Side, SimpleNamespace(manifest=manifest))


@pytest.mark.parametrize(
    ("leaks", "said"),
    [
        ({"paid": lambda t: t["y"] * 1.1 + 3}, "paid alone gives y away"),
        ({"band": lambda t: pd.qcut(t["y"], 4, labels=False) * 1.0}, "band alone gives y away"),
        ({"each": lambda t: t["y"] / t["size"]}, "size * each determines y"),
        ({"rest": lambda t: t["y"] - 50 * t["age"]}, "rest"),
        ({"square": lambda t: (t["y"] - 90_000) ** 2 * np.sign(t["y"] - 90_000)}, "square alone"),
        ({"waves": lambda t: t["y"].rank() % 40 + 40 * (t["y"].rank() // 40)}, "waves alone"),
    ],
)
def test_a_planted_leak_is_a_warning_in_the_first_review(leaks: Any, said: str) -> None:
    written(**leaks)

    checks = check_leaks(schema_of("size", "age", *leaks))

    assert verdict(checks) == "warn"
    assert any(said in check.why for check in checks)
    assert all("if it is not known before y is" in check.why for check in checks)


def test_honest_features_raise_no_warning() -> None:
    written()

    assert check_leaks(schema_of("size", "age")) == []


def test_what_was_reviewed_before_is_not_warned_of_again_but_new_columns_are() -> None:
    written(paid=lambda t: t["y"] * 2, each=lambda t: t["y"] / t["size"])
    schema = schema_of("size", "age", "paid", "each")

    assert check_leaks(schema, reviewed("size", "age", "paid", "each")) == []
    (new,) = check_leaks(schema, reviewed("size", "age", "paid"))
    assert "size * each determines y" in new.why


def test_a_derived_feature_is_looked_at_like_a_column() -> None:
    written(paid=lambda t: t["y"] - 7)
    once = Derived("due", "", float, "", ("paid",), lambda paid: paid * 3)

    checks = check_leaks(schema_of("size", "paid", derived=(once,)), reviewed("size", "paid"))

    assert any("due alone gives y away" in check.why for check in checks)


def test_missing_values_hide_no_leak() -> None:
    written(paid=lambda t: (t["y"] * 2).where(t["id"] % 3 > 0))

    assert any("paid" in check.why for check in check_leaks(schema_of("size", "age", "paid")))
