"""The roles and bindings that every cluster has: made at first start, mended at every start.

Reads the tables of `default_roles.py` and `default_controller_roles.py`. `app.py` calls `ensure` once the
store is open; the Node authorizer takes the rules of `system:node` from here. Mending follows upstream's
reconciliation (k8s.io/kubernetes `pkg/registry/rbac/rest`): rights and subjects that are missing are added,
what an operator added stays, and an object annotated `rbac.authorization.kubernetes.io/autoupdate: "false"`
is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from kijabi.api.meta import LabelSelector, ObjectMeta
from kijabi.api.rbac.clusterrole import AggregationRule, ClusterRole
from kijabi.api.rbac.clusterrolebinding import ClusterRoleBinding
from kijabi.api.rbac.role import PolicyRule, Role
from kijabi.api.rbac.rolebinding import RoleBinding, RoleRef, Subject
from kijabi.apiserver.authz import default_roles as tables
from kijabi.apiserver.authz.default_controller_roles import CONTROLLER_ROLES
from kijabi.apiserver.authz.rbac import aggregate
from kijabi.apiserver.authz.rules import missing

GROUP = "rbac.authorization.k8s.io"
AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
CONTROLLERS = "system:kijabi:controllers"
_CONTROLLER = "system:controller:"
_READ = ("get", "list", "watch")
_WRITE = ("create", "delete", "deletecollection", "patch", "update")
_VERBS = {"read": _READ, "write": _WRITE, "all": tuple(sorted(_READ + _WRITE))}
_EVENTS = PolicyRule(verbs=("create", "patch", "update"), apiGroups=("", "events.k8s.io"), resources=("events",))


class _Entry(NamedTuple):
    """One role of a table: its name, its `key=value` options, its rules."""

    name: str
    options: dict[str, str]
    rules: tuple[PolicyRule, ...]


def _entries(table: str) -> Iterator[_Entry]:
    text = table.strip("\n").replace("\n    ", "")
    for block in text.replace("\n  ", "\0").split("\n"):
        head, *rules = block.split("\0")
        name, *options = head.split()
        yield _Entry(name, dict(each.split("=", 1) for each in options), tuple(map(_rule, rules)))


def _rule(line: str) -> PolicyRule:
    if line == "events":
        return _EVENTS
    words = [tuple(word.split(",")) for word in line.split(" ")]
    verbs = _VERBS.get(words[0][0], words[0])
    if words[1] == ("url",):
        return PolicyRule(verbs=verbs, nonResourceURLs=words[2])
    groups = tuple("" if group == "core" else group for group in words[1])
    names = words[3] if len(words) > 3 else ()
    return PolicyRule(verbs=verbs, apiGroups=groups, resources=words[2], resourceNames=names)


def _metadata(name: str, namespace: str = "", adds_to: str = "") -> ObjectMeta:
    labels = {"kubernetes.io/bootstrapping": "rbac-defaults"}
    if adds_to:
        labels[f"{GROUP}/aggregate-to-{adds_to}"] = "true"
    return ObjectMeta(name=name, namespace=namespace, labels=labels, annotations={AUTOUPDATE: "true"})


def _cluster_role(entry: _Entry, prefix: str = "") -> ClusterRole:
    role = ClusterRole(
        metadata=_metadata(prefix + entry.name, adds_to=entry.options.get("adds-to", "")), rules=entry.rules
    )
    if "sums" in entry.options:
        selector = LabelSelector(matchLabels={f"{GROUP}/aggregate-to-{entry.options['sums']}": "true"})
        role.aggregationRule = AggregationRule(clusterRoleSelectors=(selector,))
    return role


def cluster_roles() -> list[ClusterRole]:
    """All default ClusterRoles; those that aggregate carry the sum already."""
    controllers = [_cluster_role(entry, _CONTROLLER) for entry in _entries(CONTROLLER_ROLES)]
    roles = [_cluster_role(entry) for entry in _entries(tables.CLUSTER_ROLES + tables.OWN_CLUSTER_ROLES.lstrip())]
    union = dict.fromkeys(line for line in _rule_lines(CONTROLLER_ROLES))
    roles.append(ClusterRole(metadata=_metadata(CONTROLLERS), rules=tuple(map(_rule, union))))
    roles += controllers
    for role in roles:
        if role.aggregationRule is not None:
            role.rules = aggregate(role, roles)
    return roles


def _rule_lines(table: str) -> Iterator[str]:
    for line in table.strip("\n").replace("\n    ", "").split("\n"):
        if line.startswith("  "):
            yield line.strip()


def roles() -> list[Role]:
    """The default Roles of kube-system and kube-public."""
    return [
        Role(metadata=_metadata(entry.name, entry.options["in"]), rules=entry.rules)
        for entry in _entries(tables.NAMESPACE_ROLES)
    ]


def _subject(text: str) -> Subject:
    kind, _, name = text.partition(":")
    if kind == "sa":
        namespace, _, account = name.partition("/")
        return Subject(kind="ServiceAccount", namespace=namespace, name=account)
    return Subject(kind={"user": "User", "group": "Group"}[kind], apiGroup=GROUP, name=name)


def cluster_role_bindings() -> list[ClusterRoleBinding]:
    """All default ClusterRoleBindings, each controller's among them."""
    bindings = []
    for line in tables.CLUSTER_ROLE_BINDINGS.strip().splitlines():
        name, role, *subjects = line.split()
        bindings.append(_cluster_binding(name, name if role == "=" else role, subjects))
    for entry in _entries(CONTROLLER_ROLES):
        name = _CONTROLLER + entry.name
        bindings.append(_cluster_binding(name, name, [f"sa:kube-system/{entry.name}"]))
    return bindings


