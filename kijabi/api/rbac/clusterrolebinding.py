"""Permissions granted in the whole cluster; read by the RBAC authorizer."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import Object
from kijabi.api.rbac.rolebinding import COLUMNS, RoleRef, Subject
from kijabi.api.resource import Resource
from kijabi.api.struct import Tag


class ClusterRoleBinding(Object):
    """Grants a cluster role to users, groups and service accounts, everywhere."""

    subjects: Annotated[tuple[Subject, ...], Tag(2, listType="atomic")] = ()
    roleRef: Annotated[RoleRef, Tag(3, required=True)] = field(default_factory=RoleRef)


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
)
