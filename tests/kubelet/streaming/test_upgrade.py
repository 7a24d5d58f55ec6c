"""Taking a connection over where it is hardest: TLS on uvloop, as the kubelet has it."""

from __future__ import annotations

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kijabi.base import clock
from kijabi.base.errors import ConnectionLost
from kijabi.kubelet.streaming import portforward, spdy
from kijabi.kubelet.streaming.pipe import Pipe
from tests.kubelet.streaming.serving import served


@pytest.fixture(scope="module")
def server_tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A server context with a certificate of its own making."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubelet")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(clock.now() - timedelta(hours=1))
        .not_valid_after(clock.now() + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file: Path = tmp_path_factory.mktemp("tls") / "server.pem"
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    return context


def client_tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest) -> asyncio.Runner:
    return asyncio.Runner(loop_factory=request.param)


def test_websocket_over_tls(runner: asyncio.Runner, server_tls: ssl.SSLContext) -> None:
    async def main() -> None:
        async with served(ssl_context=server_tls) as server, aiohttp.ClientSession() as client:
            url = f"https://127.0.0.1:{server.port}/exec?stdin=1&stdout=1&command=cat"
            async with client.ws_connect(url, ssl=client_tls(), protocols=("v5.channel.k8s.io",)) as socket:
                data = b"x" * 100_000
                for _ in range(20):
                    await socket.send_bytes(b"\x00" + data)
                await socket.send_bytes(b"\xff\x00")
                received = [message.data async for message in socket]
            output = b"".join(message[1:] for message in received if message[0] == 1)
            assert output == data * 20
            assert received[-1].startswith(b"\x03")

    with runner:
        runner.run(main())


def test_spdy_over_tls(runner: asyncio.Runner, server_tls: ssl.SSLContext) -> None:
    async def main() -> None:
        async with served(ssl_context=server_tls) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=client_tls())
            writer.write(
                b"POST /portforward HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
                b"X-Stream-Protocol-Version: portforward.k8s.io\r\nContent-Length: 0\r\n\r\n"
            )
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"X-Stream-Protocol-Version: portforward.k8s.io" in head
            session = spdy.Session(reader, writer, client=True)
            async with asyncio.TaskGroup() as group:
                running = group.create_task(session.run())
                await echo(session, "1", 80, b"y" * 500_000)
                errors, _ = await connection(session, "2", 81)
                assert b"connection refused" in await errors.read()
                await session.close()
                running.cancel()
            writer.close()

    with runner:
        runner.run(main())


async def test_a_reset_stream_closes_the_pods_connection() -> None:
    """The client gives up: the pod must not keep its side for ever."""
    pod_side, ours = Pipe(), Pipe()
    closed = asyncio.Event()

    class Writer(Pipe):
        def close(self) -> None:
            ours.end()
            closed.set()

    async def connect(port: int) -> tuple[Pipe, Pipe]:
        return ours, Writer()

    pod_side.end(ConnectionLost("reset"))
    async with asyncio.timeout(5):
        assert await portforward.forward(80, pod_side, Pipe(), connect) == ""
        await closed.wait()


async def connection(session: spdy.Session, number: str, port: int) -> tuple[spdy.Stream, spdy.Stream]:
    """The two streams of one forwarded connection: error and data."""
    headers = {"port": str(port), "requestID": number}
    errors = await session.open({"streamType": "error", **headers})
    errors.write_eof()
    return errors, await session.open({"streamType": "data", **headers})


async def echo(session: spdy.Session, number: str, port: int, data: bytes) -> None:
    errors, stream = await connection(session, number, port)
    stream.write(data)
    stream.write_eof()
    assert await stream.read() == data
    assert await errors.read() == b""
