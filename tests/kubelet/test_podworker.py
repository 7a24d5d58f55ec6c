"""Pods from creation to deletion, on virtual time, through the real API server."""

from __future__ import annotations

import asyncio

from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.container import Container
from kijabi.api.core.env import ConfigMapKeySelector, EnvVar, EnvVarSource
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.core.probe import ExecAction, Lifecycle, LifecycleHandler, Probe
from kijabi.api.core.resources import ResourceRequirements
from kijabi.api.core.volume import (
    ConfigMapVolumeSource,
    Volume,
)
from kijabi.api.meta import ObjectMeta
from kijabi.api.quantity import Quantity
from kijabi.base import clock
from kijabi.kubelet.runtime.interface import ExecResult
from tests.kubelet.world import World, play, running


def app(name: str = "c", **more: object) -> Container:
    return Container(name=name, image="app:1", **more)  # type: ignore[arg-type]


def test_a_pod_runs_and_is_deleted() -> None:
    async def scene(world: World) -> None:
        await world.create()
        pod = await world.until(running)
        assert pod.status.podIP == "10.244.0.2"
        assert pod.status.hostIP == "192.168.0.1"
        assert {c.type: c.status for c in pod.status.conditions} == dict.fromkeys(
            ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"), "True"
        )
        status = pod.status.containerStatuses[0]
        container_id = f"fake://{world.runtime.named('c')[0].id}"
        assert (status.containerID, status.started, status.restartCount) == (container_id, True, 0)
        await world.client.delete(Pod, "web", "default")
        await world.until_gone()
        assert not world.runtime.boxes
        assert not world.runtime.containers
        await asyncio.sleep(1)
        assert not world.kubelet.workers
        reasons = [reason for reason, _ in await world.events()]
        assert reasons == ["Pulling", "Pulled", "Created", "Started", "Killing"]

    play(scene)


def test_init_containers_run_in_order_and_once() -> None:
    async def scene(world: World) -> None:
        await world.create(app(), initContainers=(app("one"), app("two")))
        pod = await world.until(lambda p: p.status.initContainerStatuses and world.runtime.named("one"))
        await asyncio.sleep(1)
        assert not world.runtime.named("two")
        pod = await world.pod()
        assert pod.status.phase == "Pending"
        assert pod.status.containerStatuses[0].state.waiting.reason == "PodInitializing"  # type: ignore[union-attr]
        world.runtime.end("one")
        await asyncio.sleep(1)
        world.runtime.end("two")
        pod = await world.until(running)
        assert [c for c in world.runtime.calls if c.startswith("start")] == ["start one 0", "start two 0", "start c 0"]
        assert [s.ready for s in pod.status.initContainerStatuses] == [True, True]

    play(scene)


def test_a_failed_init_container_fails_a_pod_that_never_restarts() -> None:
    async def scene(world: World) -> None:
        await world.create(app(), initContainers=(app("one"),), restartPolicy="Never")
        await world.until(lambda _: world.runtime.named("one") and world.runtime.named("one")[0].state == "running")
        world.runtime.end("one", 3)
        pod = await world.until(lambda p: p.status.phase == "Failed")
        assert not world.runtime.named("c")
        assert pod.status.initContainerStatuses[0].state.terminated.exitCode == 3  # type: ignore[union-attr]

    play(scene)


def test_sidecars_start_first_and_stop_last() -> None:
    async def scene(world: World) -> None:
        sidecars = (app("first", restartPolicy="Always"), app("second", restartPolicy="Always"))
        await world.create(app(), initContainers=sidecars, restartPolicy="Never")
        await world.until(running)
        assert world.runtime.calls[-3:] == ["start first 0", "start second 0", "start c 0"]
        world.runtime.end("first", 1)
        await world.until(lambda p: p.status.initContainerStatuses[0].restartCount == 1)
        world.runtime.end("c")
        pod = await world.until(lambda p: p.status.phase == "Succeeded")
        stops = [c for c in world.runtime.calls if c.startswith("stop")]
        assert stops == ["stop second 0", "stop first 1"]
        assert pod.status.containerStatuses[0].state.terminated.reason == "Completed"  # type: ignore[union-attr]

    play(scene)


