"""A webhook server on a real port, with a certificate authority of its own: what the tests of webhooks call."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kijabi.base import clock

Answer = Callable[[dict[str, Any]], dict[str, Any] | web.Response | Awaitable[Any]]


class Authority:
    """A CA that signs server certificates."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.cert = _sign("test CA", self.key, "test CA", self.key, ())
        self.pem = self.cert.public_bytes(serialization.Encoding.PEM)

    def server(self, folder: Path, *names: str) -> ssl.SSLContext:
        """The TLS of a server with these names."""
        key = ec.generate_private_key(ec.SECP256R1())
        cert = _sign(names[0], key, "test CA", self.key, names)
        path = folder / f"{names[0]}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + cert.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def _sign(subject: str, key: Any, issuer: str, by: Any, names: tuple[str, ...]) -> x509.Certificate:
    now = clock.now()
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=not names, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False)
    return builder.sign(by, hashes.SHA256())


class HookServer:
    """The server: `answers` has what each path does with an AdmissionRequest; `asked` what came, in order."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.port = 0
        self.connections: set[Any] = set()

    def client(self, path: str) -> dict[str, Any]:
        """A clientConfig that leads here."""
        bundle = base64.b64encode(self.authority.pem).decode()
        return {"url": f"https://localhost:{self.port}{path}", "caBundle": bundle}

    def hook(self, name: str, path: str, *operations: str, **more: Any) -> dict[str, Any]:
        """A webhook of a configuration, about ConfigMaps unless it says otherwise."""
        rule = {
            "operations": list(operations or ("CREATE",)),
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "resources": more.pop("resources", ["configmaps"]),
        }
        return {
            "name": name,
            "clientConfig": self.client(path),
            "rules": [rule],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            **more,
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.connections.add(request.transport)
        review = msgspec.json.decode(await request.read())
        self.asked.append((request.path, review))
        said = self.answers[request.path](review)
        if asyncio.iscoroutine(said):
            said = await said
        return said if isinstance(said, web.StreamResponse) else web.json_response(said)


@asynccontextmanager
async def hook_server(folder: Path, *names: str) -> AsyncIterator[HookServer]:
    """A server that is up. names: of its certificate."""
    server = HookServer(Authority())
    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(
            runner, "127.0.0.1", 0, ssl_context=server.authority.server(folder, *(names or ("localhost",)))
        )
        await site.start()
        server.port = runner.addresses[0][1]
        yield server
    finally:
        await runner.cleanup()


def allow(review: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The answer that lets a write pass."""
    response = {"uid": review["request"]["uid"], "allowed": True, **more}
    return {"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response}


def deny(review: dict[str, Any], message: str = "", **status: Any) -> dict[str, Any]:
    """The answer that refuses it."""
    said = {"message": message, **status} if message or status else None
    return allow(review, allowed=False, **({"status": said} if said else {}))


def patch(review: dict[str, Any], *operations: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The answer that changes the object."""
    data = base64.b64encode(msgspec.json.encode(operations)).decode()
    return allow(review, patchType="JSONPatch", patch=data, **more)
