"""Permissions in one namespace; read by the RBAC authorizer."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Struct, Tag, empty_list


class PolicyRule(Struct):
    """Verbs on resources, perhaps only with certain names, or on plain URLs."""

    verbs: Annotated[
        tuple[str, ...],
        Tag(1, listType="atomic", required=True),
    ] = field(default_factory=empty_list)
    apiGroups: Annotated[tuple[str, ...], Tag(2, listType="atomic")] = ()
    resources: Annotated[tuple[str, ...], Tag(3, listType="atomic")] = ()
    resourceNames: Annotated[tuple[str, ...], Tag(4, listType="atomic")] = ()
    nonResourceURLs: Annotated[tuple[str, ...], Tag(5, listType="atomic")] = ()


class Role(Object):
    """Permissions in one namespace."""

    rules: Annotated[tuple[PolicyRule, ...], Tag(2, listType="atomic")] = field(default_factory=empty_list)


RESOURCE = Resource(
    group="rbac.authorization.k8s.io",
    version="v1",
    kind="Role",
    plural="roles",
    type=Role,
    singular="role",
    name_rule="path",
)
