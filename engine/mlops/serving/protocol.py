"""uvicorn's HTTP protocol with a deadline: a connection that sends no whole head is closed.

uvicorn itself waits for ever: 200 of 200 half-sent requests were still open after 20 seconds.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mlops.serving.settings import Settings


def protocol_with_deadline(settings: Settings) -> type[asyncio.Protocol]:
    """Build the protocol class for these settings."""

    class Protocol(HttpToolsProtocol):
        _deadline: asyncio.TimerHandle | None = None
        _head = 0

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._arm()

        def connection_lost(self, exc: Exception | None) -> None:
            self._disarm()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            self._head += len(data)
            super().data_received(data)
            if self._deadline is not None and self._head > settings.max_header_bytes:
                self.transport.close()  # so much, and still no end of the head

        def on_message_begin(self) -> None:
            if self._deadline is None:  # a further request on the same connection
                self._arm()
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._disarm()
            super().on_headers_complete()

        def _arm(self) -> None:
            self._head = 0
            self._deadline = self.loop.call_later(settings.read_timeout, self.transport.close)

        def _disarm(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

    return Protocol
