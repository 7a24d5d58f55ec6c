"""Carrying out what VolumeBinding plans for a pod and its node: volumes are bound and made before the pod is bound.

`loop` reserves with the decision (the next one sees those volumes as given), and prepares in the task that binds the
pod: writes each chosen volume's claimRef or the claim's selected node, then waits until the volume binder and the
provisioners have done their part, or until it is clear that they will not. Informer events wake those who wait. Source:
KEP-490, k8s.io/kubernetes `pkg/scheduler/framework/plugins/volumebinding`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from kijabi.api import codec
from kijabi.api.core.node import Node
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.storage.matching import SELECTED_NODE, claim_key, node_matches, pre_bind
from kijabi.base.errors import KijabiError
from kijabi.base.tasks import wait_for_event
from kijabi.client.client import Client
from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.plugins.volumebinding import Plan, fully_bound, plan
from kijabi.scheduler.podinfo import PodInfo

LONGEST_BINDING = 600.0  # seconds until the pod tries anew (upstream's bindTimeoutSeconds)


class BindingFailed(KijabiError):
    """The pod's volumes cannot be bound as planned; it has to be decided anew."""


class _Job:
    """What is assumed for one pod, and the alarm that says that something about it has changed."""

    def __init__(self, todo: Plan, node: str) -> None:
        self.node = node
        self.volumes = {claim_key(claim): pre_bind(volume, claim) for claim, volume in todo.bind}
        self.claims = {claim_key(claim): _selected(claim, node) for claim in todo.provision}
        self.alarm = asyncio.Event()


class VolumeBinder:
    """Binds volumes of pods that are about to be bound. pod_exists: whether a pod, by uid, is still there."""

    name = "VolumeBinding"

    def __init__(self, client: Client, nodes: NodeState, pod_exists: Callable[[PodInfo], bool]) -> None:
        self._client = client
        self._nodes = nodes
        self._storage = nodes.storage
        self._pod_exists = pod_exists
        self._jobs: dict[str, _Job] = {}

    def wake(self) -> None:
        """Something about volumes, claims, nodes or pods has changed: those who wait look again."""
        for job in self._jobs.values():
            job.alarm.set()

    # ---- with the decision

    def reserve(self, pod: PodInfo, node: str) -> None:
        """See Reserve: take note of what is about to be written, so that nobody else is given the same."""
        if not pod.claims:
            return
        row = self._nodes.rows.get(node)
        todo = plan(pod, self._nodes, row) if row is not None else None
        if todo is None:
            raise BindingFailed(f'no pod volume found for node "{node}"')
        if not todo.bind and not todo.provision:
            return
        job = self._jobs[pod.uid] = _Job(todo, node)
        for volume in job.volumes.values():
            self._storage.volumes.assume(volume.metadata.name, volume)
        for key, claim in job.claims.items():
            self._storage.claims.assume(key, claim)

    def unreserve(self, pod: PodInfo, node: str) -> None:
        """See Reserve. What was written stays written: the next decision starts from it."""
        job = self._jobs.pop(pod.uid, None)
        if job is None:
            return
        for volume in job.volumes.values():
            self._storage.volumes.restore(volume.metadata.name)
        for key in job.claims:
            self._storage.claims.restore(key)

    # ---- before the pod is bound

    async def prepare(self, pod: PodInfo, node: str) -> None:
        """See Reserve: write, and wait until all claims are bound."""
        job = self._jobs.get(pod.uid)
        if job is None:
            return
        for key, volume in job.volumes.items():
            job.volumes[key] = await self._client.update(volume)
        for key, claim in job.claims.items():
            job.claims[key] = await self._client.update(claim)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LONGEST_BINDING
        while True:
            job.alarm.clear()
            if self._done(pod, job):
                self.unreserve(pod, node)  # the server has it all now, nothing needs to be assumed
                return
            left = deadline - loop.time()
            if left <= 0:
                raise BindingFailed("binding volumes: context deadline exceeded")
            await wait_for_event(job.alarm, left)

    def _done(self, pod: PodInfo, job: _Job) -> bool:
        """Whether all claims are bound. Looks at what the server has said, and raises if it will not come to it."""
        row = self._nodes.rows.get(job.node)
        node = self._nodes.nodes[row] if row is not None else None
        if node is None:
            raise BindingFailed(f'binding volumes: failed to get node "{job.node}": node "{job.node}" not found')
        if not self._pod_exists(pod):
            name = pod.key.partition("/")[2]
            raise BindingFailed(f'binding volumes: pod does not exist any more: pod "{name}" not found')
        volumes = [self._volume_done(key, written, node) for key, written in job.volumes.items()]
        claims = [self._claim_done(key, written, node) for key, written in job.claims.items()]
        return all(volumes) and all(claims)

    def _volume_done(self, key: str, written: PersistentVolume, node: Node) -> bool:
        name = written.metadata.name
        volume, claim = self._storage.volumes.source.get(name), self._storage.claims.source.get(key)
        if volume is None or claim is None:
            what, which = ("volume", name) if volume is None else ("volumeclaim", key)
            raise BindingFailed(f'binding volumes: failed to check binding: could not find persistent{what} "{which}"')
        if _older(volume, written):
            return False
        _check_node(volume, node)
        if volume.spec.claimRef is None or not volume.spec.claimRef.uid:
            raise BindingFailed(f'binding volumes: ClaimRef got reset for pv "{name}"')
        return fully_bound(claim)

    def _claim_done(self, key: str, written: PersistentVolumeClaim, node: Node) -> bool:
        claim = self._storage.claims.source.get(key)
        if claim is None:
            missing = f'could not find persistentvolumeclaim "{key}"'
            raise BindingFailed(f"binding volumes: failed to check provisioning pvc: {missing}")
        if _older(claim, written):
            return False
        if claim.metadata.annotations.get(SELECTED_NODE) != node.metadata.name:
            # Provisioners take the annotation off when they cannot make the volume there.
            raise BindingFailed(f'binding volumes: provisioning failed for PVC "{claim.metadata.name}"')
        if claim.spec.volumeName:
            volume = self._storage.volumes.source.get(claim.spec.volumeName)
            if volume is None:
                return False
            _check_node(volume, node)
        return fully_bound(claim)


def _selected(claim: PersistentVolumeClaim, node: str) -> PersistentVolumeClaim:
    chosen = codec.clone(claim)
    chosen.metadata.annotations = {**chosen.metadata.annotations, SELECTED_NODE: node}
    return chosen


def _older(known: PersistentVolume | PersistentVolumeClaim, written: PersistentVolume | PersistentVolumeClaim) -> bool:
    """The informer has not seen our write yet."""
    return int(known.metadata.resourceVersion) < int(written.metadata.resourceVersion)


def _check_node(volume: PersistentVolume, node: Node) -> None:
    if not node_matches(volume, node.metadata.labels):
        name, where = volume.metadata.name, node.metadata.name
        raise BindingFailed(
            f'binding volumes: pv "{name}" node affinity doesn\'t match node "{where}": no matching NodeSelectorTerms'
        )
