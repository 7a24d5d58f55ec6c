"""Permissions for the whole cluster, or for many namespaces; read by the RBAC authorizer."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import field

from kijabi.api.meta import LabelSelector, Object
from kijabi.api.rbac.role import PolicyRule, validate_rules
from kijabi.api.resource import FieldError, Resource
from kijabi.api.struct import Struct, Tag, empty_list
from kijabi.api.validation import invalid, required, validate_label_selector


class AggregationRule(Struct):
    """Selectors of cluster roles whose rules are added to this one."""

    clusterRoleSelectors: Annotated[tuple[LabelSelector, ...], Tag(1, listType="atomic")] = ()


class ClusterRole(Object):
    """Permissions that a binding can grant everywhere or in one namespace."""

    rules: Annotated[tuple[PolicyRule, ...], Tag(2, listType="atomic")] = field(default_factory=empty_list)
    aggregationRule: Annotated[AggregationRule | None, Tag(3)] = None


def validate(obj: ClusterRole) -> Sequence[FieldError]:
    """Rules, and selectors of the roles whose rules it gathers."""
    errors = validate_rules(obj.rules, namespaced=False)
    if obj.aggregationRule is None:
        return errors
    path, selectors = "aggregationRule.clusterRoleSelectors", obj.aggregationRule.clusterRoleSelectors
    if not selectors:
        errors.append(required(path, "at least one clusterRoleSelector required if aggregationRule is non-nil"))
    for index, selector in enumerate(selectors):
        found = validate_label_selector(selector, f"{path}[{index}]")
        errors += [*found, invalid(f"{path}[{index}]", None, "invalid label selector.")] if found else []
    return errors


RESOURCE = Resource(
    group="rbac.authorization.k8s.io",
    version="v1",
    kind="ClusterRole",
    plural="clusterroles",
    type=ClusterRole,
    namespaced=False,
    singular="clusterrole",
    name_rule="path",
    validate=validate,
    create_on_update=True,
)
