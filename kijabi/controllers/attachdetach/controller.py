"""Attach and detach, the shell: looks one volume up, writes VolumeAttachments and what nodes have attached.

Receives pods, claims, volumes, nodes, CSI drivers and VolumeAttachments from the informers. What is attached is what
VolumeAttachments say, so there is no state of its own that a restart could lose, but since when a volume is wanted no
more; `node.status.volumesAttached` follows from them. A volume is taken out of that list before its VolumeAttachment is
deleted, so that no kubelet mounts it anew (k8s.io/kubernetes `pkg/controller/volume/attachdetach`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from kijabi.api.core.node import Node
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.api.gotext import quote
from kijabi.api.meta import ObjectMeta
from kijabi.api.storage.csidriver import CSIDriver
from kijabi.api.storage.matching import claimant
from kijabi.api.storage.volumeattachment import VolumeAttachment, VolumeAttachmentSource, VolumeAttachmentSpec
from kijabi.base import clock
from kijabi.base.errors import AlreadyExists, Conflict, NotFound
from kijabi.controllers.attachdetach.plan import Attachment, Blocked, Detach, Place, multi_attach, plan
from kijabi.controllers.attachdetach.reporting import Reports
from kijabi.controllers.attachdetach.volumes import (
    OUT_OF_SERVICE,
    attachment_name,
    by_unique_name,
    managed,
    must_attach,
    shareable,
    unique_name,
)
from kijabi.controllers.nodehealth import ready_status
from kijabi.controllers.podclaims import CLAIM, by_claim, ended, indexed, standing
from kijabi.controllers.runtime import Context, Source
from kijabi.controllers.sources import NODE, claims, nodes, pods
from kijabi.controllers.volumeprotection import refers

UNIQUE, VOLUME = "unique", "volume"
"""Indexes: volumes by their unique name, attachments by their volume."""
_NODE = "node:"
"""How the key of a node begins; every other key is a volume's unique name."""


def _volume_of(attachment: VolumeAttachment) -> tuple[str, ...]:
    name = attachment.spec.source.persistentVolumeName
    return (name,) if name else ()


def _node_of(attachment: VolumeAttachment) -> tuple[str, ...]:
    return (attachment.spec.nodeName,)


