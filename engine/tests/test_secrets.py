"""No key or password stands in the repository, and ten kinds that might would be found."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from detect_secrets.core.scan import scan_file
from detect_secrets.settings import transient_settings

from paths import ROOT
from test_repository import tracked

KINDS = (
    "AWSKey", "AzureStorageKey", "BasicAuth", "GitHubToken", "GitLabToken", "JwtToken", "Keyword",
    "Npm", "OpenAI", "PrivateKey", "PypiToken", "SendGrid", "Slack", "Stripe", "TwilioKey",
)  # fmt: skip
"""Forms that keys have. Not those by entropy: here stand thousands of hashes, which look alike."""

MADE_UP = {
    "engine/tests/containers.py": {"publisher"},
    "engine/mlops/collect/source_database.py": {"PASSWORD"},
    "engine/mlops/database_address.py": {"PASSWORD"},
    "engine/tests/test_collect.py": {"hunter2-of-owl"},
    "engine/tests/test_database.py": {"PASSWORD", "hunter"},
    "engine/tests/test_monitor_workflows.py": {"very-secret", "horse-secret", "horse"},
    "engine/tests/test_monitoring.py": {"secret"},
    "engine/tests/test_partitions.py": {"nothing"},
    "engine/tests/test_serving_process.py": {"short"},
    "engine/tests/test_tracking.py": {"opensesame"},
}
"""Passwords that tests and examples make up; elsewhere none is expected."""


@pytest.fixture(autouse=True)
def _settings() -> Iterator[None]:
    with transient_settings({"plugins_used": [{"name": f"{kind}Detector"} for kind in KINDS]}):
        yield


def found_in(path: Path) -> set[str]:
    return {str(secret.secret_value) for secret in scan_file(str(path))}


def test_the_repository_holds_no_secret() -> None:
    found = {name: found_in(ROOT / name) - MADE_UP.get(name, set()) for name in tracked()}

    assert {name: secrets for name, secrets in found.items() if secrets} == {}


# In halves, so that they are found where they are planted, and not here.
RANDOM = "Zx7" + "Qm2Lr9Vt4Kp8Wd1Nb6Hs3Jf5Gc0YaUeTiO"
NOTEBOOK = json.dumps({"cells": [{"cell_type": "code", "source": ["x = 1\n", "{}"]}]})
PLANTED = {
    "an AWS key in a diff": ("change.py", "KEY = 'AK" + "IAZQ3X7M2LR9VT4KPW'"),
    "a GitHub token in a notebook": ("x.ipynb", NOTEBOOK.replace("{}", "gh" + f"p_{RANDOM[:36]}")),
    "a password in .dvc/config": ("config", "secret_access_key = " + RANDOM),
    "a login in an address": ("params.yaml", "a: https://reader:" + RANDOM[:12] + "@h.example"),
    "a private key": ("id.pem", "-----BEGIN OPENSSH PRIV" + "ATE KEY-----\nb3Blbn\n"),
    "an Azure key": ("azure.txt", "AccountKey=" + (RANDOM * 3)[:86] + "=="),
    "a Slack token in a CSV": ("rows.csv", "1,xox" + "b-123456789012-123456789012-" + RANDOM[:24]),
    "a Stripe key": ("pay.py", "x = 'sk_li" + f"ve_{RANDOM[:24]}'"),
    "a PyPI token": (".pypirc", "pypi-AgEIcHlwaS5vc" + "mc" + (RANDOM * 3)[:80]),
    "a web token": ("a.md", "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiJtYWxsb3J5In0." + RANDOM),
    "a password in code": ("b.py", "password = '" + RANDOM[:16] + "'"),
}  # fmt: skip


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_secret_is_found(kind: str, tmp_path: Path) -> None:
    name, line = PLANTED[kind]
    (tmp_path / name).write_text(f"# nothing here\n{line}\n", encoding="utf-8")

    assert found_in(tmp_path / name)
