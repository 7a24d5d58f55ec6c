"""Role-based access control: who may do what, by roles and the bindings that give them to people.

Receives roles and bindings from the watch caches (through `Reader.subscribe`, event by event) and keeps them
indexed by subject, so that a request is answered by looking at the few bindings that concern its user.
`union.py` asks `authorize`; `escalation.py` and the access reviews ask `rules_for`. Semantics:
k8s.io/kubernetes `plugin/pkg/auth/authorizer/rbac` and `pkg/registry/rbac/validation`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from kijabi.api import gotext
from kijabi.api.gotext import quote
from kijabi.api.rbac.clusterrole import ClusterRole
from kijabi.api.rbac.clusterrolebinding import ClusterRoleBinding
from kijabi.api.rbac.role import PolicyRule, Role
from kijabi.api.rbac.rolebinding import RoleBinding, RoleRef, Subject
from kijabi.api.selector import from_label_selector
from kijabi.apiserver.attributes import Decision, Reader, RequestInfo, UserInfo
from kijabi.apiserver.authz.rules import ALL, Resolved, allows

Binding = RoleBinding | ClusterRoleBinding


class _Grant(NamedTuple):
    """What a binding gives to one of its subjects: a role, seen from a namespace ("" for cluster-wide)."""

    role: RoleRef
    namespace: str
    name: str
    reason: str


_Grants = dict[str, dict[str, _Grant]]  # subject → name of the binding → grant


class _Rules:
    """A role's rules, found by verb."""

    __slots__ = ("_any", "_by_verb", "rules")

    def __init__(self, rules: Sequence[PolicyRule]) -> None:
        self.rules = tuple(rules)
        self._any = tuple(rule for rule in self.rules if ALL in rule.verbs)
        verbs = {verb for rule in self.rules for verb in rule.verbs}
        self._by_verb = {
            verb: tuple(rule for rule in self.rules if verb in rule.verbs or ALL in rule.verbs) for verb in verbs
        }

    def of(self, verb: str) -> tuple[PolicyRule, ...]:
        """Those that permit a verb."""
        return self._by_verb.get(verb, self._any)


