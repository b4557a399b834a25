"""docs/adopt.md, played: its ten steps, as they stand there, on three tables of other shapes."""

import http.client
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from clones import clone, edit_params, environment, run
from paths import ROOT, SOURCES
from tables import credit, planes, progression

GUIDE = (ROOT / "docs/adopt.md").read_text(encoding="utf-8").split("## Another model")[0]
FILE, TARGET = "~/credit.csv", "Status"  # the guide's example

DEMO_WORDS = (
    *("house", "home", "price", "sale", "sold", "neighborhood", "neighbourhood", "ames", "room"),
    *("bedroom", "bathroom", "lot_size", "garage", "basement", "square feet", "dollar", "building"),
)


def demos_words(text: str, own: str) -> list[str]:
    """Find words of the demo that are not the data's own."""
    text = re.sub(r"\b(XDG_CACHE_)?HOME\b", "", text)  # the environment's
    return [
        word
        for word in DEMO_WORDS
        if re.search(rf"(?<![a-z]){word}s?(?![a-z])", text, re.IGNORECASE) and word not in own
    ]


def steps() -> list[tuple[str, list[str]]]:
    """Read the guide's commands, each with the lines that it says are printed."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif line != "…":
                found[-1][1].append(line)
    return found


def pattern(line: str) -> str:
    """Match a line whatever its numbers, versions and places left out are."""
    parts = re.split(r"(…|`[0-9a-f]{12}`|\d+)", line)
    return "".join(re.escape(part) if n % 2 == 0 else ".+?" for n, part in enumerate(parts))


class Service:
    """`make serve`, and what it answers."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str, method: str = "GET", content: Any = None) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, None if content is None else json.dumps(content))
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        assert answer.status == 200, text
        return text

    def look(self) -> list[str]:
        """Ask for every page, and for predictions of the example that the document gives."""
        document = self.get("/openapi.json")
        request = json.loads(document)["paths"]["/predict"]["post"]["requestBody"]
        (row,) = request["content"]["application/json"]["examples"]["rows"]["value"]["rows"]
        answer = self.get("/predict", "POST", {"rows": [row] * 40})
        assert len(json.loads(answer)["predictions"]) == 40
        return [document, answer, *map(self.get, ("/", "/model", "/metrics", "/docs"))]


@contextmanager
def served(folder: Path, command: str) -> Iterator[Service]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (folder / "artifacts/serve.log").open("w") as log:
        process = subprocess.Popen(
            [*shlex.split(command), f"PORT={port}"],
            cwd=folder,
            env=environment(PYTHONPATH=SOURCES),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            service = Service(port)
            for _ in range(600):
                assert process.poll() is None, Path(log.name).read_text()
                try:
                    service.get("/health/ready")
                    break
                except OSError:
                    time.sleep(0.2)
            yield service
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def play(folder: Path, file: Path, target: str, example: bool) -> list[str]:
    """Type the guide's commands; give all that is printed, answered and written for people."""
    shown = []
    for command, lines in steps():
        typed = command.replace(FILE, str(file)).replace(f"--target {TARGET}", f"--target {target}")
        typed = re.sub(r"\bmake ", "make -o .venv/run -o .venv/test ", typed)  # there is one
        if command == "make serve":
            with served(folder, typed) as service:
                shown += service.look()
            continue
        asks = "mlops.adopt" in command and "--yes" not in command  # and nobody answers
        told = run(folder, typed, wanted=1 if asks else 0, PYTHONPATH=SOURCES)
        if example:
            assert re.search(".*?".join(map(pattern, lines)), told, re.DOTALL), (command, told)
        shown += [] if asks else [told[told.find("\n## ") :]]  # not the diff, nor DVC's progress
        for part in ("review", "monitor"):
            written = (folder / "artifacts" / part).glob("*")
            shown += [p.read_text() for p in written if p.suffix in (".md", ".html", ".json")]
    return shown


def test_the_guide_has_at_most_ten_steps() -> None:
    numbers = re.findall(r"^\*\*(\d+)\. ", GUIDE, re.MULTILINE)

    assert numbers == [str(n + 1) for n in range(len(numbers))]
    assert len(numbers) <= 10
    assert len(steps()) >= 8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "target", "leading"),
    [
        (credit, TARGET, "roc_auc"),
        (progression, "target", "r2"),
        (planes, "engine", "roc_auc"),
    ],
)
def test_the_guide_leads_to_a_model_of_ones_own_and_nothing_speaks_of_the_demo(
    make: Callable[[], pd.DataFrame], target: str, leading: str, origin: Path, tmp_path: Path
) -> None:
    folder, table = clone(origin, tmp_path / "repository"), make()
    file = tmp_path / "credit.csv"
    table.to_csv(file, index=False)
    own = (" ".join(table.columns) + table.to_string(max_rows=5)).lower()

    shown = play(folder, file, target, example=make is credit)
    edit_params(folder, {"models.hist_gradient_boosting.learning_rate": 0.04})
    shown += [run(folder, "python -m mlops.review --base HEAD || test $? = 1", PYTHONPATH=SOURCES)]

    metrics = json.loads((folder / "artifacts/evaluate/metrics.json").read_text())
    assert metrics[leading] > metrics["baseline"][leading] + 0.1
    assert "Both models are scored on the same" in shown[-1]
    told = run(folder, "git ls-files '*.md' '*.yml' '*.yaml' deploy Makefile ':!tests'")
    for name in [*told.split(), "src/project/schema.py"]:
        shown.append((folder / name).read_text(encoding="utf-8"))
    # The review of the adoption itself says what was there before, in words and by content.
    before = re.compile('(?s)(No comparison with the base:|"not_comparable": ").*')
    shown = [before.sub("", text) for text in shown]
    assert [(text[:80], found) for text in shown if (found := demos_words(text, own))] == []
    for page in (folder / "docs").glob("*.md"):
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
