"""Data that outlives pods, processes of nodes and the cluster: examples/redis on two nodes, and other volumes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import borrowed, fresh_cluster
from tests.e2e.world import Cluster, Namespace, eventually

pytestmark = pytest.mark.e2e

PORT = 17446
EXAMPLE = Path(__file__).parents[2] / "examples" / "redis" / "redis.yaml"
CONTAINERS = "{range .items[*]}{.metadata.name} {.status.containerStatuses[0].containerID} {end}"


@pytest.fixture(scope="module")
def nodes(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    yield from borrowed("KIJABI_E2E_NODES_DIR") or fresh_cluster(request, PORT, "--nodes", "2")


@pytest.fixture(scope="module")
def place(nodes: Cluster) -> Iterator[Namespace]:
    """A namespace in which examples/redis runs."""
    made = Namespace(nodes, "keeping")
    nodes.kubectl("create", "namespace", made.name)
    made.has_account()
    made.kubectl("apply", "-f", str(EXAMPLE))
    made.kubectl("rollout", "status", "statefulset/redis", "--timeout=80s")
    for number in (0, 1):
        assert redis(made, number, "set", "name", f"redis-{number}") == "OK"
    yield made
    nodes.kubectl("delete", "namespace", made.name, "--timeout=80s", "--ignore-not-found")


def redis(place: Namespace, number: int, *command: str) -> str:
    return place.exec(f"redis-{number}", "redis-cli", *command).strip()


def volume_of(place: Namespace, claim: str) -> str:
    return place.field(f"pvc/{claim}", "{.spec.volumeName}")


def directories(cluster: Cluster) -> dict[str, str]:
    """volume → node, as the disks have it."""
    found = {}
    for node in cluster.config.node_names():
        root = cluster.config.node_dir(node) / "volumes"
        found.update(dict.fromkeys(os.listdir(root) if root.exists() else (), node))
    return found


def intact(place: Namespace) -> None:
    """Both servers are there, with what they were told."""
    place.kubectl("rollout", "status", "statefulset/redis", "--timeout=80s")
    for number in (0, 1):
        assert redis(place, number, "get", "name") == f"redis-{number}"


def test_claims_are_served_by_default(place: Namespace, nodes: Cluster) -> None:
    assert "local-path (default)" in nodes.kubectl("get", "storageclass")
    found = directories(nodes)
    for number in (0, 1):
        volume = volume_of(place, f"data-redis-{number}")
        assert found[volume] == place.field(f"pod/redis-{number}", "{.spec.nodeName}")
        assert nodes.get("pv", volume)["spec"]["local"]["path"] == str(
            nodes.config.node_dir(found[volume]) / "volumes" / volume
        )
        events = dict(place.events(f"data-redis-{number}"))
        assert events["ProvisioningSucceeded"] == f"Successfully provisioned volume {volume}"
    assert set(found) == {volume_of(place, f"data-redis-{number}") for number in (0, 1)}


def test_data_outlives_its_pod(place: Namespace) -> None:
    place.kubectl("delete", "pod", "redis-0", "--timeout=60s")
    intact(place)
    place.kubectl("delete", "pod", "redis-1", "--force", "--grace-period=0")
    intact(place)


def test_a_pod_returns_to_its_volume(place: Namespace, nodes: Cluster) -> None:
    """However full of reasons to go elsewhere: it waits for the node that has the data."""
    node = place.field("pod/redis-0", "{.spec.nodeName}")
    nodes.kubectl("cordon", node)
    try:
        place.kubectl("delete", "pod", "redis-0", "--timeout=60s")
        why = eventually(lambda: place.field("pod/redis-0", '{.status.conditions[?(@.type=="PodScheduled")].message}'))
        assert "0/2 nodes are available" in why
        assert "1 node(s) were unschedulable" in why
        assert "1 node(s) didn't match PersistentVolume's node affinity" in why
    finally:
        nodes.kubectl("uncordon", node)
    intact(place)
    assert place.field("pod/redis-0", "{.spec.nodeName}") == node


def test_data_outlives_the_processes_of_its_node(place: Namespace, nodes: Cluster) -> None:
    """The agent and its containerd are killed; the containers, and what they have mounted, go on."""
    before = place.kubectl("get", "pods", "-o", f"jsonpath={CONTAINERS}")
    nodes.kill("node-1")
    config = str(nodes.config.node_run("node-1") / "config.toml")
    for pid in _processes("containerd", config):
        os.kill(pid, signal.SIGKILL)
    # Whoever wants to look into a container while containerd is away is told so; it comes back by itself.
    for number in (0, 1):
        eventually(lambda number=number: redis(place, number, "ping") == "PONG")  # type: ignore[misc]
    intact(place)
    assert place.kubectl("get", "pods", "-o", f"jsonpath={CONTAINERS}") == before
    place.kubectl("delete", "pod", "redis-0", "redis-1", "--timeout=80s")
    intact(place)


def _processes(program: str, argument: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_text().rstrip("\0").split("\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if words[0].endswith(program) and words[-1] == argument:
                found.append(int(entry.name))
    assert found
    return found


def test_data_outlives_the_cluster(place: Namespace, nodes: Cluster) -> None:
    before = directories(nodes)
    nodes.kijabi("down")
    assert directories(nodes) == before
    assert not [line for line in Path("/proc/mounts").read_text().splitlines() if str(nodes.directory) in line]
    nodes.kijabi("up")
    intact(place)
    assert directories(nodes) == before


def test_who_scales_down_gets_the_disk_back(place: Namespace, nodes: Cluster) -> None:
    gone, kept = volume_of(place, "data-redis-1"), volume_of(place, "data-redis-0")
    place.kubectl("scale", "statefulset/redis", "--replicas=1")
    place.kubectl("wait", "--for=delete", "pvc/data-redis-1", "--timeout=60s")
    nodes.kubectl("wait", "--for=delete", f"pv/{gone}", "--timeout=60s")
    assert set(directories(nodes)) == {kept}
    place.kubectl("scale", "statefulset/redis", "--replicas=2")
    place.kubectl("rollout", "status", "statefulset/redis", "--timeout=80s")
    assert redis(place, 1, "get", "name") == ""
    assert redis(place, 0, "get", "name") == "redis-0"


def test_who_deletes_keeps_the_data_until_the_claims_go(place: Namespace, nodes: Cluster) -> None:
    place.kubectl("delete", "statefulset/redis", "--cascade=foreground", "--timeout=80s")
    assert len(directories(nodes)) == 2
    place.kubectl("delete", "pvc/data-redis-0", "pvc/data-redis-1", "--timeout=60s")
    eventually(lambda: nodes.get("pv")["items"] == [])
    assert directories(nodes) == {}


def _pod(name: str, line: str, volume: dict[str, Any], **more: Any) -> dict[str, Any]:
    mount = {"name": "v", "mountPath": "/data", **more}
    container = {"name": "c", "image": "busybox:1.35", "command": ["sh", "-c", line], "volumeMounts": [mount]}
    spec = {"terminationGracePeriodSeconds": 1, "containers": [container], "volumes": [{"name": "v", **volume}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}


def test_an_ephemeral_volume_goes_with_its_pod(place: Namespace, nodes: Cluster) -> None:
    template = {"ephemeral": {"volumeClaimTemplate": {"spec": CLAIM}}}
    place.apply(_pod("scratch", "echo here > /data/file; sleep infinity", template))
    place.kubectl("wait", "--for=condition=Ready", "pod/scratch", "--timeout=60s")
    volume = volume_of(place, "scratch-v")
    found = directories(nodes)
    assert (nodes.config.node_dir(found[volume]) / "volumes" / volume / "file").read_text() == "here\n"
    place.kubectl("delete", "pod", "scratch", "--timeout=60s")
    nodes.kubectl("wait", "--for=delete", f"pv/{volume}", "--timeout=60s")
    assert directories(nodes) == {}


@pytest.mark.parametrize("kind", ["local", "hostPath"])
def test_a_volume_made_by_hand(place: Namespace, nodes: Cluster, tmp_path: Path, kind: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "file").write_text("of the node\n")
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-2"]}
    source = {"path": str(tmp_path), **({"type": "Directory"} if kind == "hostPath" else {})}
    spec: dict[str, Any] = {
        kind: source,
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "1Gi"},
        "storageClassName": "by-hand",
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
    }
    volume, claim = f"by-hand-{kind.lower()}", f"mine-{kind.lower()}"
    place.apply(
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": volume}, "spec": spec},
        {
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": claim},
            "spec": {**CLAIM, "storageClassName": "by-hand"},
        },
        _pod(claim, "sleep infinity", {"persistentVolumeClaim": {"claimName": claim}}, subPath="sub"),
    )  # fmt: skip
    place.kubectl("wait", "--for=condition=Ready", f"pod/{claim}", "--timeout=60s")
    assert place.field(f"pod/{claim}", "{.spec.nodeName}") == "node-2"
    assert place.shell(claim, "cat /data/file; echo more > /data/new") == "of the node"
    assert (tmp_path / "sub" / "new").read_text() == "more\n"
    place.kubectl("delete", "pod", claim, "--timeout=60s")
    place.kubectl("delete", "pvc", claim, "--timeout=60s")
    nodes.kubectl("wait", "--for=jsonpath={.status.phase}=Released", f"pv/{volume}", "--timeout=30s")
    nodes.kubectl("delete", "pv", volume, "--timeout=30s")
    assert sorted(os.listdir(tmp_path / "sub")) == ["file", "new"]


def test_a_claim_that_cannot_be_served_says_why(place: Namespace) -> None:
    big = {**CLAIM, "resources": {"requests": {"storage": "1Pi"}}}
    place.apply(
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "big"}, "spec": big},
        _pod("wants-much", "true", {"persistentVolumeClaim": {"claimName": "big"}}),
    )
    text = eventually(lambda: dict(place.events("big")).get("ProvisioningFailed"))
    assert text.startswith('failed to provision volume with StorageClass "local-path": the claim asks for 1Pi, and')
    place.kubectl("delete", "pod/wants-much", "pvc/big", "--timeout=60s")
