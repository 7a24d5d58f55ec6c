"""Servers of metrics as a cluster may have them, told what to say: they stand between controllers and server."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from kijabi.api import status
from kijabi.api.meta import time_now
from kijabi.client.transport import Request, Response
from tests.controllers.between import Between

_RESOURCE = re.compile(r"/apis/metrics\.k8s\.io/v1beta1/namespaces/([^/]+)/pods")
_CUSTOM = "/apis/custom.metrics.k8s.io"
_EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1"


class Meters(Between):
    """Answers for the three APIs of metrics and hands on all else.

    load: what all ready pods of a selector use together, by resource; they share it. values: of the other metrics, by
    the end of their path. asked: every path that was asked for.
    """

    def __init__(self) -> None:
        self.load: dict[str, int] = {}
        self.values: dict[str, Mapping[str, str]] = {}
        self.versions: tuple[str, ...] = ("v1beta2", "v1beta1")
        self.asked: list[str] = []

    async def request(self, request: Request) -> Response:
        match = _RESOURCE.fullmatch(request.path)
        if match is not None:
            return await self._noted(request, lambda: self._pods(match[1], request))
        if request.path == _CUSTOM:
            return await self._noted(request, self._group)
        if request.path.startswith((_CUSTOM, _EXTERNAL)):
            return await self._noted(request, lambda: self._value(request))
        return await self.inner.request(request)

    async def _noted(self, request: Request, answer: Callable[[], Any]) -> Response:
        query = "&".join(f"{name}={text}" for name, text in request.query)
        self.asked.append(f"{request.path}?{query}" if query else request.path)
        found = answer()
        return found if isinstance(found, Response) else await found

    async def _pods(self, namespace: str, request: Request) -> Response:
        pods = f"/api/v1/namespaces/{namespace}/pods"
        asked = Request(method="GET", path=pods, query=request.query, headers={"accept": "application/json"})
        found = msgspec.json.decode((await self.inner.request(asked)).body)["items"]
        running = [pod for pod in found if pod["status"].get("phase") == "Running"]
        items = []
        for pod in running:
            usage = {name: f"{load // len(running)}m" for name, load in self.load.items()}
            containers = [{"name": each["name"], "usage": usage} for each in pod["spec"]["containers"]]
            meta = {"name": pod["metadata"]["name"], "namespace": namespace}
            items.append({"metadata": meta, "timestamp": time_now(), "window": "15s", "containers": containers})
        return _answer({"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "items": items})

    def _group(self) -> Response:
        if not self.versions:
            return _refused(404)
        name = "custom.metrics.k8s.io"
        versions = [{"groupVersion": f"{name}/{each}", "version": each} for each in self.versions]
        group = {"kind": "APIGroup", "apiVersion": "v1", "name": name, "versions": versions}
        return _answer({**group, "preferredVersion": versions[0]})

    def _value(self, request: Request) -> Response:
        found = next((values for end, values in self.values.items() if request.path.endswith(end)), None)
        if found is None:
            return _refused(404)
        items = [{"describedObject": {"name": name}, "timestamp": time_now(), "value": value}
                 for name, value in found.items()]  # fmt: skip
        return _answer({"kind": "MetricValueList", "items": items})


def _answer(body: Any) -> Response:
    return Response(body=msgspec.json.encode(body, enc_hook=str))


def _refused(code: int) -> Response:
    return Response(status=code, body=msgspec.json.encode(status.to_wire(status.generic(code))))
