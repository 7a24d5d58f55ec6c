"""Admission, resources, credentials, pressure, node status, garbage: the pure parts of a node."""

from __future__ import annotations

import base64
import os
from typing import Any

import msgspec
import pytest

from kijabi.api.core.affinity import Affinity, NodeAffinity, Toleration
from kijabi.api.core.container import Container, ContainerPort
from kijabi.api.core.node import Node, NodeSpec, Taint
from kijabi.api.core.nodeselector import NodeSelector, NodeSelectorRequirement, NodeSelectorTerm
from kijabi.api.core.nodestatus import NodeStatus
from kijabi.api.core.pod import Pod
from kijabi.api.core.requests import pod_requests
from kijabi.api.core.secret import Secret
from kijabi.api.core.security import (
    AppArmorProfile,
    Capabilities,
    PodSecurityContext,
    SeccompProfile,
    SecurityContext,
    Sysctl,
)
from kijabi.api.gotext import duration
from kijabi.api.meta import ObjectMeta, Time
from kijabi.kubelet import backoff, collect, configs, credentials, nodestatus, pressure, resources, security
from kijabi.kubelet.admission import admit
from kijabi.kubelet.config import KubeletConfig
from kijabi.kubelet.configs import NodeFacts
from kijabi.kubelet.machine import Capacity, FakeMachine, Identity, LocalMachine, Usage
from kijabi.kubelet.nodestatus import Found, Pressure
from kijabi.kubelet.orphans import pod_from_view
from kijabi.kubelet.problems import ConfigProblem
from kijabi.kubelet.runtime.interface import Image, RuntimeInfo
from kijabi.kubelet.view import container_annotations
from tests.kubelet.things import amounts, box, c, info, needs, pod, view

NODE = Node(
    metadata=ObjectMeta(name="n1", labels={"disk": "ssd", "size": "5"}),
    spec=NodeSpec(),
    status=NodeStatus(allocatable=amounts(cpu="2", memory="1Gi", pods="3")),
)


def selects(*expressions: tuple[str, str, tuple[str, ...]]) -> dict[str, Any]:
    requirements = tuple(NodeSelectorRequirement(key=k, operator=o, values=v) for k, o, v in expressions)
    selector = NodeSelector(nodeSelectorTerms=(NodeSelectorTerm(matchExpressions=requirements),))
    return {"affinity": Affinity(nodeAffinity=NodeAffinity(requiredDuringSchedulingIgnoredDuringExecution=selector))}


def listening(port: int, **more: Any) -> Container:
    return c(ports=(ContainerPort(containerPort=80, hostPort=port, **more),))


@pytest.mark.parametrize(
    ("given", "others", "reason"),
    [
        (pod(), (), ""),
        (pod(c(resources=needs({"cpu": "2"}))), (), ""),
        (pod(c(resources=needs({"cpu": "2001m"}))), (), "OutOfcpu"),
        (pod(c(resources=needs({"cpu": "1"}))), (pod(c(resources=needs({"cpu": "1500m"}))),), "OutOfcpu"),
        (pod(c(resources=needs({"memory": "2Gi"}))), (), "OutOfmemory"),
        (pod(c(resources=needs({"example.com/x": "2"}))), (), ""),
        (pod(), (pod(), pod(), pod()), "OutOfpods"),
        (pod(nodeSelector={"disk": "ssd"}), (), ""),
        (pod(nodeSelector={"disk": "hdd"}), (), "NodeAffinity"),
        (pod(**selects(("disk", "In", ("ssd",)), ("size", "Gt", ("4",)))), (), ""),
        (pod(**selects(("disk", "NotIn", ("ssd",)))), (), "NodeAffinity"),
        (pod(**selects(("none", "Exists", ()))), (), "NodeAffinity"),
        (pod(listening(80)), (pod(listening(80)),), "NodePorts"),
        (pod(securityContext=PodSecurityContext(sysctls=(Sysctl(name="net.ipv4.tcp_syncookies", value="1"),))), (), ""),
        (
            pod(securityContext=PodSecurityContext(sysctls=(Sysctl(name="kernel.msgmax", value="1"),))),
            (),
            "SysctlForbidden",
        ),
        (pod(c(securityContext=SecurityContext(appArmorProfile=AppArmorProfile(type="Unconfined")))), (), ""),
        (
            pod(c(securityContext=SecurityContext(appArmorProfile=AppArmorProfile(type="RuntimeDefault")))),
            (),
            "AppArmor",
        ),
        (pod(listening(80)), (pod(listening(80, protocol="UDP")),), ""),
        (pod(listening(80, hostIP="1.1.1.1")), (pod(listening(80, hostIP="2.2.2.2")),), ""),
    ],
)
def test_admission(given: Pod, others: tuple[Pod, ...], reason: str) -> None:
    refused = admit(given, NODE, others)
    assert (refused.reason if refused else "") == reason


