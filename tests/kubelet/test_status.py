"""How a pod is told to be, case by case."""

from __future__ import annotations

from typing import Any

import pytest

from kijabi.api.core.container import VolumeMount
from kijabi.api.core.pod import Pod, PodReadinessGate
from kijabi.api.core.podstatus import (
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStatus,
    PodCondition,
    PodIP,
    PodStatus,
)
from kijabi.api.core.probe import Probe
from kijabi.kubelet.plan import Probed
from kijabi.kubelet.podspec import qos_class
from kijabi.kubelet.status import Surroundings, pod_status
from kijabi.kubelet.statuses import patch
from kijabi.kubelet.view import PodView
from tests.kubelet.things import DELETED, NOW, box, c, info, needs, pod, view

UP = box()


def made(
    given: Pod, seen: PodView, previous: PodStatus | None = None, *, terminal: bool = False, **around: Any
) -> PodStatus:
    surroundings = Surroundings(host_ips=("192.168.0.1",), **around)
    return pod_status(given, seen, previous or PodStatus(), surroundings, NOW, terminal=terminal)


def short(status: PodStatus) -> str:
    """Phase, then each container as name:state, with ! for ready."""
    words = [status.phase]
    for each in (*status.initContainerStatuses, *status.containerStatuses):
        state = each.state
        if state.running is not None:
            shown = "running"
        elif state.terminated is not None:
            shown = f"{state.terminated.reason}{state.terminated.exitCode}"
        else:
            shown = state.waiting.reason if state.waiting else "?"
        words.append(f"{each.name}:{shown}{'!' if each.ready else ''}")
    return " ".join(words)


TWO = pod(c("a"), c("b"))
INIT = pod(initContainers=(c("i"),))
SIDE = pod(initContainers=(c("s", restartPolicy="Always"),))
NEVER = pod(c("a"), c("b"), restartPolicy="Never")
READY = pod(c(readinessProbe=Probe()))
CRASH = {"reasons": {"c": ("CrashLoopBackOff", "back-off")}}

CASES: list[tuple[str, Pod, PodView, dict[str, Any], str]] = [
    ("new", TWO, view(), {}, "Pending a:ContainerCreating b:ContainerCreating"),
    ("new with init", INIT, view(), {}, "Pending i:PodInitializing c:PodInitializing"),
    ("one runs", TWO, view(UP, info("a")), {}, "Pending a:running! b:ContainerCreating"),
    ("both run", TWO, view(UP, info("a"), info("b")), {}, "Running a:running! b:running!"),
    ("init runs", INIT, view(UP, info("i")), {}, "Pending i:running c:PodInitializing"),
    ("init is done", INIT, view(UP, info("i", "exited")), {}, "Pending i:Completed0! c:PodInitializing"),
    ("init is done, main runs", INIT, view(UP, info("i", "exited"), info()), {}, "Running i:Completed0! c:running!"),
    ("init was removed", INIT, view(UP, info()), {}, "Running i:Completed0! c:running!"),
    ("init failed", INIT, view(UP, info("i", "exited", code=1)), {}, "Pending i:Error1 c:PodInitializing"),
    ("sidecar runs", SIDE, view(UP, info("s")), {}, "Pending s:running! c:PodInitializing"),
    ("sidecar restarts", SIDE, view(UP, info("s", "exited", code=1), info()), {}, "Running s:Error1 c:running!"),
    ("not ready", READY, view(UP, info()), {}, "Running c:running"),
    ("ready", READY, view(UP, info()), {"probed": Probed(readiness={"c0": True})}, "Running c:running!"),
    ("crashed", pod(), view(UP, info("c", "exited", code=1)), {}, "Running c:Error1"),
    ("waits", pod(), view(UP, info("c", "exited", code=1)), CRASH, "Running c:CrashLoopBackOff"),
    ("out of memory", pod(), view(UP, info("c", "exited", code=137, reason="OOMKilled")), {}, "Running c:OOMKilled137"),
    ("no image", pod(), view(UP), {"reasons": {"c": ("ErrImagePull", "x")}}, "Pending c:ErrImagePull"),
    ("one is done, never", NEVER, view(UP, info("a"), info("b", "exited")), {}, "Running a:running! b:Completed0"),
    (
        "done, never",
        NEVER,
        view(UP, info("a", "exited"), info("b", "exited")),
        {},
        "Succeeded a:Completed0 b:Completed0",
    ),
    (
        "failed, never",
        NEVER,
        view(UP, info("a", "exited", code=2), info("b", "exited")),
        {},
        "Failed a:Error2 b:Completed0",
    ),
    (
        "a sidecar that still runs keeps the end back",
        pod(initContainers=(c("s", restartPolicy="Always"),), restartPolicy="Never"),
        view(UP, info("s"), info("c", "exited")),
        {},
        "Running s:running! c:Completed0",
    ),
    (
        "stopped for good",
        pod(meta=DELETED),
        view(box(ready=False), info("c", "exited")),
        {"terminal": True},
        "Succeeded c:Completed0",
    ),
    (
        "killed for good",
        pod(meta=DELETED),
        view(box(ready=False), info("c", "exited", code=137)),
        {"terminal": True},
        "Failed c:Error137",
    ),
    (
        "evicted",
        pod(),
        view(box(ready=False), info("c", "exited", code=137)),
        {"terminal": True, "ended": ("Failed", "Evicted", "full")},
        "Failed c:Error137",
    ),
]


