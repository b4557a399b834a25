"""Open text features: categories learned from the training rows; nothing is refused."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient
from sklearn.pipeline import Pipeline

import brands
from fitted import SMALL, chosen
from mlops.columns import LONGEST, Column, Derived, Schema
from mlops.errors import UserError
from mlops.frames import with_derived
from mlops.inference.derived_engine import with_features
from mlops.inference.encoding import Encoding
from mlops.inference.engine import Exported
from mlops.metric_registry import Metrics
from mlops.metrics import Predictions
from mlops.monitoring.decision import decide
from mlops.monitoring.log_reader import Window
from mlops.monitoring.logged_rows import AT, PREDICTED, REQUEST
from mlops.params import Params
from mlops.pipeline.equivalence import (
    LIMITS,
    as_columns,
    as_requests,
    columns_of,
    edge_rows,
    largest_error,
)
from mlops.pipeline.evaluate import importance
from mlops.pipeline.export import SUGGESTED, describe_reference, describe_seen
from mlops.pipeline.exporter import export_form
from mlops.pipeline.feature_frame import MOST_CATEGORIES, RARE, FeatureFrame
from mlops.pipeline.model import actual_values, build_model, fit_model, predict
from mlops.profile import LISTED_TEXTS
from mlops.serving.app import create_app
from mlops.serving.prometheus import Metrics as ServingMetrics
from mlops.serving.service import Service
from mlops.serving.settings import Settings
from mlops.slices import MOST_TEXTS, slices
from mlops.validation import problems
from project.models import KINDS
from served import make_bundle
from standard import PRICES, score

SCHEMA = brands.schema()
FEW, MANY = 12, 2_000


def fitted(
    params: Params,
    rows: pd.DataFrame,
    kind: str = "hist_gradient_boosting",
    schema: Schema = SCHEMA,
    **changes: Any,
) -> Pipeline:
    own, train = chosen(params, kind, **SMALL | changes)
    return fit_model(build_model(own, train, schema), with_derived(rows, schema), schema.target)


def r2(model: Pipeline, rows: pd.DataFrame) -> float:
    predicted = predict(model, with_derived(rows, SCHEMA), SCHEMA.target)
    actual = actual_values(rows, SCHEMA.target)
    return score(Predictions("regression", actual, predicted))["r2"]


@pytest.mark.parametrize("n_brands", [FEW, MANY])
@pytest.mark.parametrize("choices", [(), ("b", "a"), ("c", "a", "b")])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_and_task_is_exported_and_agrees(
    kind: str, choices: tuple[str, ...], n_brands: int, params: Params
) -> None:
    schema = brands.schema(*choices)
    model = fitted(params, brands.rows(1_500, n_brands, 0, *choices), kind, schema)

    form = export_form(model, schema)
    content = json.loads(json.dumps(form.content, allow_nan=False))
    engine = with_features(Exported(content, form.files), schema)
    hard = edge_rows(form.thresholds, schema, 1_000, texts=form.texts)

    assert len(form.texts["brand"]) > (MOST_CATEGORIES if n_brands == MANY else 5)
    for rows in (hard, brands.rows(500, n_brands, 3)):
        assert largest_error(engine, model, rows, schema) <= LIMITS[schema.task]


@pytest.mark.parametrize("n_brands", [FEW, MANY])
def test_training_and_every_way_of_serving_get_the_same_bits(n_brands: int, params: Params) -> None:
    model = fitted(params, brands.rows(5_000, n_brands))
    form = export_form(model, SCHEMA)
    engine = with_features(Exported(form.content, form.files), SCHEMA)
    encoding = Encoding.from_json(form.content["encoding"])
    rows = with_derived(brands.rows(100_000, n_brands + 300, 4), SCHEMA)
    rows.loc[::1000, "brand"] = "never seen"
    flat = Schema((*SCHEMA.columns, Column("maker", "Maker", str, open=True, nullable=True)))

    estimator = model.steps[-1][1].regressor_
    frame = model.steps[0][1].transform(rows)
    if estimator._preprocessor is not None:
        frame = estimator._preprocessor.transform(frame)
    wanted = np.asarray(frame, dtype=np.float64)

    np.testing.assert_array_equal(encoding.matrix(as_columns(rows, flat)), wanted)
    requests = as_requests(rows.head(20_000), flat)
    np.testing.assert_array_equal(encoding.matrix(columns_of(requests)), wanted[:20_000])
    together = engine.predict_columns(columns_of(requests[:2_100]))
    for size in (1, 7):
        parts = [requests[at : at + size] for at in range(0, 2_100, size)]
        few = np.concatenate([engine.predict_columns(columns_of(part)) for part in parts])
        np.testing.assert_array_equal(few, together)


def test_rare_and_unseen_texts_are_one_category_and_a_gap_is_another() -> None:
    texts = [*["a"] * 40, *["b"] * RARE, *["once", "also once"], None, None]
    rows = pd.DataFrame({"brand": pd.Series(texts, dtype="str")})
    frame = FeatureFrame({"brand": ()}, ("brand",))
    made = frame.fit_transform(rows, np.ones(len(rows)))["brand"]

    assert frame.known_["brand"] == ["a", "b"]
    assert made.cat.codes.tolist() == [*[0] * 40, *[1] * RARE, 2, 2, -1, -1]
    asked = pd.DataFrame({"brand": ["new", "once", "a", None]})
    assert frame.transform(asked)["brand"].cat.codes.tolist() == [2, 2, 0, -1]


def test_a_column_whose_every_text_is_rare_is_fitted(params: Params) -> None:
    rows = brands.rows(300, FEW)
    rows["brand"] = [f"only {n}" for n in range(300)]
    for kind in KINDS:
        model = fitted(params, rows, kind)
        form = export_form(model, SCHEMA)
        engine = with_features(Exported(form.content, form.files), SCHEMA)
        assert largest_error(engine, model, rows, SCHEMA) <= LIMITS["regression"]


def test_thousands_of_texts_cost_no_accuracy(params: Params) -> None:
    train, test = brands.rows(8_000, MANY), brands.rows(2_000, MANY, 1)

    model = fitted(params, train, max_iter=100)
    known = train.groupby("brand")["price"].agg(lambda y: np.log(y).mean())
    blind = fitted(params, train.assign(brand="one"), max_iter=100)

    means = test["brand"].map(known).fillna(np.log(train["price"]).mean()).to_numpy()
    slope = np.polynomial.Polynomial.fit(train["weight"].fillna(5), np.log(train["price"]), 1)
    simple = np.exp(means + slope(test["weight"].fillna(5)) - slope(5.0))
    actual = actual_values(test, SCHEMA.target)
    by_hand = score(Predictions("regression", actual, np.asarray(simple)))["r2"]
    assert r2(model, test) > max(by_hand, r2(blind, test) + 0.3)


@pytest.mark.parametrize("log_target", [True, False])
def test_whole_numbers_as_target_are_averaged_and_not_taken_for_classes(
    log_target: bool, params: Params
) -> None:
    rows = brands.rows(1_500, MANY, 0)
    target = SCHEMA.target.name
    rows[target] = rows[target].clip(10).round(-1)  # of few different values

    model = fitted(params, rows, log_target=log_target)

    assert list(model[:-1].transform(with_derived(rows, SCHEMA))) == [
        feature.name for feature in SCHEMA.features
    ]


@pytest.mark.parametrize("n_brands", [FEW, MANY])
@pytest.mark.parametrize("choices", [(), ("b", "a"), ("c", "a", "b")])
def test_each_feature_has_one_importance_however_many_columns_it_becomes(
    choices: tuple[str, ...], n_brands: int, params: Params
) -> None:
    schema = brands.schema(*choices)
    rows = with_derived(brands.rows(1_500, n_brands, 0, *choices), schema)
    model = fitted(params, rows, schema=schema)

    table = importance(model, rows, schema, Metrics(schema.task, schema.target.choices), 0)

    assert sorted(table["feature"]) == sorted(feature.name for feature in schema.features)
    assert table["importance"].iloc[0] > 0


def test_a_text_that_says_nothing_is_not_learned_by_heart(params: Params) -> None:
    """Without other rows' means for a training row, each text of two rows would tell its target."""
    train, test = brands.rows(3_000, FEW), brands.rows(1_000, FEW, 1)
    plain = r2(fitted(params, train.assign(brand="one")), test.assign(brand="one"))
    rng = np.random.default_rng(0)
    noise = [
        rows.assign(brand=rng.integers(0, 1_500, len(rows)).astype(str)) for rows in (train, test)
    ]

    assert r2(fitted(params, noise[0]), noise[1]) > plain - 0.03


