"""Permissions for the whole cluster, or for many namespaces; read by the RBAC authorizer."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import LabelSelector, Object
from kijabi.api.rbac.role import PolicyRule
from kijabi.api.resource import Resource
from kijabi.api.struct import Struct, Tag, empty_list


class AggregationRule(Struct):
    """Selectors of cluster roles whose rules are added to this one."""

    clusterRoleSelectors: Annotated[tuple[LabelSelector, ...], Tag(1, listType="atomic")] = ()


class ClusterRole(Object):
    """Permissions that a binding can grant everywhere or in one namespace."""

    rules: Annotated[tuple[PolicyRule, ...], Tag(2, listType="atomic")] = field(default_factory=empty_list)
    aggregationRule: Annotated[AggregationRule | None, Tag(3)] = None


RESOURCE = Resource(
    group="rbac.authorization.k8s.io",
    version="v1",
    kind="ClusterRole",
    plural="clusterroles",
    type=ClusterRole,
    namespaced=False,
    singular="clusterrole",
    name_rule="path",
)
