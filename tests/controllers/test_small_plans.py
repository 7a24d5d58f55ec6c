"""Namespaces' conditions, node ranges, accounts, certificates, aggregated roles."""

from __future__ import annotations

from datetime import timedelta

import pytest

from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.namespace import Namespace, NamespaceStatus
from kijabi.api.core.serviceaccount import ServiceAccount
from kijabi.api.meta import LabelSelector, ObjectMeta, PartialObjectMetadata, Time
from kijabi.api.rbac.clusterrole import AggregationRule, ClusterRole
from kijabi.api.rbac.role import PolicyRule
from kijabi.api.resource import Resource
from kijabi.controllers import clusterroleaggregation, rootca, serviceaccount
from kijabi.controllers.namespace import Content, conditions_of, grace_left
from kijabi.controllers.nodeipam import Ranges
from tests.controllers.things import NOW, ago, pod

PODS = Resource(group="", version="v1", kind="Pod", plural="pods", type=PartialObjectMetadata)


def test_an_emptied_namespace_says_so() -> None:
    told = {c.type: (c.status, c.reason) for c in conditions_of((), Content(), NOW)}
    assert told == {
        "NamespaceDeletionDiscoveryFailure": ("False", "ResourcesDiscovered"),
        "NamespaceDeletionGroupVersionParsingFailure": ("False", "ParsedGroupVersions"),
        "NamespaceDeletionContentFailure": ("False", "ContentDeleted"),
        "NamespaceContentRemaining": ("False", "ContentRemoved"),
        "NamespaceFinalizersRemaining": ("False", "ContentHasNoFinalizers"),
    }


def test_what_remains_is_named_and_times_change_with_the_status_only() -> None:
    content = Content(failures=["b", "a"])
    content.count(PODS, [PartialObjectMetadata(metadata=ObjectMeta(finalizers=("x", "y"))), PartialObjectMetadata()])
    before = conditions_of((), content, NOW - timedelta(seconds=60))
    assert {c.type: c.message for c in before if c.status == "True"} == {
        "NamespaceDeletionContentFailure": "Failed to delete all resource types, 2 remaining: a, b",
        "NamespaceContentRemaining": "Some resources are remaining: pods. has 2 resource instances",
        "NamespaceFinalizersRemaining": "Some content in the namespace has finalizers remaining: "
        "x in 1 resource instances, y in 1 resource instances",
    }
    assert conditions_of(before, content, NOW) == before
    after = conditions_of(before, Content(), NOW)
    times = {c.type: c.lastTransitionTime for c in after}
    assert times["NamespaceContentRemaining"] == Time.of(NOW)
    assert times["NamespaceDeletionDiscoveryFailure"] == ago(60)


def test_pods_are_given_their_grace() -> None:
    slow, ended = pod("a"), pod("b", phase="Failed")
    slow.spec.terminationGracePeriodSeconds, ended.spec.terminationGracePeriodSeconds = 30, 600
    assert grace_left([slow, ended], ago(10), NOW) == 30
    assert grace_left([slow, ended], ago(31), NOW) == 0
    assert grace_left([], ago(0), NOW) == 0


def test_ranges_go_round_and_are_never_given_twice() -> None:
    ranges = Ranges("10.244.0.0/22", 24)
    ranges.occupy("10.244.1.0/25")
    ranges.occupy("10.96.0.0/16")
    assert [ranges.take() for _ in range(4)] == ["10.244.0.0/24", "10.244.2.0/24", "10.244.3.0/24", None]
    ranges.release("10.244.2.0/24")
    assert ranges.take() == "10.244.2.0/24"
    ranges.release("10.244.0.0/24")
    ranges.release("10.244.2.0/24")
    assert ranges.take() == "10.244.0.0/24", "the one just freed rests"


def test_ranges_within_or_around_the_clusters_are_occupied() -> None:
    ranges = Ranges("10.244.0.0/22", 24)
    ranges.occupy("10.0.0.0/8")
    assert ranges.take() is None
    six = Ranges("fd00:10::/60", 64)
    six.occupy("10.244.0.0/24")
    assert six.take() == "fd00:10::/64"


@pytest.mark.parametrize(("cluster", "prefix"), [("10.244.0.0/24", 16), ("10.0.0.0/24", 33), ("x", 24)])
def test_ranges_that_do_not_fit(cluster: str, prefix: int) -> None:
    with pytest.raises(ValueError, match=r"."):
        Ranges(cluster, prefix)


ACTIVE = Namespace(metadata=ObjectMeta(name="ns"), status=NamespaceStatus(phase="Active"))
GOING = Namespace(metadata=ObjectMeta(name="ns"), status=NamespaceStatus(phase="Terminating"))


def test_accounts() -> None:
    made = serviceaccount.plan(ACTIVE, None)
    assert made is not None
    assert (made.metadata.name, made.metadata.namespace) == ("default", "ns")
    assert serviceaccount.plan(ACTIVE, ServiceAccount()) is None
    assert serviceaccount.plan(GOING, None) is serviceaccount.plan(None, None) is None


def test_certificates() -> None:
    made = rootca.plan(ACTIVE, None, "PEM")
    assert made is not None
    assert made.data == {"ca.crt": "PEM"}
    assert rootca.plan(ACTIVE, made, "PEM") is None
    mended = rootca.plan(ACTIVE, ConfigMap(metadata=ObjectMeta(annotations={"a": "b"}), data={"x": "y"}), "PEM")
    assert mended is not None
    assert (mended.data, mended.metadata.annotations["a"]) == ({"ca.crt": "PEM"}, "b")
    assert rootca.plan(GOING, None, "PEM") is None


def test_aggregated_roles() -> None:
    def role(name: str, *verbs: str, **labels: str) -> ClusterRole:
        return ClusterRole(
            metadata=ObjectMeta(name=name, labels=labels), rules=tuple(PolicyRule(verbs=(verb,)) for verb in verbs)
        )

    selectors = tuple(LabelSelector(matchLabels={key: "true"}) for key in ("one", "two"))
    whole = ClusterRole(
        metadata=ObjectMeta(name="m", labels={"one": "true"}),
        rules=(PolicyRule(verbs=("old",)),),
        aggregationRule=AggregationRule(clusterRoleSelectors=selectors),
    )
    roles = [role("z", "get", two="true"), role("b", "list", "get", one="true"), role("a", "list", one="true"), whole]
    assert [r.verbs for r in clusterroleaggregation.plan(whole, [*roles, role("x", "no")])] == [("list",), ("get",)]
