"""The agent of the local-path provisioner on one node: claims in, directories and PersistentVolumes out.

`cmd/node.py` runs it beside the kubelet, under an identity of its own. Receives claims and this node's volumes from
informers; decides by `plan.py`, acts through `disk.py` and the API. A claim, its volume and its directory have one name
and are one key of work, so nothing happens to them at once; and every step finds out by that name what was done
already, so that the agent can be killed anywhere:

    claim ──▶ directory made ──▶ PersistentVolume created ──▶ bound by the volume binder
    claim asks for more ──▶ allocated to it ──▶ PersistentVolume grown ──▶ claim has it
    released ──▶ directory deleted ──▶ PersistentVolume deleted ──▶ finalizer taken off
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from kijabi.api.core.node import Node
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim, PersistentVolumeClaimSpec
from kijabi.api.meta import ObjectMeta
from kijabi.api.storage.matching import SELECTED_NODE, capacity, claim_key, class_of
from kijabi.api.storage.storageclass import StorageClass
from kijabi.base.errors import AlreadyExists, ApiError, Conflict, ConnectionLost, NotFound
from kijabi.client.client import Client
from kijabi.client.events import Recorder
from kijabi.client.informer import Informers
from kijabi.client.queue import WorkQueue
from kijabi.kubelet.localpath import growth
from kijabi.kubelet.localpath.disk import Disk
from kijabi.kubelet.localpath.plan import (
    FINALIZER,
    NODE_LABEL,
    PROVISIONER,
    fate,
    is_for,
    is_ours,
    refusal,
    shortage,
    volume_for,
    volume_name,
    wants,
)

log = logging.getLogger(__name__)

WORKERS = 4
# Waits after a failure, in seconds. A full disk may have room again, a refused claim another class: it is asked again.
FIRST_RETRY, MOST_RETRY = 0.5, 300.0


class Refused(Exception):
    """A claim can have no volume here; the message says why."""


def chosen(claim: PersistentVolumeClaim) -> str:
    """The node that the scheduler chose for the claim, "" for none yet."""
    return claim.metadata.annotations.get(SELECTED_NODE, "")


def only_waiting(claim: PersistentVolumeClaim) -> PersistentVolumeClaim:
    """Of claims that want nothing of us only the name is kept: there may be thousands."""
    own = claim.metadata
    if wants(claim) or growth.grows(claim):
        return claim
    bare = ObjectMeta(name=own.name, namespace=own.namespace, uid=own.uid, resourceVersion=own.resourceVersion)
    return PersistentVolumeClaim(metadata=bare, spec=PersistentVolumeClaimSpec(volumeName=claim.spec.volumeName))


class Agent:
    """Serves one node. The caller runs the informers; `run` works until it is cancelled."""

    def __init__(self, node: str, client: Client, informers: Informers, disk: Disk) -> None:
        self._node = node
        self._client = client
        self._disk = disk
        self._claims = informers.of(
            PersistentVolumeClaim,
            indexes={"uid": lambda claim: (claim.metadata.uid,), "volume": lambda claim: (claim.spec.volumeName,)},
            transform=only_waiting,
        )
        self._volumes = informers.of(PersistentVolume, labels=f"{NODE_LABEL}={node}")
        self._queue = WorkQueue(first_backoff=FIRST_RETRY, most_backoff=MOST_RETRY)
        self._recorder = Recorder(client, f"{PROVISIONER}_{node}", node)
        self._begun: set[str] = set()  # directories for which no volume is known yet

    async def run(self) -> None:
        """Serve claims and volumes, and finish what an earlier agent left."""
        await self._claims.wait_synced()
        await self._volumes.wait_synced()
        self._begun.update(await self._disk.names())
        for name in self._begun:
            self._queue.add(name)
        self._claims.add_handler(self._on_claim)
        self._volumes.add_handler(self._on_volume)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._recorder.run(), name="events")
                for number in range(WORKERS):
                    tasks.create_task(self._work(), name=f"local path {number}")
        finally:
            self._claims.remove_handler(self._on_claim)
            self._volumes.remove_handler(self._on_volume)

    def _on_claim(self, old: PersistentVolumeClaim | None, new: PersistentVolumeClaim | None) -> None:
        for claim in (old, new):
            if claim is not None and ((claim is new and wants(claim)) or volume_name(claim) in self._begun):
                self._queue.add(volume_name(claim))
        if new is not None and growth.asks(old, new) and self._volumes.get(new.spec.volumeName) is not None:
            self._queue.add(new.spec.volumeName)

    def _on_volume(self, old: PersistentVolume | None, new: PersistentVolume | None) -> None:
        """Also one that went: whoever took it away while its claim still wants one gets another."""
        for volume in (old, new):
            if volume is not None:
                self._queue.add(volume.metadata.name)

    async def _work(self) -> None:
        """One worker, for ever: a fault in one volume's work is logged, and it comes back."""
        while True:
            name = await self._queue.get()
            try:
                await self._reconcile(name)
                self._queue.forget(name)
            except Conflict:
                self._queue.add_backoff(name)
            except (ApiError, ConnectionLost, OSError, Refused) as problem:
                log.warning("not done yet", extra={"volume": name, "reason": str(problem)})
                self._queue.add_backoff(name)
            except Exception:
                log.exception("defect, trying again", extra={"volume": name})
                self._queue.add_backoff(name)
            finally:
                self._queue.done(name)

    async def _reconcile(self, name: str) -> None:
        """Put a volume right: see it off if it is released, make it if its claim wants it, else leave nothing of it."""
        volume = self._volumes.get(name)
        if volume is not None:
            self._begun.discard(name)
            await self._settle(volume)
            return
        claim = next(iter(self._claims.index("uid", name.removeprefix("pvc-"))), None)
        if claim is not None and wants(claim) and chosen(claim) in ("", self._node):
            found = await self._class(claim)
            if found is not None and is_for(claim, found, self._node):
                await self._serve(claim, found)
                return
        await self._abandon(name)

    # Claims

    async def _class(self, claim: PersistentVolumeClaim) -> StorageClass | None:
        """The claim's class; None if there is none, and nobody chose this node. Raises Refused."""
        try:
            return await self._client.get(StorageClass, class_of(claim))
        except NotFound as missing:
            if not chosen(claim):
                return None
            text = f"error getting claim's StorageClass: {missing}"
            self._recorder.event(claim, "Warning", "ProvisioningFailed", text)
            raise Refused(text) from missing

    async def _serve(self, claim: PersistentVolumeClaim, found: StorageClass) -> None:
        """Give a claim its volume. Raises Refused or OSError to be asked again later."""
        try:
            await self._provision(claim, found)
        except (Refused, OSError) as problem:
            text = f'failed to provision volume with StorageClass "{found.metadata.name}": {problem}'
            self._recorder.event(claim, "Warning", "ProvisioningFailed", text)
            if not (isinstance(problem, Refused) and chosen(claim)):
                raise
            # The choice is taken back, so that the scheduler makes another, which may be the same later, and tells the
            # pod what it waits for.
            own = claim.metadata
            change: dict[str, Any] = {"annotations": {SELECTED_NODE: None}, "resourceVersion": own.resourceVersion}
            await self._client.patch(PersistentVolumeClaim, own.name, {"metadata": change}, namespace=own.namespace)

    async def _provision(self, claim: PersistentVolumeClaim, found: StorageClass) -> None:
        labels = (await self._client.get(Node, self._node)).metadata.labels
        if text := refusal(claim, found, labels) or shortage(claim, self._disk.free()):
            raise Refused(text)
        name = volume_name(claim)
        if name not in self._begun:
            text = f'External provisioner is provisioning volume for claim "{claim_key(claim)}"'
            self._recorder.event(claim, "Normal", "Provisioning", text)
        self._begun.add(name)
        await self._disk.make(name)
        try:
            await self._client.create(volume_for(claim, found, self._node, labels, self._disk.path(name)))
        except AlreadyExists:
            # An answer was lost; or, where no node was chosen, another node was faster.
            await self._abandon(name)
            return
        self._recorder.event(claim, "Normal", "ProvisioningSucceeded", f"Successfully provisioned volume {name}")

    async def _abandon(self, name: str) -> None:
        """Drop a directory that became no volume of ours; it is empty, for nobody ever had it."""
        if name not in self._begun:
            return
        try:
            there = await self._client.get(PersistentVolume, name)
        except NotFound:
            there = None
        if there is None or not is_ours(there, self._node):
            await self._disk.discard(name)
            self._begun.discard(name)

    # Volumes

    async def _settle(self, seen: PersistentVolume) -> None:
        """See a volume of ours off, once nobody has it, and until then let it grow with its claim. What the cache shows
        is looked at again before data goes."""
        if not is_ours(seen, self._node):
            return
        if fate(seen, None) == "keep":
            if seen.status.phase == "Pending":
                # Born of a request that was thought lost, it may have been given up, and with it its directory.
                await self._disk.make(seen.metadata.name)
            for claim in self._claims.index("volume", seen.metadata.name):
                await self._grow(seen, claim)
            return
        try:
            volume = await self._client.get(PersistentVolume, seen.metadata.name)
        except NotFound:
            return
        match fate(volume, await self._claim_of(volume)):
            case "delete":
                await self._delete(volume)
            case "let go":
                log.info("volume goes, its directory stays", extra={"volume": volume.metadata.name})
                await self._let_go(volume)

    async def _grow(self, volume: PersistentVolume, claim: PersistentVolumeClaim) -> None:
        """Give a claim as much as it asks for. Each write is guarded by the version that was judged. Raises Refused."""
        size = growth.target(volume, claim)
        if size is None:
            return
        own = volume.metadata
        if text := growth.lack(volume, size, self._disk.free()):
            why = f'resize volume "{own.name}" by resizer "{PROVISIONER}" failed: {text}'
            self._recorder.event(claim, "Warning", "VolumeResizeFailed", why)
            await self._mark(claim, growth.refused(volume, claim, why))
            raise Refused(text)
        if capacity(volume).cmp(size) < 0:
            marked = growth.begun(claim, size)
            if marked != claim:
                self._recorder.event(claim, "Normal", "Resizing", f"External resizer is resizing volume {own.name}")
            claim = await self._mark(claim, marked)
            change = {"uid": own.uid, "resourceVersion": own.resourceVersion}
            grown = {"metadata": change, "spec": {"capacity": {growth.STORAGE: str(size)}}}
            await self._client.patch(PersistentVolume, own.name, grown)
        await self._mark(claim, growth.done(claim, size))
        self._recorder.event(claim, "Normal", "VolumeResizeSuccessful", "Resize volume succeeded")

    async def _mark(self, claim: PersistentVolumeClaim, marked: PersistentVolumeClaim) -> PersistentVolumeClaim:
        return await self._client.update_status(marked) if marked != claim else claim

    async def _claim_of(self, volume: PersistentVolume) -> PersistentVolumeClaim | None:
        ref = volume.spec.claimRef
        if ref is None:
            return None
        try:
            return await self._client.get(PersistentVolumeClaim, ref.name, ref.namespace)
        except NotFound:
            return None

    async def _delete(self, volume: PersistentVolume) -> None:
        own = volume.metadata
        try:
            if volume.spec.local is None or volume.spec.local.path != self._disk.path(own.name):
                raise OSError(f"{own.name} is not a directory of this node's volumes")
            await self._disk.remove(own.name)
        except (OSError, ValueError) as problem:
            self._recorder.event(volume, "Warning", "VolumeFailedDelete", str(problem))
            raise
        if own.deletionTimestamp is None:
            await self._client.delete(PersistentVolume, own.name, uid=own.uid)
        await self._let_go(await self._client.get(PersistentVolume, own.name))

    async def _let_go(self, volume: PersistentVolume) -> None:
        """Take our finalizer off."""
        own = volume.metadata
        if FINALIZER not in own.finalizers:
            return
        left = [name for name in own.finalizers if name != FINALIZER]
        change = {"metadata": {"uid": own.uid, "resourceVersion": own.resourceVersion, "finalizers": left}}
        await self._client.patch(PersistentVolume, own.name, change)