@pytest.mark.parametrize(
    ("column", "told"),
    [
        (Column("a", "A", str), "a text feature must list its choices, or be open=True"),
        (Column("a", "A", str, choices=("x",), open=True), "open is for text features without"),
        (Column("a", "A", float, open=True), "open is for text features without choices"),
        (Column("a", "A", str, open=True, role="input"), "open is for text features without"),
    ],
)
def test_a_contradiction_is_named(column: Column, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Schema((*SCHEMA.columns, column))


def test_a_derived_feature_that_gives_no_texts_is_named() -> None:
    wrong = Derived("first", "First", str, "", ("weight",), lambda w: w, open=True)
    schema = replace(SCHEMA, derived=(wrong,))
    with pytest.raises(UserError, match=r"feature 'first': found float64, wanted texts"):
        with_derived(brands.rows(5, FEW), schema)


def test_partitions_take_any_text_up_to_the_limit() -> None:
    rows = brands.rows(4, FEW)
    rows["brand"] = ["new", "x" * LONGEST, "x" * (LONGEST + 1), ""]
    found = problems(rows, SCHEMA)
    assert found["row"].tolist() == [2, 3]
    assert set(found["wanted"]) == {f"a text of up to {LONGEST} characters"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    from mlops.params import load_params
    from paths import DEMO
    from project.schema import SCHEMA as DEMO_SCHEMA

    params = load_params(DEMO / "params.yaml", DEMO_SCHEMA)
    rows = brands.rows(2_000, MANY)
    folder: Path = tmp_path_factory.mktemp("brands") / "bundle"
    part = {"rows": 10, "sha256": "0" * 64}
    seen = describe_seen(with_derived(rows, SCHEMA), SCHEMA)
    make_bundle(
        folder,
        fitted(params, rows),
        schema=SCHEMA,
        data={"train": part, "test": part, "seen": seen},
    )
    settings = Settings(
        prediction_log_url="none", bundle=folder, access_log=False, reload_seconds=0
    )
    with TestClient(create_app(Service(settings, SCHEMA, ServingMetrics(SCHEMA)))) as own:
        yield own


def test_a_request_may_have_any_text_up_to_the_limit(api: TestClient) -> None:
    texts = ["m1 brand 1", "never seen", "<b>&\u0000 \U0001f600", "x" * LONGEST, None]
    answer = api.post("/predict", json={"rows": [{"weight": 1.0, "brand": t} for t in texts]})
    assert answer.status_code == 200, answer.text
    values = answer.json()["predictions"]
    assert values[1] == values[3]  # both are unseen, and no maker is known of either
    single = api.get("/predict", params={"weight": 1.0, "brand": "m1 brand 1"})
    assert single.json()["predicted_price"] == values[0]
    for wrong in ("x" * (LONGEST + 1), "", 5):
        refused = api.post("/predict", json={"rows": [{"weight": 1.0, "brand": wrong}]})
        assert refused.status_code == 422
        assert refused.json()["detail"][0]["loc"][-1] == "brand"


def test_the_document_says_a_free_text_and_the_page_suggests_some(api: TestClient) -> None:
    parameters = api.get("/openapi.json").json()["paths"]["/predict"]["get"]["parameters"]
    (brand,) = [p["schema"] for p in parameters if p["name"] == "brand"]
    assert brand["anyOf"][0] == {"type": "string", "minLength": 1, "maxLength": LONGEST}
    page = api.get("/").text
    assert f'<input type="text" maxlength="{LONGEST}" list="in-brand-seen"' in page
    assert (
        page.split('id="in-brand-seen">')[1].split("</datalist>")[0].count("<option ") == SUGGESTED
    )


def test_unseen_texts_are_no_unseen_values_of_the_metrics(api: TestClient) -> None:
    api.get("/predict", params={"weight": 1.0, "brand": "another that was never seen"})
    assert 'feature_unseen_total{feature="brand"}' not in api.get("/metrics").text


def test_slices_are_the_most_frequent_texts() -> None:
    rows = brands.rows(3_000, MANY)
    found = list(slices(rows, ["brand"], SCHEMA))
    assert len(found) == MOST_TEXTS + 1
    sizes = [int(members.sum()) for _, label, members in found if label != "missing"]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == rows["brand"].value_counts().iloc[0]


def reference(rows: pd.DataFrame) -> dict[str, Any]:
    tested = Predictions("regression", rows["price"].to_numpy(), rows["price"].to_numpy() * 1.1)
    return describe_reference(with_derived(rows, SCHEMA), tested, SCHEMA, PRICES)


def window(rows: pd.DataFrame) -> Window:
    read = with_derived(rows, SCHEMA).rename(columns={"price": PREDICTED}).assign(**{AT: 0.0})
    read[REQUEST] = [f"{n}" for n in range(len(read))]
    return Window(read, len(read), read.head(0))


@pytest.mark.parametrize("n_brands", [FEW, 3 * MANY])
def test_the_monitor_names_new_texts_without_an_alarm(n_brands: int, params: Params) -> None:
    known = reference(brands.rows(6_000, n_brands))
    assert len(known["features"]["brand"]["choices"]) <= LISTED_TEXTS
    asked = brands.rows(300, n_brands, 7)
    asked.loc[:11, "brand"] = [f"m1 new {n % 6}" for n in range(12)]
    asked.loc[12:20, "brand"] = "m1 <script> " + "x" * 100

    decision = decide(window(asked), {"model_version": "1"}, known, SCHEMA, params, PRICES)

    (note,) = [one for one in decision.notes if one.startswith("brand:")]
    assert f"'m1 <script> {'x' * 28}' (9)" in note
    assert ("that are in neither training nor test rows" in note) == (n_brands == FEW)
    assert "more" in note
    assert not [reason for reason in decision.reasons if "brand" in reason.text]


def test_a_flood_of_one_new_text_is_drift(params: Params) -> None:
    known = reference(brands.rows(3_000, FEW))
    asked = brands.rows(300, FEW, 7).assign(brand="m1 quite new")
    decision = decide(window(asked), {"model_version": "1"}, known, SCHEMA, params, PRICES)
    assert [reason for reason in decision.reasons if reason.text.startswith("brand: distribution")]
