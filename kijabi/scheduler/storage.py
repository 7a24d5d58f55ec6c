"""What there is of storage and devices, as the scheduler sees it: what informers hold, and what it has assumed.

`loop` gives it the informers; the volume plugins read. When a pod is placed, `volumes` assumes the volumes and claims
as it is about to write them, so that the next decision does not give the same volume to another pod. An assumption
ends when the server has a newer version of the object, or is taken back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Generic, Protocol, TypeVar

from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.dra.resourceclaim import ResourceClaim
from kijabi.api.meta import Object
from kijabi.api.storage.csidriver import CSIDriver
from kijabi.api.storage.csinode import CSINode
from kijabi.api.storage.csistoragecapacity import CSIStorageCapacity
from kijabi.api.storage.matching import volume_class
from kijabi.api.storage.storageclass import StorageClass
from kijabi.api.storage.volumeattachment import VolumeAttachment

T = TypeVar("T", bound=Object)
R = TypeVar("R", covariant=True)

BY_CLASS, BY_NODE = "scheduler.class", "scheduler.node"


class Source(Protocol[R]):
    """What is asked of an informer."""

    def get(self, key: str) -> R | None:
        """The object under a key."""
        ...

    def items(self) -> Collection[R]:
        """All of them."""
        ...

    def index(self, name: str, value: str) -> tuple[R, ...]:
        """Those for which an index has a value."""
        ...


class Nothing(Generic[T]):
    """A source of nothing, for a node state that is not about storage."""

    def get(self, key: str) -> T | None:
        """See Source."""
        return None

    def items(self) -> Collection[T]:
        """See Source."""
        return ()

    def index(self, name: str, value: str) -> tuple[T, ...]:
        """See Source."""
        return ()


def _or_nothing(source: Source[T] | None) -> Source[T]:
    """An informer that is empty still counts as one, though it is false to Python."""
    return source if source is not None else Nothing()


class Assumed(Generic[T]):
    """Objects as the server has them, and some as they are about to be written."""

    def __init__(self, source: Source[T]) -> None:
        self.source = source
        self._mine: dict[str, T] = {}

    def get(self, key: str) -> T | None:
        """The object as it is, or is about to be."""
        return self.current(self.source.get(key), key)

    def current(self, known: T | None, key: str) -> T | None:
        """What stands under a key where the server has `known`."""
        mine = self._mine.get(key)
        if mine is None:
            return known
        if known is None or _version(known) > _version(mine):
            del self._mine[key]
            return known
        return mine

    def assume(self, key: str, obj: T) -> None:
        """From now on it is this, until the server has a newer version."""
        self._mine[key] = obj

    def restore(self, key: str) -> None:
        """It is what the server has, after all."""
        self._mine.pop(key, None)


class Storage:
    """Claims, volumes, classes, what drivers say of themselves and of their storage; and claims to devices."""

    def __init__(
        self,
        *,
        claims: Source[PersistentVolumeClaim] | None = None,
        volumes: Source[PersistentVolume] | None = None,
        classes: Source[StorageClass] | None = None,
        csi_nodes: Source[CSINode] | None = None,
        drivers: Source[CSIDriver] | None = None,
        capacities: Source[CSIStorageCapacity] | None = None,
        attachments: Source[VolumeAttachment] | None = None,
        device_claims: Source[ResourceClaim] | None = None,
    ) -> None:
        self.claims = Assumed[PersistentVolumeClaim](_or_nothing(claims))
        self.volumes = Assumed[PersistentVolume](_or_nothing(volumes))
        self.classes: Source[StorageClass] = _or_nothing(classes)
        self.csi_nodes: Source[CSINode] = _or_nothing(csi_nodes)
        self.drivers: Source[CSIDriver] = _or_nothing(drivers)
        self.capacities: Source[CSIStorageCapacity] = _or_nothing(capacities)
        self.attachments: Source[VolumeAttachment] = _or_nothing(attachments)
        self.device_claims: Source[ResourceClaim] = _or_nothing(device_claims)

    def volumes_of(self, storage_class: str) -> Iterable[PersistentVolume]:
        """The volumes of a class, those assumed as they are assumed."""
        for known in self.volumes.source.index(BY_CLASS, storage_class):
            found = self.volumes.current(known, known.metadata.name)
            if found is not None:
                yield found


def by_class(volume: PersistentVolume) -> Iterable[str]:
    """Index of volumes: their class."""
    return (volume_class(volume),)


def by_node(attachment: VolumeAttachment) -> Iterable[str]:
    """Index of attachments: their node."""
    return (attachment.spec.nodeName,)


def _version(obj: Object) -> int:
    return int(obj.metadata.resourceVersion or 0)