def test_taints_and_tolerations() -> None:
    node = Node(metadata=NODE.metadata, spec=NodeSpec(taints=(Taint(key="k", value="v", effect="NoExecute"),)))
    refused = admit(pod(), node, ())
    assert refused is not None
    text = "Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate"
    assert refused == ("TaintToleration", text)
    for toleration in (
        Toleration(operator="Exists"),
        Toleration(key="k", operator="Exists"),
        Toleration(key="k", value="v", effect="NoExecute"),
    ):
        assert admit(pod(tolerations=(toleration,)), node, ()) is None
    assert admit(pod(tolerations=(Toleration(key="k", value="other"),)), node, ()) is not None


def test_cgroup_values() -> None:
    container = c(resources=needs({"cpu": "250m", "memory": "64Mi"}, {"cpu": "500m", "memory": "128Mi"}))
    found = resources.container_resources(pod(container), container, 1 << 30)
    assert (found.cpu_shares, found.cpu_quota, found.memory_limit, found.oom_score_adj) == (256, 50_000, 128 << 20, 938)
    bare = resources.container_resources(pod(), c(), 1 << 30)
    assert (bare.cpu_shares, bare.cpu_quota, bare.memory_limit, bare.oom_score_adj) == (2, 0, 0, 1000)
    both = needs({"cpu": "1", "memory": "1Gi"}, {"cpu": "1", "memory": "1Gi"})
    assert resources.oom_score(pod(c(resources=both)), c(resources=both), 1 << 30) == -997


def test_pod_requests_and_limits() -> None:
    given = pod(
        c("a", resources=needs({"cpu": "1"}, {"cpu": "2", "memory": "1Gi"})),
        c("b", resources=needs({"cpu": "1"}, {"cpu": "1", "memory": "1Gi"})),
        initContainers=(
            c("i", resources=needs({"cpu": "5"}, {"cpu": "5", "memory": "1Mi"})),
            c("s", restartPolicy="Always", resources=needs({"cpu": "500m"}, {"cpu": "1", "memory": "1Gi"})),
            c("j", resources=needs({"cpu": "1"}, {"cpu": "1", "memory": "1Mi"})),
        ),
        overhead=amounts(cpu="100m"),
    )
    assert pod_requests(given) == {"cpu": 5100}
    assert resources.pod_limits(given) == (5000, 3 << 30)
    assert resources.pod_limits(pod(c("a"), c("b", resources=needs({}, {"cpu": "1"})))) == (0, 0)


@pytest.mark.parametrize(
    ("image", "registry", "path", "full"),
    [
        ("nginx", "docker.io", "library/nginx", "nginx:latest"),
        ("a/b:1", "docker.io", "a/b", "a/b:1"),
        ("localhost:5000/x", "localhost:5000", "x", "localhost:5000/x:latest"),
        (f"reg.io/a/b@sha256:{'0' * 64}", "reg.io", "a/b", f"reg.io/a/b@sha256:{'0' * 64}"),
    ],
)
def test_image_names(image: str, registry: str, path: str, full: str) -> None:
    assert credentials.split_image(image) == (registry, path)
    assert credentials.with_default_tag(image) == full


