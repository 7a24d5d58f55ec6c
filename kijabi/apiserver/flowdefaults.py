"""The flow schemas and priority levels that every cluster has: whose requests are served before whose.

`bootstrap.py` places them at start: the mandatory ones (exempt, catch-all) are as they must be, the suggested ones
follow new versions unless their annotation says otherwise. Source: KEP-1040, k8s.io/apiserver
`pkg/apis/flowcontrol/bootstrap`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from kijabi.api import codec
from kijabi.api.flowcontrol.flowschema import FlowSchema
from kijabi.api.flowcontrol.prioritylevelconfiguration import PriorityLevelConfiguration

AUTO_UPDATE = "apf.kubernetes.io/autoupdate-spec"
MANDATORY = ("exempt", "catch-all")
ALL = ["*"]
EVERYBODY = ("system:unauthenticated", "system:authenticated")
# Name, shares of concurrency, per cent that others may borrow, (queues, hand size) where requests wait.
LEVELS: tuple[tuple[str, int, int, tuple[int, int] | None], ...] = (
    ("catch-all", 5, 0, None),
    ("system", 30, 33, (64, 6)),
    ("node-high", 40, 25, (64, 6)),
    ("leader-election", 10, 0, (16, 4)),
    ("workload-high", 40, 50, (128, 6)),
    ("workload-low", 100, 90, (128, 6)),
    ("global-default", 20, 50, (128, 6)),
)
QUEUE_LENGTH = 50


def _groups(*names: str) -> list[dict[str, Any]]:
    return [{"kind": "Group", "group": {"name": name}} for name in names]


def _users(*names: str) -> list[dict[str, Any]]:
    return [{"kind": "User", "user": {"name": name}} for name in names]


_SYSTEM_ACCOUNTS = [{"kind": "ServiceAccount", "serviceAccount": {"name": "*", "namespace": "kube-system"}}]


def _on(verbs: list[str], group: str, resources: list[str], cluster: bool = False) -> dict[str, Any]:
    return {
        "verbs": verbs, "apiGroups": [group], "resources": resources, "namespaces": ALL, "clusterScope": cluster,
    }  # fmt: skip


_EVERYTHING = {
    "resourceRules": [_on(ALL, "*", ALL, cluster=True)],
    "nonResourceRules": [{"verbs": ALL, "nonResourceURLs": ALL}],
}
_LEASES = _on(["get", "create", "update"], "coordination.k8s.io", ["leases"])
_OWN_NODE = [
    _on(ALL, "", ["nodes", "nodes/status"], cluster=True),
    _on(ALL, "coordination.k8s.io", ["leases"]),
]
_PROBES = [{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]}]
# Name, priority level, precedence, what tells flows apart, whose requests, to what.
SCHEMAS: tuple[tuple[str, str, int, str, list[dict[str, Any]], dict[str, Any]], ...] = (
    ("exempt", "exempt", 1, "", _groups("system:masters"), _EVERYTHING),
    ("probes", "exempt", 2, "", _groups(*EVERYBODY), {"nonResourceRules": _PROBES}),
    (
        "system-leader-election", "leader-election", 100, "ByUser",
        _users("system:kube-controller-manager", "system:kube-scheduler") + _SYSTEM_ACCOUNTS,
        {"resourceRules": [_LEASES]},
    ),
    ("system-node-high", "node-high", 400, "ByUser", _groups("system:nodes"), {"resourceRules": _OWN_NODE}),
    ("system-nodes", "system", 500, "ByUser", _groups("system:nodes"), _EVERYTHING),
    (
        "kube-controller-manager", "workload-high", 800, "ByNamespace",
        _users("system:kube-controller-manager"), _EVERYTHING,
    ),
    ("kube-scheduler", "workload-high", 800, "ByNamespace", _users("system:kube-scheduler"), _EVERYTHING),
    ("kube-system-service-accounts", "workload-high", 900, "ByNamespace", _SYSTEM_ACCOUNTS, _EVERYTHING),
    ("service-accounts", "workload-low", 9000, "ByUser", _groups("system:serviceaccounts"), _EVERYTHING),
    ("global-default", "global-default", 9900, "ByUser", _groups(*EVERYBODY), _EVERYTHING),
    ("catch-all", "catch-all", 10000, "ByUser", _groups(*EVERYBODY), _EVERYTHING),
)  # fmt: skip


def _level(name: str, shares: int, lent: int, queues: tuple[int, int] | None) -> dict[str, Any]:
    response: dict[str, Any] = {"type": "Reject"}
    if queues is not None:
        queuing = {"queues": queues[0], "handSize": queues[1], "queueLengthLimit": QUEUE_LENGTH}
        response = {"type": "Queue", "queuing": queuing}
    limited = {"nominalConcurrencyShares": shares, "lendablePercent": lent, "limitResponse": response}
    return _named(name, {"type": "Limited", "limited": limited})


def _named(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": name, "annotations": {AUTO_UPDATE: "true"}}, "spec": spec}


@cache
def all_defaults() -> tuple[PriorityLevelConfiguration | FlowSchema, ...]:
    """All objects, levels before the schemas that name them; shared: clone before you write."""
    exempt = {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}}
    levels = [_named("exempt", exempt), *(_level(*each) for each in LEVELS)]
    made: list[PriorityLevelConfiguration | FlowSchema] = [
        codec.from_builtins(PriorityLevelConfiguration, each) for each in levels
    ]
    made.extend(codec.from_builtins(FlowSchema, each) for each in _schemas())
    return tuple(made)


def _schemas() -> Iterator[dict[str, Any]]:
    for name, level, precedence, flows, subjects, rules in SCHEMAS:
        spec: dict[str, Any] = {
            "priorityLevelConfiguration": {"name": level},
            "matchingPrecedence": precedence,
            "rules": [{"subjects": subjects, **rules}],
        }
        if flows:
            spec["distinguisherMethod"] = {"type": flows}
        yield _named(name, spec)


def mend(there: Any, wanted: Any) -> bool:
    """Put a spec right that may not differ, or whose author left it to us."""
    own = there.metadata
    if there.spec == wanted.spec or (own.name not in MANDATORY and own.annotations.get(AUTO_UPDATE) != "true"):
        return False
    there.spec = wanted.spec
    return True
