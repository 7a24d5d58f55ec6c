"""In which order groups, and the versions of a group, are listed: by the priorities that their APIServices state.

`registration.py` gives the built-in ones to their APIServices, `apiserver/discovery.py` sorts by them. The numbers
are those of k8s.io/kubernetes `cmd/kube-apiserver/app/aggregator.go`, because clients choose among groups by this
order.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Rank(NamedTuple):
    """The higher comes first. group: groupPriorityMinimum; version: versionPriority."""

    group: int
    version: int


CUSTOM = Rank(1000, 100)  # of every version of custom resources
METRICS = Rank(100, 100)  # as the metrics server registers itself
_FIRST = "apiregistration.k8s.io"  # has no APIService, and comes before all that have one
_GROUPS = {
    _FIRST: 20001,
    "": 18000,
    "apps": 17800,
    "events.k8s.io": 17750,
    "authentication.k8s.io": 17700,
    "authorization.k8s.io": 17600,
    "autoscaling": 17500,
    "batch": 17400,
    "certificates.k8s.io": 17300,
    "networking.k8s.io": 17200,
    "policy": 17100,
    "rbac.authorization.k8s.io": 17000,
    "storage.k8s.io": 16800,
    "apiextensions.k8s.io": 16700,
    "admissionregistration.k8s.io": 16700,
    "scheduling.k8s.io": 16600,
    "coordination.k8s.io": 16500,
    "node.k8s.io": 16300,
    "discovery.k8s.io": 16200,
    "resource.k8s.io": 16200,
    "flowcontrol.apiserver.k8s.io": 16100,
    "internal.apiserver.k8s.io": 16000,
    "storagemigration.k8s.io": 15800,
    "metrics.k8s.io": METRICS.group,
}
_VERSIONS = {
    ("", "v1"): 1,
    ("autoscaling", "v2"): 30,
    ("resource.k8s.io", "v1"): 21,
    ("flowcontrol.apiserver.k8s.io", "v1"): 21,
    ("metrics.k8s.io", "v1"): 200,
    ("metrics.k8s.io", "v1beta1"): METRICS.version,
}
_ALPHA, _BETA, _STABLE = 1, 9, 15  # where upstream's list says nothing else
_KUBE_LIKE = re.compile(r"v([1-9][0-9]*)(?:(alpha|beta)([1-9][0-9]*))?")


def builtin(group: str, version: str) -> Rank | None:
    """The rank of what this server brings along; None for other groups."""
    found = _GROUPS.get(group)
    if found is None:
        return None
    usual = _ALPHA if "alpha" in version else _BETA if "beta" in version else _STABLE
    return Rank(found, _VERSIONS.get((group, version), usual))


def has_service(group: str) -> bool:
    """Whether a built-in group has an APIService: all but the one that APIServices are in."""
    return group != _FIRST


def version_order(version: str) -> tuple[int, int, int, str]:
    """A key that sorts versions as Kubernetes does, the best first: v2, v1, v1beta2, v1beta1, v1alpha1, then others.

    (k8s.io/apimachinery `pkg/version` CompareKubeAwareVersionStrings)
    """
    match = _KUBE_LIKE.fullmatch(version)
    if match is None:
        return (3, 0, 0, version)
    major, kind, minor = match.groups()
    return ({None: 0, "beta": 1, "alpha": 2}[kind], -int(major), -int(minor or 0), "")