@pytest.mark.parametrize(("given", "seen", "more", "expected"), [x[1:] for x in CASES], ids=[x[0] for x in CASES])
def test_status(given: Pod, seen: PodView, more: dict[str, Any], expected: str) -> None:
    assert short(made(given, seen, **more)) == expected


def test_terminal_phases_never_regress() -> None:
    failed = pod(status=PodStatus(phase="Failed", reason="Evicted"))
    status = made(failed, view(UP, info()), failed.status)
    assert (status.phase, status.reason) == ("Failed", "Evicted")


def test_what_ends_before_it_began_has_failed() -> None:
    """A Job that replaces only failed pods would wait for ever for one that was deleted while it was being made."""
    deleted = pod(meta=DELETED)
    assert made(deleted, view()).phase == "Pending"
    assert made(deleted, view(), terminal=True).phase == "Failed"
    some = view(UP, info("a", "exited"))
    assert made(pod(c("a"), c("b"), meta=DELETED), some, terminal=True).phase == "Failed"


def test_no_phase_is_final_while_something_runs() -> None:
    given = pod(initContainers=(c("s", restartPolicy="Always"), c("i")), restartPolicy="Never")
    seen = view(UP, info("s", ago=9), info("i", "exited", code=1))
    assert made(given, seen, PodStatus(phase="Pending")).phase == "Pending"


def test_last_state_and_restart_count() -> None:
    seen = view(UP, info(attempt=3), info(state="exited", code=4, attempt=2, ago=50))
    status = made(pod(), seen).containerStatuses[0]
    assert status.restartCount == 3
    assert status.lastState.terminated is not None
    assert (status.lastState.terminated.exitCode, status.lastState.terminated.containerID) == (4, "containerd://c2")


def test_what_the_runtime_forgot_is_taken_from_the_status_before() -> None:
    old = ContainerStatus(
        name="c", containerID="containerd://x", restartCount=2, state=ContainerState(running=ContainerStateRunning())
    )
    status = made(pod(), view(UP), PodStatus(containerStatuses=(old,))).containerStatuses[0]
    assert status.restartCount == 3
    assert status.lastState.terminated is not None
    assert (status.lastState.terminated.reason, status.lastState.terminated.exitCode) == ("ContainerStatusUnknown", 137)
    ended = ContainerState(terminated=ContainerStateTerminated(exitCode=5, reason="Error"))
    old = ContainerStatus(name="c", containerID="containerd://x", state=ended)
    assert made(pod(), view(UP), PodStatus(containerStatuses=(old,))).containerStatuses[0].state == ended


def test_a_restarted_kubelet_does_not_flap() -> None:
    old = ContainerStatus(name="c", containerID="containerd://c0", ready=True, started=True)
    old.state = ContainerState(running=ContainerStateRunning())
    given = pod(c(readinessProbe=Probe(), startupProbe=Probe()))
    assert short(made(given, view(UP, info()), PodStatus(containerStatuses=(old,)))) == "Running c:running!"


