"""Planted mistakes of the kind "one side changed": each is found before a model is served."""

import copy
import datetime
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.pipeline import Pipeline

import brands
from fitted import SCHEMAS, fit
from mlops.columns import Derived, Schema
from mlops.errors import UserError
from mlops.frames import with_derived
from mlops.inference.derived_engine import with_features
from mlops.inference.engine import LEAVES_FILE, MASKS_FILE, Engine, Exported
from mlops.inference.loaded_model import Served
from mlops.pipeline.equivalence import LIMITS, edge_rows, largest_error
from mlops.pipeline.exporter import Form, export_form
from mlops.pipeline.model import build_model, fit_model
from orders import SCHEMA as ORDERS
from served import make_bundle

BOOSTED = "hist_gradient_boosting"
SCHEMAS["brands"] = brands.schema()


@cache
def made(schema: str, kind: str) -> tuple[Pipeline, Form]:
    if schema == "brands":
        from fitted import SMALL, chosen
        from mlops.params import load_params
        from paths import DEMO
        from project.schema import SCHEMA

        own, train = chosen(load_params(DEMO / "params.yaml", SCHEMA), kind, **SMALL)
        known = SCHEMAS[schema]
        rows = with_derived(brands.rows(1_000, 12), known)
        model = fit_model(build_model(own, train, known), rows, known.target)
    else:
        model = fit(schema, kind)
    return model, export_form(model, SCHEMAS[schema])


def error(schema: str, kind: str, content: Any, files: Any, served: Schema | None = None) -> float:
    model, form = made(schema, kind)
    known = SCHEMAS[schema]
    engine: Engine = with_features(Exported(content, files), served or known)
    rows = edge_rows(form.thresholds, known, 1_500, texts=form.texts)
    return largest_error(engine, model, rows, known)


def array(files: dict[str, bytes], name: str, change: Callable[[Any], None]) -> None:
    import io

    values = np.load(io.BytesIO(files[name]))
    change(values)
    buffer = io.BytesIO()
    np.save(buffer, values)
    files[name] = buffer.getvalue()


def number(form: Any, **wanted: Any) -> dict[str, Any]:
    """Give the first numeric feature of the tables that has these."""
    (found, *_) = [n for n in form["encoding"]["numbers"] if all(n[k] for k in wanted)]
    return found


def swap_columns(form: Any, files: Any) -> None:
    first, second = form["encoding"]["numbers"][:2]
    first["at"], second["at"] = second["at"], first["at"]


def turn_indicator(form: Any, files: Any) -> None:
    found = number(form, indicator=True)
    at, known, gap = found["indicator"]
    found["indicator"] = (at, gap, known)


def reverse_choices(form: Any, files: Any) -> None:
    form["encoding"]["categories"][0]["choices"].reverse()


def gap_is_first(form: Any, files: Any) -> None:
    table = form["encoding"]["categories"][0]["table"]
    table[-1] = table[0]


def shift_table(form: Any, files: Any) -> None:
    table = form["encoding"]["categories"][0]["table"]
    table.insert(0, table.pop())


def unseen_is_gap(form: Any, files: Any) -> None:
    for category in form["encoding"]["categories"]:
        category["table"][-1] = category["table"][-2]


def next_threshold(form: Any, files: Any) -> None:
    for _, values in form["masks"]["thresholds"]:
        values[:] = np.nextafter(values, np.inf).tolist()


def gaps_are_least(form: Any, files: Any) -> None:
    sizes = [len(values) + 2 for _, values in form["masks"]["thresholds"]]
    ends = np.cumsum(sizes)

    def change(masks: Any) -> None:
        masks[ends - 1] = masks[ends - sizes]

    array(files, MASKS_FILE, change)


def one_leaf(form: Any, files: Any) -> None:
    def change(leaves: Any) -> None:
        leaves[0] *= 1.001

    array(files, LEAVES_FILE, change)


