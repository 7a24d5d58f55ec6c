"""Pods that run here but that the API server no longer knows: enough of their spec to stop them properly.

What was deleted by force, or while this kubelet was down, is found again by the labels and annotations of its
containers. Pure; `loop.py` makes workers for what this gives.
"""

from __future__ import annotations

from kijabi.api import codec
from kijabi.api.core.container import Container
from kijabi.api.core.pod import Pod, PodSpec
from kijabi.api.core.probe import Lifecycle, LifecycleHandler
from kijabi.api.meta import ObjectMeta
from kijabi.kubelet.runtime.interface import ContainerInfo
from kijabi.kubelet.view import GRACE_PERIOD, PRE_STOP, PodView


def pod_from_view(view: PodView) -> Pod:
    """The pod as far as its containers tell."""
    grace = next((c.annotations[GRACE_PERIOD] for c in view.containers if GRACE_PERIOD in c.annotations), "30")
    names = dict.fromkeys(c.name for c in view.containers)
    latest = (view.latest(name) for name in names)
    return Pod(
        metadata=ObjectMeta(name=view.name, namespace=view.namespace, uid=view.uid),
        spec=PodSpec(
            containers=tuple(_container(info) for info in latest if info is not None),
            terminationGracePeriodSeconds=int(grace) if grace.isdigit() else 30,
            hostNetwork=any(box.host_network for box in view.sandboxes),
        ),
    )


def bare_pod(uid: str) -> Pod:
    """A pod of which only traces on disk are left."""
    return Pod(metadata=ObjectMeta(name=uid, namespace="unknown", uid=uid))


def _container(info: ContainerInfo) -> Container:
    hook = info.annotations.get(PRE_STOP)
    lifecycle = Lifecycle(preStop=codec.decode(LifecycleHandler, hook.encode())) if hook else None
    return Container(name=info.name, image=info.image, lifecycle=lifecycle)
