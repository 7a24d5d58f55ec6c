"""What is told of pods when others change their status too."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from kijabi.api import codec
from kijabi.api.core.pod import Pod
from kijabi.api.core.podstatus import PodStatus
from kijabi.api.meta import ObjectMeta
from kijabi.client.client import Client
from kijabi.client.transport import Request, Response
from kijabi.kubelet.statuses import Statuses
from kijabi.testing import simloop
from kijabi.testing.direct import Direct


def test_a_pod_that_somebody_gave_up_is_not_called_back() -> None:
    statuses = Statuses(Client(Direct(lambda: None)))
    pod = Pod(metadata=ObjectMeta(name="web", namespace="ns", uid="u", resourceVersion="5"))
    statuses.publish(pod, PodStatus(phase="Running"))
    given_up = replace(
        pod,
        metadata=replace(pod.metadata, resourceVersion="7"),
        status=PodStatus(phase="Failed", reason="NodeLost", message="its node is gone"),
    )
    statuses.observe(given_up)
    last = statuses.last(pod)
    assert (last.phase, last.reason, last.message) == ("Failed", "NodeLost", "its node is gone")


class Slow(Direct):
    """A server that takes its time, and remembers what it was asked."""

    def __init__(self, pod: Pod) -> None:
        super().__init__(lambda: None)
        self.pod = pod
        self.asked: list[str] = []

    async def request(self, request: Request) -> Response:
        """See Transport."""
        await asyncio.sleep(1)
        if request.method == "PATCH":
            self.pod = replace(self.pod, status=codec.decode(Pod, request.body).status)
        self.asked.append(f"{request.method} {self.pod.status.phase}")
        return Response(status=200, headers={}, body=codec.encode(self.pod))


def test_the_last_status_is_sent_before_the_pod_goes() -> None:
    """Also when the one before it is under way: a Job counts how its pods ended."""

    async def main() -> list[str]:
        pod = Pod(metadata=ObjectMeta(name="task", namespace="ns", uid="u", resourceVersion="5"))
        server = Slow(pod)
        statuses = Statuses(Client(server))
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(statuses.run())
            statuses.publish(pod, PodStatus(phase="Running"))
            await asyncio.sleep(0.5)
            statuses.publish(pod, PodStatus(phase="Succeeded"))
            await statuses.delete(pod)
            sending.cancel()
        return server.asked

    assert simloop.run(main()) == ["PATCH Running", "PATCH Succeeded", "DELETE Succeeded"]
