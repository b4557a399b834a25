"""Updates and roll-backs on one host, for real: compose, a proxy, a database, and load."""

import http.client
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest
import yaml

from containers import LOCAL, PASSWORD, PINNED, Built, Registry, docker, free_port, wait_for
from mlops.release.smoke_checks import get
from paths import ROOT, SOURCES
from test_release_runs import OFFLINE

COMPOSE = ROOT / "deploy/compose.yaml"
MONITORING = ROOT / "deploy/monitoring.yaml"
KEY = "a key for tests alone"
NAME = "acme/demo"
NO_IMAGES = dict.fromkeys(
    ("IMAGE", "PROMETHEUS_IMAGE", "NODE_EXPORTER_IMAGE", "GRAFANA_IMAGE"), "none"
)
UPDATES = int(os.environ.get("UPDATES", "2"))
"""More of them: UPDATES=20 python -m pytest engine/tests/test_deploy.py -m slow -s."""

PROXY = """
FROM {base}
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends haproxy
"""
# As the official image does: a database on the first start, then the server as process 1.
DATABASE = """
FROM {base}
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql
RUN ln -s /usr/lib/postgresql/*/bin/* /usr/local/bin/ || true
RUN install -d -o postgres /var/lib/postgresql/data /run/postgresql
COPY start /start
CMD ["/start"]
"""
# As the official images do: without rights, data in a volume of the user's own.
PROMETHEUS = """
FROM {base}
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends prometheus
RUN install -d -o nobody /prometheus
USER nobody
WORKDIR /prometheus
ENTRYPOINT ["prometheus"]
"""
NODE_EXPORTER = """
FROM {base}
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends prometheus-node-exporter
USER nobody
ENTRYPOINT ["prometheus-node-exporter"]
"""
START = """#!/bin/sh -e
export PGDATA=/var/lib/postgresql/data
chown postgres $PGDATA
as() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }
if [ ! -f $PGDATA/PG_VERSION ]; then
  cat $POSTGRES_PASSWORD_FILE > /tmp/password; chown postgres /tmp/password
  as initdb --username=$POSTGRES_USER --pwfile=/tmp/password --auth=scram-sha-256 > /dev/null
  echo "host all all all scram-sha-256" >> $PGDATA/pg_hba.conf
  as pg_ctl start --wait --silent --log=/tmp/log
  export PGPASSWORD=$(cat /tmp/password) PGUSER=$POSTGRES_USER
  as createdb --host=127.0.0.1 $POSTGRES_DB
  as pg_ctl stop --wait --silent
fi
exec setpriv --reuid=postgres --regid=postgres --init-groups postgres -c listen_addresses='*'
"""


def stand_in(folder: Path, name: str, text: str) -> str:
    """Build what can't be pulled here."""
    folder.mkdir()
    (folder / "Dockerfile").write_text(text.format(base=PINNED.partition("@")[0]))
    (folder / "start").write_text(START)
    (folder / "start").chmod(0o755)
    docker("build", "--quiet", f"--tag={LOCAL}:{name}", str(folder))
    return f"{LOCAL}:{name}"


@dataclass
class Host:
    """A host with compose, and what it is told."""

    folder: Path
    registry: Registry
    variables: dict[str, str]
    address: str

    def deploy(self, image: str, wanted: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "mlops.release.deploy", image],
            cwd=ROOT, env=os.environ | self.variables, capture_output=True, text=True, timeout=400,
        )  # fmt: skip
        assert done.returncode == wanted, done.stdout + done.stderr
        return done.stdout + done.stderr

    def release(self, image: str, *, key: str = "ours") -> str:
        """Push and sign an image; give its address."""
        target = f"{self.registry.host}/{NAME}:{image.partition(':')[2]}"
        docker("tag", image, target)
        docker("push", target)
        digest = self.registry.digest(NAME, target.rpartition(":")[2])
        address = f"{self.registry.host}/{NAME}@{digest}"
        sign = ["cosign", "sign", "--yes", *OFFLINE]
        subprocess.run(
            [*sign, f"--key={self.folder / key}/cosign.key", address],
            env=os.environ | {"COSIGN_PASSWORD": PASSWORD}, check=True, timeout=60,
        )  # fmt: skip
        return address

    def compose(self, *arguments: str) -> str:
        project = self.variables["COMPOSE_PROJECT_NAME"]
        return docker(
            "compose", f"--file={COMPOSE}", f"--file={MONITORING}", f"--project-name={project}",
            *arguments, **NO_IMAGES | self.variables,
        )  # fmt: skip


