"""What extensions cost: custom resources, server-side apply, policies, quotas, pod security; and 500 definitions.

`python -m benchmarks extensions`. The whole API server in this process, without sockets and with the store in memory,
so that a figure is the server's own processor time for one write, parsing and answering included. The kinds of write
take turns; each figure is the median of `ROUNDS`, and each ratio is taken within a round against a plain ConfigMap (or
Pod) of the same size. Afterwards a profile of the custom resource's write, and what 500 definitions add to memory and
discovery.
"""

from __future__ import annotations

import asyncio
import cProfile
import gc
import multiprocessing
import pstats
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from kijabi.apiserver.app import App, Settings, open_to_all, tune_memory
from kijabi.client.transport import Request, Response
from kijabi.store.memory import MemoryStore
from kijabi.testing.direct import Direct

OBJECT_BYTES = 2048
WRITES = 400  # of each kind in a round
ROUNDS = 7
DEFINITIONS = 500
DISCOVERIES = 20
APPLY = "application/apply-patch+yaml"
JSON = "application/json"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
FILLER = "x" * (OBJECT_BYTES - 300)
encode = msgspec.json.encode


def definition(plural: str, kind: str, group: str = "bench.example.com", rules: bool = False) -> dict[str, Any]:
    """A CustomResourceDefinition of ordinary size."""
    text = {"type": "string", "maxLength": 4096}
    spec: dict[str, Any] = {
        "type": "object",
        "required": ["k"],
        "properties": {
            "k": text,
            "replicas": {"type": "integer", "minimum": 0, "default": 1},
            "ports": {
                "type": "array",
                "maxItems": 16,
                "items": {"type": "object", "properties": {"name": text, "port": {"type": "integer"}}},
            },
        },
    }
    if rules:
        spec["x-kubernetes-validations"] = [
            {"rule": "self.replicas <= 10", "message": "at most ten"},
            {"rule": "!has(self.ports) || self.ports.all(p, p.port > 0)", "message": "ports are positive"},
        ]
    schema = {"type": "object", "properties": {"spec": spec, "status": {"type": "object"}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                }
            ],
        },
    }


POD_SPEC = {
    "containers": [
        {
            "name": "main",
            "image": "web:1",
            "ports": [{"containerPort": 80}],
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "200m", "memory": "64Mi"}},
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
    ],
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
}
POLICY = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicy",
    "metadata": {"name": "bench"},
    "spec": {
        "matchConstraints": {
            "resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
            ]
        },
        "validations": [{"expression": "object.data.all(k, size(object.data[k]) < 1000000)"}],
    },
}
BINDING = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicyBinding",
    "metadata": {"name": "bench"},
    "spec": {
        "policyName": "bench",
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": {"matchLabels": {"bench": "policy"}}},
    },
}
QUOTA = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "bench"},
    "spec": {"hard": {"pods": "1000000", "requests.cpu": "1000000"}},
}
LIMITS = {
    "apiVersion": "v1",
    "kind": "LimitRange",
    "metadata": {"name": "bench"},
    "spec": {"limits": [{"type": "Container", "max": {"cpu": "4"}, "default": {"memory": "128Mi"}}]},
}


