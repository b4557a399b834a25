"""Pages of other origins: what a browser asks before their requests, and what its answers say."""

import secrets
import time
from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import Message, Receive, Scope, Send

from mlops.serving.request_limits import Gate


class Preflights(CORSMiddleware):
    """Stands before the gate, for a preflight has no key; it is counted and logged none the less.

    Args:
        origins: that may call from a browser.
    """

    def __init__(self, gate: Gate, origins: Sequence[str]) -> None:
        super().__init__(
            gate,
            allow_origins=origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["x-request-id", "retry-after"],
        )
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "OPTIONS":
            await super().__call__(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        await super().__call__(scope, receive, answer)
        state = scope.setdefault("state", {})
        if "request_id" not in state:  # else the gate had it, and told
            state["request_id"] = secrets.token_hex(8)
            self._gate.tell(scope, "preflight", status, started)
