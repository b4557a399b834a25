"""The release note of a model: the content of its image, and changes since the previous release."""

import os
from collections.abc import Mapping
from typing import Any

from mlops.release.labels import Contents
from mlops.release.signature import signer
from mlops.review.github_markdown import table


def release_note(address: str, new: Contents, old: Contents | None) -> str:
    """Return the release note: how to pull, verify and run the image; and its metrics, data and
    parameters beside those of the previous release.
    """
    before = old or new
    return "\n\n".join(
        [
            f"# Model {new.model}",
            f"Commit {new.commit}. "
            + (f"Before: model {old.model}." if old else "The first model."),
            f"```console\n{commands(address)}```",
            "## Metrics on the test rows",
            _table(before.metrics, new.metrics, old is not None),
            "## Data",
            _table(_flat(before.data), _flat(new.data), old is not None),
            "## Parameters",
            _table(before.params, new.params, old is not None),
        ]
    )


def commands(address: str) -> str:
    """Return the commands that pull, verify and run an image."""
    repository = os.environ.get("GITHUB_REPOSITORY")
    attested = os.environ.get("ATTESTED") != "false"
    return (
        f"$ docker pull {address}\n"
        + f"$ gh attestation verify oci://{address} --repo {repository}\n" * attested
        + f"$ cosign verify {' '.join(signer())} {address}\n"
        "$ docker run --read-only --cap-drop ALL --security-opt no-new-privileges \\\n"
        f"    -p 127.0.0.1:8000:8000 -v predictions:/data {address}\n"
    )


def _flat(data: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {f"{part} {name}": v for part, facts in data.items() for name, v in facts.items()}


def _table(before: Mapping[str, Any], after: Mapping[str, Any], compared: bool) -> str:
    names = [*after, *(name for name in before if name not in after)]
    if not compared:
        return table(("", ""), "ll", [(name, f"{after[name]}") for name in names])
    rows = []
    for name in names:
        old, new = before.get(name, ""), after.get(name, "")
        rows.append((name, f"{old}", f"{new}" if new == old else f"**{new}**"))
    return table(("", "before", "now"), "lll", rows)