class Rbac:
    """The evaluator, with its index. `start` subscribes it to the watch caches."""

    def __init__(self) -> None:
        self._roles: dict[tuple[str, str], _Rules] = {}  # ("", name) is a ClusterRole
        self._aggregating: dict[str, ClusterRole] = {}
        self._cluster_roles: dict[str, ClusterRole] = {}
        self._grants: dict[str, _Grants] = {}  # by namespace ("" for cluster-wide)

    def start(self, reader: Reader) -> None:
        """Follow roles and bindings from now on."""
        reader.subscribe(ClusterRole, self.cluster_role_changed)
        reader.subscribe(Role, self.role_changed)
        reader.subscribe(ClusterRoleBinding, self.binding_changed)
        reader.subscribe(RoleBinding, self.binding_changed)

    def role_changed(self, old: Role | None, new: Role | None) -> None:
        """A Role was written or deleted."""
        if new is not None:
            self._roles[new.metadata.namespace, new.metadata.name] = _Rules(new.rules)
        elif old is not None:
            self._roles.pop((old.metadata.namespace, old.metadata.name), None)

    def cluster_role_changed(self, old: ClusterRole | None, new: ClusterRole | None) -> None:
        """A ClusterRole was written or deleted. A role that aggregates others takes their rules in here too,
        so that authorisation is right before anybody has written them down."""
        role = new or old
        if role is None:
            return
        name = role.metadata.name
        aggregates = self._aggregating.pop(name, None) is not None
        self._cluster_roles.pop(name, None)
        self._roles.pop(("", name), None)
        if new is not None:
            self._cluster_roles[name] = new
            self._roles["", name] = _Rules(new.rules)
            if new.aggregationRule is not None:
                self._aggregating[name] = new
                aggregates = True
        parts = [each for each in (old, new) if each is not None and each.metadata.labels]
        if aggregates or any(_aggregated(sum_, parts) for sum_ in self._aggregating.values()):
            for sum_ in self._aggregating.values():
                self._roles["", sum_.metadata.name] = _Rules(aggregate(sum_, self._cluster_roles.values()))

    def binding_changed(self, old: Binding | None, new: Binding | None) -> None:
        """A RoleBinding or ClusterRoleBinding was written or deleted."""
        if old is not None:
            namespace, name = old.metadata.namespace, old.metadata.name
            subjects = self._grants.get(namespace, {})
            for _, key in _subject_keys(old.subjects, namespace):
                named = subjects.get(key, {})
                named.pop(name, None)
                if not named:
                    subjects.pop(key, None)
        if new is not None:
            namespace, name = new.metadata.namespace, new.metadata.name
            for subject, key in _subject_keys(new.subjects, namespace):
                reason = f"RBAC: allowed by {_describe(new, subject)}"
                grant = _Grant(new.roleRef, namespace, name, reason)
                self._grants.setdefault(namespace, {}).setdefault(key, {}).setdefault(name, grant)

    def _applying(self, user: UserInfo, namespace: str) -> Iterator[_Grant]:
        """What a user has in a namespace, cluster-wide grants first."""
        keys = [f"User {user.name}", *(f"Group {group}" for group in user.groups)]
        for scope in ("", namespace) if namespace else ("",):
            subjects = self._grants.get(scope)
            if subjects:
                for key in keys:
                    if key in subjects:
                        yield from subjects[key].values()

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        """Whether some rule of some binding allows it; the reason names the binding, or roles that are
        gone."""
        problems: list[str] = []
        for grant in self._applying(user, info.namespace):
            rules = self._rules_of(grant.role, grant.namespace)
            if rules is None:
                problem = _role_not_found(grant.role)
                if problem not in problems:
                    problems.append(problem)
                continue
            for rule in rules.of(info.verb):
                if allows(rule, info):
                    return Decision(True, grant.reason)
        if not problems:
            return Decision(False)
        return Decision(False, "RBAC: " + (problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"))

    def rules_for(self, user: UserInfo, namespace: str) -> tuple[list[PolicyRule], list[str]]:
        """All rules that a user has in a namespace, and what could not be resolved."""
        rules: list[PolicyRule] = []
        problems: list[str] = []
        seen: set[tuple[str, str]] = set()
        for grant in self._applying(user, namespace):
            if (grant.namespace, grant.name) in seen:
                continue
            seen.add((grant.namespace, grant.name))
            found = self._rules_of(grant.role, grant.namespace)
            if found is None:
                problems.append(_role_not_found(grant.role))
            else:
                rules += found.rules
        return rules, list(dict.fromkeys(problems))

    def rules_of(self, user: UserInfo, namespace: str) -> Resolved:
        """See Resolver."""
        rules, problems = self.rules_for(user, namespace)
        return Resolved(tuple(rules), errors=(gotext.aggregate(problems),) if problems else ())

    def role_rules(self, ref: RoleRef, namespace: str) -> tuple[PolicyRule, ...] | None:
        """The rules of a role that a binding in a namespace ("" for cluster-wide) refers to; None if there is
        no such role."""
        found = self._rules_of(ref, namespace)
        return None if found is None else found.rules

    def _rules_of(self, ref: RoleRef, namespace: str) -> _Rules | None:
        if ref.kind == "ClusterRole":
            return self._roles.get(("", ref.name))
        if ref.kind == "Role" and namespace:
            return self._roles.get((namespace, ref.name))
        return None


def aggregate(role: ClusterRole, roles: Collection[ClusterRole]) -> tuple[PolicyRule, ...]:
    """The rules of a role together with those of all that its aggregationRule selects, themselves
    aggregated."""
    rules: dict[bytes, PolicyRule] = {}
    seen: set[str] = set()
    todo = [role]
    while todo:
        current = todo.pop(0)
        if current.metadata.name in seen:
            continue
        seen.add(current.metadata.name)
        for rule in current.rules:
            rules.setdefault(msgspec.json.encode(rule), rule)
        todo += _aggregated(current, roles)
    return tuple(rules.values())


def _aggregated(role: ClusterRole, roles: Iterable[ClusterRole]) -> list[ClusterRole]:
    """Those of some roles that a role's aggregationRule selects."""
    if role.aggregationRule is None:
        return []
    selectors = [from_label_selector(selector) for selector in role.aggregationRule.clusterRoleSelectors]
    return [part for part in roles if any(selector.matches(part.metadata.labels or {}) for selector in selectors)]


def _subject_keys(subjects: Iterable[Subject], namespace: str) -> Iterator[tuple[Subject, str]]:
    """Each subject with its key in the index; a service account counts as the user name that its tokens carry."""
    for subject in subjects:
        if subject.kind in ("User", "Group"):
            yield subject, f"{subject.kind} {subject.name}"
        elif subject.kind == "ServiceAccount" and (subject.namespace or namespace):
            yield subject, f"User system:serviceaccount:{subject.namespace or namespace}:{subject.name}"


def _role_not_found(ref: RoleRef) -> str:
    return f"{ref.kind.lower()}.rbac.authorization.k8s.io {quote(ref.name)} not found"


def _describe(binding: Binding, subject: Subject) -> str:
    """The binding as upstream's reason names it; namespaced things are written name/namespace there."""
    namespace, name = binding.metadata.namespace, binding.metadata.name
    kind = "RoleBinding" if namespace else "ClusterRoleBinding"
    where = f"{name}/{namespace}" if namespace else name
    who = subject.name
    if subject.kind == "ServiceAccount":
        who = f"{subject.name}/{subject.namespace or namespace}"
    ref = binding.roleRef
    return f"{kind} {quote(where)} of {ref.kind} {quote(ref.name)} to {subject.kind} {quote(who)}"
