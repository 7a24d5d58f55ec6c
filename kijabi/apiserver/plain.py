"""Paths that are no resources: health, version, metrics, discovery, OpenAPI, and what others register.

`server.py` asks `Plain` after authorisation. Discovery and OpenAPI have modules of their own; security registers the
OIDC documents (`add`).
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping

import msgspec

from kijabi.api import status
from kijabi.api.gotext import quote
from kijabi.apiserver import negotiate
from kijabi.apiserver.attributes import UserInfo
from kijabi.apiserver.discovery import Discovery
from kijabi.apiserver.openapi.serving import OpenApi
from kijabi.client.transport import Request, Response

# What clients are told they talk to: the Kubernetes version whose API is served.
MAJOR, MINOR = "1", "37"
GIT_VERSION = "v1.37.0"

Page = Callable[[], Response]
Check = Callable[[], str]
_HEALTH = ("healthz", "livez", "readyz")
TEXT = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}


class Plain:
    """Pages by path. checks: what /readyz asks; each returns what is wrong, or an empty text."""

    def __init__(
        self,
        discovery: Discovery,
        openapi: OpenApi,
        metrics: Page,
        checks: Mapping[str, Check],
        ready_checks: Mapping[str, Check],
    ) -> None:
        self.discovery = discovery
        self.openapi = openapi
        self.metrics = metrics
        self.checks = dict(checks)
        self.ready_checks = {**checks, **ready_checks}
        self._pages: dict[str, Page] = {}
        self._unlisted: dict[str, Callable[[Request], Response]] = {}

    def add(self, path: str, page: Page) -> None:
        """Serve a page at an exact path."""
        self._pages[path] = page

    def add_unlisted(self, path: str, page: Callable[[Request], Response]) -> None:
        """Serve a page that reads its query, and that the list of paths does not tell of."""
        self._unlisted[path] = page

    async def __call__(self, request: Request, user: UserInfo) -> Response | None:
        """The page of a request, None if there is none."""
        path = request.path.rstrip("/") or "/"
        first = path.split("/", 2)[1]
        if first in _HEALTH:
            return self._health(request, path)
        found = await self._page(request, path, first)
        if found is not None and request.method not in ("GET", "HEAD"):
            raise status.generic(405)
        return found

    async def _page(self, request: Request, path: str, first: str) -> Response | None:
        """Any page but the health pages."""
        page = self._pages.get(path)
        if page is not None:
            return page()
        unlisted = self._unlisted.get(path)
        if unlisted is not None:
            return unlisted(request)
        match first:
            case "version" if path == "/version":
                return self._version(request)
            case "metrics" if path == "/metrics":
                return self.metrics()
            case "api" | "apis":
                return await self.discovery.answer(request, path)
            case "openapi":
                return await self.openapi.answer(request, path)
            case "":
                return self._paths(request)
            case _:
                return None

    def _health(self, request: Request, path: str) -> Response | None:
        """One of the health pages, or one check of it (k8s.io/apiserver `pkg/server/healthz`)."""
        page, _, name = path[1:].partition("/")
        checks = self.ready_checks if page == "readyz" else self.checks
        if name:
            check = checks.get(name)
            if check is None:
                return None
            wrong = check()
            if wrong:
                return Response(status=500, headers=dict(TEXT), body=f"internal server error: {wrong}\n".encode())
            return Response(headers=dict(TEXT), body=b"ok")
        excluded = set(request.params("exclude"))
        lines: list[str] = []
        failed = False
        for each, check in checks.items():
            wrong = "" if each in excluded else check()
            failed = failed or bool(wrong)
            state = "excluded: ok" if each in excluded else "failed: reason withheld" if wrong else "ok"
            lines.append(f"[{'-' if wrong else '+'}]{each} {state}")
        unknown = sorted(excluded - checks.keys())
        if unknown:
            names = ",".join(map(quote, unknown))
            lines.append(f"warn: some health checks cannot be excluded: no matches for {names}")
        if failed:
            body = "\n".join([*lines, f"{page} check failed", ""])
            return Response(status=500, headers=dict(TEXT), body=body.encode())
        if request.params("verbose"):
            body = "\n".join([*lines, f"{page} check passed", ""])
            return Response(headers=dict(TEXT), body=body.encode())
        return Response(headers=dict(TEXT), body=b"ok")

    def _version(self, request: Request) -> Response:
        machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
        info = {
            "major": MAJOR,
            "minor": MINOR,
            "emulationMajor": MAJOR,
            "emulationMinor": MINOR,
            "gitVersion": GIT_VERSION,
            "gitCommit": "",
            "gitTreeState": "clean",
            "buildDate": "",
            "goVersion": f"python{platform.python_version()}",
            "compiler": platform.python_implementation(),
            "platform": f"{platform.system().lower()}/{machine}",
        }
        body = msgspec.json.format(msgspec.json.encode(info), indent=2)
        return Response(headers={"Content-Type": negotiate.JSON}, body=body)

    def _paths(self, request: Request) -> Response:
        paths = sorted({"/healthz", "/livez", "/readyz", "/metrics", "/version", "/openapi/v2", "/openapi/v3",
                        *self._pages, *self.discovery.paths()})  # fmt: skip
        body = msgspec.json.format(msgspec.json.encode({"paths": paths}), indent=2)
        return Response(headers={"Content-Type": negotiate.JSON}, body=body)
