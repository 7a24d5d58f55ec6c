"""RBAC: against a naive oracle, against upstream's texts, and as its index follows changes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from kijabi.api.meta import LabelSelector, ObjectMeta
from kijabi.api.rbac.clusterrole import AggregationRule, ClusterRole
from kijabi.api.rbac.clusterrolebinding import ClusterRoleBinding
from kijabi.api.rbac.role import PolicyRule, Role
from kijabi.api.rbac.rolebinding import RoleBinding, RoleRef, Subject
from kijabi.apiserver.attributes import RequestInfo, UserInfo
from kijabi.apiserver.authz import defaults
from kijabi.apiserver.authz.rbac import Rbac
from kijabi.apiserver.authz.rules import missing
from kijabi.apiserver.authz.union import Union
from kijabi.testing.objects import Objects

GROUP = "rbac.authorization.k8s.io"
VERBS = ["get", "list", "create", "*"]
GROUPS = ["", "apps", "*"]
RESOURCES = ["pods", "pods/log", "*/scale", "deployments", "*"]
NAMESPACES = ["a", "b"]
URLS = ["/healthz", "/healthz/*", "*"]


def words(choices: list[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(choices), min_size=1, max_size=2, unique=True).map(tuple)


resource_rules = st.builds(
    PolicyRule,
    verbs=words(VERBS),
    apiGroups=words(GROUPS),
    resources=words(RESOURCES),
    resourceNames=st.one_of(st.just(()), words(["x", "y"])),
)
url_rules = st.builds(PolicyRule, verbs=words(VERBS), nonResourceURLs=words(URLS))
rules = st.lists(st.one_of(resource_rules, url_rules), max_size=3).map(tuple)
subjects = st.lists(
    st.one_of(
        st.builds(Subject, kind=st.just("User"), name=st.sampled_from(["u", "system:serviceaccount:a:s"])),
        st.builds(Subject, kind=st.just("Group"), name=st.sampled_from(["g", "h"])),
        st.builds(
            Subject, kind=st.just("ServiceAccount"), name=st.just("s"), namespace=st.sampled_from(["", "a", "b"])
        ),
    ),
    max_size=3,
).map(tuple)
metas = st.builds(ObjectMeta, name=st.sampled_from(["r1", "r2"]), namespace=st.sampled_from(NAMESPACES))
cluster_metas = st.builds(ObjectMeta, name=st.sampled_from(["r1", "r2"]))
refs = st.builds(RoleRef, kind=st.sampled_from(["Role", "ClusterRole"]), name=st.sampled_from(["r1", "r2", "gone"]))
objects = st.lists(
    st.one_of(
        st.builds(Role, metadata=metas, rules=rules),
        st.builds(ClusterRole, metadata=cluster_metas, rules=rules),
        st.builds(RoleBinding, metadata=metas, roleRef=refs, subjects=subjects),
        st.builds(ClusterRoleBinding, metadata=cluster_metas, roleRef=refs, subjects=subjects),
    ),
    max_size=12,
)
users = st.builds(
    UserInfo,
    name=st.sampled_from(["u", "v", "system:serviceaccount:a:s", "system:serviceaccount:b:s"]),
    groups=st.sampled_from([(), ("g",), ("g", "h")]),
)
requests = st.one_of(
    st.builds(
        RequestInfo,
        verb=st.sampled_from(["get", "list", "create", "delete"]),
        path=st.just(""),
        is_resource=st.just(True),
        group=st.sampled_from(["", "apps"]),
        resource=st.sampled_from(["pods", "deployments"]),
        subresource=st.sampled_from(["", "log", "scale"]),
        namespace=st.sampled_from(["", "a", "b"]),
        name=st.sampled_from(["", "x", "z"]),
    ),
    st.builds(RequestInfo, verb=st.just("get"), path=st.sampled_from(["/healthz", "/healthz/etcd", "/metrics"])),
)


def oracle(reader: Objects, user: UserInfo, info: RequestInfo) -> bool:
    """The documentation, word for word, with no index."""

    def meant(subject: Subject, namespace: str) -> bool:
        if subject.kind == "User":
            return user.name == subject.name
        if subject.kind == "Group":
            return subject.name in user.groups
        where = subject.namespace or namespace
        return bool(where) and user.name == f"system:serviceaccount:{where}:{subject.name}"

    def permits(rule: PolicyRule) -> bool:
        if not {info.verb, "*"} & set(rule.verbs):
            return False
        if not info.is_resource:
            return any(
                url in ("*", info.path) or (url.endswith("*") and info.path.startswith(url[:-1]))
                for url in rule.nonResourceURLs
            )
        full = info.resource + (f"/{info.subresource}" if info.subresource else "")
        names = {full, "*"} | ({f"*/{info.subresource}"} if info.subresource else set())
        return bool(
            {info.group, "*"} & set(rule.apiGroups)
            and names & set(rule.resources)
            and (not rule.resourceNames or info.name in rule.resourceNames)
        )

    def rules_of(ref: RoleRef, namespace: str) -> Sequence[PolicyRule]:
        role = (
            reader.get(ClusterRole, ref.name)
            if ref.kind == "ClusterRole"
            else (reader.get(Role, ref.name, namespace) if namespace else None)
        )
        return role.rules if role is not None else ()

    bindings: list[RoleBinding | ClusterRoleBinding] = list(reader.items(ClusterRoleBinding))
    if info.namespace:
        bindings += list(reader.items(RoleBinding, info.namespace))
    return any(
        permits(rule)
        for binding in bindings
        if any(meant(subject, binding.metadata.namespace) for subject in binding.subjects)
        for rule in rules_of(binding.roleRef, binding.metadata.namespace)
    )


@settings(max_examples=300, deadline=None)
@given(before=objects, after=objects, removed=st.integers(0, 20), user=users, asked=st.lists(requests, max_size=8))
def test_index_agrees_with_the_oracle(
    before: list[Role], after: list[Role], removed: int, user: UserInfo, asked: list[RequestInfo]
) -> None:
    reader = Objects(*before)
    rbac = Rbac()
    rbac.start(reader)
    reader.put(*after)
    for number, obj in enumerate(before + after):
        there = reader.get(type(obj), obj.metadata.name, obj.metadata.namespace)
        if number < removed and number % 3 == 0 and there is not None:
            reader.delete(type(obj), obj.metadata.name, obj.metadata.namespace)
    for info in asked:
        decision = asyncio.run(rbac.authorize(user, info))
        assert decision.allowed == oracle(reader, user, info)
        if decision.allowed:
            assert decision.reason.startswith("RBAC: allowed by ")


@settings(max_examples=200, deadline=None)
@given(held=rules, wanted=rules, info=requests)
def test_covered_rules_allow_nothing_more(
    held: tuple[PolicyRule, ...], wanted: tuple[PolicyRule, ...], info: RequestInfo
) -> None:
    """If nothing is missing, whatever `wanted` allows, `held` allows: the point of the escalation check."""
    from kijabi.apiserver.authz.rules import allows

    if not missing(held, wanted) and any(allows(rule, info) for rule in wanted):
        assert any(allows(rule, info) for rule in held)
    assert not missing(held, held)


def binding(name: str, role: str, *who: Subject) -> ClusterRoleBinding:
    ref = RoleRef(apiGroup=GROUP, kind="ClusterRole", name=role)
    return ClusterRoleBinding(metadata=ObjectMeta(name=name), roleRef=ref, subjects=who)


async def test_reasons() -> None:
    rbac = Rbac()
    rbac.start(Objects(*defaults.all_defaults(), binding("lost", "gone", Subject(kind="User", name="jane"))))
    info = RequestInfo(verb="get", path="/healthz")
    user = UserInfo("jane", groups=("system:authenticated",))
    decision = await rbac.authorize(user, info)
    assert decision.allowed
    assert decision.reason.endswith('to Group "system:authenticated"')
    pods = RequestInfo(verb="list", path="", is_resource=True, resource="pods", namespace="y")
    decision = await rbac.authorize(user, pods)
    assert decision.reason == 'RBAC: clusterrole.rbac.authorization.k8s.io "gone" not found'
    masters = UserInfo("root", groups=("system:masters",))
    assert (await Union((rbac,)).authorize(masters, pods)).allowed


async def test_aggregation_follows_labels() -> None:
    reader = Objects(*defaults.all_defaults(), binding("b", "view", Subject(kind="User", name="jane")))
    rbac = Rbac()
    rbac.start(reader)
    user = UserInfo("jane")
    info = RequestInfo(verb="get", path="", is_resource=True, group="acme.io", resource="widgets", namespace="n")
    assert (await rbac.authorize(user, RequestInfo(verb="get", path="", is_resource=True, resource="pods"))).allowed
    assert not (await rbac.authorize(user, info)).allowed
    labels = {f"{GROUP}/aggregate-to-view": "true"}
    more = PolicyRule(verbs=("get",), apiGroups=("acme.io",), resources=("widgets",))
    reader.put(ClusterRole(metadata=ObjectMeta(name="widgets", labels=labels), rules=(more,)))
    assert (await rbac.authorize(user, info)).allowed
    reader.delete(ClusterRole, "widgets")
    assert not (await rbac.authorize(user, info)).allowed


async def test_aggregation_in_a_circle_ends() -> None:
    def role(name: str, label: str, sums: str) -> ClusterRole:
        rule = AggregationRule(clusterRoleSelectors=(LabelSelector(matchLabels={sums: "1"}),))
        meta = ObjectMeta(name=name, labels={label: "1"})
        own = PolicyRule(verbs=("get",), apiGroups=("",), resources=(name,))
        return ClusterRole(metadata=meta, rules=(own,), aggregationRule=rule)

    rbac = Rbac()
    rbac.start(Objects(role("a", "x", "y"), role("b", "y", "x"), binding("b", "a", Subject(kind="User", name="u"))))
    info = RequestInfo(verb="get", path="", is_resource=True, resource="b")
    assert (await rbac.authorize(UserInfo("u"), info)).allowed


async def test_default_roles_suffice_for_components() -> None:
    rbac = Rbac()
    rbac.start(Objects(*defaults.all_defaults()))

    async def may(user: str, verb: str, group: str, resource: str, namespace: str = "", sub: str = "") -> bool:
        info = RequestInfo(
            verb=verb, path="", is_resource=True, group=group, resource=resource, namespace=namespace, subresource=sub
        )
        return (await rbac.authorize(UserInfo(user, groups=("system:authenticated",)), info)).allowed

    manager, scheduler = "system:kube-controller-manager", "system:kube-scheduler"
    assert await may(manager, "create", "", "pods", "x")
    assert await may(manager, "create", "apps", "replicasets", "x")
    assert await may(manager, "update", "apps", "deployments", "x", "status")
    assert await may(manager, "update", "coordination.k8s.io", "leases", "kube-system")
    assert await may(manager, "delete", "example.com", "widgets", "x")
    assert not await may(manager, "create", "rbac.authorization.k8s.io", "clusterrolebindings")
    assert await may(scheduler, "create", "", "pods", "x", "binding")
    assert not await may(scheduler, "create", "", "pods", "x")
    assert await may("system:kube-proxy", "watch", "discovery.k8s.io", "endpointslices")
    assert await may("system:kijabi-dns", "list", "discovery.k8s.io", "endpointslices")
    assert not await may("system:kijabi-dns", "list", "", "secrets")
    assert not await may("jane", "list", "", "pods", "x")


def test_mending_adds_and_keeps() -> None:
    wanted = next(role for role in defaults.cluster_roles() if role.metadata.name == "system:basic-user")
    extra = PolicyRule(verbs=("get",), apiGroups=("",), resources=("pods",))
    there = ClusterRole(metadata=ObjectMeta(name="system:basic-user"), rules=(extra, wanted.rules[0]))
    assert defaults.mended(there, wanted)
    assert extra in there.rules
    assert not missing(there.rules, wanted.rules)
    assert not defaults.mended(there, wanted)
    there.metadata.annotations = {defaults.AUTOUPDATE: "false"}
    there.rules = ()
    assert not defaults.mended(there, wanted)
