"""Permissions in one namespace; read by the RBAC authorizer."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import field

from kijabi.api.meta import Object
from kijabi.api.resource import FieldError, Resource
from kijabi.api.struct import Struct, Tag, empty_list
from kijabi.api.validation import invalid, required


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


def validate_rules(rules: Sequence[PolicyRule], *, namespaced: bool) -> list[FieldError]:
    """Errors of the rules of a role; one of a namespace cannot speak of URLs."""
    errors: list[FieldError] = []
    for index, rule in enumerate(rules):
        path = f"rules[{index}]"
        if rule.nonResourceURLs:
            here, urls = f"{path}.nonResourceURLs", rule.nonResourceURLs
            if namespaced:
                errors.append(invalid(here, urls, "namespaced rules cannot apply to non-resource URLs"))
            if rule.apiGroups or rule.resources or rule.resourceNames:
                detail = "rules cannot apply to both regular resources and non-resource URLs"
                errors.append(invalid(here, urls, detail))
            continue
        if not rule.apiGroups:
            errors.append(required(f"{path}.apiGroups", "resource rules must supply at least one api group"))
        if not rule.resources:
            errors.append(required(f"{path}.resources", "resource rules must supply at least one resource"))
    return errors + [required(f"rules[{index}].verbs") for index, rule in enumerate(rules) if not rule.verbs]


def validate(obj: Role) -> Sequence[FieldError]:
    """Rules about the resources of a namespace."""
    return validate_rules(obj.rules, namespaced=True)


RESOURCE = Resource(
    group="rbac.authorization.k8s.io",
    version="v1",
    kind="Role",
    plural="roles",
    type=Role,
    singular="role",
    name_rule="path",
    validate=validate,
    create_on_update=True,
)
