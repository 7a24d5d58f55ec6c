"""Volumes of every kind in real containers, and the updates that reach them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_pods import one
from tests.e2e.world import Namespace, eventually

pytestmark = pytest.mark.e2e

Make = Callable[..., str]


def mounted(volume: dict[str, Any], line: str = "sleep infinity", **mount: Any) -> dict[str, Any]:
    """The spec of a pod with a volume at /v."""
    spec = one(line, volumeMounts=[{"name": "v", "mountPath": "/v", **mount}])
    return {**spec, "volumes": [{"name": "v", **volume}]}


def test_empty_dir_is_shared_by_containers_and_outlives_their_restarts(namespace: Namespace, pod: Make) -> None:
    spec = mounted({"emptyDir": {}}, "echo run >> /v/runs; sleep infinity")
    spec["containers"].append({**spec["containers"][0], "name": "second", "command": ["sleep", "infinity"]})
    name = pod("empty", spec)
    namespace.cluster.try_kubectl("-n", namespace.name, "exec", name, "-c", "main", "--", "kill", "-9", "1")
    namespace.try_kubectl("exec", name, "-c", "main", "--", "sh", "-c", "kill -TERM -1")
    eventually(lambda: namespace.exec(name, "cat", "/v/runs", container="second").startswith("run"))


def test_memory_backed_empty_dir(namespace: Namespace, pod: Make) -> None:
    name = pod("memory", mounted({"emptyDir": {"medium": "Memory", "sizeLimit": "8Mi"}}))
    assert "tmpfs" in namespace.shell(name, "grep ' /v ' /proc/mounts")


def test_host_path(namespace: Namespace, pod: Make, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "note").write_text("from the machine")
    name = pod("host", mounted({"hostPath": {"path": str(tmp_path), "type": "Directory"}}, readOnly=True))
    assert namespace.shell(name, "cat /v/note") == "from the machine"
    assert "Read-only" in namespace.shell(name, "touch /v/x 2>&1 || true")


def test_a_missing_host_path_is_said(namespace: Namespace, pod: Make) -> None:
    name = pod("nohost", mounted({"hostPath": {"path": "/no/such/place", "type": "Directory"}}), wait="")
    eventually(lambda: any("hostPath type check failed" in said for _, said in namespace.events(name)))


def test_config_map_items_modes_and_updates(namespace: Namespace, pod: Make) -> None:
    namespace.kubectl("create", "configmap", "files", "--from-literal=a.txt=first", "--from-literal=b.txt=other")
    items = [{"key": "a.txt", "path": "deep/a", "mode": 0o400}]
    name = pod("config", mounted({"configMap": {"name": "files", "items": items, "defaultMode": 0o444}}))
    assert namespace.shell(name, "cat /v/deep/a; ls /v") == "firstdeep"
    assert namespace.shell(name, "stat -L -c %a /v/deep/a") == "400"
    namespace.kubectl("patch", "configmap", "files", "--type=merge", "-p", '{"data": {"a.txt": "second"}}')
    eventually(lambda: namespace.shell(name, "cat /v/deep/a") == "second")


def test_sub_path_and_its_expression(namespace: Namespace, pod: Make) -> None:
    namespace.kubectl("create", "configmap", "sub", "--from-literal=only=one")
    mounts = [
        {"name": "v", "mountPath": "/etc/only", "subPath": "only"},
        {"name": "e", "mountPath": "/mine", "subPathExpr": "$(POD)"},
        {"name": "e", "mountPath": "/all"},
    ]
    env = [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    volumes = [{"name": "v", "configMap": {"name": "sub"}}, {"name": "e", "emptyDir": {}}]
    name = pod("subpath", {**one(volumeMounts=mounts, env=env), "volumes": volumes})
    assert namespace.shell(name, "cat /etc/only; touch /mine/x; ls /all/subpath") == "onex"


def test_secret_in_memory_with_its_mode(namespace: Namespace, pod: Make) -> None:
    namespace.kubectl("create", "secret", "generic", "word", "--from-literal=word=hush")
    name = pod("secret", mounted({"secret": {"secretName": "word", "defaultMode": 0o440}}))
    assert namespace.shell(name, "cat /v/word; stat -L -c %a /v/word; grep ' /v ' /proc/mounts").startswith(
        "hush440\ntmpfs"
    )


def test_a_missing_secret_keeps_the_pod_waiting_until_it_is_there(namespace: Namespace, pod: Make) -> None:
    name = pod("late", mounted({"secret": {"secretName": "late"}}), wait="")
    eventually(lambda: any('secret "late" not found' in said for _, said in namespace.events(name)))
    namespace.kubectl("create", "secret", "generic", "late", "--from-literal=a=b")
    namespace.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")


def test_downward_api_follows_labels(namespace: Namespace, pod: Make) -> None:
    items = [
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
        {"path": "cpu", "resourceFieldRef": {"containerName": "main", "resource": "limits.cpu", "divisor": "1m"}},
    ]
    spec = mounted({"downwardAPI": {"items": items}})
    spec["containers"][0]["resources"] = {"limits": {"cpu": "200m"}}
    name = pod("downward", spec, labels={"stage": "one"})
    assert namespace.shell(name, "cat /v/labels; echo; cat /v/cpu") == 'stage="one"\n200'
    namespace.kubectl("label", "pod", name, "--overwrite", "stage=two")
    eventually(lambda: namespace.shell(name, "cat /v/labels") == 'stage="two"')


def test_projected_volume_with_a_token_of_its_own_audience(namespace: Namespace, pod: Make) -> None:
    namespace.kubectl("create", "configmap", "part", "--from-literal=from-map=m")
    sources = [
        {"configMap": {"name": "part"}},
        {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        {"serviceAccountToken": {"path": "token", "audience": "vault", "expirationSeconds": 600}},
    ]
    name = pod("projected", mounted({"projected": {"sources": sources}}))
    assert namespace.shell(name, "cat /v/from-map; cat /v/name") == "mprojected"
    token = namespace.shell(name, "cat /v/token")
    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token, "audiences": ["vault"]},
    }
    answer = json.loads(
        namespace.kubectl("create", "--validate=false", "-f", "-", "-o", "json", text=json.dumps(review))
    )["status"]
    assert answer["authenticated"] is True
    assert answer["user"]["username"] == f"system:serviceaccount:{namespace.name}:default"
    assert answer["user"]["extra"]["authentication.kubernetes.io/pod-name"] == [name]


def test_a_pod_talks_to_the_api_server_as_its_service_account(namespace: Namespace, pod: Make) -> None:
    namespace.kubectl("create", "role", "reader", "--verb=get,list", "--resource=configmaps")
    namespace.kubectl("create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={namespace.name}:default")
    name = pod("client", one(image="python:3.11"))
    script = """if 1:
        import json, ssl, sys, urllib.request as u
        home = "/var/run/secrets/kubernetes.io/serviceaccount/"
        tls = ssl.create_default_context(cafile=home + "ca.crt")
        def ask(path):
            head = {"Authorization": "Bearer " + open(home + "token").read()}
            try:
                return json.load(u.urlopen(u.Request("https://kubernetes.default" + path, headers=head), context=tls))
            except u.HTTPError as error:
                return json.load(error)
        space = open(home + "namespace").read()
        print(json.dumps([ask(f"/api/v1/namespaces/{space}/{kind}") for kind in ("configmaps", "secrets")]))
    """
    allowed, denied = json.loads(namespace.exec(name, "python3", "-c", script))
    assert allowed["kind"] == "ConfigMapList"
    assert denied["message"] == (
        f'secrets is forbidden: User "system:serviceaccount:{namespace.name}:default" cannot list resource "secrets" '
        f'in API group "" in the namespace "{namespace.name}"'
    )
