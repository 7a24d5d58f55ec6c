"""When a pod's worker tries again: after crashes, after what failed, and when something grows old; on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from kijabi.api.core.pod import Pod
from kijabi.api.core.volume import ProjectedVolumeSource, ServiceAccountTokenProjection, Volume, VolumeProjection
from kijabi.base import clock
from kijabi.base.errors import ConnectionLost
from kijabi.client.transport import Request, Response
from kijabi.kubelet.operations import Operations
from tests.kubelet.world import World, play, running


def restarted(times: int) -> Callable[[Pod], bool]:
    """Whether the pod runs, and its container began so many times anew."""
    return lambda pod: pod.status.containerStatuses[0].restartCount == times and running(pod)


def test_what_crashes_is_started_again_ever_later() -> None:
    async def scene(world: World) -> None:
        await world.create()
        await world.until(running)
        waits = []
        for count in range(1, 4):
            world.runtime.end("c", 1)
            ended = clock.wall()
            pod = await world.until(restarted(count), within=90)
            waits.append(round(clock.wall() - ended))
            assert pod.status.containerStatuses[0].lastState.terminated.exitCode == 1  # type: ignore[union-attr]
        assert waits == [0, 10, 20]
        world.runtime.end("c", 1)
        pod = await world.until(lambda p: p.status.containerStatuses[0].state.waiting is not None)
        waiting = pod.status.containerStatuses[0].state.waiting
        assert waiting is not None
        assert waiting.reason == "CrashLoopBackOff"
        text = f"back-off 40s restarting failed container=c pod=web_default({pod.metadata.uid})"
        assert waiting.message == text
        assert pod.status.phase == "Running"
        assert ("BackOff", f"Back-off restarting failed container c in pod web_default({pod.metadata.uid})") in (
            await world.events()
        )
        # Only the last ended instance is kept.
        assert len(world.runtime.named("c")) == 2

    play(scene)


@pytest.mark.parametrize("early", [0.0005 * step for step in range(1, 40)])
def test_a_back_off_that_ends_while_the_worker_looks_is_over(early: float) -> None:
    """Woken shortly before, the worker must not go to sleep with what is due by the time it has looked."""

    async def scene(world: World) -> None:
        await world.create()
        await world.until(running)
        world.runtime.end("c", 1)
        pod = await world.until(restarted(1))
        world.runtime.end("c", 1)
        ended = clock.wall()
        await asyncio.sleep(ended + 10 - early - clock.wall())
        world.kubelet.workers[pod.metadata.uid].wake()
        await world.until(restarted(2), within=2)

    play(scene, slowness=0.001)


def test_a_worker_that_cannot_renew_a_token_rests_between_its_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, right = [], Operations.look

    def look(self: Operations) -> None:
        looks.append(clock.wall())
        right(self)

    async def scene(world: World) -> None:
        token = VolumeProjection(serviceAccountToken=ServiceAccountTokenProjection(path="token", expirationSeconds=600))
        volume = Volume(name="token", projected=ProjectedVolumeSource(sources=(token,)))
        await world.create(volumes=(volume,))
        await world.until(running)
        asks = world.transport.request

        async def lost(request: Request) -> Response:
            if request.path.endswith("/token"):
                raise ConnectionLost("cut off")
            return await asks(request)

        monkeypatch.setattr(world.transport, "request", lost)
        monkeypatch.setattr(Operations, "look", look)
        await asyncio.sleep(600)
        refused = [why for reason, why in await world.events() if reason == "FailedMount"]
        assert refused
        assert len(looks) < 50

    play(scene)


def test_a_container_that_ran_long_begins_anew() -> None:
    async def scene(world: World) -> None:
        await world.create()
        await world.until(running)
        for code in (1, 1):
            world.runtime.end("c", code)
            await asyncio.sleep(30)
        await asyncio.sleep(700)
        world.runtime.end("c", 1)
        before = clock.wall()
        await world.until(lambda p: p.status.containerStatuses[0].restartCount == 3)
        assert clock.wall() - before < 1

    play(scene)
