"""The labels of an image: its code, model, data and metrics."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops.records import Manifest
from mlops.undefined import in_words

DIRTY = "-dirty"
"""Suffix of the commit of an image that was built from uncommitted changes."""

_OCI = "org.opencontainers.image."
_OWN = "io.github.mlops-loop."


@dataclass(frozen=True)
class Contents:
    """The content of the labels.

    Attributes:
        commit: full SHA, followed by DIRTY if the work tree differed from it.
        model: the model's version.
        model_sha256: of the fitted pipeline, before it was exported.
        data: rows, days and SHA-256 of the training and test rows.
        metrics: on the test rows, by name; a text where undefined.
    """

    commit: str
    model: str
    model_sha256: str
    data: dict[str, Any]
    metrics: dict[str, float | str]
    params: dict[str, Any]

    @classmethod
    def of_bundle(cls, manifest: Manifest, commit: str) -> "Contents":
        """Create from a bundle's manifest."""
        metrics = manifest["evaluation"]["metrics"]
        return cls(
            commit,
            manifest["model_version"],
            manifest["files"]["model.joblib"]["sha256"],
            {part: manifest["data"][part] for part in ("train", "test")},
            {
                name: in_words(metric) if metric["value"] is None else metric["value"]
                for name, metric in metrics.items()
            },
            manifest["params"],
        )

    @classmethod
    def of_labels(cls, labels: Mapping[str, str]) -> "Contents":
        """Parse an image's labels."""
        own = [json.loads(labels[_OWN + name]) for name in ("data", "metrics", "params")]
        revision, version = labels[f"{_OCI}revision"], labels[f"{_OCI}version"]
        return cls(revision, version, labels[f"{_OWN}model.sha256"], *own)

    def labels(self) -> dict[str, str]:
        """Return the labels, by name."""
        labels = {
            f"{_OCI}revision": self.commit,
            f"{_OCI}version": self.model,
            f"{_OWN}model.sha256": self.model_sha256,
            f"{_OWN}data": json.dumps(self.data, sort_keys=True),
            f"{_OWN}metrics": json.dumps(self.metrics, sort_keys=True),
            f"{_OWN}params": json.dumps(self.params, sort_keys=True),
        }
        if repository := os.environ.get("GITHUB_REPOSITORY"):
            labels[f"{_OCI}source"] = f"{os.environ['GITHUB_SERVER_URL']}/{repository}"
        return labels
