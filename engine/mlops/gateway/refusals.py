"""Refused requests: the reasons, and the answers, in the words of the protocol of their paths."""

import json
import logging
from collections.abc import Callable, Sequence
from typing import Any

from starlette.types import Scope

from mlops.prediction_log.log_writer import LogAway
from mlops.request_parsing.requests import Unprocessable

LOGGER = logging.getLogger("mlops.serving")

Header = tuple[bytes, bytes]

WholeSend = Callable[[int, list[Header], bytes], None]
"""Sends a response: status, headers and body."""

JSON = (b"content-type", b"application/json")

_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"), ensure_ascii=False)


class Refusal(Exception):
    """A request that is refused for one reason, with a status of HTTP."""

    def __init__(self, status: int, message: str, *headers: Header, kind: str = "refused") -> None:
        super().__init__(message)
        self.status, self.message, self.headers, self.kind = status, message, headers, kind


def answer_to(error: BaseException, scope: Scope) -> tuple[int, list[Header], bytes]:
    """Return status, headers and body for a request that failed; log an unexpected error."""
    path = below_root(scope)
    if isinstance(error, Unprocessable):
        status = 400 if speaks_v2(path) else 422
        return status, [JSON], problem_body(path, error.problems, error.more)
    if isinstance(error, LogAway):
        told = "the prediction log is unavailable"
        error = Refusal(503, told, (b"retry-after", b"2"), kind="log_away")
    elif not isinstance(error, Refusal):
        name = scope["state"]["request_id"]
        LOGGER.error("failed", exc_info=error, extra={"request_id": name})
        error = Refusal(500, f"failed; see the server's log, request {name}", kind="internal")
    body = problem_body(path, [{"loc": [], "msg": error.message, "type": error.kind}])
    return error.status, [JSON, *error.headers], body


def below_root(scope: Scope) -> str:
    """Return the path of a request below the root path."""
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))


def speaks_v2(path: str) -> bool:
    """Return whether a path is one of the Open Inference Protocol."""
    return path == "/v2" or path.startswith("/v2/")


def problem_body(path: str, problems: Sequence[dict[str, Any]], more: int = 0) -> bytes:
    """Write what is wrong with a request, in the words of the protocol that its path belongs to."""
    content: dict[str, Any] = {"detail": problems, "more": more}
    if speaks_v2(path):
        told = "; ".join(_told(one["loc"], one["msg"]) for one in problems)
        content = {"error": f"{told}; and {more} more" if more else told}
    return as_json(content)


def as_json(content: Any) -> bytes:
    """Write JSON that any client can read: no NaN, and lone surrogates replaced."""
    return _ENCODER.encode(content).encode("utf-8", "replace")


def _told(loc: Sequence[str | int], message: str) -> str:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    place = place.removeprefix(".").removeprefix("inputs.")
    return f"{place}: {message}" if place else message
