"""Which volume suits a claim."""

from __future__ import annotations

from typing import Any

import pytest

from kijabi.api.core.nodeselector import NodeSelector, NodeSelectorRequirement, NodeSelectorTerm
from kijabi.api.core.persistentvolume import (
    PersistentVolume,
    PersistentVolumeSpec,
    PersistentVolumeStatus,
    VolumeNodeAffinity,
)
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim, PersistentVolumeClaimSpec
from kijabi.api.core.reference import ObjectReference
from kijabi.api.core.resources import VolumeResourceRequirements
from kijabi.api.meta import LabelSelector, ObjectMeta, Time
from kijabi.api.quantity import Quantity
from kijabi.api.storage.matching import (
    BETA_CLASS,
    BOUND_BY_CONTROLLER,
    class_of,
    find_matching,
    has_class,
    node_matches,
    pre_bind,
)

MINE = ObjectReference(name="data", namespace="ns", uid="u1")
THEIRS = ObjectReference(name="other", namespace="ns", uid="u2")
BY_NAME = ObjectReference(name="data", namespace="ns")


def volume(name: str, size: str = "1Gi", *, phase: str = "Available", zone: str = "", **spec: Any) -> PersistentVolume:
    """A volume; spec: what differs from a plain Available one of class fast."""
    labels = spec.pop("labels", {})
    deleted = spec.pop("deleted", False)
    spec = {"accessModes": ("ReadWriteOnce",), "storageClassName": "fast", "volumeMode": "Filesystem", **spec}
    if zone:
        term = NodeSelectorTerm(matchExpressions=(NodeSelectorRequirement(key="zone", operator="In", values=(zone,)),))
        spec["nodeAffinity"] = VolumeNodeAffinity(required=NodeSelector(nodeSelectorTerms=(term,)))
    return PersistentVolume(
        metadata=ObjectMeta(
            name=name, labels=labels, deletionTimestamp=Time.parse("2025-01-01T00:00:00Z") if deleted else None
        ),
        spec=PersistentVolumeSpec(capacity={"storage": Quantity(size)}, **spec),
        status=PersistentVolumeStatus(phase=phase),
    )


def claim(size: str = "1Gi", **spec: Any) -> PersistentVolumeClaim:
    """The claim ns/data, of class fast."""
    spec = {"accessModes": ("ReadWriteOnce",), "storageClassName": "fast", **spec}
    needs = VolumeResourceRequirements(requests={"storage": Quantity(size)})
    return PersistentVolumeClaim(
        metadata=ObjectMeta(name="data", namespace="ns", uid="u1", resourceVersion="7"),
        spec=PersistentVolumeClaimSpec(resources=needs, **spec),
    )


def found(*volumes: PersistentVolume, **more: Any) -> str | None:
    """The name of the volume that claim() gets."""
    one = find_matching(more.pop("claim", None) or claim(), volumes, more.pop("labels", None), **more)
    return one.metadata.name if one is not None else None


def test_the_smallest_that_is_large_enough() -> None:
    assert found(volume("big", "5Gi"), volume("fits", "2Gi"), volume("equal", "2Gi"), volume("small", "1Mi")) == "fits"


@pytest.mark.parametrize(
    "unfit",
    [
        volume("v", phase="Pending"),
        volume("v", phase="Released"),
        volume("v", storageClassName="slow"),
        volume("v", volumeMode="Block"),
        volume("v", volumeAttributesClassName="gold"),
        volume("v", deleted=True),
        volume("v", claimRef=THEIRS),
        volume("v", claimRef=ObjectReference(name="data", namespace="ns", uid="an older one")),
    ],
)
def test_what_does_not_suit(unfit: PersistentVolume) -> None:
    assert found(unfit) is None
    assert found(unfit, volume("other", "9Gi")) == "other"


@pytest.mark.parametrize("ref", [MINE, BY_NAME])
def test_a_reservation_comes_before_size_phase_and_class(ref: ObjectReference) -> None:
    kept = volume("kept", "9Gi", phase="Bound", storageClassName="slow", claimRef=ref)
    assert found(volume("small"), kept) == "kept"
    assert found(volume("small"), kept, delay=True) == "kept"


def test_the_scheduler_chooses_where_binding_waits() -> None:
    assert found(volume("v"), delay=True) is None
    assert found(volume("v", zone="a"), labels={"zone": "a"}) == "v"
    assert found(volume("v", zone="a"), labels={"zone": "b"}) is None
    assert found(volume("v"), labels={}, excluded={"v"}) is None


def test_a_reservation_out_of_reach_of_the_node_leaves_nothing() -> None:
    assert found(volume("kept", zone="a", claimRef=MINE), volume("v"), labels={"zone": "b"}) is None


def test_access_modes_are_the_schedulers_to_check() -> None:
    """The binder looks at volumes with the right modes only."""
    assert found(volume("v"), claim=claim(accessModes=("ReadWriteMany",)), labels={}) is None
    assert found(volume("v"), claim=claim(accessModes=("ReadWriteMany",))) == "v"


def test_a_selector_picks_by_labels() -> None:
    wanted = claim(selector=LabelSelector(matchLabels={"disk": "ssd"}))
    assert found(volume("hdd"), volume("ssd", "3Gi", labels={"disk": "ssd"}), claim=wanted) == "ssd"


def test_an_affinity_without_terms_matches_no_node() -> None:
    nowhere = volume("v", nodeAffinity=VolumeNodeAffinity(required=NodeSelector()))
    assert not node_matches(nowhere, {})
    assert node_matches(volume("v", nodeAffinity=VolumeNodeAffinity()), {})


def test_the_old_annotation_of_a_class_comes_first() -> None:
    old = claim()
    old.metadata.annotations = {BETA_CLASS: "older"}
    assert class_of(old) == "older"
    assert has_class(claim(storageClassName=""))
    assert not has_class(claim(storageClassName=None))


def test_binding_says_who_made_it() -> None:
    free, wanted = volume("v"), claim()
    bound = pre_bind(free, wanted)
    assert bound.spec.claimRef == ObjectReference(
        kind="PersistentVolumeClaim", apiVersion="v1", namespace="ns", name="data", uid="u1", resourceVersion="7"
    )
    assert bound.metadata.annotations == {BOUND_BY_CONTROLLER: "yes"}
    assert free.spec.claimRef is None
    assert pre_bind(bound, wanted) is bound
    users = pre_bind(volume("v", claimRef=BY_NAME), wanted)
    assert users.spec.claimRef is not None
    assert users.spec.claimRef.uid == "u1"
    assert users.metadata.annotations == {}
