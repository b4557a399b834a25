"""Alert rules, dashboard and compose file against what API and monitor really export."""

import contextlib
import http.server
import json
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops.monitoring.decision import decide
from mlops.monitoring.exposition import exposition
from mlops.monitoring.log_reader import read_window
from paths import ROOT
from production import MANIFEST, NOW, PARAMS, VERSION, Log, reference, sales
from project.schema import SCHEMA
from served import make_bundle, running, small_model
from standard import PRICES

DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus/alerts.yml"
ALERTS = [
    rule
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
    if "alert" in rule
]
PANELS = json.loads((DEPLOY / "grafana/dashboard.json").read_text(encoding="utf-8"))["panels"]
QUERIES = [
    pytest.param(target["expr"], id=f"{panel['title']}-{target['refId']}")
    for panel in PANELS
    for target in panel["targets"]
]
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)"
)


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=60)


@needs_promtool
def test_the_rules_pass_their_unit_tests() -> None:
    done = promtool("test", "rules", str(DEPLOY / "prometheus/alerts_test.yml"))

    assert done.returncode == 0, done.stdout + done.stderr
    assert promtool("check", "config", str(DEPLOY / "prometheus/prometheus.yml")).returncode == 0


CHANGES = {
    r"(14\.4 \* 0\.005)": "100 * 0.005",
    r"(?<![\d.])(6 \* 0\.005)": "60 * 0.005",
    r"(14\.4 \* 0\.01)": "100 * 0.01",
    r"(> 0\.05)": "> 0.5",
    r"(> 400)": "> 500",
    r"(2 \* 86400)": "20 * 86400",
    r'(verdict="act"\} == 1)': 'verdict="act"} == 2',
    r'(outcome="failed"\}\[10m\]\)\) > 0)': 'outcome="failed"}[10m])) > 9000',
}


@pytest.mark.slow
@needs_promtool
@pytest.mark.parametrize("old", CHANGES)
def test_a_rule_that_is_changed_turns_its_unit_test_red(old: str, tmp_path: Path) -> None:
    text, changed = re.subn(old, CHANGES[old], RULES.read_text(encoding="utf-8"))
    assert changed
    (tmp_path / "alerts.yml").write_text(text, encoding="utf-8")
    shutil.copy(DEPLOY / "prometheus/alerts_test.yml", tmp_path)

    assert promtool("test", "rules", str(tmp_path / "alerts_test.yml")).returncode != 0


def test_every_alert_is_tested_and_says_what_to_do_first() -> None:
    tested = (DEPLOY / "prometheus/alerts_test.yml").read_text(encoding="utf-8")

    for alert in ALERTS:
        assert alert["alert"] in tested
        assert alert["labels"]["severity"] in ("page", "ticket")
        assert len(alert["annotations"]["runbook"].split()) >= 6


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Prometheus with our rules, which has scraped a real API and a monitor's report."""
    if shutil.which("prometheus") is None:
        pytest.skip("Prometheus is not installed (Debian: prometheus)")
    folder = tmp_path_factory.mktemp("prometheus")
    make_bundle(folder / "bundle", small_model())
    with (
        running(folder / "bundle", f"sqlite:///{folder}/log.db") as server,
        serving(report(folder)) as monitor,
        scraping(folder, {"api": server.port, "monitor": monitor}) as url,
    ):
        for _ in range(40):
            for size in (1500, 9):
                server.ask("GET", f"/predict?size={size}&rooms=6")
            if ask(url, "predict:slow:ratio5m") and ask(url, "model_monitor_verdict"):
                break
            time.sleep(0.5)
        yield url


def report(folder: Path) -> str:
    rows = sales()
    with contextlib.closing(Log(f"sqlite:///{folder}/monitored.db")) as log:
        log.tell(log.predict(rows[2000:2100]), rows["price"][2000:2100])
        window = read_window(log.url, VERSION, SCHEMA, PARAMS.monitor, NOW)
    return exposition(
        decide(window, MANIFEST, reference(rows[:2000]), SCHEMA, PARAMS, PRICES), PARAMS
    )


@contextlib.contextmanager
def serving(text: str) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *arguments: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@contextlib.contextmanager
def scraping(folder: Path, ports: dict[str, int]) -> Iterator[str]:
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": "300ms", "evaluation_interval": "300ms"}
    config["rule_files"] = [str(RULES)]
    for job in config["scrape_configs"]:
        job["static_configs"] = [{"targets": [f"127.0.0.1:{ports[job['job_name']]}"]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with (folder / "prometheus.log").open("wb") as output:
        process = subprocess.Popen(
            ["prometheus", f"--config.file={folder}/prometheus.yml",
             f"--web.listen-address={address}", f"--storage.tsdb.path={folder}/data"],
            stdout=output, stderr=output,
        )  # fmt: skip
    try:
        for _ in range(100):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://{address}/-/ready", timeout=5).close()
                break
            time.sleep(0.1)
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(30)


def ask(url: str, query: str) -> list[Any]:
    path = f"{url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    with urllib.request.urlopen(path, timeout=10) as answer:
        return list(json.load(answer)["data"]["result"])


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_of_the_dashboard_has_an_answer(query: str, prometheus: str) -> None:
    assert ask(prometheus, query)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_every_metric_of_an_alert_is_exported(alert: dict[str, Any], prometheus: str) -> None:
    with urllib.request.urlopen(f"{prometheus}/api/v1/label/__name__/values", timeout=10) as answer:
        known = set(json.load(answer)["data"])

    text = re.sub(r"\{[^}]*\}|\[[^]]*\]", "", alert["expr"])
    named = set(re.findall(r"\b(?:[a-z]+_[a-z_]+|predict:[a-z0-9:]+|up)\b", text))

    assert named
    # A labelled counter has no series before its first event.
    assert named - known <= {"model_reloads_total"}
    with urllib.request.urlopen(f"{prometheus}/api/v1/rules", timeout=10) as answer:
        groups = json.load(answer)["data"]["groups"]
    healthy = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
    assert healthy[alert["alert"]] == "ok"


def test_the_compose_file_mounts_what_is_there() -> None:
    compose = yaml.safe_load((DEPLOY / "monitoring.yaml").read_text(encoding="utf-8"))

    for service in compose["services"].values():
        assert service["image"].startswith("${"), "the digest is the operator's to give"
        for volume in service["volumes"]:
            place = volume.split(":")[0]
            assert place in compose["volumes"] or (DEPLOY / place).exists()
        # A variable may say otherwise; by default only this host can reach it.
        for port in service.get("ports", []):
            assert re.match(r"(\$\{\w+:-)?127\.0\.0\.1:", port)
