"""A registry (OCI distribution specification, pull only) that serves one image archive, perhaps for a password."""

from __future__ import annotations

import base64
import json
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web


class Registry:
    """Serves `app:1`. password: demanded by Basic authentication where it is not empty."""

    def __init__(self, archive: Path, password: str = "") -> None:
        self.password = password
        self.port = 0
        self.requests: list[str] = []
        with tarfile.open(archive) as tar:
            files = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
        self.manifest: dict[str, Any] = json.loads(files["index.json"])["manifests"][0]
        self.blobs = {"sha256:" + path.rpartition("/")[2]: content for path, content in files.items()}

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append(request.path)
        if self.password and request.headers.get("Authorization") != self._expected():
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="test"'})
        path = request.path.removeprefix("/v2/")
        if not path:
            return web.json_response({})
        if path in ("app/manifests/1", f"app/manifests/{self.manifest['digest']}"):
            digest, media = self.manifest["digest"], self.manifest["mediaType"]
            headers = {"Docker-Content-Digest": digest, "Content-Type": media}
            return web.Response(body=self.blobs[digest], headers=headers)
        blob = self.blobs.get(path.removeprefix("app/blobs/"))
        if blob is None:
            return web.json_response({"errors": [{"code": "MANIFEST_UNKNOWN"}]}, status=404)
        return web.Response(body=blob, content_type="application/octet-stream")

    def _expected(self) -> str:
        return "Basic " + base64.b64encode(f"user:{self.password}".encode()).decode()


@asynccontextmanager
async def serving(archive: Path, password: str = "") -> AsyncIterator[Registry]:
    """A registry on a free port of 127.0.0.1, which containerd asks by plain HTTP."""
    registry = Registry(archive, password)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", registry.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    registry.port = runner.addresses[0][1]
    try:
        yield registry
    finally:
        await runner.cleanup()
