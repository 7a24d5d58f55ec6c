"""The checkers of claims, volumes and disks, on histories of a few writes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kijabi.kubelet.localpath.plan import NODE_LABEL
from kijabi.testing.history import Violation
from kijabi.testing.safety.facts import ADMIN, LOCAL_PATH
from kijabi.testing.safety.volumes import WatchedDisk
from tests.testing.histories import BORN, CONTROLLERS, Step, namespace, play, pod, thing


def claim(name: str = "c", volume: str = "", *, deleted: bool = False, who: str = CONTROLLERS) -> Step:
    meta = {"deletionTimestamp": BORN} if deleted else {}
    status = {"phase": "Bound" if volume else "Pending"}
    made = thing("", name, metadata=meta, spec={"volumeName": volume} if volume else {}, status=status)
    return (who, f"PersistentVolumeClaim {name}", made)


def volume_of(claimed: str, policy: str = "Delete", *, deleted: bool = False) -> dict[str, Any]:
    meta: dict[str, Any] = {"name": "v", "uid": "v", "creationTimestamp": BORN, "labels": {NODE_LABEL: "n1"}}
    if deleted:
        meta["deletionTimestamp"] = BORN
    spec: dict[str, Any] = {"persistentVolumeReclaimPolicy": policy}
    if claimed:
        spec["claimRef"] = {"namespace": "ns", "name": claimed, "uid": claimed}
    return {"metadata": meta, "spec": spec}


def volume(claimed: str = "c", policy: str = "Delete", *, deleted: bool = False, who: str = CONTROLLERS) -> Step:
    return (who, "PersistentVolume v", volume_of(claimed, policy, deleted=deleted))


def gone(what: str, who: str = CONTROLLERS) -> Step:
    return (who, what, None)


def user() -> Step:
    made = pod("p", rs="")
    made["spec"]["volumes"] = [{"name": "x", "persistentVolumeClaim": {"claimName": "c"}}]
    return ("a", "Pod p", made)


def stateful(deleted: str, scaled: str, replicas: int = 1) -> Step:
    policy = {"whenDeleted": deleted, "whenScaled": scaled}
    spec = {"replicas": replicas, "persistentVolumeClaimRetentionPolicy": policy}
    return ("a", "StatefulSet db", thing("", "db", spec=spec))


OF_SET = (claim("data-db-0"), claim("data-db-0", deleted=True))
BEYOND = (claim("data-db-3"), stateful("Retain", "Delete"), claim("data-db-3", deleted=True))
KEPT = "ClaimsKeepTheirVolumes: "

WRONG: list[tuple[str, list[Step]]] = [
    (f"{KEPT}bound to v, which is not there", [claim(), claim(volume="v")]),
    (f"{KEPT}bound to v, which is nobody's", [volume(""), claim(volume="v")]),
    (f"{KEPT}bound to v, which is ns/b's", [volume("b"), claim(volume="v")]),
    (f"{KEPT}bound to v, as ns/c is", [volume("c"), claim(volume="v"), volume("d", who=ADMIN), claim("d", volume="v")]),
    (f"{KEPT}given up", [volume(), claim(volume="v"), volume("")]),
    (f"{KEPT}given up", [volume(), claim(volume="v"), volume("d")]),
    (f"{KEPT}removed", [volume(deleted=True), claim(volume="v"), gone("PersistentVolume v")]),
    ("ClaimsInUseStay: removed while p runs", [claim(deleted=True), user(), gone("PersistentVolumeClaim c")]),
    ("VolumesReclaimed: deleted, with policy Retain", [volume("", "Retain"), volume("", "Retain", deleted=True)]),
    ("VolumesReclaimed: deleted, with policy Retain", [volume("", "Retain"), gone("PersistentVolume v")]),
    ("VolumesReclaimed: deleted, though ns/c", [volume(), claim(volume="v"), volume(deleted=True, who=LOCAL_PATH)]),
    ("ClaimsOfSetsRetained: it is deleted", [namespace(), stateful("Retain", "Delete"), *OF_SET]),
]
RIGHT: list[list[Step]] = [
    [volume(), claim(volume="v"), claim(volume="v", deleted=True), gone("PersistentVolumeClaim c"), volume("")],
    [volume(), claim(volume="v"), volume("", who=ADMIN)],
    [volume(), claim(volume="v"), gone("PersistentVolumeClaim c"), volume(deleted=True, who=LOCAL_PATH)],
    [volume("", "Retain"), volume("", "Retain", deleted=True, who=ADMIN), gone("PersistentVolume v")],
    [claim(deleted=True), user(), gone("PersistentVolumeClaim c", ADMIN)],
    [namespace(), stateful("Delete", "Retain"), stateful("Retain", "Retain"), *OF_SET],
    [namespace(), *BEYOND],
    [stateful("Retain", "Retain"), *OF_SET],  # Its namespace goes, or has gone.
]


@pytest.mark.parametrize(("rule", "steps"), WRONG)
def test_what_is_wrong_is_found(rule: str, steps: list[Step]) -> None:
    with pytest.raises(Violation, match=rule):
        play(steps, runs={"p"})


@pytest.mark.parametrize("steps", RIGHT)
def test_what_is_right_passes(steps: list[Step]) -> None:
    play(steps, runs={"p"})


def test_a_claim_whose_pod_does_not_run_may_go() -> None:
    play([claim(deleted=True), user(), gone("PersistentVolumeClaim c")])


@pytest.mark.parametrize(
    ("node", "steps", "wrong"),
    [
        ("n1", [volume("c"), claim(volume="v", deleted=True), gone("PersistentVolumeClaim c")], ""),
        ("n1", [volume("c", "Retain")], "its policy is Retain"),
        ("n2", [volume("c", "Retain")], ""),  # Another node's.
        ("n1", [volume("c"), claim(volume="v")], "ns/c is bound to it"),
        ("n1", [volume("c"), user()], "p runs with it"),
    ],
)
def test_data_goes_when_nobody_has_it(node: str, steps: list[Step], wrong: str) -> None:
    ledger, found = play(steps, runs={"p"}), list[str]()
    disk = WatchedDisk(node, ledger, lambda node, uid: uid == "p", found.append)
    asyncio.run(disk.remove("v"))
    assert [one.rpartition("though ")[2] for one in found] == ([wrong] if wrong else [])


def test_what_somebody_has_is_not_unused() -> None:
    ledger, found = play([volume("c"), claim(volume="v")]), list[str]()
    asyncio.run(WatchedDisk("n1", ledger, lambda node, uid: False, found.append).discard("v"))
    assert found == ["DataStays: v was taken for unused, though ns/c has it"]
