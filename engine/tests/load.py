"""A load on a server: what it acknowledged, what it refused, how long that took."""

import asyncio
import concurrent.futures
import contextlib
import itertools
import json
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from served import ROW


class Answer(NamedTuple):
    """One whole answer: when it came, after how many seconds, its status, its head."""

    at: float
    seconds: float
    status: int
    head: bytes


class Load:
    """Keeps posting rows on several connections until the block ends.

    An answer that was cut counts as none: what it would have said is not acknowledged.

    Args:
        pause: seconds between an answer and the next request of its connection.
        stays: whether to come back after an answer that closed the connection.

    Attributes:
        answers: every whole one.
        acknowledged: by prediction id, the size that was sent and the price that was answered.
        unanswered: requests that were sent and got no whole answer.
    """

    def __init__(
        self, port: int, connections: int = 8, *, pause: float = 0.0, stays: bool = True
    ) -> None:
        self._port, self._connections = port, connections
        self._pause, self._stays = pause, stays
        self.answers: list[Answer] = []
        self.acknowledged: dict[str, tuple[float, float]] = {}
        self.unanswered = 0
        self._sizes = itertools.count(500, 0.25)
        self._stop = threading.Event()
        self._pool = concurrent.futures.ThreadPoolExecutor(1)

    def __enter__(self) -> "Load":
        self._future = self._pool.submit(asyncio.run, self._run())
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._future.result(60)
        self._pool.shutdown()

    @property
    def statuses(self) -> set[int]:
        return {answer.status for answer in self.answers}

    async def _run(self) -> None:
        await asyncio.gather(*(self._connect() for _ in range(self._connections)))

    async def _connect(self) -> None:
        while not self._stop.is_set():
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:  # refused: not accepted, so not lost
                await asyncio.sleep(0.02)
                continue
            try:
                while not self._stop.is_set() and await self._post(reader, writer):
                    pass
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
            if not self._stays:
                return

    async def _post(self, reader: Any, writer: Any) -> bool:
        """Send one row; tell whether the connection stands for another."""
        size = next(self._sizes) % 4000 + 500
        content = json.dumps({"rows": [{**ROW, "size": size}]}).encode()
        head = f"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: {len(content)}\r\n\r\n"
        began = time.monotonic()
        writer.write(head.encode() + content)
        try:
            async with asyncio.timeout(30):
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
                body = await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError):
            self.unanswered += 1
            return False
        now = time.monotonic()
        self.answers.append(Answer(now, now - began, int(head[9:12]), head))
        answer = json.loads(body)
        for name, price in zip(
            answer.get("prediction_ids", ()), answer.get("predictions", ()), strict=True
        ):
            assert name not in self.acknowledged
            self.acknowledged[name] = size, price
        if self._pause:
            await asyncio.sleep(self._pause)
        return b"connection: close" not in head


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
