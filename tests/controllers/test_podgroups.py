"""Which pods keep a pod group, when it goes, and that nothing is followed where there are no groups."""

from __future__ import annotations

from typing import Any

import pytest

from kijabi.api import catalog
from kijabi.api.core.pod import Pod, PodSchedulingGroup
from kijabi.api.meta import ObjectMeta
from kijabi.api.scheduling.podgroup import FINALIZER, PodGroup
from kijabi.client.client import Client
from kijabi.client.informer import Informers
from kijabi.controllers.config import Config
from kijabi.controllers.podgroupprotection import PodGroupProtection, going, in_group
from kijabi.controllers.runtime import Context
from kijabi.testing.direct import Direct
from tests.controllers.things import ago


def pod(phase: str = "Running", uid: str = "u", group: str | None = "g") -> Pod:
    """The pod p, of a group."""
    made = Pod(metadata=ObjectMeta(name="p", namespace="ns", uid=uid))
    made.spec.schedulingGroup = PodSchedulingGroup(podGroupName=group) if group is not None else None
    made.status.phase = phase
    return made


def controller(*, served: bool = True) -> PodGroupProtection:
    client = Client(Direct(lambda: None))
    resources = [catalog.by_type(PodGroup)] if served else [catalog.by_type(Pod)]
    return PodGroupProtection(Context(Config(root_ca="", host="h"), client, Informers(client), resources))


@pytest.mark.parametrize(
    ("one", "kept"),
    [
        (pod(), ("ns/g",)),
        (pod("Pending"), ("ns/g",)),
        (pod("Succeeded"), ()),
        (pod("Failed"), ()),
        (pod(group=None), ()),
    ],
)
def test_a_pod_keeps_its_group_until_it_has_ended(one: Pod, kept: tuple[str, ...]) -> None:
    assert in_group(one) == kept


@pytest.mark.parametrize(
    ("old", "new", "keys"),
    [
        (None, pod(), ()),
        (None, pod("Failed"), ("ns/g",)),
        (pod(), pod(), ()),
        (pod(), pod("Succeeded"), ("ns/g",)),
        (pod(), None, ("ns/g",)),
        (pod(), pod(uid="other", group="h"), ("ns/g",)),
        (pod(group=None), None, ()),
    ],
)
def test_what_a_pod_that_leaves_wakes(old: Pod | None, new: Pod | None, keys: tuple[str, ...]) -> None:
    _, pods = controller().sources()
    assert tuple(pods.keys(old, new)) == keys


@pytest.mark.parametrize(
    ("meta", "wanted"),
    [
        ({}, False),
        ({"finalizers": (FINALIZER,)}, False),
        ({"finalizers": ("example.com/other",), "deletionTimestamp": ago(1)}, False),
        ({"finalizers": (FINALIZER,), "deletionTimestamp": ago(1)}, True),
    ],
)
def test_only_groups_that_wait_for_it_are_work(meta: dict[str, Any], wanted: bool) -> None:
    group = PodGroup(metadata=ObjectMeta(name="g", namespace="ns", **meta))
    assert going(group) == wanted
    groups, _ = controller().sources()
    assert tuple(groups.keys(None, group)) == (("ns/g",) if wanted else ())
    assert tuple(groups.keys(group, None)) == ()


def test_nothing_is_followed_where_there_are_no_groups() -> None:
    assert controller(served=False).sources() == ()
