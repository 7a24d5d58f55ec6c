"""The specs of the flow schemas and priority levels that every cluster has: whose requests are served before whose.

Plain values. The rules of both kinds read here what the mandatory ones must be; the API server makes and mends the
objects (`apiserver/flowdefaults.py`), and falls back on the mandatory ones when they are not there. Source: KEP-1040,
k8s.io/apiserver `pkg/apis/flowcontrol/bootstrap`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

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


def _level(shares: int, lent: int, queues: tuple[int, int] | None) -> dict[str, Any]:
    response: dict[str, Any] = {"type": "Reject"}
    if queues is not None:
        queuing = {"queues": queues[0], "handSize": queues[1], "queueLengthLimit": QUEUE_LENGTH}
        response = {"type": "Queue", "queuing": queuing}
    limited = {"nominalConcurrencyShares": shares, "lendablePercent": lent, "limitResponse": response}
    return {"type": "Limited", "limited": limited}


@cache
def levels() -> dict[str, dict[str, Any]]:
    """The spec of each priority level, by name; shared."""
    exempt = {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}}
    return {"exempt": exempt} | {name: _level(*more) for name, *more in LEVELS}  # type: ignore[arg-type]


@cache
def schemas() -> dict[str, dict[str, Any]]:
    """The spec of each flow schema, by name; shared."""
    found: dict[str, dict[str, Any]] = {}
    for name, level, precedence, flows, subjects, rules in SCHEMAS:
        spec: dict[str, Any] = {
            "priorityLevelConfiguration": {"name": level},
            "matchingPrecedence": precedence,
            "rules": [{"subjects": subjects, **rules}],
        }
        if flows:
            spec["distinguisherMethod"] = {"type": flows}
        found[name] = spec
    return found
