"""The checkers of volumes that grow and of those that are emptied for the next claim, on histories of a few writes."""

from __future__ import annotations

from typing import Any

import pytest

from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.testing.history import Violation
from kijabi.testing.liveness import storage
from kijabi.testing.safety.facts import ADMIN, LOCAL_PATH
from tests.testing.histories import BORN, CONTROLLERS, NODE, Step, node, play, thing


def claim(asked: str, has: str = "", allocated: str = "", *, cls: str = "grows", **status: Any) -> Step:
    """Bound to v if it has anything."""
    spec = {"resources": {"requests": {"storage": asked}}, "storageClassName": cls, "volumeName": "v" if has else ""}
    held = {"phase": "Bound" if has else "Pending", "capacity": {"storage": has} if has else {}, **status}
    if allocated:
        held["allocatedResources"] = {"storage": allocated}
    return (LOCAL_PATH, "PersistentVolumeClaim c", thing("", "c", spec=spec, status=held))


def volume(size: str, who: str = LOCAL_PATH, claimed: str = "c", **more: Any) -> Step:
    spec: dict[str, Any] = {"capacity": {"storage": size}, "hostPath": {"path": "/x"}, **more}
    if claimed:
        spec["claimRef"] = {"namespace": "ns", "name": claimed, "uid": claimed}
    return (who, "PersistentVolume v", {"metadata": {"name": "v", "uid": "v", "creationTimestamp": BORN}, "spec": spec})


def cls(name: str, *, grows: bool) -> Step:
    made = {"metadata": {"name": name, "uid": name}, "provisioner": "p", "allowVolumeExpansion": grows}
    return ("a", f"StorageClass {name}", made)


BOUND = [cls("grows", grows=True), cls("fixed", grows=False), volume("1Gi"), claim("1Gi", "1Gi")]
ASKED = [*BOUND, claim("3Gi", "1Gi")]
GONE_CLASS = [volume("1Gi"), claim("1Gi", "1Gi", cls="gone")]
FIXED = [*BOUND[:3], claim("1Gi", "1Gi", cls="fixed")]

WRONG: list[tuple[str, list[Step]]] = [
    ("had 1Gi, and has 512Mi", [*BOUND, claim("1Gi", "512Mi")]),
    ("has 3Gi of v, which has 1Gi", [*ASKED, claim("3Gi", "3Gi")]),
    ("has 3Gi of v, which has 1Gi", [*BOUND[:3], claim("1Gi", "3Gi")]),
    ("shrank from 1Gi to 512Mi", [*BOUND, volume("512Mi")]),
    ("grew from 1Gi to 3Gi for nobody", [volume("1Gi"), volume("3Gi")]),
    ("grew to 3Gi, and ns/c has 2Gi allocated", [*BOUND, claim("2Gi", "1Gi"), volume("3Gi")]),
    ("asks for 3Gi, and its class 'fixed' lets none", [*FIXED, claim("3Gi", "1Gi", cls="fixed")]),
    ("asks for 3Gi, and its class 'gone' lets none", [*GONE_CLASS, claim("3Gi", "1Gi", cls="gone")]),
    ("asks for 3Gi, before for 1Gi, and is Pending", [cls("grows", grows=True), claim("1Gi"), claim("3Gi")]),
    ("asks for 1Gi, and has 1Gi", [*ASKED, claim("1Gi", "1Gi")]),
]
RIGHT: list[list[Step]] = [
    [*ASKED, claim("3Gi", "1Gi", "3Gi"), volume("3Gi"), claim("3Gi", "3Gi", "3Gi")],
    [*ASKED, claim("3Gi", "1Gi", "3Gi"), claim("2Gi", "1Gi", "3Gi"), volume("3Gi"), claim("2Gi", "3Gi", "3Gi")],
    [*BOUND, volume("512Mi", who=ADMIN)],
    [*FIXED, claim("1Gi", cls="fixed")],  # It has lost its volume.
]


@pytest.mark.parametrize(("text", "steps"), WRONG)
def test_sizes_that_are_wrong(text: str, steps: list[Step]) -> None:
    with pytest.raises(Violation, match=f"SizesKept: {text}"):
        play(steps)


@pytest.mark.parametrize("steps", RIGHT)
def test_sizes_that_are_right(steps: list[Step]) -> None:
    play(steps)


# Emptied

RECYCLE = {"persistentVolumeReclaimPolicy": "Recycle"}


def used(who: str = CONTROLLERS, claimed: str = "c", **more: Any) -> Step:
    return volume("1Gi", who, claimed, **RECYCLE, **more)


