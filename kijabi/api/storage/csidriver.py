"""What a CSI driver can do; registered by its installer, read by kubelet and controllers."""

from collections.abc import Callable
from typing import Annotated

from msgspec import field

from kijabi.api.columns import AGE, NAME, NONE, UNSET, column
from kijabi.api.meta import Object
from kijabi.api.resource import Column, Resource
from kijabi.api.storage.rules import validate_csi_driver, validate_csi_driver_update
from kijabi.api.struct import Int64, Struct, Tag


class TokenRequest(Struct):
    """An audience for which the driver wants the pod's token, and for how long."""

    audience: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    expirationSeconds: Annotated[Int64 | None, Tag(2)] = None


class CSIDriverSpec(Struct):
    """Whether it attaches, what it wants to know of pods, and which modes it supports."""

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
    """A storage driver of the cluster, by name."""

    spec: Annotated[CSIDriverSpec, Tag(2, required=True)] = field(default_factory=CSIDriverSpec)


def _audiences(obj: CSIDriver) -> str:
    return ",".join(each.audience for each in obj.spec.tokenRequests) if obj.spec.tokenRequests else UNSET


def _flag(name: str, read: Callable[[CSIDriver], bool | None], text: str) -> Column:
    return column(name, lambda obj: bool(read(obj)), text, type="boolean")


COLUMNS = (
    NAME,
    _flag("AttachRequired", lambda obj: obj.spec.attachRequired is not False, "Whether volumes are attached."),
    _flag("PodInfoOnMount", lambda obj: obj.spec.podInfoOnMount, "Whether it is told about the pod."),
    _flag("StorageCapacity", lambda obj: obj.spec.storageCapacity, "Whether it publishes capacity."),
    column("TokenRequests", _audiences, "Audiences of the tokens that it gets."),
    _flag("RequiresRepublish", lambda obj: obj.spec.requiresRepublish, "Whether it is called again and again."),
    column("Modes", lambda obj: ",".join(obj.spec.volumeLifecycleModes) or NONE, "Volumes that it makes."),
    AGE,
)


RESOURCE = Resource(
    group="storage.k8s.io",
    version="v1",
    kind="CSIDriver",
    plural="csidrivers",
    type=CSIDriver,
    namespaced=False,
    singular="csidriver",
    columns=COLUMNS,
    validate=validate_csi_driver,
    validate_update=validate_csi_driver_update,
    update_needs_version=True,
)
