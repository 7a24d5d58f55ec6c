"""The kubelet's own HTTPS server: logs, exec, attach, port-forward, stats, for the API server and administrators.

Paths are upstream's. A client must show a certificate of the cluster's CA that belongs to the API server's kubelet
client or to an administrator (O=system:masters); everybody else gets 401 or 403. Upgraded streams are handed to
`streaming/`.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from functools import partial
from typing import Any

import msgspec
from aiohttp import web

from kijabi.api import codec
from kijabi.api.core.pod import Pod
from kijabi.base import clock
from kijabi.base.errors import ConnectionLost
from kijabi.base.filewatch import FileWatch
from kijabi.kubelet import logquery, logreader, podspec
from kijabi.kubelet.config import KubeletConfig
from kijabi.kubelet.loop import Kubelet
from kijabi.kubelet.runtime.interface import ContainerInfo, ExecSession, RuntimeFailure
from kijabi.kubelet.stats import Stats
from kijabi.kubelet.streaming import portforward, remotecommand
from kijabi.kubelet.streaming.remotecommand import StreamOptions

ADMINISTRATORS, API_SERVER = "system:masters", "kube-apiserver-kubelet-client"
BODY_LIMIT = 64 * 1024
RUN_TIMEOUT = 60.0
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class KubeletServer:
    """Serves one kubelet."""

    def __init__(self, kubelet: Kubelet) -> None:
        self._kubelet = kubelet
        self._stats = Stats(kubelet)

    def application(self) -> web.Application:
        """The routes."""
        app = web.Application(client_max_size=BODY_LIMIT, middlewares=[authorise])
        pod = "/{namespace}/{pod}"
        add = app.router.add_route
        add("GET", "/containerLogs" + pod + "/{container}", self._logs)
        for name, handler in (("exec", self._exec), ("attach", self._attach)):
            for path in (pod + "/{container}", pod + "/{uid}/{container}"):
                add("GET", f"/{name}{path}", handler)
                add("POST", f"/{name}{path}", handler)
        for path in (pod, pod + "/{uid}"):
            add("GET", "/portForward" + path, self._port_forward)
            add("POST", "/portForward" + path, self._port_forward)
        for path in (pod + "/{container}", pod + "/{uid}/{container}"):
            add("POST", "/run" + path, self._run)
        add("GET", "/pods", self._pods)
        add("GET", "/runningpods/", self._running_pods)
        add("GET", "/healthz", self._healthz)
        add("GET", "/healthz/{check}", self._healthz)
        add("GET", "/stats/summary", self._summary)
        add("GET", "/metrics", self._metrics)
        add("GET", "/metrics/resource", self._resource_metrics)
        add("GET", "/configz", self._configz)
        return app

    # Logs

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        pod = self._pod(request)
        name = request.match_info["container"]
        if podspec.find(pod.spec, name) is None:
            return _text(404, f'container "{name}" not found in pod "{pod.metadata.name}"')
        try:
            options = logquery.options(request.query, clock.wall())
        except ValueError as problem:
            return _text(400, str(problem))
        status = self._kubelet.parts.statuses.last(pod)
        try:
            wanted = logquery.container_id(pod.metadata.name, status, name, options.previous)
        except LookupError as problem:
            return _text(400, str(problem.args[0]))
        view = self._kubelet.parts.cache.view(pod.metadata.uid)
        info = view.by_id(wanted)
        if info is None or not info.log_path:
            return _text(400, f"unable to retrieve container logs for {status_id(status, wanted)}")
        return await self._send_log(request, pod, info, options)

    async def _send_log(
        self, request: web.Request, pod: Pod, info: ContainerInfo, options: logreader.LogOptions
    ) -> web.StreamResponse:
        def running() -> bool:
            now = self._kubelet.parts.cache.view(pod.metadata.uid).by_id(info.id)
            wanted = request.transport is not None and not request.transport.is_closing()
            return wanted and now is not None and now.state in ("created", "running")

        answer = web.StreamResponse(headers={"Content-Type": "text/plain"})
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        uid = pod.metadata.uid
        heard: list[Callable[[], None]] = []

        def following(watch: FileWatch) -> None:
            heard.append(watch.notify)
            self._kubelet.listeners.setdefault(uid, []).append(watch.notify)

        try:
            with suppress(ConnectionResetError):  # Whoever reads a log leaves when he has seen enough.
                async with aclosing(logreader.read(info.log_path, options, running, following)) as chunks:  # type: ignore[type-var]
                    async for chunk in chunks:
                        await answer.write(chunk)
        except FileNotFoundError as problem:
            await answer.write(f"failed to try resolving symlinks in path {problem.filename!r}\n".encode())
        finally:
            left = [each for each in self._kubelet.listeners.pop(uid, []) if each not in heard]
            if left:
                self._kubelet.listeners[uid] = left
        return answer

    # Streams

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        info = self._running_container(request)
        command = tuple(request.query.getall("command", []))

        async def open_session(options: StreamOptions) -> ExecSession:
            return await self._kubelet.runtime.exec(info.id, command, stdin=options.stdin, tty=options.tty)

        return await remotecommand.serve(request, open_session)

    async def _attach(self, request: web.Request) -> web.StreamResponse:
        info = self._running_container(request)

        async def open_session(options: StreamOptions) -> ExecSession:
            return await self._kubelet.runtime.attach(info.id, stdin=options.stdin, tty=options.tty)

        return await remotecommand.serve(request, open_session)

    async def _port_forward(self, request: web.Request) -> web.StreamResponse:
        pod = self._pod(request)
        boxes = self._kubelet.parts.cache.view(pod.metadata.uid).sandboxes
        if not boxes or not boxes[0].ready:
            return _text(500, f'not found ("{pod.metadata.name}_{pod.metadata.namespace}")')
        return await portforward.serve(request, partial(self._kubelet.runtime.connect, boxes[0].id))

    async def _run(self, request: web.Request) -> web.StreamResponse:
        info = self._running_container(request)
        command = tuple(request.query.get("cmd", "").split(" "))
        try:
            result = await self._kubelet.runtime.exec_sync(info.id, command, RUN_TIMEOUT)
        except (RuntimeFailure, ConnectionLost, TimeoutError) as problem:
            return _text(500, str(problem))
        return web.Response(body=result.stdout + result.stderr, status=200 if result.exit_code == 0 else 500)

    # The rest

    async def _pods(self, request: web.Request) -> web.StreamResponse:
        return _pod_list([worker.pod for worker in self._kubelet.workers.values() if not worker.gone])

    async def _running_pods(self, request: web.Request) -> web.StreamResponse:
        cache = self._kubelet.parts.cache
        workers = self._kubelet.workers.values()
        return _pod_list([worker.pod for worker in workers if cache.view(worker.uid).running])

    async def _healthz(self, request: web.Request) -> web.StreamResponse:
        """Well, as long as this loop answers: everything else is the node's Ready condition."""
        return web.Response(text="ok")

    async def _summary(self, request: web.Request) -> web.StreamResponse:
        try:
            return _json(await self._stats.summary())
        except (RuntimeFailure, ConnectionLost) as problem:
            return _text(500, str(problem))

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text=self._stats.metrics())

    async def _resource_metrics(self, request: web.Request) -> web.StreamResponse:
        try:
            return web.Response(text=await self._stats.resource_metrics())
        except (RuntimeFailure, ConnectionLost) as problem:
            return _text(500, str(problem))

    async def _configz(self, request: web.Request) -> web.StreamResponse:
        return _json({"kubeletconfig": configuration(self._kubelet.config)})

    def _pod(self, request: web.Request) -> Pod:
        """The pod that the path names, by its uid too where that is given."""
        where = request.match_info
        pod = self._kubelet.pods.get(f"{where['namespace']}/{where['pod']}")
        if pod is None or where.get("uid", pod.metadata.uid) != pod.metadata.uid:
            raise web.HTTPNotFound(text=f'pod "{where["pod"]}" does not exist')
        return pod

    def _running_container(self, request: web.Request) -> ContainerInfo:
        pod = self._pod(request)
        name = request.match_info["container"]
        info = self._kubelet.parts.cache.view(pod.metadata.uid).latest(name)
        if info is None:
            raise web.HTTPNotFound(text=f'container not found ("{name}")')
        if info.state != "running":
            raise web.HTTPInternalServerError(text=f'container not running ("{name}"): it is {info.state}')
        return info


