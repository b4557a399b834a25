"""Pipelined requests: one at a time, of all connections."""

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlops.gateway.protocol import Bounded


class Line:
    """A queue of connections with pipelined requests: one is answered at a time.

    So they can't starve clients that wait for each answer.
    """

    def __init__(self) -> None:
        self._waiting: deque[Bounded] = deque()
        self._answered: Bounded | None = None

    def join(self, connection: "Bounded") -> None:
        """Add a connection at the end; it continues at once if no other one waits."""
        if connection not in self._waiting:
            self._waiting.append(connection)
        self._call()

    def leave(self, connection: "Bounded") -> None:
        """Let the next connection continue, if it was this one's turn."""
        if self._answered is connection:
            self._answered = None
            self._call()

    def _call(self) -> None:
        while self._answered is None and self._waiting:
            found = self._waiting.popleft()
            if not found.transport.is_closing() and found.go_on():
                self._answered = found
