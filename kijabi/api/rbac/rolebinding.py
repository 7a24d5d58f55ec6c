"""Permissions granted in one namespace; read by the RBAC authorizer."""

from collections.abc import Callable
from typing import Annotated, Any, ClassVar

from msgspec import field

from kijabi.api.columns import AGE, NAME, column
from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Struct, Tag


class Subject(Struct):
    """A user, a group or a service account."""

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
    """The role or cluster role that is granted; it cannot be changed."""

    ATOMIC: ClassVar[bool] = True

    apiGroup: Annotated[str, Tag(1)] = field(default_factory=str)
    kind: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    name: Annotated[str, Tag(3, required=True)] = field(default_factory=str)

    def set_defaults(self) -> None:
        """Roles are of RBAC's own group."""
        self.apiGroup = self.apiGroup or "rbac.authorization.k8s.io"


class RoleBinding(Object):
    """Grants a role to users, groups and service accounts in one namespace."""

    subjects: Annotated[tuple[Subject, ...], Tag(2, listType="atomic")] = ()
    roleRef: Annotated[RoleRef, Tag(3, required=True)] = field(default_factory=RoleRef)


def _subjects(kind: str) -> Callable[[Any], str]:
    return lambda obj: ", ".join(subject.name for subject in obj.subjects if subject.kind == kind)


def _accounts(obj: Any) -> str:
    found = [subject for subject in obj.subjects if subject.kind == "ServiceAccount"]
    return ", ".join(f"{subject.namespace}/{subject.name}" for subject in found)


COLUMNS = (
    NAME,
    column("Role", lambda obj: f"{obj.roleRef.kind}/{obj.roleRef.name}", "The role that it gives."),
    AGE,
    column("Users", _subjects("User"), "Users who get it.", wide=True),
    column("Groups", _subjects("Group"), "Groups that get it.", wide=True),
    column("ServiceAccounts", _accounts, "Service accounts that get it.", wide=True),
)


RESOURCE = Resource(
    group="rbac.authorization.k8s.io",
    version="v1",
    kind="RoleBinding",
    plural="rolebindings",
    type=RoleBinding,
    singular="rolebinding",
    name_rule="path",
    columns=COLUMNS,
)