class Server:
    """An API server in this process, and what asks it."""

    def __init__(self, transport: Direct) -> None:
        self.transport = transport

    async def ask(self, method: str, path: str, body: Any = None, kind: str = JSON, accept: str = "") -> Response:
        """One request; AssertionError unless it succeeds."""
        headers = {"content-type": kind} if body is not None else {}
        if accept:
            headers["accept"] = accept
        path, _, query = path.partition("?")
        pairs = tuple((key, value) for key, _, value in (part.partition("=") for part in query.split("&")) if key)
        data = encode(body) if body is not None else b""
        request = Request(method=method, path=path, query=pairs, headers=headers, body=data)
        answer = await self.transport.request(request)
        assert answer.status < 300, answer.body
        return answer

    async def served(self, path: str) -> None:
        """Wait until there are such resources."""
        for _ in range(1000):
            if (await self.transport.request(Request(method="GET", path=path))).status == 200:
                return
            await asyncio.sleep(0.005)
        raise TimeoutError(path)

    async def space(self, name: str, **labels: str) -> str:
        """A namespace; the path of what is in it."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        await self.ask("POST", "/api/v1/namespaces", body)
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        await self.ask("POST", f"/api/v1/namespaces/{name}/serviceaccounts", account)
        return f"/api/v1/namespaces/{name}"

    async def define(self, body: dict[str, Any]) -> str:
        """A custom resource; the path of its objects in `plain`, once it is served."""
        spec = body["spec"]
        await self.ask("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body)
        path = f"/apis/{spec['group']}/v1/namespaces/plain/{spec['names']['plural']}"
        await self.served(path)
        return path


Write = Callable[[int], Awaitable[Response]]


async def kinds(server: Server) -> dict[str, Write]:
    """The writes to compare, the one that all are compared with first."""
    plain = await server.space("plain")
    custom = await server.define(definition("things", "Thing"))
    ruled = await server.define(definition("rules", "Rule", rules=True))
    await server.ask("POST", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies", POLICY)
    await server.ask("POST", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings", BINDING)
    policy = await server.space("policy", bench="policy")
    limited = await server.space("limited")
    await server.ask("POST", f"{limited}/resourcequotas", QUOTA)
    await server.ask("POST", f"{limited}/limitranges", LIMITS)
    secure = await server.space("secure", **{"pod-security.kubernetes.io/enforce": "restricted"})

    def config(space: str, label: str) -> Write:
        return lambda n: server.ask("POST", f"{space}/configmaps", {
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{label}{n}"}, "data": {"k": FILLER},
        })  # fmt: skip

    def thing(path: str, kind: str) -> Write:
        return lambda n: server.ask("POST", path, {
            "apiVersion": "bench.example.com/v1", "kind": kind, "metadata": {"name": f"t{n}"}, "spec": {"k": FILLER},
        })  # fmt: skip

    def apply(fresh: bool) -> Write:
        return lambda n: server.ask(
            "PATCH",
            f"{plain}/configmaps/{f'a{n}' if fresh else 'again'}?fieldManager=bench&force=true",
            {
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"a{n}" if fresh else "again"},
                "data": {"k": FILLER, "n": str(n)},
            },
            APPLY,
        )  # fmt: skip

    def pod(space: str) -> Write:
        return lambda n: server.ask("POST", f"{space}/pods", {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"p{n}"}, "spec": POD_SPEC,
        })  # fmt: skip

    return {
        "ConfigMap": config(plain, "c"),
        "custom resource": thing(custom, "Thing"),
        "custom resource with CEL rules": thing(ruled, "Rule"),
        "ConfigMap, admission policy": config(policy, "c"),
        "ConfigMap, applied anew": apply(fresh=True),
        "ConfigMap, applied again": apply(fresh=False),
        "Pod": pod(plain),
        "Pod, quota and limit range": pod(limited),
        "Pod, security restricted": pod(secure),
    }


async def writes(server: Server) -> dict[str, Write]:
    """Measure and print the writes."""
    found = await kinds(server)
    costs: dict[str, list[float]] = {name: [] for name in found}
    number = 0
    for _ in range(ROUNDS):
        for name, write in found.items():
            began = time.process_time()
            for n in range(number, number + WRITES):
                await write(n)
            costs[name].append((time.process_time() - began) / WRITES * 1e6)
        number += WRITES
    for name, own in costs.items():
        base = costs["Pod" if name.startswith("Pod") else "ConfigMap"]
        ratio = statistics.median(one / other for one, other in zip(own, base, strict=True))
        added = statistics.median(one - other for one, other in zip(own, base, strict=True))
        print(f"{name:32} {statistics.median(own):6.0f} µs a write   {ratio:.2f} times   {added:+6.0f} µs")
    return found


async def profile(write: Write) -> None:
    """Where the time of a kind of write goes: the functions with the most time of their own."""
    profiler = cProfile.Profile()
    profiler.enable()
    for n in range(10**6, 10**6 + WRITES):
        await write(n)
    profiler.disable()
    stats: Any = pstats.Stats(profiler)
    total = sum(entry[2] for entry in stats.stats.values())
    print("profile of a custom resource's write (share of time, calls a write, function):")
    ordered = sorted(stats.stats.items(), key=lambda item: -item[1][2])
    for (file, line, name), (_, calls, own, *_) in ordered[:12]:
        place = f"{'/'.join(Path(file).parts[-2:])}:{line} {name}" if line else name
        print(f"  {own / total:5.1%}  {calls / WRITES:6.1f}  {place}")


def resident() -> float:
    """MiB of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


async def definitions(server: Server) -> None:
    """What many definitions add to memory, and how long discovery takes then."""
    gc.collect()
    before = resident()
    began = time.perf_counter()
    for n in range(DEFINITIONS):
        body = definition(f"kinds{n}", f"Kind{n}", f"g{n % 50}.example.com", rules=True)
        await server.ask("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body)
    await server.served(f"/apis/g{(DEFINITIONS - 1) % 50}.example.com/v1/kinds{DEFINITIONS - 1}")
    seconds = time.perf_counter() - began
    gc.collect()
    print(f"{DEFINITIONS} definitions: {resident() - before:.0f} MiB, {seconds / DEFINITIONS * 1000:.1f} ms each")
    times: dict[str, list[float]] = {"discovery, all at once": [], "discovery, /apis": []}
    for n in range(DISCOVERIES):
        body = definition(f"late{n}", f"Late{n}")
        await server.ask("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body)
        await server.served(f"/apis/bench.example.com/v1/late{n}")
        for name, accept in (("discovery, all at once", AGGREGATED), ("discovery, /apis", JSON)):
            began = time.perf_counter()
            await server.ask("GET", "/apis", accept=accept)
            times[name].append((time.perf_counter() - began) * 1000)
    for name, own in times.items():
        print(f"{name:32} median {statistics.median(own):.1f} ms, worst {max(own):.1f} ms after a new definition")
    began = time.perf_counter()
    answer = await server.ask("GET", "/openapi/v2")
    print(f"{'OpenAPI v2':32} {(time.perf_counter() - began) * 1000:.0f} ms, {len(answer.body) / 2**20:.1f} MiB")
    print(f"memory with its documents        {resident() - before:.0f} MiB more than before")


async def _serve(work: Callable[[Server], Awaitable[None]]) -> None:
    app = App(MemoryStore(), Settings())
    await app.load()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(app.run())
        await app.start(open_to_all(app.caches))
        server = Server(Direct(lambda: app.api))
        tune_memory()
        await work(server)
        running.cancel()


async def _costs(server: Server) -> None:
    found = await writes(server)
    await profile(found["custom resource"])


def _definitions() -> None:
    uvloop.run(_serve(definitions))


def main() -> None:
    uvloop.run(_serve(_costs))
    # A process of its own, because memory that others have used and freed would hide what definitions take.
    process = multiprocessing.get_context("spawn").Process(target=_definitions)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit("the measuring process failed")


if __name__ == "__main__":
    main()
