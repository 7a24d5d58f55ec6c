"""As `test_broken.py`: components that are broken on purpose, of claims and volumes."""

from __future__ import annotations

from typing import Any

from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.storage.matching import class_of, volume_class
from kijabi.controllers import volumeprotection
from kijabi.controllers.persistentvolume.controller import VolumeBinder
from kijabi.controllers.persistentvolume.known import Known
from kijabi.controllers.statefulset import claims
from kijabi.kubelet.localpath import agent
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
