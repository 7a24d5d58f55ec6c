"""Permissions granted in one namespace; read by the RBAC authorizer."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar

from msgspec import field

from kijabi.api.columns import AGE, NAME, column
from kijabi.api.formats import dns_subdomain, path_segment_name
from kijabi.api.meta import Object
from kijabi.api.resource import FieldError, Resource
from kijabi.api.struct import Struct, Tag
from kijabi.api.validation import each, immutable, not_supported, one_of, required


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


GROUP = "rbac.authorization.k8s.io"


def validate_binding(role: RoleRef, subjects: Sequence[Subject], *, namespaced: bool) -> list[FieldError]:
    """Errors of what a binding binds; kinds of role: in a namespace both, for the cluster ClusterRole."""
    errors = one_of("roleRef.apiGroup", role.apiGroup, (GROUP,))
    errors += one_of("roleRef.kind", role.kind, ("Role", "ClusterRole") if namespaced else ("ClusterRole",))
    if not role.name:
        errors.append(required("roleRef.name"))
    errors += each("roleRef.name", role.name, path_segment_name(role.name))
    for index, subject in enumerate(subjects):
        errors += _validate_subject(f"subjects[{index}]", subject, namespaced)
    return errors


def _validate_subject(path: str, subject: Subject, namespaced: bool) -> list[FieldError]:
    errors = [] if subject.name else [required(f"{path}.name")]
    if subject.kind in ("User", "Group"):
        return errors + one_of(f"{path}.apiGroup", subject.apiGroup, (GROUP,))
    if subject.kind != "ServiceAccount":
        return [*errors, not_supported(f"{path}.kind", subject.kind, ("ServiceAccount", "User", "Group"))]
    errors += each(f"{path}.name", subject.name, dns_subdomain(subject.name) if subject.name else ())
    errors += one_of(f"{path}.apiGroup", subject.apiGroup, ("",))
    if not namespaced and not subject.namespace:
        errors.append(required(f"{path}.namespace"))
    return errors


def validate(obj: RoleBinding) -> Sequence[FieldError]:
    """A role, and who gets it."""
    return validate_binding(obj.roleRef, obj.subjects, namespaced=True)


def validate_update(new: RoleBinding, old: RoleBinding) -> Sequence[FieldError]:
    """The role stays."""
    return immutable("roleRef", new.roleRef, old.roleRef)


RESOURCE = Resource(
    group="rbac.authorization.k8s.io",
    version="v1",
    kind="RoleBinding",
    plural="rolebindings",
    type=RoleBinding,
    singular="rolebinding",
    name_rule="path",
    columns=COLUMNS,
    validate=validate,
    validate_update=validate_update,
    create_on_update=True,
)
