"""As `test_broken.py`: components that are broken on purpose, of claims and volumes."""

from __future__ import annotations

from typing import Any

from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.storage.matching import class_of, volume_class
from kijabi.controllers import volumeprotection
from kijabi.controllers.persistentvolume import controller
from kijabi.controllers.persistentvolume import plan as binding
from kijabi.controllers.persistentvolume.controller import VolumeBinder
from kijabi.controllers.persistentvolume.known import Known
from kijabi.controllers.statefulset import claims
from kijabi.kubelet.localpath import agent
from kijabi.kubelet.localpath.disk import NullDisk
from kijabi.testing.scenario import Stuck, Violation
from kijabi.testing.wishes.claims import Claims
from tests.sim.test_broken import Patch, found_out


def test_a_binder_that_asks_for_no_reservation(monkeypatch: Patch) -> None:
    def any_volume(self: Known, claim: Any, *, delay: bool) -> PersistentVolume | None:
        fits = (one for one in self.volumes.objects.values() if volume_class(one) == class_of(claim))
        return next(fits, None)

    monkeypatch.setattr(Known, "match", any_volume)
    assert found_out(Violation, "ClaimsKeepTheirVolumes", Claims)


def test_claims_that_nothing_protects(monkeypatch: Patch) -> None:
    monkeypatch.setattr(volumeprotection, "uses", lambda pod, claim: False)
    assert found_out(Violation, "ClaimsInUseStay", Claims)


def test_a_provisioner_that_deletes_all_that_is_released(monkeypatch: Patch) -> None:
    def eager(volume: Any, claim: Any) -> str:
        return "delete" if volume.status.phase == "Released" else "keep"

    monkeypatch.setattr(agent, "fate", eager)
    assert found_out(Violation, "DataStays", Claims)


def test_a_binder_that_deletes_all_that_is_released(monkeypatch: Patch) -> None:
    right = VolumeBinder._reclaim

    async def eager(self: VolumeBinder, before: Any, volume: Any) -> Any:
        await self.client.delete(PersistentVolume, volume.metadata.name)
        return await right(self, before, volume)

    monkeypatch.setattr(VolumeBinder, "_reclaim", eager)
    assert found_out(Violation, "VolumesReclaimed", Claims)


def test_a_stateful_set_that_retains_nothing(monkeypatch: Patch) -> None:
    monkeypatch.setattr(claims, "policy", lambda ss: (True, True))
    assert found_out(Violation, "ClaimsOfSetsRetained", Claims)


def test_a_provisioner_that_forgets_what_it_made(monkeypatch: Patch) -> None:
    async def idle(self: Any, volume: Any) -> None:
        return None

    monkeypatch.setattr(agent.Agent, "_settle", idle)
    assert found_out(Stuck, "has outlived its claim", Claims)


def test_a_binder_that_gives_up_what_is_bound(monkeypatch: Patch) -> None:
    right = binding.plan_volume

    def fickle(volume: PersistentVolume, claim: Any) -> binding.Plan:
        return binding.Plan(volume=binding.freed(volume)) if volume.status.phase == "Bound" else right(volume, claim)

    monkeypatch.setattr(controller, "plan_volume", fickle)
    assert found_out(Violation, "given up, though", Claims)


def test_volumes_that_nothing_protects(monkeypatch: Patch) -> None:
    async def careless(self: volumeprotection.VolumeProtection, key: str) -> float | None:
        volume = self.volumes.get(key)
        if volume is not None and volumeprotection.protected(volume, volumeprotection.VOLUME):
            await volumeprotection.release(self.client, volume, volumeprotection.VOLUME)
        return None

    monkeypatch.setattr(volumeprotection.VolumeProtection, "reconcile", careless)
    assert found_out(Violation, "removed, though", Claims)


def test_a_binder_that_deletes_what_is_bound(monkeypatch: Patch) -> None:
    right = VolumeBinder._settle_volume

    async def ruthless(self: VolumeBinder, volume: PersistentVolume) -> float | None:
        if volume.status.phase == "Bound" and volume.spec.persistentVolumeReclaimPolicy == "Delete":
            await self.client.delete(PersistentVolume, volume.metadata.name)
        return await right(self, volume)

    monkeypatch.setattr(VolumeBinder, "_settle_volume", ruthless)
    assert found_out(Violation, "VolumesReclaimed: deleted, though", Claims)


def test_a_provisioner_that_takes_what_it_finds_for_its_own_beginnings(monkeypatch: Patch) -> None:
    right = agent.Agent._reconcile

    async def tidy(self: agent.Agent, name: str) -> None:
        if name in self._begun:
            await self._disk.discard(name)
        await right(self, name)

    monkeypatch.setattr(agent.Agent, "_reconcile", tidy)
    assert found_out(Violation, "was taken for unused", Claims)


def test_a_provisioner_that_makes_no_directory(monkeypatch: Patch) -> None:
    async def idle(self: NullDisk, name: str) -> None:
        return None

    monkeypatch.setattr(NullDisk, "make", idle)
    assert found_out(Stuck, "has no directory of", Claims)


def test_a_disk_that_deletes_nothing(monkeypatch: Patch) -> None:
    async def idle(self: NullDisk, name: str) -> None:
        return None

    monkeypatch.setattr(NullDisk, "remove", idle)
    assert found_out(Stuck, "still has", Claims)


def test_a_binder_that_does_not_say_whose_a_volume_is(monkeypatch: Patch) -> None:
    def vague(volume: PersistentVolume, phase: str, message: str = "") -> None:
        if phase != "Available":
            right(volume, phase, message)

    right = binding._enter
    monkeypatch.setattr(binding, "_enter", vague)
    assert found_out(Stuck, "is anybody's, and says", Claims)
