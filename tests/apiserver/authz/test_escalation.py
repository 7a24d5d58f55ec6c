"""Nobody grants what he does not hold."""

from __future__ import annotations

import pytest

from kijabi.api.meta import ObjectMeta
from kijabi.api.rbac import clusterrole, clusterrolebinding, role, rolebinding
from kijabi.api.rbac.clusterrole import AggregationRule, ClusterRole
from kijabi.api.rbac.clusterrolebinding import ClusterRoleBinding
from kijabi.api.rbac.role import PolicyRule, Role
from kijabi.api.rbac.rolebinding import RoleBinding, RoleRef, Subject
from kijabi.apiserver.attributes import Attributes, UserInfo
from kijabi.apiserver.authz.defaults import all_defaults
from kijabi.apiserver.authz.escalation import EscalationCheck
from kijabi.apiserver.authz.rbac import Rbac
from kijabi.apiserver.authz.union import Union
from kijabi.base.errors import Forbidden, NotFound
from kijabi.testing.objects import Objects

GROUP = "rbac.authorization.k8s.io"
JANE = UserInfo("jane", groups=("system:authenticated",))
PODS = PolicyRule(verbs=("get", "list"), apiGroups=("",), resources=("pods",))
SECRETS = PolicyRule(verbs=("get",), apiGroups=("",), resources=("secrets",))


def setup(*rules: PolicyRule) -> EscalationCheck:
    held = ClusterRole(metadata=ObjectMeta(name="held"), rules=rules)
    binding = ClusterRoleBinding(
        metadata=ObjectMeta(name="held"),
        roleRef=RoleRef(apiGroup=GROUP, kind="ClusterRole", name="held"),
        subjects=(Subject(kind="User", name="jane"),),
    )
    rbac = Rbac()
    rbac.start(Objects(*all_defaults(), held, binding))
    return EscalationCheck(rbac, Union((rbac,)))


def write(obj: Role | ClusterRole | RoleBinding | ClusterRoleBinding, old: object = None) -> Attributes:
    modules = {
        Role: role, ClusterRole: clusterrole, RoleBinding: rolebinding, ClusterRoleBinding: clusterrolebinding
    }  # fmt: skip
    resource = modules[type(obj)].RESOURCE
    return Attributes(
        user=JANE,
        resource=resource,
        operation="UPDATE" if old else "CREATE",
        namespace=obj.metadata.namespace,
        name=obj.metadata.name,
        object=obj,
        old=old,
    )


def a_role(*rules: PolicyRule) -> Role:
    return Role(metadata=ObjectMeta(name="r", namespace="ns"), rules=rules)


def a_binding(kind: str, name: str) -> RoleBinding:
    return RoleBinding(
        metadata=ObjectMeta(name="b", namespace="ns"),
        roleRef=RoleRef(apiGroup=GROUP, kind=kind, name=name),
        subjects=(Subject(kind="User", name="joe"),),
    )


async def test_granting_what_one_holds() -> None:
    check = setup(PODS)
    await check.mutate(write(a_role(PolicyRule(verbs=("get",), apiGroups=("",), resources=("pods",)))))
    with pytest.raises(Forbidden) as refused:
        await check.mutate(
            write(a_role(PODS, PolicyRule(verbs=("get", "list"), apiGroups=("",), resources=("secrets",))))
        )
    assert refused.value.message == (
        'roles.rbac.authorization.k8s.io "r" is forbidden: user "jane" (groups=["system:authenticated"]) is '
        "attempting to grant RBAC permissions not currently held:\n"
        '{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}'
    )


async def test_binding_what_one_holds() -> None:
    check = setup(PODS)
    await check.mutate(write(a_binding("ClusterRole", "held")))
    with pytest.raises(Forbidden):
        await check.mutate(write(a_binding("ClusterRole", "cluster-admin")))
    with pytest.raises(NotFound):
        await check.mutate(write(a_binding("Role", "nowhere")))


async def test_escalate_and_bind_are_ways_round() -> None:
    escalate = PolicyRule(verbs=("escalate",), apiGroups=(GROUP,), resources=("roles",))
    await setup(escalate).mutate(write(a_role(SECRETS)))
    bind = PolicyRule(verbs=("bind",), apiGroups=(GROUP,), resources=("clusterroles",), resourceNames=("edit",))
    await setup(bind).mutate(write(a_binding("ClusterRole", "edit")))
    with pytest.raises(Forbidden):
        await setup(bind).mutate(write(a_binding("ClusterRole", "admin")))


async def test_aggregation_needs_everything() -> None:
    aggregating = ClusterRole(metadata=ObjectMeta(name="a"), aggregationRule=AggregationRule())
    with pytest.raises(Forbidden, match="must have cluster-admin privileges to use the aggregationRule"):
        await setup(PODS).mutate(write(aggregating))


async def test_masters_and_the_garbage_collector_pass() -> None:
    check = setup()
    attrs = write(a_role(SECRETS))
    attrs.user = UserInfo("root", groups=("system:masters",))
    await check.mutate(attrs)
    old, new = a_role(SECRETS), a_role(SECRETS)
    old.metadata.finalizers = ("a/b",)
    await check.mutate(write(new, old))
    new.metadata.labels = {"a": "b"}
    with pytest.raises(Forbidden):
        await check.mutate(write(new, old))
