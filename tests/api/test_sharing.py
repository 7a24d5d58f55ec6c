"""Sharing equal parts of cached objects changes what they cost, not what they say."""

from __future__ import annotations

from random import Random

import pytest

from kijabi.api import catalog, codec, sharing
from kijabi.api.core.container import Container
from kijabi.api.core.pod import Pod, PodSpec
from kijabi.api.meta import Object, ObjectMeta, OwnerReference
from kijabi.api.sharing import Sharing
from tests.api.samples import sample

OBJECTS = sorted((resource.type for resource in catalog.RESOURCES if issubclass(resource.type, Object)), key=str)


def pod(name: str) -> Pod:
    """A pod as decoded: nothing of it is shared with another."""
    meta = ObjectMeta(name=name, namespace="here", labels={"app": "web"}, ownerReferences=(OwnerReference(uid="u"),))
    spec = PodSpec(containers=(Container(name="c", image="nginx"),), nodeName="node-1")
    return codec.clone(Pod(metadata=meta, spec=spec))


def test_stamped_objects_share_their_parts() -> None:
    shared = Sharing()
    first, second = pod("a"), pod("b")
    assert first.spec.containers is not second.spec.containers
    for each in (first, second):
        shared.share(each)
    assert first.spec.containers is second.spec.containers
    assert first.metadata.ownerReferences is second.metadata.ownerReferences
    assert first.metadata.namespace is second.metadata.namespace
    assert first.metadata.labels["app"] is second.metadata.labels["app"]
    assert (first.metadata.name, second.metadata.name) == ("a", "b")


@pytest.mark.parametrize("cls", OBJECTS, ids=lambda cls: f"{cls.__module__}".removeprefix("kijabi.api."))
def test_an_object_says_the_same_afterwards(cls: type[Object]) -> None:
    shared = Sharing()
    for seed in range(3):
        obj = codec.from_builtins(cls, sample(cls, Random(seed)))
        before = codec.encode(obj)
        shared.share(obj)
        shared.share(obj)
        assert codec.encode(obj) == before


def test_the_tables_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "MAX_TEXTS", 10)
    monkeypatch.setattr(sharing, "MAX_PARTS", 10)
    shared = Sharing()
    for i in range(50):
        one = pod("a")
        one.metadata.labels = {"i": str(i)}
        one.spec.containers = (Container(name=str(i)),)
        shared.share(one)
    assert len(shared._texts) < 20
    assert len(shared._parts) < 20


def test_what_a_write_leaves_alone_is_taken_from_before_it() -> None:
    shared = Sharing()
    before, after = pod("a"), pod("a")
    after.metadata.labels["more"] = "x"
    after.status.phase = "Running"
    shared.share(before)
    shared.share(after, before)
    assert after.spec is before.spec
    assert after.metadata is not before.metadata
    assert after.status.phase == "Running"
    assert before.status.phase == ""
