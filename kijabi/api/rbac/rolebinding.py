"""The rolebinding types of the rbac group."""

from typing import Annotated, ClassVar

from msgspec import field

from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Struct, Tag


class Subject(Struct):
    """The API type Subject."""

    ATOMIC: ClassVar[bool] = True

    kind: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    apiGroup: Annotated[str, Tag(2)] = ""
    name: Annotated[str, Tag(3, required=True)] = field(default_factory=str)
    namespace: Annotated[str, Tag(4)] = ""

    def set_defaults(self) -> None:
        """Users and groups are of RBAC's own group, service accounts of the core group."""
        if self.kind in ("User", "Group"):
            self.apiGroup = self.apiGroup or "rbac.authorization.k8s.io"


class RoleRef(Struct):
    """The API type RoleRef."""

    ATOMIC: ClassVar[bool] = True

    apiGroup: Annotated[str, Tag(1)] = field(default_factory=str)
    kind: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    name: Annotated[str, Tag(3, required=True)] = field(default_factory=str)

    def set_defaults(self) -> None:
        """Roles are of RBAC's own group."""
        self.apiGroup = self.apiGroup or "rbac.authorization.k8s.io"


class RoleBinding(Object):
    """The API type RoleBinding."""

    subjects: Annotated[tuple[Subject, ...], Tag(2, listType="atomic")] = ()
    roleRef: Annotated[RoleRef, Tag(3, required=True)] = field(default_factory=RoleRef)


RESOURCE = Resource(
    group="rbac.authorization.k8s.io",
    version="v1",
    kind="RoleBinding",
    plural="rolebindings",
    type=RoleBinding,
    singular="rolebinding",
    name_rule="path",
)
