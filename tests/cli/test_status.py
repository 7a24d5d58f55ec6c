"""What `kijabi status` says: the tables, and one line for each thing that is not as it should be."""

from __future__ import annotations

from kijabi.api import codec
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.cli.status import Cluster, problems, render
from kijabi.cmd.supervisor import Status

WELL = [Status(name="apiserver", state="ready", pid=10), Status(name="node-1", state="ready", pid=11)]


def node(ready: str = "True", **pressure: str) -> Node:
    conditions = [{"type": "Ready", "status": ready, "reason": "KubeletReady", "message": "is ready"}]
    conditions += [{"type": kind, "status": state, "reason": "R", "message": "m"} for kind, state in pressure.items()]
    status = {
        "conditions": conditions,
        "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
        "nodeInfo": {"kubeletVersion": "v1.37.0", "containerRuntimeVersion": "containerd://1"},
    }
    return codec.from_builtins(Node, {"metadata": {"name": "node-1"}, "status": status})


def pod(status: dict[str, object]) -> Pod:
    spec = {"nodeName": "node-1", "containers": [{"name": "c"}]}
    return codec.from_builtins(Pod, {"metadata": {"name": "p", "namespace": "ns"}, "spec": spec, "status": status})


def cluster(**more: object) -> Cluster:
    given = {"components": WELL, "nodes": (node(),), "pods": (), **more}
    return Cluster(directory="/d", server="https://s", version="v1.37.0", **given)  # type: ignore[arg-type]


def test_all_is_well() -> None:
    assert render(cluster(pods=(pod({"phase": "Running"}),))) == (
        "Cluster in /d, API server https://s, v1.37.0\n"
        "\n"
        "COMPONENT  STATE  PID  RESTARTS  LAST EXIT\n"
        "apiserver  ready  10   0         -\n"
        "node-1     ready  11   0         -\n"
        "\n"
        "NODE    READY  VERSION  ADDRESS   RUNTIME         PODS\n"
        "node-1  True   v1.37.0  10.0.0.1  containerd://1  1\n"
        "\n"
        "All is well."
    )


def test_components_that_are_unwell() -> None:
    died = Status(name="control", state="backoff", restarts=3, last_exit="exit code 1: OSError: no")
    full = Status(name="apiserver", state="ready", problem="the disk is full")
    assert problems(cluster(components=[died, full])) == [
        "component control: backoff: exit code 1: OSError: no",
        "component apiserver: the disk is full",
    ]


def test_one_that_came_back_is_well_and_its_last_exit_is_shown() -> None:
    back = Status(name="control", state="ready", pid=9, restarts=1, last_exit="killed by SIGKILL")
    text = render(cluster(components=[back]))
    assert "control    ready  9    1         killed by SIGKILL" in text
    assert text.endswith("All is well.")


def test_nodes_and_pods_with_their_reasons() -> None:
    waiting = {"name": "c", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
    killed = {"reason": "OOMKilled", "exitCode": 137}
    unplaced = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    pods = (
        pod({"phase": "Pending", "containerStatuses": [waiting]}),
        pod({"phase": "Pending", "conditions": [unplaced]}),
        pod({"phase": "Failed", "reason": "Evicted"}),
        pod({"phase": "Failed", "containerStatuses": [{"name": "c", "state": {"terminated": killed}}]}),
        pod(
            {
                "phase": "Pending",
                "containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "PodInitializing"}}}],
            }
        ),
        pod({"phase": "Succeeded"}),
    )
    assert problems(cluster(nodes=(node(DiskPressure="True", MemoryPressure="False"),), pods=pods)) == [
        "node node-1: DiskPressure: R: m",
        "pod ns/p: container c: ImagePullBackOff: no such image",
        "pod ns/p: Unschedulable: 0/1 nodes",
        "pod ns/p: Failed: Evicted",
        "pod ns/p: Failed: container c: OOMKilled (exit code 137)",
    ]
    assert problems(cluster(nodes=(node("Unknown"),))) == ["node node-1: Ready: KubeletReady: is ready"]


def test_a_server_that_does_not_answer() -> None:
    assert problems(cluster(nodes=(), error="no answer in 5 s")) == ["API server: no answer in 5 s"]
