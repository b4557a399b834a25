"""A careful single script of pandas and scikit-learn, as the baseline for the pipeline.

It reads, checks, splits, fits, scores, plots and saves as the stages do, scores the slices, and
checks that the saved model predicts every row as the fitted one does. It writes no Parquet, no
intervals, no exported model and no manifest.
"""

import json
import resource
import time
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.inspection import permutation_importance
from sklearn.metrics import (
    mean_absolute_error,
    mean_absolute_percentage_error,
    median_absolute_error,
    r2_score,
    root_mean_squared_error,
)

import bench_paths  # noqa: F401
from mlops.project import load_project_params
from project.schema import SCHEMA


def main() -> float:
    params = load_project_params()
    own = params.models["hist_gradient_boosting"]
    features = [column.name for column in SCHEMA.features]
    key, target, when = "sale_id", "price", "sold_on"

    paths = sorted(Path(params.ingest.source).glob("*.csv"))
    rows = pd.concat([pd.read_csv(path, parse_dates=[when]) for path in paths])
    rows = rows[rows[when] < pd.Timestamp(params.ingest.until) + pd.Timedelta(days=1)]
    rows = rows.drop_duplicates().sort_values([when, key], ignore_index=True)

    assert not rows[key].duplicated().any()
    for column in SCHEMA.columns:
        values = rows[column.name]
        assert column.nullable or values.notna().all()
        if column.low is not None and column.high is not None:
            assert (values.between(column.low, column.high) | values.isna()).all()
        if column.choices:
            assert (values.isin(column.choices) | values.isna()).all()
    assert ((rows["bedrooms"] <= rows["rooms"]) | rows["bedrooms"].isna()).all()

    for column in SCHEMA.features:
        if column.choices:
            rows[column.name] = pd.Categorical(rows[column.name], categories=list(column.choices))
    test = (rows[when] >= pd.Timestamp(params.split.test_from)).to_numpy()
    X, y = rows[features], rows[target].to_numpy(dtype=float)

    train = params.train
    model = TransformedTargetRegressor(
        HistGradientBoostingRegressor(
            **own,
            categorical_features="from_dtype",
            early_stopping=False,
            random_state=train.seed,
        ),
        func=np.log,
        inverse_func=np.exp,
    ).fit(X[~test], y[~test])
    joblib.dump(model, "model.joblib")
    start = time.perf_counter()
    assert np.array_equal(joblib.load("model.joblib").predict(X), model.predict(X))
    check = time.perf_counter() - start

    predicted = model.predict(X[test])
    metrics = {
        "rmse": root_mean_squared_error(y[test], predicted),
        "mae": mean_absolute_error(y[test], predicted),
        "mape": mean_absolute_percentage_error(y[test], predicted),
        "median_ae": median_absolute_error(y[test], predicted),
        "r2": r2_score(y[test], predicted),
    }
    errors = pd.Series((predicted - y[test]) / y[test], index=rows.index[test]).abs()
    slices = pd.concat(
        errors.groupby(by, observed=True).agg(["mean", "size"])
        for by in (rows["building_type"], rows["neighborhood"], pd.qcut(rows["size"], 4))
    )
    sample = np.random.default_rng(0).permutation(np.flatnonzero(test))[:2000]
    importance = permutation_importance(
        model, X.iloc[sample], y[sample], scoring="neg_root_mean_squared_error", random_state=0
    )
    weights = pd.Series(importance.importances_mean, index=features).sort_values()
    Path("metrics.json").write_text(
        json.dumps(metrics | {"importance": weights.to_dict(), "slices": slices["mean"].to_list()})
    )
    draw(y[test], predicted, slices["mean"], weights)
    return check


def draw(actual: Any, predicted: Any, slices: pd.Series, weights: pd.Series) -> None:
    """Draw the same plots as the evaluation."""
    groups = np.array_split(np.argsort(predicted), 10)
    figures = {name: Figure(figsize=(7, 4.5), layout="constrained") for name in "abcde"}
    scatter, residuals, calibration, by_slice, importance = (
        figure.subplots() for figure in figures.values()
    )
    some = np.linspace(0, len(actual) - 1, 1000).astype(int)
    scatter.scatter(actual[some], predicted[some], s=9)
    residuals.hist(predicted - actual, bins=40)
    calibration.plot(
        [predicted[group].mean() for group in groups], [actual[group].mean() for group in groups]
    )
    by_slice.barh([str(label) for label in slices.index], slices)
    importance.barh(weights.index, weights)
    for name, figure in figures.items():
        figure.savefig(f"{name}.png", dpi=120)


if __name__ == "__main__":
    start, used = time.perf_counter(), time.process_time()
    check = main()
    took, used = time.perf_counter() - start, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = {"seconds": took, "processor": used, "check": check, "peak_mb": peak}
    print(json.dumps(found))
