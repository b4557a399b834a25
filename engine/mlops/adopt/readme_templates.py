"""The first version of README.md and data/README.md, for the user to extend."""

import datetime

from mlops.adopt.proposal import Proposal

_README = """\
# Predicting {target}

A model of `{target}` from {features} features and {rows} rows, reviewed in pull requests and served
as an API. Describe here its purpose, who is responsible for it, and when not to use it.

```console
$ make run
$ make serve
```

The first runs the pipeline and prints its review against the last commit; the second serves the
API on http://127.0.0.1:8000, with a page to try it at `/`. `make help` lists every command.

| to change | edit | then |
|---|---|---|
| a hyper-parameter | `models:` in `params.yaml` | `make review` |
| the algorithm | `train.kind` in `params.yaml`; new: `src/project/models.py` | `make review` |
| the data | add a file to `data/source/`{until} | `make review` |
| a column, a bound, a rule between columns | its line in `src/project/schema.py` | `make review` |
| a metric's floor, what else blocks a merge | `gate:` in `params.yaml` | `make review` |
| what stops bad data | `validate:` in `params.yaml` | `make review` |
| what raises an alarm | `monitor:` in `params.yaml`, `deploy/prometheus/` | `make monitor` |
| the page | `engine/mlops/serving/page.html` | `make serve` |
| the image | `Dockerfile` | `make smoke` |
| what a prediction must never do, a test | `tests/` | `make test` |
| the engine, to a later version | nothing: `engine/README.md` | `make upgrade` |
| the storage of data and models | `DVC_REMOTE_URL`: `docs/secure.md` | `make remote` |

`docs/` explains how it works, [docs/glossary.md](docs/glossary.md) defines the terms, and
[data/README.md](data/README.md) describes the data. `make github` sets up the repository on GitHub.
"""

_ABOUT = """\
# The data

`source/{name}` was added on {day} from {origin}: {rows} rows.
The meaning, unit and bounds of each column are defined in `src/project/schema.py`, and only there.

**Source.** Describe here where the data comes from, who may use it, and how to cite it.

**Adding data.** Add a file with the same columns to `source/`{until}, and open a pull request.
Write it under another ending and rename it when it is complete.
"""


def readme(proposal: Proposal) -> str:
    """Return the text of README.md."""
    roles = [column.role for column in proposal.columns]
    return _README.format(
        target=proposal.columns[roles.index("target")].name,
        features=roles.count("feature"),
        rows=f"{len(proposal.rows):,}",
        until=_until(proposal),
    )


def about_data(proposal: Proposal, name: str, origin: str, day: datetime.date) -> str:
    """Return the text of data/README.md; `name` is the partition's, `origin` the user's file."""
    rows = f"{len(proposal.rows):,}"
    return _ABOUT.format(name=name, day=day, origin=origin, rows=rows, until=_until(proposal))


def _until(proposal: Proposal) -> str:
    return "" if proposal.of_role("time") is None else ", raise `ingest.until`"