FORMS: dict[str, tuple[str, str, Callable[[Any, Any], None]]] = {
    "fill": ("regression", "ridge", lambda f, _: number(f, fill=1).update(fill=1.0)),
    "mean": ("regression", "ridge", lambda f, _: number(f, mean=1).update(mean=0.0)),
    "scale": ("regression", "ridge", lambda f, _: number(f, scale=1).update(scale=1.0)),
    "indicator": ("regression", "ridge", turn_indicator),
    "order of columns": ("regression", BOOSTED, swap_columns),
    "order of choices": ("regression", "ridge", reverse_choices),
    "gap as the first choice": ("regression", "ridge", gap_is_first),
    "table moved by a line": ("regression", "ridge", shift_table),
    "inverse": ("regression", BOOSTED, lambda f, _: f.update(inverse=None)),
    "order of classes": ("three classes", "ridge", lambda f, _: f["classes"].reverse()),
    "link": ("three classes", "ridge", lambda f, _: f.update(link="identity")),
    "thresholds": ("regression", BOOSTED, next_threshold),
    "way of a gap": ("orders", BOOSTED, gaps_are_least),
    "a leaf": ("regression", BOOSTED, one_leaf),
    "baseline": ("regression", BOOSTED, lambda f, _: f["masks"].update(baseline=[0.0])),
    "precision": ("regression", "random_forest", lambda f, _: f.update(single_precision=False)),
    "start": ("regression", "xgboost", lambda f, _: f.update(start=[f["start"][0] + 1e-4])),
    "sum in double": ("regression", "xgboost", lambda f, _: f.pop("start")),
    "unseen as a gap": ("brands", "ridge", unseen_is_gap),
}


@pytest.mark.parametrize("mistake", FORMS)
def test_a_changed_table_is_found(mistake: str) -> None:
    schema, kind, change = FORMS[mistake]
    _, form = made(schema, kind)
    content, files = json.loads(json.dumps(form.content)), dict(form.files)
    limit = LIMITS[SCHEMAS[schema].task]
    assert error(schema, kind, copy.deepcopy(content), files) <= limit

    change(content, files)

    assert error(schema, kind, content, files) > limit


def feature(name: str, make: Callable[..., Any], **changes: Any) -> Schema:
    """Give the orders' schema with one feature derived otherwise."""
    derived = tuple(
        replace(one, make=make, **changes) if one.name == name else one for one in ORDERS.derived
    )
    return replace(ORDERS, derived=derived)


def same(name: str) -> Derived:
    return next(one for one in ORDERS.derived if one.name == name)


NOW = np.datetime64(datetime.datetime(2026, 1, 1), "us")
FEATURES: dict[str, Callable[[], Schema]] = {
    "hour in UTC": lambda: feature("hour", lambda t: same("hour").make(t - np.timedelta64(1, "h"))),
    "week from Sunday": lambda: feature("weekday", lambda t: (same("weekday").make(t) + 1) % 7),
    "now for the time": lambda: feature(
        "age_days", lambda t, s: same("age_days").make(np.full_like(t, NOW), s)
    ),
    "the other way round": lambda: feature("each", lambda w, p: p / w),
    "another base": lambda: feature("log_each", np.log10),
    "negation": lambda: feature("slow", lambda e: e),
    "a text's bytes": lambda: feature("length", lambda n: [len(x.encode()) for x in n]),
    "a gap as a value": lambda: feature(
        "length", lambda n: np.strings.str_len(n), takes_missing=True
    ),
    "lookup": lambda: feature("density", lambda m: np.full(len(m), 1.5)),
    "limit of a band": lambda: feature("band", lambda w: np.where(w > 400, "heavy", "light")),
    "order of arguments": lambda: feature("power", same("power").make, needs=("pieces", "weight")),
}


@pytest.mark.parametrize("mistake", FEATURES)
def test_a_feature_that_serving_derives_otherwise_is_found(mistake: str) -> None:
    for kind in ("ridge", BOOSTED):
        _, form = made("orders", kind)
        assert error("orders", kind, form.content, form.files) <= LIMITS["regression"]
    found = [
        error("orders", kind, form.content, form.files, FEATURES[mistake]())
        for kind in ("ridge", BOOSTED)
        for form in [made("orders", kind)[1]]
    ]
    assert max(found) > LIMITS["regression"]


@pytest.mark.parametrize(
    "changed",
    [
        replace(ORDERS, derived_code="another"),
        replace(ORDERS, timezone="UTC"),
        replace(ORDERS, derived=ORDERS.derived[:-1]),
        replace(ORDERS, columns=tuple(c for c in ORDERS.columns if c.name != "clerk")),
        replace(
            ORDERS,
            columns=tuple(
                replace(c, choices=c.choices[::-1]) if c.name == "material" else c
                for c in ORDERS.columns
            ),
            derived=ORDERS.derived,
        ),
    ],
    ids=["code", "time zone", "features", "a column", "order of choices"],
)
def test_a_server_of_another_project_refuses_the_bundle(changed: Schema, tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle", made("orders", BOOSTED)[0], schema=ORDERS)
    with pytest.raises(UserError, match=r"made (for another|with other functions)"):
        Served.read(tmp_path / "bundle", changed)
