"""Check that each derived feature depends on its own row alone: a request has no other rows."""

import ast
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from mlops.columns import Schema
from mlops.errors import UserError
from mlops.frames import with_derived
from mlops.lookups import Lookup
from mlops.pipeline.code_meaning import read_modules

CHECKED_ROWS = 500
_ALONE = 50

_CLOCKS = {"now", "utcnow", "today", "localtime", "gmtime", "time_ns", "monotonic", "perf_counter"}
_READS = {
    *("open", "read_text", "read_bytes", "read_csv", "read_parquet", "read_sql", "read_json"),
    *("read_excel", "read_table", "loadtxt", "genfromtxt", "fromfile", "load_rows", "read_rows"),
    *("urlopen", "connect", "getenv"),
}

_CLOCK = (
    "reads the clock, so a training row would get the time of the training; add the time column "
    "to the feature's needs: in a request, it is the present time"
)
_FILE = "reads a file or service that a server does not have; put the values into src/project/"


def check_features(rows: pd.DataFrame, schema: Schema) -> None:
    """Derive features of some rows among different other rows, and check their functions' code.

    Args:
        rows: with the schema's inputs.

    Raises:
        UserError: a value depends on other rows, on chance, on an earlier call, on the clock or on
            a file; the message lists all such features.
    """
    if not schema.derived:
        return
    problems = list(_code_problems(schema))
    step = max(1, len(rows) // CHECKED_ROWS)
    sample = rows.iloc[::step].head(CHECKED_ROWS).reset_index(drop=True)
    together = _values(sample, schema)
    tried = [
        ("in another order", sample.iloc[::-1]),
        ("with fewer other rows", sample.iloc[: max(1, len(sample) // 3)]),
        ("when computed again", sample),
        ("next to a copy of it", pd.concat([sample, sample])),
        *(("alone", sample.iloc[[place]]) for place in range(min(len(sample), _ALONE))),
    ]
    found: dict[str, str] = {}
    for how, part in tried:
        for name, values in _values(part, schema).items():
            if not _same(values, together[name][part.index]):
                found.setdefault(name, how)
    problems += [
        f"feature {name!r}: a row has another value {how}: each value must depend only on its own "
        "row, or requests would get other values than training"
        for name, how in found.items()
    ]
    if problems:
        raise UserError(f"src/project/features.py: {len(problems)} problem(s)", problems)


def _values(rows: pd.DataFrame, schema: Schema) -> dict[str, NDArray[Any]]:
    made = with_derived(rows, schema)
    return {feature.name: made[feature.name].to_numpy() for feature in schema.derived}


def _same(found: NDArray[Any], wanted: NDArray[Any]) -> bool:
    gaps = pd.isna(wanted)
    return bool((pd.isna(found) == gaps).all() and (found[~gaps] == wanted[~gaps]).all())


def _code_problems(schema: Schema) -> Iterator[str]:
    """Yield where the functions' modules, or their own imports, read the clock or a file."""
    own = (one for one in schema.derived if not isinstance(one.make, Lookup))
    modules = {feature.make.__module__ for feature in own}
    for module in sorted(modules):
        path = Path(inspect.getsourcefile(sys.modules[module]) or "")
        if "site-packages" in path.parts:
            continue  # a library's function, such as numpy.log
        for name, tree in read_modules(module, [path.parents[module.count(".")]]).items():
            for node in ast.walk(tree):
                if said := _read_by(node):
                    yield f"{name}, line {getattr(node, 'lineno', 0)}: {said}"


def _read_by(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and node.value in ("now", "today"):
        return f"{node.value!r}: {_CLOCK}"
    if not isinstance(node, ast.Call):
        return ""
    whole = ast.unparse(node.func)
    called = whole.rpartition(".")[2]
    if called in _CLOCKS or whole == "time.time":
        return f"{whole}(): {_CLOCK}"
    return f"{whole}(): {_FILE}" if called in _READS else ""
