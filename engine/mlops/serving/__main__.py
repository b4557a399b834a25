"""Command serve: load the bundle, and serve requests until stopped by a signal.

Exit code: 0 after SIGINT, 143 after SIGTERM, 1 with a message if the bundle or the settings are
invalid.
"""

import asyncio
import contextlib
import ctypes
import gc
import json
import logging
import os
import signal
import socket
import sys
from types import FrameType
from typing import Any

import uvicorn

from mlops.errors import run_command
from mlops.gateway.protocol import bounded_protocol, end_overdue
from mlops.gateway.single_writes import CLOSE
from mlops.project import load_extension, load_schema
from mlops.serving.app import create_app
from mlops.serving.prometheus import Metrics
from mlops.serving.service import Service
from mlops.serving.settings import read_settings, settings_table

# Objects. A request of a thousand rows creates 4,000, none in a cycle: with the default, the
# collector scans them again and again, and takes a third of the request's time.
_COLLECT_AFTER = 50_000

_SWEEP_SECONDS = 0.5  # between two checks for overdue connections
_TRIM_TICKS = 100  # of a tenth of a second

_KNOWN = frozenset(vars(logging.makeLogRecord({})))


class JsonLines(logging.Formatter):
    """Formats a log record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        facts: dict[str, Any] = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        own = vars(record).items()
        facts |= {k: v for k, v in own if k not in _KNOWN and k not in ("message", "color_message")}
        if record.exc_info:
            facts["exception"] = self.formatException(record.exc_info)
        return json.dumps(facts, default=str)


class Server(uvicorn.Server):
    """uvicorn that, after SIGTERM, reports not ready and still serves requests for a short time."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._sweep()

    def _sweep(self) -> None:
        """Close overdue connections, also while the server stops, when `on_tick` isn't called."""
        loop = asyncio.get_running_loop()
        end_overdue(self.server_state.connections, loop.time())
        loop.call_later(_SWEEP_SECONDS, self._sweep)

    async def on_tick(self, counter: int) -> bool:
        if counter % _TRIM_TICKS == 0:
            _give_back()
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig != signal.SIGTERM or self._service.draining:
            super().handle_exit(sig, frame)
            return
        self._service.draining = True
        self.config.encoded_headers.append(CLOSE)  # no client stays connected
        seconds = self._service.settings.drain_seconds
        asyncio.get_running_loop().call_later(seconds, super().handle_exit, sig, frame)


def _give_back() -> None:
    """Return unused memory to the system, which does not happen by itself.

    Closed connections leave reference cycles, which are collected only after many more; and glibc
    keeps most of the freed memory.
    """
    gc.collect()  # only objects created since the start (see gc.freeze): a few thousand
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def main() -> None:
    if sys.argv[1:] == ["--settings"]:
        print(settings_table(), end="")
        return
    settings = read_settings()
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    schema = load_schema()
    service = Service(settings, schema, Metrics(schema))
    config = uvicorn.Config(
        create_app(service, load_extension()),
        settings.host,
        settings.port,
        http=bounded_protocol(settings),
        ws="none",
        lifespan="on",  # a failure ends the start
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=settings.grace_seconds,
    )
    print(f"serve: model {service.served.version}, http://{settings.host}:{settings.port}")
    sys.stdout.flush()
    gc.collect()
    gc.freeze()  # present objects stay, so collections need not scan them
    gc.set_threshold(_COLLECT_AFTER)
    Server(config, service).run()


if __name__ == "__main__":
    # Before any library starts threads: on shared cores they cost nine times as much as they gain.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    run_command(main)
