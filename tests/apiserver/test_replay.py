"""361 requests recorded from four versions of kubectl: each gets the kind of answer that Kubernetes would give.

The table is tests/golden/kubectl-requests.tsv. Bodies were not recorded; here each gets the body that its command
sends, protobuf where it was protobuf. What kubelets answer (log, exec, port-forward) is answered by one in memory.
"""

from __future__ import annotations

import asyncio
import csv
import re
from pathlib import Path
from typing import Any

import msgspec

from kijabi.api import catalog, codec, protobuf
from kijabi.api.authentication.tokenrequest import TokenRequest
from kijabi.apiserver.app import App, Settings, open_to_all
from kijabi.apiserver.attributes import StreamAnswer, UpgradeAnswer
from kijabi.apiserver.subresources.backend import Address
from kijabi.apiserver.watch import WatchAnswer
from kijabi.client.transport import Response
from kijabi.store.memory import MemoryStore
from tests.apiserver.world import World, configmap, deployment, pod

GOLDEN = Path(__file__).parents[1] / "golden" / "kubectl-requests.tsv"
NS = "/api/v1/namespaces/default"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
PROTOBUF = "application/vnd.kubernetes.protobuf"
TABLE = "as=Table"
SEEDS: dict[str, dict[str, Any]] = {
    "/api/v1/nodes": {"metadata": {"name": "n1"}},
    f"{NS}/serviceaccounts": {"metadata": {"name": "default"}},
    f"{NS}/pods": pod("p1", nodeName="n1", containers=[{"name": "c", "image": "busybox"}]),
    DEPLOYMENTS: deployment("web", 1),
    f"{NS}/services": {"metadata": {"name": "s1"}, "spec": {"ports": [{"port": 80}]}},
}
# What each command creates, by the resource it is posted to.
CREATED: dict[str, dict[str, Any]] = {
    "configmaps": configmap("made"),
    "secrets": {"metadata": {"name": "made"}, "type": "Opaque"},
    "namespaces": {"metadata": {"name": "made"}},
    "serviceaccounts": {"metadata": {"name": "sa2"}},
    "services": {"metadata": {"name": "made"}, "spec": {"ports": [{"port": 80}]}},
    "pods": pod("made"),
    "deployments": deployment("web2"),
    "roles": {"metadata": {"name": "made"}, "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]},
    "horizontalpodautoscalers": {
        "metadata": {"name": "made"},
        "spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"}},
    },
    "selfsubjectaccessreviews": {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}},
    "selfsubjectrulesreviews": {"spec": {"namespace": "default"}},
    "selfsubjectreviews": {},
}
# What is not there, in the recording or here.
MISSING = ("/pods/tmp", "certificatesigningrequests/csr1", "leases/n1", "/sa1/token")


def rows() -> list[dict[str, str]]:
    with GOLDEN.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