@pytest.fixture
def host(built: Built, registry: Registry, tmp_path: Path) -> Iterator[Host]:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "postgres").write_text("secret")
    (secrets / "pgpass").write_text("postgres:5432:mlops:mlops:secret\n")
    (secrets / "pgpass").chmod(0o600)
    os.chown(secrets / "pgpass", 10001, 10001)
    (secrets / "serve_api_key").write_text(KEY + "\n")
    (secrets / "serve_api_key").chmod(0o600)
    os.chown(secrets / "serve_api_key", 10001, 10001)
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
        subprocess.run(
            ["cosign", "generate-key-pair"],
            cwd=tmp_path / name, env=os.environ | {"COSIGN_PASSWORD": PASSWORD}, check=True,
        )  # fmt: skip
    port = free_port()
    variables = {
        "PYTHONPATH": SOURCES,
        "COMPOSE_PROJECT_NAME": f"mlops-test-{port}",
        "HAPROXY_IMAGE": stand_in(tmp_path / "proxy", "haproxy", PROXY),
        "POSTGRES_IMAGE": stand_in(tmp_path / "database", "postgres", DATABASE),
        "SECRETS": str(secrets),
        "LISTEN": f"127.0.0.1:{port}",
        "COSIGN_PUBLIC_KEY": (tmp_path / "ours/cosign.pub").read_text(),
    }
    found = Host(tmp_path, registry, variables, f"http://127.0.0.1:{port}")
    try:
        yield found
    finally:
        found.compose("down", "--volumes", "--timeout=5")


def variant(built: Built, folder: Path, name: str, *lines: str) -> str:
    """Make another image of the built one."""
    folder.mkdir()
    text = "\n".join([f"FROM {built.tag}", *lines])
    (folder / "Dockerfile").write_text(text + "\n")
    docker("build", "--quiet", f"--tag={LOCAL}:{name}", str(folder))
    return f"{LOCAL}:{name}"


