"""The access log: a line of JSON on standard output for each request."""

import asyncio
import contextlib
import sys
import time

import orjson
from starlette.types import Scope


class AccessLog:
    """Lines of JSON on standard output, written together once per iteration of the event loop.

    A record of `logging` would take as long as the prediction.
    """

    def __init__(self) -> None:
        self._lines: list[bytes] = []

    def add(self, scope: Scope, status: int, seconds: float) -> None:
        """Add a line for a request; without the query, which has features' values."""
        facts = {
            "time": round(time.time(), 3),
            "level": "info",
            "logger": "mlops.serving.access",
            "message": "request",
            "request_id": scope["state"]["request_id"],
            "method": scope["method"][:16],
            "path": scope["path"][:128],
            "status": status,
            "ms": round(seconds * 1000, 3),
        }
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._write)
        self._lines.append(orjson.dumps(facts, option=orjson.OPT_APPEND_NEWLINE))

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        with contextlib.suppress(OSError, ValueError):  # nobody reads the log: keep answering
            sys.stdout.buffer.write(b"".join(lines))
            sys.stdout.buffer.flush()
