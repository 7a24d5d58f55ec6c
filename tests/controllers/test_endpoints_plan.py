"""Endpoints objects: subsets, labels, truncation."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from kijabi.api.core.endpoints import EndpointAddress, Endpoints, EndpointSubset
from kijabi.api.core.service import ServicePort
from kijabi.controllers.endpoints import MANAGER, plan, subsets_of, truncated
from tests.controllers.things import pod, service


def shown(subsets: Any) -> list[Any]:
    return [
        ([a.ip for a in s.addresses], [a.ip for a in s.notReadyAddresses], [(p.name, p.port) for p in s.ports])
        for s in subsets
    ]


def test_ready_and_unready_pods_stand_in_one_subset() -> None:
    pods = [pod("c", ip="10.0.0.10"), pod("a", ip="10.0.0.9"), pod("b", ip="10.0.0.2", ready=None)]
    pods += [pod("d", ip="10.0.0.3", deleting=True), pod("e", ip="10.0.0.4", phase="Failed"), pod("f", ip="")]
    (subset,) = subsets = subsets_of(service(), pods)
    assert shown(subsets) == [(["10.0.0.9", "10.0.0.10"], ["10.0.0.2"], [("http", 8080)])]
    address = subset.addresses[0]
    assert (address.nodeName, address.hostname) == ("n1", "")
    assert address.targetRef is not None
    assert (address.targetRef.kind, address.targetRef.uid) == ("Pod", "uid-a")


def test_unready_addresses_are_published_on_request() -> None:
    pods = [pod("b", ip="10.0.0.2", ready=None), pod("d", ip="10.0.0.3", deleting=True)]
    subsets = subsets_of(service(publishNotReadyAddresses=True), pods)
    assert shown(subsets) == [(["10.0.0.2", "10.0.0.3"], [], [("http", 8080)])]


def test_services_without_ports() -> None:
    pods = [pod("a", spec={"hostname": "h", "subdomain": "web"})]
    headless = subsets_of(service(clusterIP="None", ports=()), pods)
    assert shown(headless) == [(["10.0.0.1"], [], [])]
    assert headless[0].addresses[0].hostname == "h"
    assert subsets_of(service(ports=()), pods) == ()
    unknown = (ServicePort(name="http", protocol="TCP", port=80, targetPort="web"),)
    assert subsets_of(service(ports=unknown), pods) == ()


def test_labels_and_annotations() -> None:
    made = plan(service(), [pod("a")], None, "2025-03-01T12:00:00Z")
    assert made is not None
    assert (made.metadata.name, made.metadata.namespace) == ("web", "ns")
    assert made.metadata.labels == {"team": "a", "endpoints.kubernetes.io/managed-by": MANAGER}
    assert made.metadata.annotations == {"endpoints.kubernetes.io/last-change-trigger-time": "2025-03-01T12:00:00Z"}
    assert plan(service(), [pod("a")], made, "") is None
    headless = plan(service(clusterIP="None"), [pod("a")], made, "")
    assert headless is not None
    assert headless.metadata.labels["service.kubernetes.io/headless"] == ""
    assert headless.metadata.annotations == {}, "the time of an earlier change does not stay"


def subset(ready: int, unready: int) -> EndpointSubset:
    return EndpointSubset(
        addresses=tuple(EndpointAddress(ip=f"r{n}") for n in range(ready)),
        notReadyAddresses=tuple(EndpointAddress(ip=f"n{n}") for n in range(unready)),
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([(3, 3)], [(3, 3)]),
        ([(8, 6)], [(8, 2)]),
        ([(12, 6)], [(10, 0)]),
        ([(6, 0), (6, 9)], [(5, 0), (5, 0)]),
        ([(3, 3), (3, 9)], [(3, 1), (3, 3)]),
        ([(1, 1), (30, 0)], [(1, 0), (9, 0)]),
    ],
)
def test_at_most_so_many_ready_ones_first(before: list[tuple[int, int]], after: list[tuple[int, int]]) -> None:
    kept = truncated([subset(*sizes) for sizes in before], 10)
    assert [(len(s.addresses), len(s.notReadyAddresses)) for s in kept] == after


def test_over_capacity_is_said_and_taken_back() -> None:
    many = [pod(f"p{n:04}", ip=f"10.0.{n // 250}.{n % 250 + 1}") for n in range(1001)]
    made = plan(service(), many, None, "")
    assert made is not None
    assert made.metadata.annotations == {"endpoints.kubernetes.io/over-capacity": "truncated"}
    assert plan(service(), many, made, "") is None
    fewer = plan(service(), many[:1000], made, "")
    assert isinstance(fewer, Endpoints)
    assert fewer.metadata.annotations == {}
    assert replace(fewer, subsets=()) == replace(made, metadata=fewer.metadata, subsets=())