def configuration(config: KubeletConfig) -> dict[str, Any]:
    """The configuration as JSON shows it."""
    plain = {name: value for name, value in msgspec.structs.asdict(config).items() if name != "taints"}
    return {**plain, "taints": [codec.to_builtins(taint) for taint in config.taints]}


def status_id(status: Any, container_id: str) -> str:
    """The id of a container with its scheme, as messages show it."""
    scheme = next((s.containerID.partition("://")[0] for s in status.containerStatuses if s.containerID), "")
    return f"{scheme or 'containerd'}://{container_id}"


@web.middleware
async def authorise(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let in whom the certificate names as the API server or an administrator."""
    transport = request.transport
    encrypted = transport is not None and transport.get_extra_info("ssl_object") is not None
    certificate = transport.get_extra_info("peercert") if transport is not None else None
    if encrypted and not certificate:
        return _text(401, "Unauthorized")
    if encrypted and not is_allowed(certificate):
        return _text(403, "Forbidden")
    return await handler(request)


def is_allowed(certificate: Any) -> bool:
    """Whether the subject of a verified certificate, as `ssl` gives it, may use this server."""
    names = [pair for part in certificate.get("subject", ()) for pair in part]
    return ("organizationName", ADMINISTRATORS) in names or ("commonName", API_SERVER) in names


def tls(config: KubeletConfig) -> ssl.SSLContext:
    """TLS of the server: client certificates are asked for and checked against the cluster's CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(config.certificate, config.key)
    context.load_verify_locations(config.client_ca)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _text(code: int, text: str) -> web.Response:
    return web.Response(status=code, text=text)


def _json(value: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")


def _pod_list(pods: list[Pod]) -> web.Response:
    items = b",".join(codec.encode(pod) for pod in pods)
    body = b'{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[' + items + b"]}"
    return web.Response(body=body, content_type="application/json")