async def kubelet(address: Address) -> tuple[asyncio.StreamReader, Any]:
    """A kubelet that agrees to everything."""
    reader = asyncio.StreamReader()

    class Writer:
        def write(self, data: bytes) -> None:
            if b"\r\n\r\n" not in data:
                return
            if b"upgrade:" in data.lower():
                reader.feed_data(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
            else:
                reader.feed_data(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nlog")
                reader.feed_eof()

        async def drain(self) -> None: ...

        def close(self) -> None: ...

        async def wait_closed(self) -> None: ...

        def write_eof(self) -> None: ...

    return reader, Writer()


async def seed(world: World) -> None:
    """What the commands expect to find; what they made goes."""
    for path, body in SEEDS.items():
        await world.post(path, body)
    address = [{"type": "InternalIP", "address": "10.0.0.1"}]
    await world.patch("/api/v1/nodes/n1/status", {"status": {"addresses": address}})
    for path in (f"{DEPLOYMENTS}/web2", "/api/v1/namespaces/made", f"{NS}/pods/made?gracePeriodSeconds=0"):
        await world.delete(path)
    await world.put("/api/v1/namespaces/made/finalize", {"metadata": {"name": "made"}, "spec": {}})
    for plural in ("configmaps", "secrets", "services", "serviceaccounts/sa2"):
        await world.delete(f"{NS}/{plural}" if "/" in plural else f"{NS}/{plural}/made")
    await world.delete("/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles/made")
    await world.delete("/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers/made")
    await world.patch(f"{DEPLOYMENTS}/web", {"spec": {"replicas": 1}})


def parts(path: str) -> tuple[str, str, str, str, str]:
    """(group, version, plural, name, subresource) of a path."""
    words = path.partition("?")[0].strip("/").split("/")
    group, version, rest = ("", words[1], words[2:]) if words[0] == "api" else (words[1], words[2], words[3:])
    if rest[0] == "namespaces" and len(rest) > 2:
        rest = rest[2:]
    rest += ["", ""]
    return group, version, rest[0], rest[1], rest[2]


def body_of(row: dict[str, str]) -> bytes:
    """The body that the command sends."""
    method, path, kind = row["method"], row["path"], row["content_type"]
    if method not in ("POST", "PUT", "PATCH") or row["upgrade"] != "-":
        return b""
    group, version, plural, name, sub = parts(path)
    if method == "PATCH" and "apply-patch" in kind:
        return applied(name, path)
    if method == "PATCH":
        return patch_of(kind, plural, sub)
    if sub == "token":
        token = TokenRequest()
        token.kind, token.apiVersion = "TokenRequest", "authentication.k8s.io/v1"
        return protobuf.encode_unknown(token)
    if sub == "scale":
        return msgspec.json.encode({"metadata": {"name": name}, "spec": {"replicas": 2}})
    body = deployment(name, 2) if method == "PUT" else CREATED[plural]
    resource = catalog.by_plural(group, version, plural)
    assert resource is not None
    body = {**body, "kind": resource.kind, "apiVersion": resource.api_version}
    if "protobuf" in kind:
        return protobuf.encode_unknown(codec.from_builtins(resource.type, body))  # type: ignore[arg-type]
    return msgspec.json.encode(body)


def applied(name: str, path: str) -> bytes:
    """What `kubectl apply --server-side` sends: the configuration, then a note of it as the annotation's manager."""
    ids = {"apiVersion": "apps/v1", "kind": "Deployment"}
    if "kubectl-last-applied" in path:
        annotations = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}
        return msgspec.json.encode({**ids, "metadata": {"name": name, "annotations": annotations}})
    return msgspec.json.encode({**deployment(name), **ids})


def patch_of(kind: str, plural: str, sub: str) -> bytes:
    """A patch such as the command sends."""
    if "json-patch" in kind:
        return msgspec.json.encode([{"op": "replace", "path": "/spec/replicas", "value": 3}])
    if sub == "scale":
        return b'{"spec":{"replicas":3}}'
    if sub == "status":
        return b'{"status":{"replicas":1}}'
    if sub == "ephemeralcontainers":
        return b'{"spec":{"ephemeralContainers":[{"name":"debug","image":"busybox"}]}}'
    if plural == "nodes":
        return b'{"spec":{"taints":[{"effect":"NoSchedule","key":"a","value":"b"}]}}'
    return b'{"metadata":{"annotations":{"a":"b"}}}'


def expected(row: dict[str, str]) -> tuple[int, str, str]:
    """(status, content type, kind) that Kubernetes gives; kind "" where the body is no object."""
    method, path, accept = row["method"], row["path"], row["accept"]
    plain = path.partition("?")[0]
    if plain in ("/healthz", "/version") or plain.startswith("/openapi"):
        return expected_page(plain, path)
    if plain in ("/api", "/apis"):
        first = accept.split(",")[0]
        legacy = "APIVersions" if plain == "/api" else "APIGroupList"
        return (200, first, "APIGroupDiscoveryList") if "Discovery" in first else (200, "application/json", legacy)
    if plain == "/api/v1" or (plain.count("/") == 3 and plain.startswith("/apis/")):
        return 200, "application/json", "APIResourceList"
    if row["content_type"].startswith("application/apply-patch"):
        # Each row is asked alone here, so the note finds no object to be made of: it has no selector.
        invalid = "kubectl-last-applied" in path
        return (422, "application/json", "Status") if invalid else (201, "application/json", "Deployment")
    if any(word in path for word in MISSING):
        return 404, "application/json", "Status"
    group, version, plural, name, sub = parts(path)
    resource = catalog.by_plural(group, version, plural)
    assert resource is not None
    if sub in ("exec", "attach", "portforward"):
        return 101, "", ""
    if sub == "log":
        return 200, "text/plain", ""
    if "watch=true" in path:
        return 200, "application/json", "WatchEvent"
    kind = {"scale": "Scale", "token": "TokenRequest"}.get(sub, resource.kind)
    if method == "POST":
        return 201, "application/json", kind
    if method == "GET" and TABLE in accept:
        return 200, "application/json", "Table"
    if method == "GET" and not name:
        return 200, "application/json", kind + "List"
    if (method, name) == ("GET", "web2"):
        return 404, "application/json", "Status"
    if method == "DELETE" and name == "web2":
        return 404, "application/json", "Status"
    return (404, "application/json", "Status") if name == "web2" else (200, "application/json", kind)


def expected_page(plain: str, path: str) -> tuple[int, str, str]:
    if plain == "/healthz":
        return 200, "text/plain; charset=utf-8", ""
    if plain == "/openapi/v2":
        return 200, "application/com.github.proto-openapi.spec.v2.v1.0+protobuf", ""
    if "hash=ABCDEF" in path:
        return 301, "", ""
    return 200, "application/json", ""


async def test_every_recorded_request_is_answered_as_kubernetes_would() -> None:
    recorded = rows()
    assert len(recorded) == 361
    app = App(MemoryStore(), Settings())
    await app.load()
    wrong: list[str] = []
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(app.run())
        await app.start(open_to_all(app.caches, kubelet))
        world = World(app)
        await seed(world)
        for row in recorded:
            problem = await replay(world, row)
            if problem:
                wrong.append(f"{row['method']} {row['path']} ({row['accept']}; {row['content_type']}): {problem}")
            if row["method"] in ("POST", "PUT", "PATCH", "DELETE"):
                await seed(world)
        task.cancel()
    assert not wrong, "\n".join(wrong[:20])


def kind_of(answer: Response) -> str:
    """What an answer says that it is."""
    if answer.headers["Content-Type"] == PROTOBUF:
        return protobuf.decode_unknown(answer.body).kind
    return str(msgspec.json.decode(answer.body).get("kind"))


async def replay(world: World, row: dict[str, str]) -> str:
    """What is wrong with the answer to one request, or an empty text."""
    headers = {"user-agent": f"kubectl/v{row['kubectl']}.0"}
    names = {"accept": "accept", "content-type": "content_type", "upgrade": "upgrade"}
    headers |= {name: row[column] for name, column in names.items() if row[column] != "-"}
    if row["upgrade"] != "-":
        protocol = "sec-websocket-protocol" if row["upgrade"] == "websocket" else "x-stream-protocol-version"
        headers |= {"connection": "Upgrade", protocol: row["subprotocols"], "sec-websocket-key": "a2V5"}
    # A version of the recording's store stands for any that this one has had.
    path = re.sub(r"resourceVersion=1\d+", f"resourceVersion={world.app.caches.revision}", row["path"])
    answer = await world.ask(row["method"], path, body_of(row), headers)
    status, media, kind = expected(row)
    if media == "application/json" and row["accept"].startswith(PROTOBUF):
        media = f"{PROTOBUF};stream=watch" if kind == "WatchEvent" else PROTOBUF
    if isinstance(answer, UpgradeAnswer):
        return "" if status == 101 else "upgraded"
    got = (answer.status, answer.headers.get("Content-Type", ""))
    if got != (status, media):
        return f"{got} instead of {(status, media)}: {getattr(answer, 'body', b'')[:300]!r}"
    if isinstance(answer, WatchAnswer):
        answer.watcher.close()
        return "" if kind == "WatchEvent" else "a watch"
    if isinstance(answer, StreamAnswer):
        return "" if b"".join([chunk async for chunk in answer.chunks]) == b"log" else "no log"
    assert isinstance(answer, Response)
    if kind and kind_of(answer) != kind:
        return f"no {kind}: {answer.body[:300]!r}"
    return ""
