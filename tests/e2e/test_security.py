"""What must not be possible: reading secrets off the disk, as another node, or as nobody."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.test_pods import one
from tests.e2e.world import Cluster, Namespace

pytestmark = pytest.mark.e2e

Make = Callable[..., str]
WORD = "a-word-that-no-file-may-hold"


def _files(cluster: Cluster) -> Iterator[Path]:
    """Every file of the cluster but the containers' own: images, and the memory that holds mounted secrets.

    These come and go while tests run, so their folders are not even entered.
    """
    for folder, below, names in os.walk(cluster.directory):
        if Path(folder) == cluster.directory and "nodes" in below:
            below.remove("nodes")
        for name in names:
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                yield path


def test_secrets_are_encrypted_in_the_store(namespace: Namespace, cluster: Cluster) -> None:
    namespace.kubectl("create", "secret", "generic", "kept", f"--from-literal=word={WORD}")
    namespace.kubectl("create", "configmap", "open", "--from-literal=word=an-open-word-in-the-store")
    everything = {path: path.read_bytes() for path in _files(cluster)}
    assert any(b"an-open-word-in-the-store" in data for path, data in everything.items() if "store" in str(path))
    assert [path for path, data in everything.items() if WORD.encode() in data] == []
    assert WORD in namespace.kubectl("get", "secret", "kept", "-o", "go-template={{.data.word | base64decode}}")


def test_files_with_keys_are_their_owner_s_alone(cluster: Cluster) -> None:
    for path in _files(cluster):
        text = path.read_bytes()
        if b"PRIVATE KEY" in text or b"client-key" in text or path.name == "encryption.json":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE((cluster.directory / "run" / "control.sock").stat().st_mode) & 0o077 == 0


def _as_node(cluster: Cluster, *arguments: str) -> tuple[int, str]:
    """kubectl with the identity of node-1's kubelet."""
    file = cluster.config.component_kubeconfig("node-1")
    done = cluster.try_kubectl("--kubeconfig", str(file), *arguments)
    return done.returncode, (done.stdout + done.stderr).strip()


def test_a_kubelet_reads_only_the_secrets_of_its_pods(namespace: Namespace, cluster: Cluster, pod: Make) -> None:
    for name in ("used", "unused"):
        namespace.kubectl("create", "secret", "generic", name, "--from-literal=a=b")
    pod("user", {**one(), "volumes": [{"name": "v", "secret": {"secretName": "used"}}]})
    space = ("-n", namespace.name)
    assert _as_node(cluster, *space, "get", "secret", "used")[0] == 0
    code, said = _as_node(cluster, *space, "get", "secret", "unused")
    assert code == 1
    assert said == (
        'Error from server (Forbidden): secrets "unused" is forbidden: User "system:node:node-1" cannot get resource '
        f'"secrets" in API group "" in the namespace "{namespace.name}": no relationship found between node \'node-1\' '
        "and this object"
    )
    code, said = _as_node(cluster, *space, "get", "secrets")
    assert code == 1
    assert 'secrets is forbidden: User "system:node:node-1" cannot list resource "secrets"' in said


def test_a_kubelet_changes_only_itself(cluster: Cluster) -> None:
    other = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-9"}}
    cluster.kubectl("create", "-f", "-", text=json.dumps(other))
    try:
        code, said = _as_node(cluster, "label", "node", "node-9", "a=b")
        assert code == 1
        assert "is forbidden" in said
        code, said = _as_node(cluster, "label", "node", "node-1", "node-restriction.kubernetes.io/x=y")
        assert code == 1
        assert "is not allowed to modify labels" in said
    finally:
        cluster.kubectl("delete", "node", "node-9")


def test_nobody_may_do_next_to_nothing(cluster: Cluster) -> None:
    curl = ("curl", "-s", "-k", "--max-time", "5")
    assert json.loads(cluster.run_here(*curl, f"{cluster.config.server}/version"))["gitVersion"] == "v1.37.0"
    denied = json.loads(cluster.run_here(*curl, f"{cluster.config.server}/api/v1/namespaces/default/pods"))
    assert denied["code"] == 403
    assert denied["message"] == (
        'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" '
        'in the namespace "default"'
    )
    bad = json.loads(cluster.run_here(*curl, "-H", "Authorization: Bearer wrong", f"{cluster.config.server}/api"))
    assert (bad["code"], bad["reason"]) == (401, "Unauthorized")


def test_a_user_with_a_role_gets_what_it_says(namespace: Namespace, cluster: Cluster) -> None:
    namespace.kubectl("create", "serviceaccount", "viewer")
    namespace.kubectl(
        "create", "rolebinding", "viewer", "--clusterrole=view", f"--serviceaccount={namespace.name}:viewer"
    )
    name = f"system:serviceaccount:{namespace.name}:viewer"
    assert namespace.kubectl("auth", "can-i", "list", "pods", "--as", name).strip() == "yes"
    assert namespace.try_kubectl("auth", "can-i", "get", "secrets", "--as", name).stdout.strip() == "no"
    token = namespace.kubectl("create", "token", "viewer", "--duration=10m").strip()
    alone = ("--kubeconfig=/dev/null", f"--server={cluster.config.server}", "--insecure-skip-tls-verify")
    done = cluster.try_kubectl(*alone, f"--token={token}", "-n", namespace.name, "get", "pods")
    assert done.returncode == 0, done.stderr
    done = cluster.try_kubectl(*alone, f"--token={token}", "-n", namespace.name, "get", "secrets")
    assert f'secrets is forbidden: User "{name}" cannot list resource "secrets"' in done.stderr


def test_a_kubelet_s_own_server_wants_a_certificate(cluster: Cluster) -> None:
    node = cluster.get("node", "node-1")["status"]
    url = f"https://{node['addresses'][0]['address']}:{node['daemonEndpoints']['kubeletEndpoint']['Port']}/pods"
    code = cluster.run_here("curl", "-s", "-k", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5", url)
    assert code in ("401", "403", "000")
