"""What the scheduler follows besides pods and nodes: storage, claims to devices, namespaces, what spreading goes by.

`loop` makes it, takes `storage` and `spreading` into the node state, and is told of each change that could let a
waiting pod in. All informers are those that the controllers share.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from kijabi.api.apps.replicaset import ReplicaSet
from kijabi.api.apps.statefulset import StatefulSet
from kijabi.api.core.namespace import Namespace
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.replicationcontroller import ReplicationController
from kijabi.api.core.service import Service
from kijabi.api.dra.resourceclaim import ResourceClaim
from kijabi.api.meta import Object
from kijabi.api.storage.csidriver import CSIDriver
from kijabi.api.storage.csinode import CSINode
from kijabi.api.storage.csistoragecapacity import CSIStorageCapacity
from kijabi.api.storage.storageclass import StorageClass
from kijabi.api.storage.volumeattachment import VolumeAttachment
from kijabi.client.informer import Informer, Informers
from kijabi.scheduler.framework import Change, Event
from kijabi.scheduler.spreading import BY_NAMESPACE, Spreading, by_namespace
from kijabi.scheduler.storage import BY_CLASS, BY_NODE, Storage, by_class, by_node

T = TypeVar("T", bound=Object)


class Sources:
    """The informers, as `storage` and `spreading`; `tell` starts the news."""

    def __init__(self, informers: Informers) -> None:
        claims = informers.of(PersistentVolumeClaim)
        volumes = informers.of(PersistentVolume, indexes={BY_CLASS: by_class})
        classes = informers.of(StorageClass)
        csi_nodes = informers.of(CSINode)
        drivers = informers.of(CSIDriver)
        capacities = informers.of(CSIStorageCapacity)
        device_claims = informers.of(ResourceClaim)
        attachments = informers.of(VolumeAttachment, indexes={BY_NODE: by_node})
        self._namespaces = informers.of(Namespace)
        self.storage = Storage(
            claims=claims,
            volumes=volumes,
            classes=classes,
            csi_nodes=csi_nodes,
            drivers=drivers,
            capacities=capacities,
            attachments=attachments,
            device_claims=device_claims,
        )
        services = informers.of(Service, indexes={BY_NAMESPACE: by_namespace})
        controllers, replica_sets = informers.of(ReplicationController), informers.of(ReplicaSet)
        stateful_sets = informers.of(StatefulSet)
        self.spreading = Spreading(services, controllers, replica_sets, stateful_sets)
        self._spread: tuple[Informer[Any], ...] = (services, controllers, replica_sets, stateful_sets)
        for informer in self._spread:
            informer.add_handler(self.spreading.changed)
        self._told: tuple[tuple[Informer[Any], Change], ...] = (
            (claims, Change.CLAIM),
            (volumes, Change.VOLUME),
            (classes, Change.STORAGE_CLASS),
            (csi_nodes, Change.CSI_NODE),
            (drivers, Change.CSI_DRIVER),
            (capacities, Change.STORAGE_CAPACITY),
            (device_claims, Change.DEVICE_CLAIM),
        )
        self._attachments = attachments

    def tell(
        self,
        changed: Callable[[Event], None],
        namespace: Callable[[str, dict[str, str] | None], None],
        gone: Callable[[], None],
    ) -> None:
        """Report what is added or changes, and what is detached; and namespaces' labels, None when one is gone.

        gone(): something of storage was deleted, which lets no pod in, but may be what a binding waits for.
        """

        def on(change: Change) -> Callable[[Object | None, Object | None], None]:
            return lambda old, new: changed(Event(change, old, new)) if new is not None else gone()

        for informer, change in self._told:
            informer.add_handler(on(change))

        def detached(old: VolumeAttachment | None, new: VolumeAttachment | None) -> None:
            if new is None:
                changed(Event(Change.DETACHED, old, None))

        def labelled(old: Namespace | None, new: Namespace | None) -> None:
            name = (new or old).metadata.name  # type: ignore[union-attr]
            namespace(name, new.metadata.labels if new is not None else None)

        self._attachments.add_handler(detached)
        self._namespaces.add_handler(labelled)

    async def wait_synced(self) -> None:
        """Wait until everything is known."""
        told = (informer for informer, _ in self._told)
        everything: tuple[Informer[Any], ...] = (*told, self._attachments, self._namespaces, *self._spread)
        for informer in everything:
            await informer.wait_synced()
