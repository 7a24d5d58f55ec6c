"""ClusterRoles with an aggregation rule hold the rules of all ClusterRoles that it selects.

That is how `admin`, `edit` and `view` grow with custom resources. Receives and writes ClusterRoles
(rbac.authorization.k8s.io/v1 AggregationRule).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from kijabi.api.rbac.clusterrole import ClusterRole
from kijabi.api.rbac.role import PolicyRule
from kijabi.api.selector import from_label_selector
from kijabi.controllers.runtime import Context, Source


def plan(role: ClusterRole, roles: Iterable[ClusterRole]) -> tuple[PolicyRule, ...]:
    """The rules that the role is to have: each once, by selector, then by the name of the role they come
    from.
    """
    ordered = sorted(roles, key=lambda one: one.metadata.name)
    rules: list[PolicyRule] = []
    for selector in role.aggregationRule.clusterRoleSelectors if role.aggregationRule is not None else ():
        matches = from_label_selector(selector).matches
        for one in ordered:
            if one.metadata.name != role.metadata.name and matches(one.metadata.labels):
                rules += [rule for rule in one.rules if rule not in rules]
    return tuple(rules)


class ClusterRoleAggregation:
    """The controller. A change of any role is work for all that aggregate: they are few."""

    name = "clusterrole-aggregation"
    workers = 1

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.roles = context.informers.of(ClusterRole)

    def sources(self) -> Sequence[Source]:
        return (Source(self.roles, self._keys),)

    def _keys(self, old: ClusterRole | None, new: ClusterRole | None) -> Iterable[str]:
        return [role.metadata.name for role in self.roles.items() if role.aggregationRule is not None]

    async def reconcile(self, key: str) -> float | None:
        role = self.roles.get(key)
        if role is None or role.aggregationRule is None:
            return None
        rules = plan(role, self.roles.items())
        if rules != role.rules:
            await self.client.update(replace(role, rules=rules))
        return None
