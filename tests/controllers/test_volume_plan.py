"""The binder decides as upstream: recorded answers of k8s.io/kubernetes v1.37 pv_controller to random objects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kijabi.api import codec
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.api.defaultclass import STORAGE, default_of
from kijabi.api.storage.matching import claim_key, claimant
from kijabi.api.storage.storageclass import StorageClass
from kijabi.client.cache import key_of
from kijabi.controllers.persistentvolume.known import Known
from kijabi.controllers.persistentvolume.plan import plan_claim, plan_volume
from kijabi.controllers.persistentvolume.reclaim import reclaim
from kijabi.controllers.podclaims import by_claim, ended
from tests.controllers.things import ago

RECORDED = Path(__file__).parents[1] / "golden" / "volumes" / "upstream.jsonl"
SCENARIOS = [json.loads(line) for line in RECORDED.read_text().splitlines()]


class Lists:
    """What a scenario has, as plans see it."""

    def __init__(self, scenario: dict[str, Any]) -> None:
        self.known = Known()
        for made in scenario["Volumes"]:
            self.known.saw_volume(None, codec.from_builtins(PersistentVolume, made))
        for made in scenario["Claims"]:
            self.known.saw_claim(None, codec.from_builtins(PersistentVolumeClaim, made))
        self.pods = [codec.from_builtins(Pod, made) for made in scenario["Pods"]]
        classes = (codec.from_builtins(StorageClass, made) for made in scenario["Classes"])
        self.classes = {one.metadata.name: one for one in classes}

    def volume(self, name: str) -> PersistentVolume | None:
        """See View."""
        return self.known.volumes.objects.get(name)

    def match(self, claim: PersistentVolumeClaim, *, delay: bool) -> PersistentVolume | None:
        """See View."""
        return self.known.match(claim, delay=delay)

    def storage_class(self, name: str) -> StorageClass | None:
        """See View."""
        return self.classes.get(name)

    def default_class(self) -> str | None:
        """See View."""
        return default_of(self.classes.values(), STORAGE)

    def users(self, key: str) -> list[Pod]:
        """The pods of a claim that have not ended."""
        return [pod for pod in self.pods if key in by_claim(pod) and not ended(pod)]

    def waiting_pods(self, claim: PersistentVolumeClaim) -> list[str]:
        """See View."""
        return sorted(pod.metadata.name for pod in self.users(claim_key(claim)) if not pod.spec.nodeName)


def plain(obj: Any) -> dict[str, Any]:
    """An object without what writing changes, and what it is."""
    out: dict[str, Any] = json.loads(codec.encode(obj))
    meta = out["metadata"]
    for gone in ("resourceVersion", "creationTimestamp"):
        meta.pop(gone, None)
    out.get("spec", {}).get("claimRef", {}).pop("resourceVersion", None)
    if "finalizers" in meta:
        meta["finalizers"] = sorted(meta["finalizers"])
    return {key: value for key, value in out.items() if value and key not in ("kind", "apiVersion")}


def decided(scenario: dict[str, Any], lists: Lists) -> tuple[list[Any], list[str], str]:
    """What changed, which events there are, and what went wrong."""
    if "Claim" in scenario:
        plan = plan_claim(lists.known.claims.objects[scenario["Claim"]], lists)
    else:
        volume = lists.known.volumes.objects[scenario["Volume"]]
        plan = plan_volume(volume, lists.known.claims.objects.get(claimant(volume)))
    notes, after = list(plan.notes), plan.volume
    if plan.released:
        assert after is not None
        taken = claimant(after) in lists.known.claims.objects
        then = reclaim(after, [] if taken else [key_of(pod) for pod in lists.users(claimant(after))])
        after, notes = then.volume, [*notes, *then.notes]
    before: Any = {**lists.known.volumes.objects, **lists.known.claims.objects}
    found = [plain(one) for one in (after, plan.claim) if one is not None and plain(one) != plain(before[key_of(one)])]
    return found, sorted(f"{note.type} {note.reason} {note.message}" for note in notes), plan.error


@pytest.mark.parametrize("number", range(len(SCENARIOS)))
def test_as_upstream(number: int) -> None:
    scenario = SCENARIOS[number]
    changed, events, error = decided(scenario, Lists(scenario))
    answer = scenario["Upstream"]
    wanted = [{key: value for key, value in one.items() if key != "kind" and value} for one in answer["changed"]]
    assert changed == wanted
    assert events == answer["events"]
    assert error == answer["error"]


def _half_bound(writes: int) -> dict[str, Any]:
    """A claim and a volume after so many of the four writes that bind them."""
    ref = {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": "ns", "name": "c", "uid": "u"}
    spec = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}
    free = {"metadata": {"name": "v", "resourceVersion": "1"}, "spec": spec, "status": {"phase": "Available"}}
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": ""}
    meta = {"name": "c", "namespace": "ns", "uid": "u", "resourceVersion": "1"}
    claim: dict[str, Any] = {"metadata": meta, "spec": wanted, "status": {"phase": "Pending"}}
    volume: dict[str, Any] = free
    if writes > 0:
        volume["metadata"]["annotations"] = {"pv.kubernetes.io/bound-by-controller": "yes"}
        volume["spec"]["claimRef"] = ref
    if writes > 1:
        volume["status"] = {"phase": "Bound"}
    if writes > 2:
        marks = ("pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller")
        claim["metadata"]["annotations"] = dict.fromkeys(marks, "yes")
        claim["spec"]["volumeName"] = "v"
    if writes > 3:
        claim["status"] = {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}}
    return {"Volumes": [volume], "Claims": [claim], "Pods": [], "Classes": []}


@pytest.mark.parametrize("writes", range(5))
def test_binding_goes_on_from_wherever_it_stopped(writes: int) -> None:
    lists, whole = Lists(_half_bound(writes)), _half_bound(4)
    plan = plan_claim(lists.known.claims.objects["ns/c"], lists)
    assert plan.claim is not None
    assert plan.volume is not None
    assert plain(plan.claim) == plain(codec.from_builtins(PersistentVolumeClaim, whole["Claims"][0]))
    assert plain(plan.volume) == plain(codec.from_builtins(PersistentVolume, whole["Volumes"][0]))
    volume = lists.known.volumes.objects["v"]
    other = plan_volume(volume, lists.known.claims.objects["ns/c"] if writes else None)
    assert not other.released, "nothing that is being bound is given up"
    assert other.look == (writes in (1, 2)), "the volume wakes the claim that does not know of it"


@pytest.mark.parametrize(("writes", "wanted"), [(1, ""), (2, "v")])
def test_a_volume_that_was_deleted_while_it_was_being_bound(writes: int, wanted: str) -> None:
    """Bound, it is protected and would wait for its claim to go, which must have it for that; before, it just goes."""
    lists = Lists(_half_bound(writes))
    going = codec.clone(lists.known.volumes.objects["v"])
    going.metadata.deletionTimestamp, going.metadata.resourceVersion = ago(1), "2"
    lists.known.saw_volume(None, going)
    plan = plan_claim(lists.known.claims.objects["ns/c"], lists)
    assert plan.claim is not None
    assert plan.claim.spec.volumeName == wanted
    assert plan.claim.status.phase == ("Bound" if wanted else "Pending")


def test_own_writes_count_before_the_informer_shows_them() -> None:
    known = Lists(_half_bound(0)).known
    claim, volume = known.claims.objects["ns/c"], known.volumes.objects["v"]
    assert known.match(claim, delay=False) is volume
    taken = codec.clone(volume)
    taken.metadata.resourceVersion = "2"
    taken.status.phase = "Bound"
    known.wrote(taken)
    assert known.match(claim, delay=False) is None
    known.saw_volume(None, volume)
    assert known.match(claim, delay=False) is None, "an older version changes nothing"
    known.saw_volume(volume, None)
    known.wrote(taken)
    assert not known.volumes.objects, "the answer to a write does not bring back what has gone"
