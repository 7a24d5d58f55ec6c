"""What is told of pods when others change their status too."""

from __future__ import annotations

from msgspec.structs import replace

from kijabi.api.core.pod import Pod
from kijabi.api.core.podstatus import PodStatus
from kijabi.api.meta import ObjectMeta
from kijabi.client.client import Client
from kijabi.kubelet.statuses import Statuses
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