@pytest.mark.parametrize("name", ["", "a b", " a", "FOO/Bar", "x/UPPER", "a//b", "nginx:", "a@sha256:00"])
def test_bad_image_names(name: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        credentials.with_default_tag(name)


def test_pull_secrets() -> None:
    auths = {
        "https://index.docker.io/v1/": {"auth": base64.b64encode(b"u:p").decode()},
        "*.corp.io": {"username": "wild", "password": "x"},
        "reg.corp.io/team": {"username": "team", "password": "y"},
    }
    data = {".dockerconfigjson": msgspec.json.encode({"auths": auths})}
    secret = Secret(type="kubernetes.io/dockerconfigjson", data=data)
    assert [(a.username, a.password) for a in credentials.matching("nginx", (secret,))] == [("u", "p")]
    assert [a.username for a in credentials.matching("reg.corp.io/team/app", (secret,))] == ["team", "wild"]
    assert [a.username for a in credentials.matching("reg.corp.io/teams/app", (secret,))] == ["wild"]
    assert credentials.matching("other.io/x", (secret,)) == ()
    damaged = Secret(type="kubernetes.io/dockerconfigjson", data={".dockerconfigjson": b"{"})
    assert credentials.matching("nginx", (damaged,)) == ()


ROOT, USER, NAMED = Image(id="i", uid=0), Image(id="i", uid=5), Image(id="i", username="app")


@pytest.mark.parametrize(
    ("whole", "own", "image", "problem"),
    [
        (None, None, ROOT, ""),
        (PodSecurityContext(runAsNonRoot=True), None, USER, ""),
        (PodSecurityContext(runAsNonRoot=True), None, ROOT, "image will run as root"),
        (PodSecurityContext(runAsNonRoot=True), None, NAMED, "image has non-numeric user (app)"),
        (PodSecurityContext(runAsNonRoot=True, runAsUser=0), None, USER, "runAsUser breaks non-root policy"),
        (PodSecurityContext(runAsNonRoot=True), SecurityContext(runAsUser=7), ROOT, ""),
        (PodSecurityContext(runAsNonRoot=True), SecurityContext(runAsNonRoot=False), ROOT, ""),
    ],
)
def test_run_as_non_root(whole: Any, own: Any, image: Image, problem: str) -> None:
    container = c(securityContext=own)
    if problem:
        with pytest.raises(ConfigProblem) as caught:
            security.container_security(pod(container, securityContext=whole), container, image)
        assert problem in str(caught.value)
    else:
        security.container_security(pod(container, securityContext=whole), container, image)


def test_security_contexts_merge() -> None:
    whole = PodSecurityContext(
        runAsUser=1,
        runAsGroup=2,
        fsGroup=3,
        supplementalGroups=(4,),
        seccompProfile=SeccompProfile(type="RuntimeDefault"),
    )
    own = SecurityContext(
        runAsUser=9,
        capabilities=Capabilities(add=("NET_ADMIN",), drop=("ALL",)),
        allowPrivilegeEscalation=False,
        readOnlyRootFilesystem=True,
    )
    found = security.container_security(pod(securityContext=whole), c(securityContext=own), ROOT)
    assert found == security.Security(
        add_capabilities=("NET_ADMIN",), drop_capabilities=("ALL",), run_as_user=9, run_as_group=2,
        supplemental_groups=(3, 4), read_only_root=True, no_new_privileges=True, seccomp="RuntimeDefault",
    )  # fmt: skip
    root = security.container_security(pod(), c(securityContext=SecurityContext(privileged=True)), ROOT)
    assert (root.privileged, root.seccomp) == (True, "Unconfined")


def test_configs() -> None:
    given = pod(c(command=("sh", "$(A)"), args=("$(NO)",), ports=(ContainerPort(containerPort=80, hostPort=8080),)))
    facts = NodeFacts(log_root="/logs", memory=1 << 30)
    config, _ = configs.sandbox_config(given, 2, facts, cgroup_parent="/kubepods/podu1")
    assert (config.hostname, config.attempt, config.log_directory) == ("web", 2, "/logs/ns_web_u1")
    assert [(p.container_port, p.host_port) for p in config.ports] == [(80, 8080)]
    made = configs.container_config(given, given.spec.containers[0], 3, ROOT, {"A": "1"}, (), facts)
    assert (made.command, made.args, made.log_path, made.env) == (("sh", "1"), ("$(NO)",), "c/3.log", (("A", "1"),))
    host, _ = configs.sandbox_config(pod(hostNetwork=True), 0, facts, cgroup_parent="")
    assert host.hostname == ""


def test_node_status() -> None:
    config = KubeletConfig(node="n1", address="1.2.3.4", root="/", port=10250, evict_memory=0)
    size = Capacity(cpu=4000, memory=8 << 30, storage=100 << 30)
    runtime = RuntimeInfo(name="containerd", version="1.6.20")
    images = (Image(id="a", tags=("x:1",), size=1), Image(id="b", tags=("y:1",), digests=("y@sha256:0",), size=2))
    found = Found(identity=Identity(machine_id="m"), capacity=size, runtime=runtime, images=images)
    status = nodestatus.node_status(config, found, NodeStatus(), Time("2026-01-01T00:00:00Z"))
    assert {name: str(amount) for name, amount in status.capacity.items() if name in ("cpu", "memory", "pods")} == {
        "cpu": "4", "memory": "8Gi", "pods": "110",
    }  # fmt: skip
    assert [(a.type, a.address) for a in status.addresses] == [("InternalIP", "1.2.3.4"), ("Hostname", "n1")]
    assert status.nodeInfo.containerRuntimeVersion == "containerd://1.6.20"
    assert status.images[0].names == ("y@sha256:0", "y:1")
    assert [(x.type, x.status) for x in status.conditions] == [
        ("MemoryPressure", "False"), ("DiskPressure", "False"), ("PIDPressure", "False"), ("Ready", "True"),
    ]  # fmt: skip
    later = nodestatus.node_status(config, found, status, Time("2026-01-01T00:05:00Z"))
    assert not nodestatus.differs(status, later)
    assert later.conditions[3].lastTransitionTime == "2026-01-01T00:00:00Z"
    assert later.conditions[3].lastHeartbeatTime == "2026-01-01T00:05:00Z"
    bad = msgspec.structs.replace(found, trouble="container runtime is down: x", pressure=Pressure(disk=True))
    worse = nodestatus.node_status(config, bad, later, Time("2026-01-01T00:06:00Z"))
    assert nodestatus.differs(later, worse)
    assert [(x.status, x.reason) for x in worse.conditions][1::2] == [
        ("True", "KubeletHasDiskPressure"), ("False", "KubeletNotReady"),
    ]  # fmt: skip


def test_pressure() -> None:
    config = KubeletConfig(node="n1", address="", root="/")
    usage = FakeMachine("m", 1000, 1 << 30, 1 << 30).usage()
    assert pressure.pressure(usage, config) == Pressure()
    low: Usage = msgspec.structs.replace(usage, memory_free=1, disk_free=1)
    assert pressure.pressure(low, config) == Pressure(memory=True, disk=True)
    greedy, modest, urgent = pod(), pod(c(resources=needs({"memory": "1Gi"}))), pod(priority=9)
    for name, each in (("g", greedy), ("m", modest), ("u", urgent)):
        each.metadata.uid = name
    used = {"g": 100, "m": 500 << 20, "u": 200}
    assert pressure.choose((modest, urgent, greedy), used, "memory") is greedy
    assert pressure.choose((modest, urgent), used, "memory") is urgent
    assert pressure.choose((), used, "memory") is None


def test_back_off() -> None:
    entry, delays = None, []
    for _ in range(8):
        entry = backoff.raised(entry, 1000.0, 1000.0)
        delays.append(entry.delay)
    assert delays == [10, 20, 40, 80, 160, 300, 300, 300]
    assert backoff.raised(entry, 1700.0, 1700.0).delay == 10
    assert [backoff.text(s) for s in (10, 80, 300)] == ["10s", "1m20s", "5m0s"]
    assert [duration(s) for s in (0, 0.153, 1.25, 63.2, 3723)] == ["0s", "153ms", "1.25s", "1m3.2s", "1h2m3s"]


def test_dead_containers() -> None:
    seen = view(
        box(1), box(0, ready=False), info(attempt=3), info(state="exited", attempt=2, ago=10, sandbox=1),
        info(state="exited", attempt=1, ago=20, sandbox=1), info("d", "exited"),
    )  # fmt: skip
    assert collect.dead_containers(seen, "c") == ("c1",)
    assert collect.old_sandboxes(seen) == ()
    assert collect.old_sandboxes(view(box(1), box(0, ready=False))) == ("s0",)


def test_orphans_keep_their_hooks() -> None:
    from kijabi.api.core.probe import ExecAction, Lifecycle, LifecycleHandler

    hook = LifecycleHandler(exec=ExecAction(command=("bye",)))
    container = c(lifecycle=Lifecycle(preStop=hook))
    notes = container_annotations(pod(container, terminationGracePeriodSeconds=7), container, 0)
    found = pod_from_view(view(box(), msgspec.structs.replace(info(), annotations=notes)))
    assert found.spec.terminationGracePeriodSeconds == 7
    assert found.spec.containers[0].lifecycle == Lifecycle(preStop=hook)
    assert (found.metadata.name, found.metadata.namespace) == ("web", "ns")


def test_a_machine_knows_what_its_processors_did(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = LocalMachine("/")
    tick = 10**9 // os.sysconf("SC_CLK_TCK")
    monkeypatch.setattr(machine, "read", {"/proc/stat": "cpu  10 2 3 1000 500 1 1 4 9 0\ncpu0 1 1\n"}.get)
    monkeypatch.setattr(machine, "_pids_free", lambda: 1)
    monkeypatch.setattr(machine, "_memory", lambda name: 1)
    assert machine.usage().cpu == 21 * tick, "idling and waiting are no work, guests count as users"
