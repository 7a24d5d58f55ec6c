"""The csidriver types of the storage group."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Int64, Struct, Tag


class TokenRequest(Struct):
    """The API type TokenRequest."""

    audience: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    expirationSeconds: Annotated[Int64 | None, Tag(2)] = None


class CSIDriverSpec(Struct):
    """What is asked of a CSI Driver."""

    attachRequired: Annotated[bool | None, Tag(1)] = None
    podInfoOnMount: Annotated[bool | None, Tag(2)] = None
    volumeLifecycleModes: Annotated[tuple[str, ...], Tag(3, listType="set")] = ()
    storageCapacity: Annotated[bool | None, Tag(4, gate="CSIStorageCapacity")] = None
    fsGroupPolicy: Annotated[str | None, Tag(5)] = None
    tokenRequests: Annotated[tuple[TokenRequest, ...], Tag(6, listType="atomic")] = ()
    requiresRepublish: Annotated[bool | None, Tag(7)] = None
    seLinuxMount: Annotated[bool | None, Tag(8, gate="SELinuxMountReadWriteOncePod")] = None
    nodeAllocatableUpdatePeriodSeconds: Annotated[
        Int64 | None,
        Tag(9, gate="MutableCSINodeAllocatableCount"),
    ] = None
    serviceAccountTokenInSecrets: Annotated[bool | None, Tag(10, gate="CSIServiceAccountTokenSecrets")] = None
    preventPodSchedulingIfMissing: Annotated[bool | None, Tag(11, gate="VolumeLimitScaling")] = None

    def set_defaults(self) -> None:
        """Volumes are attached; all else is opted into."""
        if self.attachRequired is None:
            self.attachRequired = True
        for option in ("podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"):
            if getattr(self, option) is None:
                setattr(self, option, False)
        if self.preventPodSchedulingIfMissing is None:
            self.preventPodSchedulingIfMissing = False
        if self.fsGroupPolicy is None:
            self.fsGroupPolicy = "ReadWriteOnceWithFSType"
        self.volumeLifecycleModes = self.volumeLifecycleModes or ("Persistent",)


class CSIDriver(Object):
    """The API type CSIDriver."""

    spec: Annotated[CSIDriverSpec, Tag(2, required=True)] = field(default_factory=CSIDriverSpec)


RESOURCE = Resource(
    group="storage.k8s.io",
    version="v1",
    kind="CSIDriver",
    plural="csidrivers",
    type=CSIDriver,
    namespaced=False,
    singular="csidriver",
)