def test_work_that_is_done_succeeds_or_fails() -> None:
    async def scene(world: World) -> None:
        await world.create(app("a"), app("b"), name="good", restartPolicy="Never")
        await world.create(app("x"), name="bad", restartPolicy="Never")
        await world.until(running, "good")
        await world.until(running, "bad")
        for name in ("a", "b"):
            world.runtime.end(name)
        world.runtime.end("x", 2)
        good = await world.until(lambda p: p.status.phase == "Succeeded", "good")
        bad = await world.until(lambda p: p.status.phase == "Failed", "bad")
        assert {c.reason for c in good.status.conditions if c.type == "Ready"} == {"PodCompleted"}
        assert {c.reason for c in bad.status.conditions if c.type == "Ready"} == {"PodFailed"}
        assert good.status.podIP
        await asyncio.sleep(300)
        assert (await world.pod("good")).status.phase == "Succeeded"
        await world.client.delete(Pod, "good", "default")
        await world.until_gone("good")

    play(scene)


def test_an_image_that_is_not_there_is_asked_for_ever_more_seldom() -> None:
    async def scene(world: World) -> None:
        world.runtime.missing.add("app:1")
        await world.create()

        def reason(pod: Pod) -> str:
            waiting = pod.status.containerStatuses[0].state.waiting if pod.status.containerStatuses else None
            return waiting.reason if waiting is not None else ""

        await world.until(lambda p: reason(p) == "ErrImagePull")
        pod = await world.until(lambda p: reason(p) == "ImagePullBackOff")
        message = pod.status.containerStatuses[0].state.waiting.message  # type: ignore[union-attr]
        assert message == (
            'Back-off pulling image "app:1": ErrImagePull: failed to pull and unpack image "app:1": '
            'failed to resolve reference "app:1": app:1: not found'
        )
        await asyncio.sleep(100)
        assert 3 <= world.runtime.calls.count("pull app:1") <= 5
        world.runtime.missing.clear()
        await world.until(running, within=100)
        events = await world.events()
        assert ("Failed", "Error: ErrImagePull") in events
        assert ("Failed", "Error: ImagePullBackOff") in events

    play(scene)


def test_a_missing_configmap_holds_the_pod_until_it_is_there() -> None:
    async def scene(world: World) -> None:
        key = EnvVarSource(configMapKeyRef=ConfigMapKeySelector(name="cfg", key="k"))
        volume = Volume(name="v", configMap=ConfigMapVolumeSource(name="files"))
        await world.create(app(env=(EnvVar(name="K", valueFrom=key),)), volumes=(volume,))
        await asyncio.sleep(2)
        assert any(
            reason == "FailedMount" and text == 'MountVolume.SetUp failed for volume "v" : configmap "files" not found'
            for reason, text in await world.events()
        )
        before = clock.wall()
        await world.client.create(ConfigMap(metadata=ObjectMeta(name="files", namespace="default")))
        pod = await world.until(
            lambda p: (w := p.status.containerStatuses[0].state.waiting) and w.reason == "CreateContainerConfigError"
        )
        assert pod.status.containerStatuses[0].state.waiting.message == 'configmap "cfg" not found'  # type: ignore[union-attr]
        meta = ObjectMeta(name="cfg", namespace="default")
        await world.client.create(ConfigMap(metadata=meta, data={"k": "value"}))
        await world.until(running)
        assert clock.wall() - before < 2
        assert dict(world.runtime.config(world.runtime.named("c")[0].id).env)["K"] == "value"

    play(scene)


def test_a_command_that_does_not_exist() -> None:
    async def scene(world: World) -> None:
        await world.create(app(command=("no-such-command",)))

        def waiting(pod: Pod) -> str:
            state = pod.status.containerStatuses[0].state if pod.status.containerStatuses else None
            return state.waiting.reason if state is not None and state.waiting is not None else ""

        await world.until(lambda p: waiting(p) == "RunContainerError")
        pod = await world.until(lambda p: waiting(p) == "CrashLoopBackOff")
        assert pod.status.containerStatuses[0].lastState.terminated.exitCode == 128  # type: ignore[union-attr]

    play(scene)