def test_conditions() -> None:
    status = made(TWO, view(UP, info("a")))
    found = {each.type: (each.status, each.reason, each.message) for each in status.conditions}
    unready = ("False", "ContainersNotReady", "containers with unready status: [b]")
    assert found == {
        "PodReadyToStartContainers": ("True", "", ""),
        "Initialized": ("True", "", ""),
        "Ready": unready,
        "ContainersReady": unready,
        "PodScheduled": ("True", "", ""),
    }
    fresh = {each.type: (each.status, each.reason, each.message) for each in made(INIT, view()).conditions}
    assert fresh["PodReadyToStartContainers"] == ("False", "PodSandboxNotReady", "no pod sandbox exists")
    assert fresh["Initialized"] == ("False", "ContainersNotInitialized", "containers with incomplete status: [i]")


def test_readiness_gates_and_foreign_conditions() -> None:
    gate = (PodReadinessGate(conditionType="lb"),)
    status = made(pod(readinessGates=gate), view(UP, info()))
    ready = next(each for each in status.conditions if each.type == "Ready")
    assert (ready.status, ready.reason) == ("False", "ReadinessGatesNotReady")
    assert ready.message == 'corresponding condition of pod readiness gate "lb" does not exist.'
    foreign = PodStatus(conditions=(PodCondition(type="lb", status="True"),))
    status = made(pod(readinessGates=gate, status=foreign), view(UP, info()))
    assert {each.type: each.status for each in status.conditions} == dict.fromkeys(
        ("lb", "PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"), "True"
    )


def test_transition_times_stay_until_the_status_turns() -> None:
    first = made(pod(), view(UP, info()))
    later = pod_status(pod(), view(UP, info()), first, Surroundings(host_ips=("192.168.0.1",)), NOW + 50)
    assert [x.lastTransitionTime for x in later.conditions] == [x.lastTransitionTime for x in first.conditions]
    assert later == first


def test_addresses() -> None:
    status = made(pod(), view(UP, info()))
    assert (status.podIP, status.hostIP, [x.ip for x in status.podIPs]) == ("10.0.0.1", "192.168.0.1", ["10.0.0.1"])
    assert made(pod(hostNetwork=True), view(UP, info())).podIP == "192.168.0.1"
    stopped = made(pod(meta=DELETED), view(box(ready=False)), PodStatus(podIPs=(PodIP(ip="10.0.0.9"),)))
    assert stopped.podIP == "10.0.0.9"


def test_mounts_are_repeated() -> None:
    mount = VolumeMount(name="v", mountPath="/v", readOnly=True)
    status = made(pod(c(volumeMounts=(mount,))), view()).containerStatuses[0]
    assert [(m.name, m.mountPath, m.readOnly, m.recursiveReadOnly) for m in status.volumeMounts] == [
        ("v", "/v", True, "Disabled")
    ]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([needs()], "BestEffort"),
        ([needs({"cpu": "1"})], "Burstable"),
        ([needs({"cpu": "1", "memory": "1Gi"}, {"cpu": "1", "memory": "1Gi"})], "Guaranteed"),
        ([needs({"cpu": "1", "memory": "1Gi"}, {"cpu": "1", "memory": "1Gi"}), needs()], "Burstable"),
        ([needs({"cpu": "1"}, {"cpu": "1"})], "Burstable"),
        ([needs({"cpu": "0"})], "BestEffort"),
        ([needs({"cpu": "1", "memory": "1Gi"}, {"cpu": "2", "memory": "1Gi"})], "Burstable"),
    ],
)
def test_qos(parts: list[Any], expected: str) -> None:
    assert qos_class(pod(*(c(f"c{i}", resources=r) for i, r in enumerate(parts)))) == expected


def test_the_patch_says_only_what_changed() -> None:
    first = made(TWO, view(UP, info("a")))
    second = made(TWO, view(UP, info("a"), info("b")), first)
    changes = patch(first, second)
    assert changes.keys() == {"phase", "containerStatuses", "conditions"}
    assert [each["type"] for each in changes["conditions"]] == ["Ready", "ContainersReady"]
    assert changes["conditions"][0]["reason"] is None
    assert patch(second, second) == {}
    foreign = PodStatus(conditions=(PodCondition(type="lb", status="True"),))
    assert patch(foreign, PodStatus()) == {}
    moved = patch(PodStatus(podIPs=(PodIP(ip="a"),), podIP="a"), PodStatus(podIPs=(PodIP(ip="b"),), podIP="b"))
    assert moved == {"podIP": "b", "podIPs": [{"$patch": "replace"}, {"ip": "b"}]}
