"""Health checks and metrics: from the request in an ASGI scope to the bytes of the answer."""

from starlette.types import Scope

from mlops.gateway.refusals import Refusal
from mlops.serving.service import Service


class Health:
    """Answers the probes of orchestrators and of Prometheus."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def live(self, scope: Scope) -> bytes:
        """Answer GET /health/live."""
        return b'{"status":"alive"}'

    async def ready(self, scope: Scope) -> bytes:
        """Answer GET /health/ready."""
        await self.check()
        return b'{"status":"ready"}'

    async def v2_live(self, scope: Scope) -> bytes:
        """Answer GET /v2/health/live."""
        return b'{"live":true}'

    async def v2_ready(self, scope: Scope) -> bytes:
        """Answer GET /v2/health/ready."""
        await self.check()
        return b'{"live":true}'

    async def metrics(self, scope: Scope) -> bytes:
        """Answer GET /metrics."""
        return self._service.metrics.text()

    async def check(self) -> None:
        """Check that requests can be answered.

        Raises:
            Refusal: they can't.
        """
        why = await self._service.why_not_ready()
        if why:
            raise Refusal(503, why, (b"retry-after", b"1"), kind="not_ready")