def test_a_liveness_probe_restarts_and_a_readiness_probe_does_not() -> None:
    async def scene(world: World) -> None:
        well = {"live": True, "ready": False}

        def answer(_: str, command: tuple[str, ...]) -> ExecResult:
            ok = well[command[0]]
            return ExecResult(0 if ok else 1, b"", b"" if ok else b"not well")

        world.runtime.exec_answer = answer
        live = Probe(exec=ExecAction(command=("live",)), periodSeconds=5, failureThreshold=2, initialDelaySeconds=5)
        ready = Probe(exec=ExecAction(command=("ready",)), periodSeconds=2)
        await world.create(app(livenessProbe=live, readinessProbe=ready))
        pod = await world.until(lambda p: p.status.phase == "Running")
        assert not pod.status.containerStatuses[0].ready
        await asyncio.sleep(3)
        well["ready"] = True
        await world.until(running, within=4)
        well["live"] = False
        await world.until(lambda p: p.status.containerStatuses[0].restartCount == 1, within=30)
        events = await world.events()
        assert ("Unhealthy", "Liveness probe failed: not well") in events
        assert ("Unhealthy", "Readiness probe failed: not well") in events
        assert ("Killing", "Container c failed liveness probe, will be restarted") in events
        well["live"] = True
        await world.until(running)

    play(scene)


def test_a_startup_probe_holds_the_others_back() -> None:
    async def scene(world: World) -> None:
        asked: list[str] = []
        started = {"now": False}

        def answer(_: str, command: tuple[str, ...]) -> ExecResult:
            asked.append(command[0])
            return ExecResult(0 if command[0] != "start" or started["now"] else 1, b"", b"")

        world.runtime.exec_answer = answer
        start = Probe(exec=ExecAction(command=("start",)), periodSeconds=1, failureThreshold=30)
        ready = Probe(exec=ExecAction(command=("ready",)), periodSeconds=1)
        await world.create(app(startupProbe=start, readinessProbe=ready))
        await asyncio.sleep(5)
        assert set(asked) == {"start"}
        assert (await world.pod()).status.containerStatuses[0].started is False
        started["now"] = True
        await world.until(running)
        count = asked.count("start")
        await asyncio.sleep(5)
        assert asked.count("start") == count

    play(scene)


def test_a_new_image_restarts_that_container_only() -> None:
    async def scene(world: World) -> None:
        await world.create(app("a"), app("b"))
        await world.until(running)
        await world.client.patch(
            Pod,
            "web",
            {"spec": {"containers": [{"name": "a", "image": "app:2"}]}},
            namespace="default",
            type="strategic",
        )
        pod = await world.until(lambda p: running(p) and p.status.containerStatuses[0].image == "app:2")
        assert [s.restartCount for s in pod.status.containerStatuses] == [1, 0]
        assert ("Killing", "Container a definition changed, will be restarted") in await world.events()

    play(scene)


def test_the_hook_and_the_grace_period_share_their_time() -> None:
    async def scene(world: World) -> None:
        world.runtime.exec_takes = 4
        hook = Lifecycle(preStop=LifecycleHandler(exec=ExecAction(command=("bye",))))
        await world.create(app(lifecycle=hook), terminationGracePeriodSeconds=10)
        await world.until(running)
        container_id = world.runtime.named("c")[0].id
        began = clock.wall()
        world.runtime.stop_takes = 100
        await world.client.delete(Pod, "web", "default")
        await asyncio.sleep(1)
        assert (await world.pod()).status.phase == "Running"
        await world.until_gone()
        assert world.runtime.grace[container_id] == 6
        assert 9.9 < clock.wall() - began < 11

    play(scene)


def test_a_shorter_grace_period_is_kept_to() -> None:
    async def scene(world: World) -> None:
        world.runtime.stop_takes = 1000
        await world.create(app(), terminationGracePeriodSeconds=600)
        await world.until(running)
        await world.client.delete(Pod, "web", "default")
        await asyncio.sleep(5)
        await world.client.delete(Pod, "web", "default", grace=3)
        began = clock.wall()
        await world.until_gone()
        assert clock.wall() - began < 5

    play(scene)


def test_a_pod_deleted_by_force_is_stopped_all_the_same() -> None:
    async def scene(world: World) -> None:
        await world.create()
        await world.until(running)
        await world.client.delete(Pod, "web", "default", grace=0)
        await asyncio.sleep(5)
        assert not world.runtime.containers
        assert not world.kubelet.workers

    play(scene)


