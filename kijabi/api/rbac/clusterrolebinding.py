"""Permissions granted in the whole cluster; read by the RBAC authorizer."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import field

from kijabi.api.meta import Object
from kijabi.api.rbac.rolebinding import COLUMNS, RoleRef, Subject, validate_binding
from kijabi.api.resource import FieldError, Resource
from kijabi.api.struct import Tag
from kijabi.api.validation import immutable


class ClusterRoleBinding(Object):
    """Grants a cluster role to users, groups and service accounts, everywhere."""

    subjects: Annotated[tuple[Subject, ...], Tag(2, listType="atomic")] = ()
    roleRef: Annotated[RoleRef, Tag(3, required=True)] = field(default_factory=RoleRef)


def validate(obj: ClusterRoleBinding) -> Sequence[FieldError]:
    """A role of the cluster, and who gets it everywhere."""
    return validate_binding(obj.roleRef, obj.subjects, namespaced=False)


def validate_update(new: ClusterRoleBinding, old: ClusterRoleBinding) -> Sequence[FieldError]:
    """The role stays."""
    return immutable("roleRef", new.roleRef, old.roleRef)


RESOURCE = Resource(
    group="rbac.authorization.k8s.io",
    version="v1",
    kind="ClusterRoleBinding",
    plural="clusterrolebindings",
    type=ClusterRoleBinding,
    namespaced=False,
    singular="clusterrolebinding",
    name_rule="path",
    columns=COLUMNS,
    validate=validate,
    validate_update=validate_update,
    create_on_update=True,
)
