"""The transport over TLS against a real socket: certificates, tokens, streams, and what counts as lost."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kijabi.base import clock
from kijabi.base.errors import ConfigError, ConnectionLost
from kijabi.client import kubeconfig
from kijabi.client.http import HttpTransport
from kijabi.client.kubeconfig import Identity
from kijabi.client.transport import Request


class Authority:
    """A throw-away certificate authority that writes PEM files into a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _name("test-ca")
        self.certificate = self._sign("test-ca", self.key.public_key(), authority=True)
        self.path = folder / "ca.crt"
        self.path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        cert_path, key_path = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        certificate = self._sign(name, key.public_key(), authority=False)
        cert_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return cert_path, key_path

    def _sign(self, name: str, key: Any, *, authority: bool) -> x509.Certificate:
        builder = x509.CertificateBuilder(
            issuer_name=self.name,
            subject_name=_name(name),
            public_key=key,
            serial_number=x509.random_serial_number(),
            not_valid_before=clock.now() - timedelta(minutes=1),
            not_valid_after=clock.now() + timedelta(hours=1),
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        return builder.sign(self.key, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


Handler = Callable[[web.Request], Any]


@asynccontextmanager
async def serving(authority: Authority, handler: Handler) -> AsyncIterator[str]:
    """A TLS server that asks for client certificates; its URL."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.path))
    context.load_cert_chain(*authority.issue("localhost"))
    context.verify_mode = ssl.CERT_OPTIONAL
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "localhost", 0, ssl_context=context)
    await site.start()
    try:
        yield f"https://localhost:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def echo(request: web.Request) -> web.Response:
    assert request.transport is not None
    peer = request.transport.get_extra_info("peercert") or {}
    return web.json_response(
        {
            "method": request.method,
            "raw": request.raw_path,
            "body": (await request.read()).decode(),
            "peer": str(peer.get("subject", "")),
            "authorization": request.headers.get("authorization", ""),
            "encoding": request.headers.get("accept-encoding", ""),
            "connection": str(request.transport.get_extra_info("peername")[1]),
        },
        status=202,
        headers={"X-Test": "yes"},
    )


def read(body: bytes) -> dict[str, str]:
    found: dict[str, str] = json.loads(body)
    return found


async def test_a_request_with_a_client_certificate(authority: Authority) -> None:
    cert, key = authority.issue("system:node:a")
    async with serving(authority, echo) as url:
        transport = HttpTransport(url, ca=authority.path, cert=cert, key=key)
        request = Request(
            method="POST",
            path="/api/v1/odd name%/ü",
            query=(("a", "x y"), ("a", "b=c&d"), ("labels", "a in (b,c)")),
            body=b"{}",
        )
        answer = await transport.request(request)
        assert (answer.status, answer.headers["X-Test"]) == (202, "yes")
        seen = read(answer.body)
        assert (seen["method"], seen["body"], seen["encoding"]) == ("POST", "{}", "")
        assert "system:node:a" in seen["peer"]
        assert seen["raw"].startswith("/api/v1/odd%20name%25/%C3%BC?a=x+y&a=b%3Dc%26d&labels=a+in+(b,c)")
        again = read((await transport.request(request)).body)
        assert again["connection"] == seen["connection"]
        await transport.close()


async def test_a_token_is_read_anew_each_time(authority: Authority) -> None:
    tokens = iter(("one", "two"))
    async with serving(authority, echo) as url:
        transport = HttpTransport(url, ca=authority.path.read_text(), token=lambda: next(tokens))
        for token in ("one", "two"):
            answer = await transport.request(Request(method="GET", path="/"))
            assert read(answer.body)["authorization"] == f"Bearer {token}"
        await transport.close()


async def test_an_untrusted_server_is_refused(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path)
    async with serving(authority, echo) as url:
        transport = HttpTransport(url, ca=other.path)
        with pytest.raises(ConnectionLost, match=r"(?i)certificate"):
            await transport.request(Request(method="GET", path="/"))
        await transport.close()
        careless = HttpTransport(url, insecure=True)
        assert (await careless.request(Request(method="GET", path="/"))).status == 202
        await careless.close()


async def test_streams_arrive_as_they_come_and_close_the_connection(authority: Authority) -> None:
    gone = asyncio.Event()
    more = asyncio.Event()

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one\n")
        await more.wait()
        await response.write(b"two\n")
        try:
            while True:
                await asyncio.sleep(0.01)
                await response.write(b".")
        except ConnectionError:
            gone.set()
            raise

    async with serving(authority, stream) as url:
        transport = HttpTransport(url, ca=authority.path)
        async with transport.stream(Request(method="GET", path="/watch")) as answer:
            assert answer.status == 200
            chunks = aiter(answer)
            assert await anext(chunks) == b"one\n"
            more.set()
            assert (await anext(chunks)).startswith(b"two\n")
        async with asyncio.timeout(5):
            await gone.wait()
        await transport.close()


async def test_what_counts_as_lost(authority: Authority) -> None:
    async def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        if request.path == "/stream":
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"half of it")
        request.transport.abort()
        return web.Response()

    async with serving(authority, hang_up) as url:
        transport = HttpTransport(url, ca=authority.path)
        with pytest.raises(ConnectionLost):
            await transport.request(Request(method="GET", path="/"))
        with pytest.raises(ConnectionLost):  # noqa: PT012
            async with transport.stream(Request(method="GET", path="/stream")) as answer:
                async for _ in answer:
                    pass
        await transport.close()
        with pytest.raises(ConnectionLost, match="closed"):
            await transport.request(Request(method="GET", path="/"))
    nowhere = HttpTransport(url, ca=authority.path)
    with pytest.raises(ConnectionLost, match="GET https://localhost"):
        await nowhere.request(Request(method="GET", path="/"))
    await nowhere.close()


def test_unusable_certificates_are_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.crt"):
        HttpTransport("https://localhost", ca=tmp_path / "nowhere.crt")
    (tmp_path / "bad.crt").write_text("no certificate")
    with pytest.raises(ConfigError, match=r"bad\.crt"):
        HttpTransport("https://localhost", cert=tmp_path / "bad.crt", key=tmp_path / "bad.crt")


async def test_a_kubeconfig_there_and_back(authority: Authority, tmp_path: Path) -> None:
    cert, key = authority.issue("kubernetes-admin")
    path = tmp_path / "deep" / "kubeconfig"
    async with serving(authority, echo) as url:
        identity = Identity(
            server=url,
            ca=authority.path.read_text(),
            cert=cert.read_text(),
            key=key.read_text(),
            namespace="shop",
        )
        kubeconfig.save(path, identity, user="kubernetes-admin")
        assert path.stat().st_mode & 0o777 == 0o600
        assert [file.name for file in path.parent.iterdir()] == ["kubeconfig"]
        assert kubeconfig.load(path) == identity
        transport = kubeconfig.transport(kubeconfig.load(path))
        answer = await transport.request(Request(method="GET", path="/"))
        assert "kubernetes-admin" in read(answer.body)["peer"]
        await transport.close()


def test_a_kubeconfig_that_names_files(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("CA")
    (tmp_path / "token").write_text("secret\n")
    path = tmp_path / "config"
    path.write_text(
        """
current-context: c
contexts: [{name: c, context: {cluster: k, user: u}}, {name: d, context: {cluster: k, user: v}}]
clusters: [{name: k, cluster: {server: "https://h:1", certificate-authority: ca.pem}}]
users: [{name: u, user: {tokenFile: token}}, {name: v, user: {token: other}}]
"""
    )
    assert kubeconfig.load(path) == Identity(server="https://h:1", ca="CA", token="secret")
    assert kubeconfig.load(path, "d").token == "other"
    with pytest.raises(ConfigError, match="no context called 'e'"):
        kubeconfig.load(path, "e")


@pytest.mark.parametrize("text", ["", "[]", "a: [", "contexts: 3", "current-context: x\ncontexts: [1]", "\x00"])
def test_bad_kubeconfigs(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(ConfigError):
        kubeconfig.load(path)


def test_a_missing_kubeconfig_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the kubeconfig .*nowhere"):
        kubeconfig.load(tmp_path / "nowhere")


def test_it_runs_on_uvloop(authority: Authority) -> None:
    async def main() -> None:
        async with serving(authority, echo) as url:
            transport = HttpTransport(url, ca=authority.path)
            answers = await asyncio.gather(*(transport.request(Request(method="GET", path="/")) for _ in range(20)))
            assert {answer.status for answer in answers} == {202}
            async with transport.stream(Request(method="GET", path="/")) as stream:
                assert read(b"".join([chunk async for chunk in stream]))["method"] == "GET"
            await transport.close()
            with pytest.raises(ConnectionLost, match="closed"):
                await transport.request(Request(method="GET", path="/"))

    uvloop.run(main())
