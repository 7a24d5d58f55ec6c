"""A small HTTP server around the streaming handlers, a fake runtime behind it and, for kubectl, a toy API in front."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from aiohttp import web

from kijabi.kubelet.runtime.fake import FakeRuntime, Script
from kijabi.kubelet.runtime.interface import ContainerConfig, SandboxConfig
from kijabi.kubelet.streaming import portforward, remotecommand

IMAGE = "app:1"
POD: dict[str, Any] = {
    "kind": "Pod",
    "apiVersion": "v1",
    "metadata": {"name": "web", "namespace": "default", "uid": "u"},
    "spec": {"containers": [{"name": "c", "image": IMAGE, "ports": [{"containerPort": 80}]}]},
    "status": {"phase": "Running"},
}
PODS = {"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "verbs": ["get"]}


class Served:
    """The server's port, and what is behind it."""

    def __init__(self, runtime: FakeRuntime, sandbox: str, container: str) -> None:
        self.runtime, self.sandbox, self.container = runtime, sandbox, container
        self.port = 0
        self.sessions: list[Any] = []

    async def exec(self, request: web.Request) -> web.StreamResponse:
        command = tuple(request.query.getall("command", ()))

        async def open_session(options: remotecommand.StreamOptions) -> Any:
            session = await self.runtime.exec(self.container, command, stdin=options.stdin, tty=options.tty)
            self.sessions.append(session)
            return session

        return await remotecommand.serve(request, open_session)

    async def attach(self, request: web.Request) -> web.StreamResponse:
        async def open_session(options: remotecommand.StreamOptions) -> Any:
            return await self.runtime.attach(self.container, stdin=options.stdin, tty=options.tty)

        return await remotecommand.serve(request, open_session)

    async def port_forward(self, request: web.Request) -> web.StreamResponse:
        return await portforward.serve(request, partial(self.runtime.connect, self.sandbox))

    def routes(self) -> list[web.RouteDef]:
        pod = "/api/v1/namespaces/default/pods/web"
        handlers = {"exec": self.exec, "attach": self.attach, "portforward": self.port_forward}
        found = [web.route("*", f"{pod}/{name}", handler) for name, handler in handlers.items()]
        found += [web.route("*", f"/{name}", handler) for name, handler in handlers.items()]
        answers = {
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
            "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [PODS]},
            pod: POD,
        }
        return found + [web.get(path, partial(_answer, answer)) for path, answer in answers.items()]


async def _answer(answer: dict[str, Any], request: web.Request) -> web.Response:
    return web.json_response(answer)


@asynccontextmanager
async def served(**options: Any) -> AsyncIterator[Served]:
    """A running pod behind a running server on 127.0.0.1."""
    runtime = FakeRuntime(scripts={"c": Script(ports=(80,))})
    runtime.add_image(IMAGE)
    box = SandboxConfig(name="web", namespace="default", uid="u", hostname="web")
    sandbox = await runtime.run_sandbox(box)
    container = await runtime.create_container(sandbox, ContainerConfig(name="c", image=IMAGE), box)
    await runtime.start_container(container)
    server = Served(runtime, sandbox, container)
    application = web.Application()
    application.add_routes(server.routes())
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, **options)
    await site.start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()


async def run(*command: str, input: bytes = b"", **environment: str) -> tuple[int, bytes, bytes]:
    """Run a program to its end, with input."""
    process = await asyncio.create_subprocess_exec(
        "env",
        *(f"{name}={value}" for name, value in environment.items()),
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate(input)
    return process.returncode or 0, out, err