@contextmanager
def load(address: str, rate: float, threads: int = 40) -> Iterator[Counter[object]]:
    """Ask at a rate until the block ends; count statuses, and errors by their text."""
    counted: Counter[object] = Counter()
    stop, host = threading.Event(), address.removeprefix("http://")

    def ask() -> None:
        connection = http.client.HTTPConnection(host, timeout=20)
        due = time.monotonic()
        while not stop.is_set():
            try:
                body = '{"rows": [{"size": 1500, "rooms": 6}]}'
                connection.request("POST", "/predict", body, {"X-API-Key": KEY})
                answer = connection.getresponse()
                answer.read()
                counted[answer.status] += 1
            except (OSError, http.client.HTTPException) as error:
                counted[repr(error)] += 1
                connection.close()
            due += threads / rate
            stop.wait(max(0.0, due - time.monotonic()))
        connection.close()

    workers = [threading.Thread(target=ask) for _ in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield counted
    finally:
        stop.set()
        for worker in workers:
            worker.join()


@pytest.mark.slow
def test_updates_and_roll_backs_under_load_fail_no_request(
    built: Built, host: Host, tmp_path: Path
) -> None:
    old = host.release(built.tag)
    new = host.release(variant(built, tmp_path / "new", "new", "ENV SERVE_GIT_COMMIT=newer"))
    host.deploy(old)
    wait_for(host.address, "/health/ready")

    began = time.monotonic()
    with load(host.address, rate=200) as counted:
        for number in range(UPDATES):
            host.deploy(old if number % 2 else new)
            served = wait_for(host.address, "/model")["git_commit"]
            assert served == (built.commit if number % 2 else "newer")

        rate = counted.total() / (time.monotonic() - began)

    print(f"{UPDATES} updates and roll-backs: {dict(counted)}, {rate:.0f} a second")
    assert set(counted) == {200}, counted
    assert counted[200] > 1000


@pytest.mark.slow
def test_a_broken_or_unsigned_image_leaves_the_old_one_serving(
    built: Built, host: Host, tmp_path: Path
) -> None:
    old = host.release(built.tag)
    broken = variant(built, tmp_path / "broken", "broken", "ENV SERVE_BUNDLE=/nowhere")
    foreign = variant(built, tmp_path / "foreign", "foreign", "ENV SERVE_GIT_COMMIT=theirs")
    host.deploy(old)
    wait_for(host.address, "/health/ready")

    with load(host.address, rate=20) as counted:
        told = host.deploy(host.release(broken), wanted=1)
        assert "api-a is not ready" in told
        assert "cosign verify" in host.deploy(host.release(foreign, key="theirs"), wanted=1)
        assert "wanted an image by digest" in host.deploy(built.tag, wanted=1)
    assert set(counted) == {200}, counted

    host.deploy(old)  # the roll-back
    assert wait_for(host.address, "/model")["git_commit"] == built.commit


@pytest.mark.slow
def test_prometheus_watches_the_containers_and_the_monitors_report(
    built: Built, host: Host, tmp_path: Path
) -> None:
    """Grafana itself can't be had here: test_prometheus asks its dashboard's queries instead."""
    port = free_port()
    host.variables |= {
        "PROMETHEUS_IMAGE": stand_in(tmp_path / "prometheus", "prometheus", PROMETHEUS),
        "NODE_EXPORTER_IMAGE": stand_in(tmp_path / "exporter", "exporter", NODE_EXPORTER),
        "PROMETHEUS_LISTEN": f"127.0.0.1:{port}",
    }
    host.deploy(host.release(built.tag))
    assert get(f"{host.address}/predict?size=1500&rooms=6")[0] == 401, "the key is the host's"
    host.compose("up", "--detach", "prometheus", "textfile")
    report = "model_monitor_verdict 2\n"
    volume = f"{host.variables['COMPOSE_PROJECT_NAME']}_reports:/reports"
    into = ["run", "--rm", "--interactive", f"--volume={volume}", "--entrypoint=/bin/sh"]
    image = host.variables["NODE_EXPORTER_IMAGE"]
    subprocess.run(
        ["docker", *into, "--user=0", image, "-c", "cat > /reports/report.prom"],
        input=report, text=True, check=True, timeout=60,
    )  # fmt: skip

    prometheus = f"http://127.0.0.1:{port}"
    answered = 'sum(rate(http_requests_total{route="/predict"}[1m])) > bool 1'
    with load(host.address, rate=20, threads=2) as counted:
        up = value(prometheus, "sum(up)", wanted="3")
        assert up == "3", host.compose("logs", "prometheus", "textfile")
        assert value(prometheus, "model_monitor_verdict", wanted="2") == "2"
        host.compose("stop", "api-b")
        assert value(prometheus, 'up{instance="api-b:8000"}', wanted="0") == "0"
        rate = value(prometheus, answered, wanted="1")
    assert rate == "1", get(f"{prometheus}/api/v1/label/__name__/values")
    assert set(counted) == {200}, counted
    health = {"unknown"}
    end = time.monotonic() + 90  # rules are evaluated once a minute
    while "unknown" in health and time.monotonic() < end:
        time.sleep(1)
        groups = get(f"{prometheus}/api/v1/rules")[1]["data"]["groups"]
        health = {rule["health"] for group in groups for rule in group["rules"]}
    assert health == {"ok"}


def value(prometheus: str, query: str, wanted: str, seconds: float = 90) -> str | None:
    """Ask until the query's one value is the wanted one; give the last."""
    end, last = time.monotonic() + seconds, None
    while last != wanted and time.monotonic() < end:
        time.sleep(1)
        with suppress(OSError):
            path = f"{prometheus}/api/v1/query?{urlencode({'query': query})}"
            found = get(path)[1]["data"]["result"]
            last = found[0]["value"][1] if found else None
    return last


def test_every_container_of_the_host_is_locked_down_and_limited() -> None:
    files = (COMPOSE, MONITORING)
    services = {
        name: service
        for file in files
        for name, service in yaml.safe_load(file.read_text(encoding="utf-8"))["services"].items()
    }

    for name, service in services.items():
        assert service["restart"] == "unless-stopped", name
        assert service["mem_limit"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        if name.startswith("api"):
            assert service["read_only"]
            assert service["cap_drop"] == ["ALL"]
            assert "ports" not in service, "reached through the proxy alone"
    words = [str(service.get("environment", "")).lower() for service in services.values()]
    assert not re.search(r"password(?!_*file)", " ".join(words)), "passwords come from files"