class AttachDetach:
    """The controller; a key is a volume's unique name, or a node whose list of attached volumes may be wrong."""

    name = "persistentvolume-attach-detach"
    workers = 5

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.recorder = context.recorder("attachdetach-controller")
        self.pods = indexed(pods(context.informers))
        self.nodes = nodes(context.informers)
        self.claims = claims(context.informers)
        self.volumes = context.informers.of(PersistentVolume)
        self.drivers = context.informers.of(CSIDriver)
        self.attachments = context.informers.of(VolumeAttachment)
        self.volumes.add_index(UNIQUE, by_unique_name)
        self.attachments.add_index(VOLUME, _volume_of)
        self.attachments.add_index(NODE, _node_of)
        self._unwanted: dict[str, dict[str, float]] = {}  # since when, by volume and node
        self._told: dict[str, dict[str, dict[str, tuple[str, str]]]] = {}  # what pods were told, by volume and node
        self._made: dict[str, dict[str, str]] = {}  # attachments that the informer may not show yet, the same way
        self.reports = Reports(self.client, self.nodes, self.attachments, self._names, self._welcome)

    # Who is concerned

    def sources(self) -> Sequence[Source]:
        mine = (Source(self.pods, self._of_pod), Source(self.claims, self._of_claim))
        more = (Source(self.volumes, self._of_volume), Source(self.drivers, self._of_driver))
        return (*mine, *more, Source(self.attachments, self._of_attachment), Source(self.nodes, self._of_node))

    def _of_pod(self, old: Pod | None, new: Pod | None) -> Iterator[str]:
        """The volumes of a pod that comes to a node, ends or goes."""
        if old is not None and new is not None and standing(old) == standing(new):
            return
        for pod in (old, new):
            if pod is not None and pod.spec.nodeName:
                yield from self._volumes_of(pod)

    def _volumes_of(self, pod: Pod) -> Iterator[str]:
        for key in by_claim(pod):
            yield from self._of_claim(None, self.claims.get(key))

    def _of_claim(self, old: PersistentVolumeClaim | None, new: PersistentVolumeClaim | None) -> Iterator[str]:
        for name in {claim.spec.volumeName for claim in (old, new) if claim is not None}:
            if (volume := self.volumes.get(name)) is not None:
                yield from by_unique_name(volume)

    def _of_volume(self, old: PersistentVolume | None, new: PersistentVolume | None) -> Iterable[str]:
        return {name for volume in (old, new) if volume is not None for name in by_unique_name(volume)}

    def _of_driver(self, old: CSIDriver | None, new: CSIDriver | None) -> Iterable[str]:
        """All of a driver's volumes, when it comes, goes or changes."""
        name = (new or old or CSIDriver()).metadata.name
        own = (volume for volume in self.volumes.items() if volume.spec.csi and volume.spec.csi.driver == name)
        return {unique_name(volume) for volume in own}

    def _of_attachment(self, old: VolumeAttachment | None, new: VolumeAttachment | None) -> Iterator[str]:
        for attachment in (old, new):
            if attachment is not None:
                yield from self._names(attachment)
                yield _NODE + attachment.spec.nodeName

    def _names(self, attachment: VolumeAttachment) -> Iterator[str]:
        for name in _volume_of(attachment):
            if (volume := self.volumes.get(name)) is not None:
                yield from by_unique_name(volume)

    def _of_node(self, old: Node | None, new: Node | None) -> Iterator[str]:
        """What is attached to it, and what its pods want, when it comes, goes, falls ill or lets a volume go."""
        one = new if new is not None else old
        if one is None or (old is not None and new is not None and _state(old) == _state(new)):
            return
        name = one.metadata.name
        yield _NODE + name
        for attachment in self.attachments.index(NODE, name):
            yield from self._names(attachment)
        if old is None or new is None or managed(old) != managed(new):
            for pod in self.pods.index(NODE, name):
                yield from self._volumes_of(pod)

    # What there is

    def _wanted(self, name: str) -> dict[str, list[Pod]]:
        """The pods that want a volume, by node."""
        found: dict[str, list[Pod]] = {}
        for volume in self.volumes.index(UNIQUE, name):
            claim, ref = self.claims.get(claimant(volume)), volume.spec.claimRef
            if claim is None or ref is None or ref.uid != claim.metadata.uid or claim.status.phase != "Bound":
                continue
            if claim.spec.volumeName != volume.metadata.name:
                continue
            for pod in self.pods.index(CLAIM, claimant(volume)):
                node = pod.spec.nodeName
                if node and not ended(pod) and refers(pod, claim) and managed(self.nodes.get(node)):
                    found.setdefault(node, []).append(pod)
        return found

    def _held(self, name: str) -> dict[str, VolumeAttachment]:
        """The attachments of a volume that are this controller's, by node."""
        found = {}
        for volume in self.volumes.index(UNIQUE, name):
            for attachment in self.attachments.index(VOLUME, volume.metadata.name):
                node, csi = attachment.spec.nodeName, volume.spec.csi
                if csi is not None and attachment.metadata.name == attachment_name(csi, node):
                    found[node] = attachment
        return found

    async def _all_held(self, key: str) -> dict[str, VolumeAttachment]:
        """The attachments with those that were made a moment ago: a volume for one node must not get a second."""
        held, made = self._held(key), self._made.pop(key, {})
        unseen = {node: name for node, name in made.items() if node not in held}
        if unseen:
            self._made[key] = unseen
        for node, name in unseen.items():
            try:
                held[node] = await self.client.get(VolumeAttachment, name)
            except NotFound:
                self._made.pop(key, None)
        return held

    def _place(self, node: Node | None, name: str) -> Place:
        """A node that has gone may still have the volume in use."""
        if node is None:
            return Place(ready=False, in_use=True)
        dead = any(taint.key == OUT_OF_SERVICE for taint in node.spec.taints)
        return Place(_ready(node), dead, name in node.status.volumesInUse)

    def _waited(self, name: str, wanted: Mapping[str, Any], held: Mapping[str, Any]) -> dict[str, float]:
        """For how long each node that holds the volume does not want it."""
        now, before = clock.monotonic(), self._unwanted.pop(name, {})
        since = {node: before.get(node, now) for node in held if node not in wanted}
        if since:
            self._unwanted[name] = since
        return {node: now - moment for node, moment in since.items()}

    # Acting

    async def reconcile(self, key: str) -> float | None:
        if key.startswith(_NODE):
            await self.reports.write(key.removeprefix(_NODE))
            return None
        volumes, held = self.volumes.index(UNIQUE, key), await self._all_held(key)
        if not volumes:
            self._unwanted.pop(key, None)
            self._told.pop(key, None)
            self._made.pop(key, None)
            return None
        volume = volumes[0]
        csi = volume.spec.csi
        wanted = self._wanted(key) if csi is not None and must_attach(self.drivers.get(csi.driver)) else {}
        places = {node: self._place(self.nodes.get(node), key) for node in {*wanted, *held}}
        holds = {node: _seen(attachment) for node, attachment in held.items()}
        waited = self._waited(key, wanted, held)
        todo = plan(wanted, holds, places, waited, shared=shareable(volume))
        for node in todo.attach:
            await self._attach(volume, node)
        for node in wanted:
            if node in held and not holds[node].going:
                self.reports.stay(held[node])
        self._tell_all(volume, wanted, held, todo.blocked)
        for leaving in todo.detach:
            await self._detach(key, held[leaving.node], leaving)
        return todo.again

    def _tell_all(
        self,
        volume: PersistentVolume,
        wanted: Mapping[str, Sequence[Pod]],
        held: Mapping[str, VolumeAttachment],
        blocked: Sequence[Blocked],
    ) -> None:
        """Pods that wait for others, and those whose driver failed, are told why; once, unless it changes."""
        key, said = unique_name(volume), {}
        for node, by in blocked:
            others = [pod for other in by for pod in wanted.get(other, ())]
            said[node] = {pod.metadata.uid: ("Waiting for detach", multi_attach(pod, others)) for pod in wanted[node]}
        for node in wanted.keys() & held.keys():
            status = held[node].status
            if status.attachError is not None and not status.attached:
                failed = ("AttachVolume.Attach failed", f": {status.attachError.message}")
                said[node] = {pod.metadata.uid: failed for pod in wanted[node]}
        before = self._told.pop(key, {})
        for node, texts in said.items():
            for pod in wanted[node]:
                what, why = texts[pod.metadata.uid]
                if before.get(node, {}).get(pod.metadata.uid) != (what, why):
                    message = f"{what} for volume {quote(volume.metadata.name)} {why}"
                    self.recorder.event(pod, "Warning", "FailedAttachVolume", message)
        if said:
            self._told[key] = said

    async def _attach(self, volume: PersistentVolume, node: str) -> None:
        csi = volume.spec.csi
        if csi is None:
            return
        name = attachment_name(csi, node)
        self._made.setdefault(unique_name(volume), {})[node] = name
        source = VolumeAttachmentSource(persistentVolumeName=volume.metadata.name)
        spec = VolumeAttachmentSpec(attacher=csi.driver, source=source, nodeName=node)
        try:
            await self.client.create(VolumeAttachment(metadata=ObjectMeta(name=name), spec=spec))
        except AlreadyExists:
            return  # The informer will show it.

    async def _detach(self, key: str, attachment: VolumeAttachment, leaving: Detach) -> None:
        """Out of the node's list, then away; unless the node has begun to use it meanwhile."""
        self.reports.leave(attachment)
        node = await self.reports.write(leaving.node, ask=not leaving.sure)
        if node is not None and not leaving.sure and key in node.status.volumesInUse:
            self.reports.stay(attachment)
            await self.reports.write(leaving.node)
            raise Conflict(f"volume {key} is in use on {leaving.node} again")
        own = attachment.metadata
        try:
            await self.client.delete(VolumeAttachment, own.name, uid=own.uid)
        except (NotFound, Conflict):  # Gone, or another of its name.
            return

    def _welcome(self, key: str, node: str) -> None:
        """The pods' volume is there."""
        for volume in self.volumes.index(UNIQUE, key)[:1]:
            message = f"AttachVolume.Attach succeeded for volume {quote(volume.metadata.name)} "
            for pod in self._wanted(key).get(node, ()):
                self.recorder.event(pod, "Normal", "SuccessfulAttachVolume", message)


def _state(node: Node) -> tuple[Any, ...]:
    """What of a node decides about its volumes."""
    status, dead = node.status, any(taint.key == OUT_OF_SERVICE for taint in node.spec.taints)
    return node.metadata.uid, managed(node), _ready(node), dead, status.volumesInUse, status.volumesAttached


def _ready(node: Node) -> bool:
    return ready_status(node) == "True"


def _seen(attachment: VolumeAttachment) -> Attachment:
    own = attachment.metadata
    return Attachment(own.name, attachment.status.attached, own.deletionTimestamp is not None)
