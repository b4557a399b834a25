"""Run a search on this machine's cores, or on the workers of a Dask cluster."""

import hashlib
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed

from mlops.errors import UserError
from mlops.params import Search
from mlops.project import project_folder

ADDRESS = "DASK_SCHEDULER_ADDRESS"

_SECONDS = 30  # to reach the scheduler, and to wait for a first worker
_LIBRARIES = ("joblib", "numpy", "pandas", "scikit-learn", "distributed")
_INSTALL = "Start each worker from this commit, after make .venv/dask: see docs/scale.md"


def run_all(
    search: Search, function: Callable[..., Any], data: Any, arguments: Sequence[tuple[Any, ...]]
) -> Iterator[Any]:
    """Yield `function(data, *each)` for each of `arguments`, in their order.

    Dask is used by its own client: joblib's Dask backend waits forever on a fit that kills its
    workers, and keeps the data only on workers, so they are lost with them (joblib 1.5).

    Raises:
        UserError: there is no cluster, its workers have other versions or threads than wanted, or
            a fit killed several of them.
    """
    if search.backend == "loky":
        here = Parallel(n_jobs=search.jobs, backend="loky", return_as="generator")
        yield from here(delayed(function)(data, *each) for each in arguments)
        return
    try:
        from distributed import KilledWorker
    except ImportError as error:
        raise UserError("distributed is not installed", advice="make .venv/dask") from error
    with _connect() as client:
        _check(client)
        # As a task's result: the scheduler can recompute it if its worker is lost.
        there = client.submit(_itself, data, pure=False)
        found = [client.submit(function, there, *each, pure=False) for each in arguments]
        try:
            yield from (future.result() for future in found)
        except KilledWorker as error:
            raise UserError(
                f"several workers died, each during a fit: {error}",
                advice="Give the workers more memory, or train on fewer rows.",
            ) from error


def versions() -> dict[str, str]:
    """Return all that a fit's result depends on: versions of Python and libraries, code hashes."""
    found = {name: version(name) for name in _LIBRARIES}
    code = {"mlops": _hash(Path(__file__).parents[1]), "project": _hash(project_folder())}
    return {"python": platform.python_version(), **found, **code}


def _hash(package: Path) -> str:
    code = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        code.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return code.hexdigest()[:12]


def _itself(data: Any) -> Any:
    return data


def _connect() -> Any:
    from distributed import Client

    address = os.environ.get(ADDRESS, "")
    if not address:
        raise UserError(f"{ADDRESS} is not set", advice="For example: tcp://scheduler:8786")
    try:
        return Client(address, timeout=_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise UserError(f"{ADDRESS}: no scheduler at {address}: {error}") from error


def _check(client: Any) -> None:
    try:
        client.wait_for_workers(1, timeout=_SECONDS)
    except TimeoutError as error:
        raise UserError(f"{ADDRESS}: the scheduler has no workers", advice=_INSTALL) from error
    wanted, problems = versions(), []
    for worker, found in client.run(versions, on_error="return").items():
        if isinstance(found, Exception):
            problems.append(f"{worker}: {type(found).__name__}: {found}")
            continue
        problems += [
            f"{worker}: {name}: found {found.get(name)}, wanted {wanted[name]}"
            for name in wanted
            if found.get(name) != wanted[name]
        ]
    # Fits that share a process change each other's number of threads, and so the last bits.
    problems += [
        f"{worker}: found {threads} threads, wanted --nthreads 1"
        for worker, threads in client.nthreads().items()
        if threads != 1
    ]
    if problems:
        raise UserError("the cluster's workers differ from this machine", problems, _INSTALL)