def _cluster_binding(name: str, role: str, subjects: Iterable[str]) -> ClusterRoleBinding:
    return ClusterRoleBinding(
        metadata=_metadata(name),
        roleRef=RoleRef(apiGroup=GROUP, kind="ClusterRole", name=role),
        subjects=tuple(map(_subject, subjects)),
    )


def role_bindings() -> list[RoleBinding]:
    """The default RoleBindings of kube-system and kube-public."""
    bindings = []
    for line in tables.ROLE_BINDINGS.strip().replace("\n  ", " ").splitlines():
        name, where, role, *subjects = line.split()
        bindings.append(
            RoleBinding(
                metadata=_metadata(name, where.removeprefix("in=")),
                roleRef=RoleRef(apiGroup=GROUP, kind="Role", name=name if role == "=" else role),
                subjects=tuple(map(_subject, subjects)),
            )
        )
    return bindings


def node_rules() -> tuple[PolicyRule, ...]:
    """What every kubelet may do, before the Node authorizer narrows it."""
    return next(entry.rules for entry in _entries(tables.CLUSTER_ROLES) if entry.name == "system:node")


Default = ClusterRole | Role | ClusterRoleBinding | RoleBinding


def all_defaults() -> list[Default]:
    """Everything, in the order in which it can be created."""
    return [*cluster_roles(), *roles(), *cluster_role_bindings(), *role_bindings()]


def mended(there: Default, wanted: Default) -> bool:
    """Add to a stored object (a private copy) what the default has and it lacks; True if that changed it."""
    if (there.metadata.annotations or {}).get(AUTOUPDATE) == "false":
        return False
    changed = False
    for field in ("labels", "annotations"):
        have: dict[str, str] = getattr(there.metadata, field) or {}
        lacking = {k: v for k, v in (getattr(wanted.metadata, field) or {}).items() if k not in have}
        if lacking:
            setattr(there.metadata, field, {**have, **lacking})
            changed = True
    if isinstance(there, Role | ClusterRole) and isinstance(wanted, Role | ClusterRole):
        lacking_rules = missing(there.rules, wanted.rules) if there.rules != wanted.rules else []
        there.rules += tuple(lacking_rules)
        return changed or bool(lacking_rules)
    if isinstance(there, RoleBinding | ClusterRoleBinding) and isinstance(wanted, RoleBinding | ClusterRoleBinding):
        lacking_subjects = tuple(each for each in wanted.subjects if each not in there.subjects)
        there.subjects += lacking_subjects
        return changed or bool(lacking_subjects)
    return changed
