"""How aggregated API servers are reached: over TLS that checks both ends."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from kijabi.api.apiregistration.apiservice import APIService, APIServiceSpec, ServiceReference
from kijabi.api.core.service import Service, ServicePort, ServiceSpec
from kijabi.api.discovery.endpointslice import SERVICE_NAME, Endpoint, EndpointPort, EndpointSlice
from kijabi.api.meta import ObjectMeta
from kijabi.apiserver import pki
from kijabi.apiserver.aggregation.backends import Backends, Fetched, Unreachable, Untrusted
from kijabi.apiserver.attributes import UserInfo
from kijabi.apiserver.webhooks.services import Unresolved

USER = UserInfo("jane")


class Reader:
    """A cluster with one Service, and its endpoint at a port of this machine."""

    def __init__(self, port: int) -> None:
        meta = ObjectMeta(name="sample", namespace="apis")
        self.service = Service(metadata=meta, spec=ServiceSpec(ports=(ServicePort(port=443),)))
        self.piece = EndpointSlice(
            metadata=ObjectMeta(name="sample-1", namespace="apis", labels={SERVICE_NAME: "sample"}),
            endpoints=(Endpoint(addresses=("127.0.0.1",)),),
            ports=(EndpointPort(name="", port=port),),
        )

    def get(self, cls: Any, name: str, namespace: str = "") -> Any:
        return self.service if name == "sample" else None

    def items(self, cls: Any, namespace: str = "") -> Any:
        return (self.piece,)


def service(bundle: bytes = b"", name: str = "sample", insecure: bool = False) -> APIService:
    place = ServiceReference("apis", name, 443)
    return APIService(spec=APIServiceSpec(service=place, caBundle=bundle, insecureSkipTLSVerify=insecure))


class Server:
    """An API server that lets in the front proxy only, and answers with who came."""

    def __init__(self, keys: pki.Pki, name: str) -> None:
        pair = keys.serving("sample", pki.Identity("sample"), [name], [])
        self.context = pki.server_context(pair, keys.front_proxy_ca.pair.cert)
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.body: Any = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        name = x509.load_der_x509_certificate(shown).subject.rfc4514_string().encode()
        body = gzip.compress(self.body if self.body is not None else name)
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()


async def test_both_ends_are_checked(tmp_path: Path) -> None:
    keys = pki.Pki(tmp_path)
    there = Server(keys, "sample.apis.svc")
    async with await asyncio.start_server(there.serve, "127.0.0.1", 0, ssl=there.context) as server:
        backends = Backends(Reader(server.sockets[0].getsockname()[1]), keys.front_proxy_client)

        async def fetch(wanted: APIService) -> Fetched:
            return await backends.fetch(wanted, "/apis", USER, [], seconds=5.0, limit=1000)

        bundle = keys.ca.pair.cert.read_bytes()
        found = await fetch(service(bundle))
        assert (found.status, found.body) == (200, b"CN=front-proxy-client")
        assert (await fetch(service(insecure=True))).status == 200
        other = pki.Pki(tmp_path / "other").ca.pair.cert.read_bytes()
        with pytest.raises(Unreachable, match="x509: certificate signed by unknown authority"):
            await fetch(service(other))
        with pytest.raises(Untrusted, match="unable to parse bytes as PEM block"):
            await fetch(service(b"no certificate"))
        with pytest.raises(Unresolved, match='service "none" not found'):
            await fetch(service(bundle, "none"))
        there.body = b"\0" * 5000  # small on the wire, large when unpacked
        with pytest.raises(Unreachable, match="longer than 1000 bytes"):
            await fetch(service(bundle))
        with pytest.raises(Unreachable):  # without the certificate nobody is let in
            await Backends(backends._reader, lambda: None).fetch(
                service(bundle), "/apis", USER, [], seconds=5.0, limit=10
            )


async def test_the_server_must_be_the_service_that_is_meant(tmp_path: Path) -> None:
    keys = pki.Pki(tmp_path)
    there = Server(keys, "other.apis.svc")
    async with await asyncio.start_server(there.serve, "127.0.0.1", 0, ssl=there.context) as server:
        backends = Backends(Reader(server.sockets[0].getsockname()[1]), keys.front_proxy_client)
        with pytest.raises(Unreachable, match=r"x509: certificate is not valid for sample\.apis\.svc"):
            await backends.fetch(service(keys.ca.pair.cert.read_bytes()), "/apis", USER, [], seconds=5.0, limit=1000)
