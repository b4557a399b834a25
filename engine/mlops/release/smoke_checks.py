"""Send requests to a served model, and compare its answers with the reviewed evaluation."""

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from mlops.bundle import load_model, read_manifest
from mlops.columns import Schema
from mlops.frames import read_rows, with_derived
from mlops.metrics import Floats, Task
from mlops.paths import BUNDLE, TEST_ROWS
from mlops.pipeline.equivalence import as_requests
from mlops.pipeline.model import predict
from mlops.release.proof import ROUNDED, first_difference, recorded

BATCH_ROWS = 500
_SECONDS = 10


def get(address: str, content: Any = None) -> tuple[int, dict[str, Any]]:
    """Send one request, POST if there is content, else GET; return status and parsed body.

    Anything but a JSON object, such as a proxy's page about an error, is returned as an empty one.

    Raises:
        OSError: no answer, or one that is no HTTP.
    """
    body = None if content is None else json.dumps(content, default=str).encode()
    try:
        return _answer(urllib.request.Request(address, body))
    except http.client.HTTPException as error:
        raise OSError(f"{address}: no HTTP: {error!r}") from error


def _answer(request: urllib.request.Request) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
            return answer.status, _parsed(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _parsed(error.read())


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def wrong_identity(address: str, commit: str) -> Iterator[str]:
    """Yield a problem if `/model` names another commit, or another model than the bundle's."""
    _, model = get(f"{address}/model")
    manifest = read_manifest(BUNDLE)
    for name, wanted in (("git_commit", commit), ("model_version", manifest["model_version"])):
        if (found := model.get(name)) != wanted:
            yield f"/model: {name}: found {found}, wanted {wanted}"


def wrong_answers(address: str, schema: Schema) -> Iterator[str]:
    """Yield a problem if a batch of test rows is not predicted as the evaluation recorded, a row
    with only the required features not as the pipeline predicts it, or bad input isn't rejected.
    """
    task = schema.task
    several, single = (
        ("probabilities", "probabilities")
        if task == "classification"
        else ("predictions", f"predicted_{schema.target.name}")
    )
    rows = as_requests(read_rows(TEST_ROWS).head(BATCH_ROWS), schema)
    status, answer = get(f"{address}/predict", {"rows": rows})
    wanted = recorded()[:BATCH_ROWS]
    yield from _disagreement("a batch", status, answer.get(several), wanted, task, ROUNDED)

    required = {c.name: rows[0][c.name] for c in schema.inputs if not c.nullable}
    row = pd.DataFrame([required], columns=[column.name for column in schema.inputs])
    row = row.astype({column.name: column.dtype for column in schema.inputs})
    alone = predict(load_model(BUNDLE), with_derived(row, schema), schema.target)
    query = {name: str(v).lower() if isinstance(v, bool) else v for name, v in required.items()}
    status, answer = get(f"{address}/predict?{urllib.parse.urlencode(query)}")
    yield from _disagreement("a row", status, [answer.get(single)], alone.reshape(1, -1), task)

    status, _ = get(f"{address}/predict?no_such_feature=1")
    if status != 422:
        yield f"bad input: found {status}, wanted 422"


def _disagreement(
    name: str, status: int, values: Any, wanted: Floats, task: Task, rounding: float = 0.0
) -> Iterator[str]:
    """Compare answers with values of shape (n_rows, 1), or probabilities (n_rows, n_choices)."""
    if status != 200 or not values or None in values or len(values) != len(wanted):
        yield f"{name}: found status {status} and {values}, wanted 200 and {len(wanted)} values"
        return
    found = np.array([list(v.values()) if isinstance(v, dict) else [v] for v in values])
    if (place := first_difference(found, wanted, task, rounding)) is not None:
        told = f"found {found[place].tolist()}, the evaluation has {wanted[place].tolist()}"
        yield f"{name}: row {place}: {told}"
