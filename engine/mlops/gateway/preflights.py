"""CORS: preflight requests of browsers, and headers for pages of other origins."""

import secrets
import time
from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import Message, Receive, Scope, Send

from mlops.gateway.request_limits import Gate


class Preflights(CORSMiddleware):
    """Wraps the gate, since a preflight has no key; preflights are still counted and logged.

    Args:
        origins: the origins whose pages may call the API.
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
        if "request_id" not in state:  # else the gate has handled and logged it
            state["request_id"] = secrets.token_hex(8)
            self._gate.tell(scope, "preflight", status, started)
