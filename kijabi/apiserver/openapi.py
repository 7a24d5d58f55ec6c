"""OpenAPI v3 documents."""
from __future__ import annotations

from kijabi.client.transport import Request, Response


class OpenApi:
    def __init__(self, routes): self.routes = routes
    def answer(self, request: Request, path: str) -> Response | None: return None
