"""The whole server with its locks on, over TLS: what a client reads who may, who may not, who is a fraud."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from kijabi.apiserver import flags, pki
from kijabi.apiserver.app import App, Files, Settings, secured
from kijabi.apiserver.http import Http
from kijabi.client.kubeconfig import Identity, save
from kijabi.store.memory import MemoryStore


class Cluster:
    """A served API server and its keys."""

    def __init__(self, keys: pki.Pki, port: int) -> None:
        self.keys = keys
        self.url = f"https://127.0.0.1:{port}"

    async def ask(
        self,
        path: str,
        user: pki.Identity | None = None,
        *,
        method: str = "GET",
        headers: Any = None,
        body: Any = None,
        context: ssl.SSLContext | None = None,
        text: bool = False,
    ) -> tuple[int, Any]:
        ca = self.keys.ca.pair.cert
        if context is None:
            pair = self.keys.client(user.user.replace(":", "-"), user) if user is not None else None
            context = pki.client_context(ca, pair)
        connector = aiohttp.TCPConnector(ssl=context)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.request(method, self.url + path, headers=headers, json=body) as answer,
        ):
            return answer.status, await (answer.text() if text else answer.json(content_type=None))


@asynccontextmanager
async def cluster(directory: Path, *arguments: str) -> AsyncIterator[Cluster]:
    """A server behind TLS. arguments: its flags."""
    keys = pki.Pki(directory)
    ca = keys.ca.pair.cert
    files = Files(
        ca, keys.service_account_key(), directory / "sa.pub", lambda: pki.client_context(ca),
        keys.front_proxy_ca.pair.cert, keys.front_proxy_client,
    )  # fmt: skip
    context = pki.server_context(keys.apiserver("10.96.0.1"), ca, any_client=True)
    store = MemoryStore()
    settings = Settings(flags=flags.parse(arguments))
    app = App(store, settings)
    await app.load()
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(app.run())]
        await app.start(secured(app.caches, settings, files))
        http = Http(app.api)
        running.append(tasks.create_task(http.run("127.0.0.1", 0, context)))
        await http.ready.wait()
        yield Cluster(keys, http.port)
        for task in running:
            task.cancel()
    await store.close()


JANE = pki.Identity("jane", ("dev",))


async def test_a_day_of_a_cluster(tmp_path: Path) -> None:
    async with cluster(tmp_path) as there:
        await strangers(there)
        await grants(there)
        await tokens(there)
        await nodes(there)
        await front_proxies(there)
        await reviews(there)


async def strangers(there: Cluster) -> None:
    assert (await there.ask("/version"))[0] == 200
    code, status = await there.ask("/api/v1/pods")
    assert (code, status["message"]) == (
        403,
        'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" at the cluster scope',
    )
    assert (await there.ask("/healthz/ping"))[0] == 403
    code, status = await there.ask("/version", headers={"Authorization": "Bearer nonsense"})
    assert (code, status["reason"], status["message"]) == (401, "Unauthorized", "Unauthorized")
    other = pki.Pki(there.keys.directory / "other")
    eve = other.client("eve", pki.ADMIN)
    code, status = await there.ask("/version", context=pki.client_context(there.keys.ca.pair.cert, eve))
    assert (code, status["reason"]) == (401, "Unauthorized")


async def grants(there: Cluster) -> None:
    pods = "/api/v1/namespaces/default/pods"
    assert (await there.ask(pods, JANE))[0] == 403
    group = "/apis/rbac.authorization.k8s.io/v1"
    binding = {
        "metadata": {"name": "dev"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "dev"}],
    }
    where = f"{group}/namespaces/default/rolebindings"
    assert (await there.ask(where, JANE, method="POST", body=binding))[0] == 403
    assert (await there.ask(where, pki.ADMIN, method="POST", body=binding))[0] == 201
    assert (await there.ask(pods, JANE))[0] == 200
    assert (await there.ask("/api/v1/namespaces/kube-system/pods", JANE))[0] == 403
    # An admin of a namespace hands on what he holds, not more.
    binding["metadata"], binding["subjects"] = {"name": "joe"}, [{"kind": "User", "name": "joe"}]
    assert (await there.ask(where, JANE, method="POST", body=binding))[0] == 201
    binding["metadata"], binding["roleRef"] = {"name": "root"}, {**binding["roleRef"], "name": "cluster-admin"}  # type: ignore[dict-item]
    code, status = await there.ask(where, JANE, method="POST", body=binding)
    assert code == 403
    assert "is attempting to grant RBAC permissions not currently held" in status["message"]
    headers = [("Impersonate-User", "joe"), ("Impersonate-Group", "a"), ("Impersonate-Group", "b, c")]
    whoami = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    code, review = await there.ask(whoami, pki.ADMIN, method="POST", headers=headers, body={})
    assert code == 201
    assert review["status"]["userInfo"] == {"username": "joe", "groups": ["a", "b, c", "system:authenticated"]}
    assert (await there.ask(whoami, JANE, method="POST", headers=headers, body={}))[0] == 403


async def tokens(there: Cluster) -> None:
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    robot = {"metadata": {"name": "robot"}}
    assert (await there.ask(accounts, pki.ADMIN, method="POST", body=robot))[0] == 201
    code, made = await there.ask(f"{accounts}/robot/token", pki.ADMIN, method="POST", body={"spec": {}})
    assert code == 201
    bearer = {"Authorization": f"Bearer {made['status']['token']}"}
    rules = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    code, review = await there.ask(rules, method="POST", headers=bearer, body={"spec": {"namespace": "default"}})
    assert code == 201
    urls = [url for rule in review["status"]["nonResourceRules"] for url in rule["nonResourceURLs"]]
    assert "/openid/v1/jwks" in urls
    assert (await there.ask("/openid/v1/jwks", headers=bearer))[0] == 200
    code, status = await there.ask("/api/v1/namespaces/default/pods", headers=bearer)
    assert code == 403
    assert '"system:serviceaccount:default:robot"' in status["message"]
    assert (await there.ask(f"{accounts}/robot", pki.ADMIN, method="DELETE"))[0] == 200
    assert (await there.ask("/openid/v1/jwks", headers=bearer))[0] == 401


async def nodes(there: Cluster) -> None:
    n1 = pki.node_identity("n1")
    assert (await there.ask("/api/v1/nodes", n1, method="POST", body={"metadata": {"name": "n1"}}))[0] == 201
    code, node = await there.ask("/api/v1/nodes/n1", n1)
    assert (code, node["spec"]["taints"]) == (200, [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}])
    code, status = await there.ask("/api/v1/nodes", n1, method="POST", body={"metadata": {"name": "n2"}})
    assert (code, status["message"]) == (
        403,
        'nodes "n2" is forbidden: node "n1" is not allowed to modify node "n2"',
    )
    assert (await there.ask("/api/v1/nodes/n2", n1))[0] == 403
    assert (await there.ask("/api/v1/secrets", n1))[0] == 403
    assert (await there.ask("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1", n1))[0] == 200
    assert (await there.ask("/api/v1/pods?fieldSelector=spec.nodeName%3Dn2", n1))[0] == 403
    assert (await there.ask("/api/v1/services", n1))[0] == 200
    account = {"metadata": {"name": "default"}}
    assert (await there.ask("/api/v1/namespaces/default/serviceaccounts", pki.ADMIN, method="POST", body=account))[
        0
    ] == 201
    pod = {"metadata": {"name": "p"}, "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]}}
    code, made = await there.ask("/api/v1/namespaces/default/pods", pki.ADMIN, method="POST", body=pod)
    assert code == 201
    token = "/api/v1/namespaces/default/serviceaccounts/default/token"
    ref = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": made["metadata"]["uid"]}
    wanted = {"spec": {"boundObjectRef": ref, "expirationSeconds": 3607}}
    code, answer = await there.ask(token, n1, method="POST", body=wanted)
    assert code == 201
    bearer = {"Authorization": f"Bearer {answer['status']['token']}"}
    assert (await there.ask("/openid/v1/jwks", headers=bearer))[0] == 200
    assert (await there.ask(token, n1, method="POST", body={"spec": {}}))[0] == 403
    assert (await there.ask(token, pki.node_identity("n2"), method="POST", body=wanted))[0] == 403


async def front_proxies(there: Cluster) -> None:
    keys, ca = there.keys, there.keys.ca.pair.cert
    headers = [
        ("X-Remote-User", "jane"), ("X-Remote-Group", "a, b"), ("X-Remote-Group", "c"), ("X-Remote-Uid", "7"),
        ("X-Remote-Extra-Example.com%2FScope", "x"),
    ]  # fmt: skip
    review = {"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1"}
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    proxy = pki.client_context(ca, keys.front_proxy_client())
    code, answer = await there.ask(path, method="POST", headers=headers, body=review, context=proxy)
    assert code == 201, answer
    assert answer["status"]["userInfo"] == {
        "username": "jane", "uid": "7", "groups": ["a, b", "c", "system:authenticated"],
        "extra": {"example.com/scope": ["x"]},
    }  # fmt: skip
    # the certificate alone is nobody's, and one of another name or authority vouches for nobody
    assert (await there.ask("/version", context=proxy))[0] == 401
    other = keys.client("other-proxy", pki.Identity("mallory"), keys.front_proxy_ca)
    assert (await there.ask("/version", headers=headers, context=pki.client_context(ca, other)))[0] == 401
    code, answer = await there.ask(path, pki.ADMIN, method="POST", headers=headers, body=review)
    assert answer["status"]["userInfo"]["username"] == "kubernetes-admin"
    place = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
    async with asyncio.timeout(10):
        while (found := await there.ask(place, pki.ADMIN))[0] != 200:  # noqa: ASYNC110  it is seen from outside only
            await asyncio.sleep(0.01)
    data = found[1]["data"]
    assert data["requestheader-allowed-names"] == '["front-proxy-client"]'
    assert data["requestheader-username-headers"] == '["X-Remote-User"]'
    assert data["requestheader-client-ca-file"] == keys.front_proxy_ca.pair.cert.read_text()


async def reviews(there: Cluster) -> None:
    async def review(group: str, kind: str, spec: Any) -> Any:
        path = f"/apis/{group}/v1/{kind.lower()}s"
        code, answer = await there.ask(path, pki.ADMIN, method="POST", body={"spec": spec})
        return answer["status"] if code == 201 else answer["message"]

    accounts = "/api/v1/namespaces/default/serviceaccounts"
    wanted = {"spec": {"audiences": ["vault"]}}
    made = (await there.ask(f"{accounts}/default/token", pki.ADMIN, method="POST", body=wanted))[1]
    token = made["status"]["token"]
    whose = await review("authentication.k8s.io", "TokenReview", {"token": token, "audiences": ["x", "vault"]})
    assert (whose["authenticated"], whose["audiences"]) == (True, ["vault"])
    assert whose["user"]["groups"][-1] == "system:authenticated"
    own = "https://kubernetes.default.svc.cluster.local"
    nobody = await review("authentication.k8s.io", "TokenReview", {"token": token})
    assert nobody["error"] == f'token audiences ["vault"] is invalid for the target audiences ["{own}"]'
    assert (await review("authentication.k8s.io", "TokenReview", {"token": "x"}))["error"] == "invalid bearer token"
    access = "authorization.k8s.io", "SubjectAccessReview"
    pods = {"verb": "list", "resource": "pods", "fieldSelector": {"rawSelector": "spec.nodeName=n1"}}
    node = {"user": "system:node:n1", "groups": ["system:nodes"]}
    assert (await review(*access, {**node, "resourceAttributes": pods}))["allowed"]
    terms = [{"key": "spec.nodeName", "operator": "In", "values": ["n1"]}]
    assert (await review(*access, {**node, "resourceAttributes": {**pods, "fieldSelector": {"requirements": terms}}}))[
        "allowed"
    ]
    pods["fieldSelector"] = {"rawSelector": "spec.nodeName=n2"}
    assert not (await review(*access, {**node, "resourceAttributes": pods}))["allowed"]
    pods["fieldSelector"], pods["labelSelector"] = (
        {"rawSelector": "a"},
        {"requirements": [{"key": "a", "operator": "X"}]},
    )
    told = await review(*access, {**node, "resourceAttributes": pods})
    assert told["evaluationError"] == (
        "spec.resourceAttributes.fieldSelector ignored due to parse error; "
        "spec.resourceAttributes.labelSelector ignored due to parse error"
    )
    pods["labelSelector"] = {"requirements": [{"key": "-", "operator": "In"}]}
    wrong = await review(*access, {**node, "resourceAttributes": pods})
    assert (
        "spec.resourceAttributes.labelSelector.requirements[0].values: Required value: must be specified when" in wrong
    )
    assert 'requirements[0].key: Invalid value: "-"' in wrong


async def test_a_dead_authorizer_is_a_failure_and_not_a_refusal(tmp_path: Path) -> None:
    webhook = tmp_path / "webhook.kubeconfig"
    save(webhook, Identity(server="https://127.0.0.1:1/x"), user="apiserver")
    arguments = ("authorization-mode=Node,RBAC,Webhook", f"authorization-webhook-config-file={webhook}")
    async with cluster(tmp_path / "keys", *arguments) as there:
        pods = "/api/v1/namespaces/default/pods?limit=1"
        code, text = await there.ask(pods, JANE, text=True)
        assert code == 500
        assert text.startswith(f'Internal Server Error: "{pods}": Post "https://127.0.0.1:1/x')
        assert (await there.ask("/version", JANE))[0] == 200, "RBAC allows it"
        assert (await there.ask(pods, pki.ADMIN))[0] == 200


async def test_who_may_come_without_a_name(tmp_path: Path) -> None:
    file = tmp_path / "authentication.yaml"
    file.write_text(
        "{apiVersion: apiserver.config.k8s.io/v1, kind: AuthenticationConfiguration,"
        " anonymous: {enabled: true, conditions: [{path: /livez}]}}"
    )
    for number, (argument, code) in enumerate((
        ("anonymous-auth=false", 401), ("authorization-mode=AlwaysAllow", 401), (f"authentication-config={file}", 200),
    )):  # fmt: skip
        async with cluster(tmp_path / str(number), argument) as there:
            assert (await there.ask("/livez", text=True))[0] == code
            assert (await there.ask("/version"))[0] == 401
            assert (await there.ask("/version", JANE))[0] == 200