def test_a_restarted_kubelet_adopts_what_runs() -> None:
    async def scene(world: World) -> None:
        await world.create(name="stays")
        await world.create(name="goes")
        await world.until(running, "stays")
        await world.until(running, "goes")
        await world.stop_kubelet()
        calls = len(world.runtime.calls)
        await world.client.delete(Pod, "goes", "default", grace=0)
        before = (await world.pod("stays")).metadata.resourceVersion
        await world.start_kubelet()
        await asyncio.sleep(10)
        assert [c for c in world.runtime.calls[calls:] if not c.startswith("stop")] == []
        assert {c.labels["io.kubernetes.pod.name"] for c in world.runtime.containers.values()} == {"stays"}
        assert (await world.pod("stays")).metadata.resourceVersion == before

    play(scene)


def test_what_exited_while_the_kubelet_was_away_is_restarted() -> None:
    async def scene(world: World) -> None:
        await world.create()
        await world.until(running)
        await world.stop_kubelet()
        world.runtime.end("c", 7)
        await asyncio.sleep(5)
        await world.start_kubelet()
        pod = await world.until(lambda p: p.status.containerStatuses[0].restartCount == 1 and running(p))
        assert pod.status.containerStatuses[0].lastState.terminated.exitCode == 7  # type: ignore[union-attr]

    play(scene)


def test_a_lost_sandbox_is_made_anew() -> None:
    async def scene(world: World) -> None:
        await world.create()
        await world.until(running)
        await world.runtime.stop_sandbox(next(iter(world.runtime.boxes)))
        pod = await world.until(lambda p: running(p) and p.status.containerStatuses[0].restartCount == 1)
        assert "sandbox web 1" in world.runtime.calls
        assert pod.status.podIP

    play(scene)


def test_a_runtime_that_goes_away_and_comes_back() -> None:
    async def scene(world: World) -> None:
        await world.create(name="before")
        await world.until(running, "before")
        world.runtime.go_down()
        await world.create(name="during")
        world.runtime.exit(world.runtime.find("before", "c"), 3)
        await asyncio.sleep(20)
        node = await world.client.get(Node, "n1")
        assert {c.type: c.status for c in node.status.conditions}["Ready"] == "True"
        await asyncio.sleep(30)
        node = await world.client.get(Node, "n1")
        ready = next(c for c in node.status.conditions if c.type == "Ready")
        assert (ready.status, ready.reason) == ("False", "KubeletNotReady")
        world.runtime.come_back()
        await world.until(running, "during")
        await world.until(lambda p: running(p) and p.status.containerStatuses[0].restartCount == 1, "before")
        await asyncio.sleep(5)
        node = await world.client.get(Node, "n1")
        assert {c.type: c.status for c in node.status.conditions}["Ready"] == "True"

    play(scene)


def test_the_deadline_ends_a_pod() -> None:
    async def scene(world: World) -> None:
        await world.create(app(), activeDeadlineSeconds=20)
        await world.until(running)
        pod = await world.until(lambda p: p.status.phase == "Failed", within=30)
        assert pod.status.reason == "DeadlineExceeded"
        assert not any(c.state == "running" for c in world.runtime.containers.values())

    play(scene)


def test_a_pod_that_does_not_fit_is_refused() -> None:
    async def scene(world: World) -> None:
        much = ResourceRequirements(requests={"cpu": Quantity("100")})
        await world.create(app(resources=much), name="big")
        pod = await world.until(lambda p: p.status.phase == "Failed", "big")
        assert pod.status.reason == "OutOfcpu"
        assert pod.status.message == (
            "Pod was rejected: Node didn't have enough resource: cpu, requested: 100000, used: 0, capacity: 4000"
        )
        await world.client.delete(Pod, "big", "default")
        await world.until_gone("big")

    play(scene)


def test_a_missing_field_of_time_is_not_sent_twice() -> None:
    """A running pod causes no writes."""

    async def scene(world: World) -> None:
        await world.create()
        await world.until(running)
        await asyncio.sleep(5)
        world.transport.requests.clear()
        await asyncio.sleep(200)
        writes = [r for r in world.transport.requests if r[0] != "GET" and "leases" not in r[1]]
        assert writes == []

    play(scene)
