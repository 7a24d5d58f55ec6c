"""An issuer of JWTs on a real port, over TLS: discovery, keys, distributed claims; it signs what tests ask for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from kijabi.base import clock
from tests.apiserver.hookserver import Authority


class IssuerServer:
    """The issuer. keys: by kid; asked: paths that were read; slow: while set, nothing is answered before it is."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.keys: dict[str, Any] = {"one": rsa.generate_private_key(public_exponent=65537, key_size=2048)}
        self.asked: list[str] = []
        self.gate: asyncio.Event | None = None
        self.broken = False
        self.cache = ""
        self.pages: dict[str, str] = {}
        self.port = 0

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def pem(self) -> str:
        return self.authority.pem.decode()

    def sign(self, kid: str = "one", *, algorithm: str = "", key: Any = None, **claims: Any) -> str:
        """A token with these claims, for the audience kubernetes unless they say otherwise."""
        key = self.keys[kid] if key is None else key
        algorithm = algorithm or ("ES256" if isinstance(key, ec.EllipticCurvePrivateKey) else "RS256")
        full = {"iss": self.url, "aud": "kubernetes", "exp": int(clock.wall()) + 600, "sub": "jane", **claims}
        payload = {name: value for name, value in full.items() if value is not None}
        return jwt.encode(payload, key, algorithm=algorithm, headers={"kid": kid} if kid else None)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        if self.gate is not None:
            await self.gate.wait()
        if self.broken:
            return web.Response(status=500, text="no")
        if request.path == "/moved":
            raise web.HTTPFound(f"{self.url}/.well-known/openid-configuration")
        if request.path == "/.well-known/openid-configuration":
            return web.json_response({"issuer": self.url, "jwks_uri": f"{self.url}/keys"})
        if request.path == "/keys":
            headers = {"Cache-Control": self.cache} if self.cache else {}
            return web.json_response({"keys": [_public(kid, key) for kid, key in self.keys.items()]}, headers=headers)
        page = self.pages.get(f"{request.path} {request.headers.get('Authorization', '')}".strip())
        return web.Response(status=404 if page is None else 200, text=page)


def _public(kid: str, key: Any) -> dict[str, Any]:
    algorithm: Any = (
        jwt.algorithms.ECAlgorithm if isinstance(key, ec.EllipticCurvePrivateKey) else jwt.algorithms.RSAAlgorithm
    )
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"}


@asynccontextmanager
async def issuer_server(folder: Path) -> AsyncIterator[IssuerServer]:
    """A server that is up."""
    server = IssuerServer(Authority())
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server.authority.server(folder, "localhost"))
        await site.start()
        server.port = runner.addresses[0][1]
        yield server
    finally:
        await runner.cleanup()
