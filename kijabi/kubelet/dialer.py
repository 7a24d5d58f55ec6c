"""Reaching into pods over the network, for probes and lifecycle hooks, behind one small interface.

`LocalDialer` connects from this node; `NullDialer` answers that all is well and is what a simulated or hollow node
has. Failure texts are those that an Unhealthy event has always shown.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from functools import cache
from typing import NamedTuple, Protocol
from urllib.parse import urljoin, urlsplit

from kijabi import KUBERNETES_VERSION

BODY_LIMIT = 10 * 1024
REDIRECTS = 10
SERVING = 1
AGENT_VERSION = ".".join(KUBERNETES_VERSION.removeprefix("v").split(".")[:2])


class Outcome(NamedTuple):
    """Whether the other side is well, and what it (or the network) said. warning: well, but worth an event."""

    ok: bool
    text: str = ""
    warning: bool = False


class Dialer(Protocol):
    """Asks a pod something. `timeout` in seconds; nothing is raised, an Outcome says what went wrong."""

    async def http(self, url: str, headers: tuple[tuple[str, str], ...], timeout: float, agent: str) -> Outcome:
        """GET a URL; certificates are not checked. agent: `probe` or `lifecycle`."""
        ...

    async def tcp(self, host: str, port: int, timeout: float) -> Outcome:
        """Open a connection and close it."""
        ...

    async def grpc(self, host: str, port: int, service: str, timeout: float) -> Outcome:
        """Ask grpc.health.v1.Health/Check."""
        ...


class NullDialer:
    """A network in which everybody is well."""

    async def http(self, url: str, headers: tuple[tuple[str, str], ...], timeout: float, agent: str) -> Outcome:
        """See Dialer."""
        return Outcome(True)

    async def tcp(self, host: str, port: int, timeout: float) -> Outcome:
        """See Dialer."""
        return Outcome(True)

    async def grpc(self, host: str, port: int, service: str, timeout: float) -> Outcome:
        """See Dialer."""
        return Outcome(True)


@cache
def _trusting() -> ssl.SSLContext:
    """TLS that checks nothing, made once: a context takes milliseconds, a probe must not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class LocalDialer:
    """Connects from this machine, in this process's network namespace."""

    async def http(self, url: str, headers: tuple[tuple[str, str], ...], timeout: float, agent: str) -> Outcome:
        """See Dialer. Redirects are followed on the same host only; to another host they are a warning."""
        import aiohttp  # only nodes whose pods have HTTP probes need it here

        connector = aiohttp.TCPConnector(force_close=True, ssl=_trusting())
        try:
            async with (
                asyncio.timeout(timeout),
                aiohttp.ClientSession(connector=connector, auto_decompress=False, trust_env=False) as session,
            ):
                return await self._get(session, url, _headers(headers, agent))
        except TimeoutError:
            return Outcome(
                False,
                f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)',
            )
        except (aiohttp.ClientError, OSError, ValueError) as problem:
            return Outcome(False, f'Get "{url}": {_reason(problem, url)}')

    async def _get(self, session: object, url: str, headers: dict[str, str]) -> Outcome:
        import aiohttp

        assert isinstance(session, aiohttp.ClientSession)
        host = urlsplit(url).hostname
        for _ in range(REDIRECTS):
            async with session.get(url, headers=headers, allow_redirects=False) as answer:
                body = (await answer.content.read(BODY_LIMIT)).decode("utf-8", "replace")
                status, target = answer.status, answer.headers.get("Location", "")
                if 300 <= status < 400 and target:
                    following = urljoin(url, target)
                    if urlsplit(following).hostname == host:
                        url = following
                        continue
                    text = f"Probe terminated redirects, Response body: {body}"
                    return Outcome(True, text, warning=True)
                if 200 <= status < 400:
                    return Outcome(True, body)
                return Outcome(False, f"HTTP probe failed with statuscode: {status}")
        return Outcome(False, f'Get "{url}": stopped after {REDIRECTS} redirects')

    async def tcp(self, host: str, port: int, timeout: float) -> Outcome:
        """See Dialer."""
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            async with asyncio.timeout(timeout):
                _, writer = await asyncio.open_connection(host, port)
        except TimeoutError:
            return Outcome(False, f"dial tcp {where}: i/o timeout")
        except OSError as problem:
            return Outcome(False, f"dial tcp {where}: connect: {_errno_text(problem)}")
        writer.close()
        return Outcome(True)

    async def grpc(self, host: str, port: int, service: str, timeout: float) -> Outcome:
        """See Dialer."""
        import grpc.aio  # only nodes whose pods have gRPC probes need it here

        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        name = service.encode()
        options = (("grpc.primary_user_agent", f"kube-probe/{AGENT_VERSION}"),)
        async with grpc.aio.insecure_channel(where, options=options) as channel:
            check = channel.unary_unary("/grpc.health.v1.Health/Check")
            try:
                answer: bytes = await check(b"\x0a" + bytes([len(name)]) + name if name else b"", timeout=timeout)
            except grpc.aio.AioRpcError as problem:
                return Outcome(False, _grpc_text(problem.code().name, problem.details() or "", where, service, timeout))
        # HealthCheckResponse{status: 1}: field 1, varint.
        serving = answer[:1] == b"\x08" and answer[1:2] == bytes([SERVING])
        if serving:
            return Outcome(True, "service healthy")
        names = {0: "UNKNOWN", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
        state = names.get(answer[1] if len(answer) > 1 else 0, "UNKNOWN")
        return Outcome(False, f'service unhealthy (responded with "{state}")')


def _grpc_text(code: str, details: str, where: str, service: str, timeout: float) -> str:
    if code == "UNIMPLEMENTED":
        return f"error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {details}"
    if code == "DEADLINE_EXCEEDED":
        return f'timeout: failed to connect service "{where}" within {timeout:g}s: context deadline exceeded'
    if code == "UNAVAILABLE":
        return f'error: failed to connect service at "{where}": {details}'
    return f"error: health rpc probe failed: rpc error: code = {code} desc = {details}"


def _headers(given: tuple[tuple[str, str], ...], agent: str) -> dict[str, str]:
    headers = {"User-Agent": f"kube-{agent}/{AGENT_VERSION}", "Accept": "*/*"}
    for name, value in given:
        known = next((key for key in headers if key.lower() == name.lower()), name)
        headers[known] = value
    return {name: value for name, value in headers.items() if value or name != "Accept"}


def _reason(problem: Exception, url: str) -> str:
    cause = getattr(problem, "os_error", problem)
    if isinstance(cause, OSError) and cause.errno:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return f"dial tcp {parts.hostname}:{port}: connect: {_errno_text(cause)}"
    return str(problem) or type(problem).__name__


def _errno_text(problem: OSError) -> str:
    """`connection refused`, as Go writes it, from what Python says."""
    return os.strerror(problem.errno).lower() if problem.errno else str(problem)