def recycler(phase: str = "Pending", who: str = CONTROLLERS) -> Step:
    spec = {"nodeName": "n1" if phase == "Succeeded" else "", "containers": [{"name": "pv-recycler"}]}
    made = thing("", "recycler-for-v", metadata={"namespace": "default"}, spec=spec, status={"phase": phase})
    return (who, "Pod default/recycler-for-v", made)


def pod_with_claim() -> Step:
    spec = {
        "nodeName": "n1",
        "containers": [{"name": "c"}],
        "volumes": [{"name": "x", "persistentVolumeClaim": {"claimName": "c"}}],
    }
    return ("a", "Pod p", thing("", "p", spec=spec, status={"phase": "Running"}))


GONE: Step = (CONTROLLERS, "PersistentVolumeClaim c", None)
LEFT = [used(), claim("1Gi", "1Gi"), GONE]
FREE = used(claimed="")
MADE, EMPTY = recycler(), recycler("Succeeded", NODE)
HOSTNAME = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["elsewhere"]}
ELSEWHERE: dict[str, Any] = {"nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [HOSTNAME]}]}}}


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("is to be had, as ns/c left it", [*LEFT, FREE]),
        ("is to be had, as ns/c left it", [*LEFT, used(claimed="d")]),
        ("is to be had, as ns/c left it", [*LEFT, MADE, FREE]),
        ("is to be had, as ns/c left it", [*LEFT, recycler(who="a"), EMPTY, FREE]),
        ("empties v, which ns/c has", [*LEFT[:2], MADE]),
        ("empties v, with which p runs", [*LEFT[:2], pod_with_claim(), (ADMIN, GONE[1], None), MADE]),
        ("emptied v on n1, where it is not", [node(), used(**ELSEWHERE), *LEFT[1:], MADE, EMPTY]),
    ],
)
def test_volumes_that_are_not_emptied(text: str, steps: list[Step]) -> None:
    with pytest.raises(Violation, match=f"EmptiedForTheNext: {text}"):
        play(steps, runs={"p"})


@pytest.mark.parametrize(
    "steps",
    [
        [node(), *LEFT, MADE, EMPTY, FREE],
        [used(), FREE],  # No claim ever had it.
        [*LEFT, used(ADMIN, claimed="")],
        [*LEFT[:2], pod_with_claim(), (ADMIN, GONE[1], None)],
        [volume("1Gi"), *LEFT[1:], volume("1Gi", claimed="")],  # It is retained.
    ],
)
def test_volumes_that_are_emptied(steps: list[Step]) -> None:
    play(steps, runs={"p"})


# What must come true

MADE_HERE = {"annotations": {"pv.kubernetes.io/provisioned-by": "kijabi.dev/local-path"}}
TOLD: Step = (
    CONTROLLERS,
    "Event e",
    thing("", "e", involvedObject={"kind": "PersistentVolumeClaim", "uid": "c"}, reason="ExternalExpanding"),
)


def wrong(steps: list[Step]) -> list[str]:
    """What is not yet right of the claim."""
    ledger = play(steps)
    found = ledger.get(PersistentVolumeClaim, "c", "ns")
    assert found is not None
    return list(storage.claim(found, ledger))


def by_local_path() -> Step:
    who, what, obj = volume("1Gi")
    assert obj is not None
    return who, what, {**obj, "metadata": {**obj["metadata"], **MADE_HERE}}


def test_a_claim_that_has_not_grown_yet() -> None:
    ours = [BOUND[0], by_local_path(), *ASKED[3:]]
    assert wrong(ours) == ["asks for 3Gi, and has 1Gi"]
    assert wrong([*ours, TOLD]) == ["asks for 3Gi, and has 1Gi"]
    assert wrong(ASKED) == ["asks for 3Gi, has 1Gi, and nobody was told why"]
    assert wrong([*ASKED, TOLD]) == []


def test_a_claim_that_still_says_that_it_grows() -> None:
    resizing = [{"type": "Resizing", "status": "True"}]
    said = "has all that it asks for, and says "
    assert wrong([*BOUND, claim("1Gi", "1Gi", conditions=resizing)]) == [f"{said}['Resizing'] {{}}"]
    state = {"storage": "ControllerResizeInProgress"}
    assert wrong([*BOUND, claim("1Gi", "1Gi", allocatedResourceStatuses=state)]) == [f"{said}[] {state}"]
    assert wrong([*BOUND, claim("1Gi", "1Gi", conditions=[{"type": "Unused", "status": "True"}])]) == []


def test_a_volume_that_nobody_empties() -> None:
    who, what, obj = used()
    assert obj is not None
    ledger = play([(who, what, {**obj, "status": {"phase": "Released"}})])
    found = ledger.get(PersistentVolume, "v")
    assert found is not None
    assert list(storage.volume(found, ledger)) == ["was not emptied since ns/c had it"]
