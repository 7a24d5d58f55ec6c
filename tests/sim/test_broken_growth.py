"""As `test_broken.py`: components that are broken on purpose, of volumes that grow and of those that are emptied."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from kijabi.api import codec
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.pod import Pod
from kijabi.api.quantity import Quantity
from kijabi.api.storage.matching import capacity, requested
from kijabi.apiserver.admission.claimresize import PersistentVolumeClaimResize
from kijabi.controllers.persistentvolume import controller, recycling
from kijabi.controllers.persistentvolume import plan as binding
from kijabi.controllers.volumeexpand import VolumeExpander
from kijabi.kubelet.localpath import growth
from kijabi.kubelet.localpath.agent import Agent
from kijabi.testing.scenario import Stuck, Violation
from kijabi.testing.wishes.claims import Claims
from tests.sim.test_broken import Patch, found_out

GIB = Quantity("1Gi")


# Growth


def test_a_provisioner_that_promises_first(monkeypatch: Patch) -> None:
    async def hasty(self: Agent, volume: PersistentVolume, claim: Any) -> None:
        if (size := growth.target(volume, claim)) is not None:
            await self._client.update_status(growth.done(claim, size))

    monkeypatch.setattr(Agent, "_grow", hasty)
    assert found_out(Violation, "which has 1Gi", Claims)


def test_a_provisioner_that_allocates_nothing(monkeypatch: Patch) -> None:
    right = growth.target

    def generous(volume: PersistentVolume, claim: Any) -> Quantity | None:
        size = right(volume, claim)
        return size.plus(GIB) if size is not None else None

    monkeypatch.setattr(growth, "target", generous)
    monkeypatch.setattr(growth, "begun", lambda claim, size: claim)
    assert found_out(Violation, "SizesKept: grew to", Claims)


def test_a_provisioner_that_never_comes_to_an_end(monkeypatch: Patch) -> None:
    monkeypatch.setattr(growth, "_others", lambda claim: claim.status.conditions)
    assert found_out(Stuck, "has all that it asks for, and says", Claims)


def test_a_provisioner_that_lets_nothing_grow(monkeypatch: Patch) -> None:
    async def idle(self: Agent, volume: PersistentVolume, claim: Any) -> None:
        return None

    monkeypatch.setattr(Agent, "_grow", idle)
    assert found_out(Stuck, "Gi, and has 1Gi", Claims)


def test_an_expander_that_says_nothing(monkeypatch: Patch) -> None:
    async def silent(self: VolumeExpander, key: str) -> float | None:
        return None

    monkeypatch.setattr(VolumeExpander, "reconcile", silent)
    assert found_out(Stuck, "and nobody was told why", Claims)


def test_a_server_that_lets_any_claim_grow(monkeypatch: Patch) -> None:
    async def careless(self: PersistentVolumeClaimResize, attrs: Any) -> None:
        return None

    monkeypatch.setattr(PersistentVolumeClaimResize, "validate", careless)
    assert found_out(Violation, "lets none grow", Claims)


def test_a_binder_that_cuts_volumes_to_size(monkeypatch: Patch) -> None:
    right = binding.bind

    def thrifty(volume: PersistentVolume, claim: Any) -> binding.Plan:
        done = right(volume, claim)
        assert done.volume is not None
        done.volume.spec.capacity = {"storage": requested(claim)}
        return done

    monkeypatch.setattr(binding, "bind", thrifty)
    assert found_out(Violation, "shrank from", Claims)


def test_a_binder_that_takes_back_what_was_not_asked_for(monkeypatch: Patch) -> None:
    right = binding.bind

    def strict(volume: PersistentVolume, claim: Any) -> binding.Plan:
        done = right(volume, claim)
        assert done.claim is not None
        if claim.status.phase == "Bound" and requested(claim).cmp(capacity(volume)) < 0:
            done.claim.status.capacity = {"storage": requested(claim)}
        return done

    monkeypatch.setattr(binding, "bind", strict)
    assert found_out(Violation, "SizesKept: had", Claims)


# Emptied for the next claim


def test_a_binder_that_empties_nothing(monkeypatch: Patch) -> None:
    async def at_once(self: recycling.Recycling, volume: PersistentVolume) -> str | None:
        return ""

    monkeypatch.setattr(recycling.Recycling, "step", at_once)
    assert found_out(Violation, "EmptiedForTheNext: is to be had", Claims)


def test_a_binder_that_empties_what_is_used(monkeypatch: Patch) -> None:
    right = binding.plan_volume

    def eager(volume: PersistentVolume, claim: Any) -> binding.Plan:
        return right(volume, claim if volume.spec.persistentVolumeReclaimPolicy != "Recycle" else None)

    monkeypatch.setattr(controller, "plan_volume", eager)
    assert found_out(Violation, "EmptiedForTheNext: empties", Claims)


def test_a_binder_that_empties_anywhere(monkeypatch: Patch) -> None:
    right = recycling.recycler

    def anywhere(volume: PersistentVolume) -> Pod:
        pod = right(volume)
        return replace(pod, spec=replace(codec.clone(pod.spec), affinity=None))

    monkeypatch.setattr(recycling, "recycler", anywhere)
    assert found_out(Violation, "where it is not", Claims)


def test_a_binder_that_never_empties(monkeypatch: Patch) -> None:
    async def idle(self: recycling.Recycling, volume: PersistentVolume) -> str | None:
        return None

    monkeypatch.setattr(recycling.Recycling, "step", idle)
    assert found_out(Stuck, "was not emptied since", Claims)
