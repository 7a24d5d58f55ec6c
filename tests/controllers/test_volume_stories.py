"""Claims find volumes, keep them, and let them go: the real binder against the real API server, on virtual time."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from kijabi.api import codec
from kijabi.api.core.event import Event
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.api.storage.storageclass import StorageClass
from kijabi.base.errors import AlreadyExists, NotFound
from kijabi.client.informer import Informers
from kijabi.controllers.persistentvolume.recycling import Recycling, recycler
from kijabi.testing.faults import Faults
from tests.controllers.world import World, play

HOST = {"hostPath": {"path": "/data"}}
NOISY = Faults()


def volume(name: str, size: str = "1Gi", /, **spec: Any) -> PersistentVolume:
    """A volume of no class on a host path."""
    given = {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], **HOST, **spec}
    return codec.from_builtins(PersistentVolume, {"metadata": {"name": name}, "spec": given})


def claim(name: str, size: str = "1Gi", *, storage_class: str | None = "", **spec: Any) -> PersistentVolumeClaim:
    """A claim of no class."""
    given = {"resources": {"requests": {"storage": size}}, "accessModes": ["ReadWriteOnce"], **spec}
    if storage_class is not None:
        given["storageClassName"] = storage_class
    meta = {"name": name, "namespace": "ns"}
    return codec.from_builtins(PersistentVolumeClaim, {"metadata": meta, "spec": given})


def storage_class(name: str, provisioner: str = "example.com/disk", **more: Any) -> StorageClass:
    """A class."""
    return codec.from_builtins(StorageClass, {"metadata": {"name": name}, "provisioner": provisioner, **more})


def user(name: str, claim_name: str, **spec: Any) -> Pod:
    """A pod with a claim."""
    disk = {"name": "v", "persistentVolumeClaim": {"claimName": claim_name}}
    given = {"containers": [{"name": "c", "image": "app:1"}], "volumes": [disk], **spec}
    return codec.from_builtins(Pod, {"metadata": {"name": name, "namespace": "ns"}, "spec": given})


async def bound(world: World, name: str, seconds: float = 120) -> str:
    """The volume of a claim, once both say that they belong together."""

    async def both() -> str:
        one = await world.client.get(PersistentVolumeClaim, name, "ns")
        if one.status.phase != "Bound":
            return ""
        other = await world.client.get(PersistentVolume, one.spec.volumeName)
        ref = other.spec.claimRef
        assert ref is not None
        assert ref.uid == one.metadata.uid
        return one.spec.volumeName if other.status.phase == "Bound" else ""

    return str(await world.until(both, seconds))


async def phase(world: World, name: str, wanted: str) -> PersistentVolume:
    """The volume, once it is in a phase."""

    async def there() -> PersistentVolume | None:
        one = await world.client.get(PersistentVolume, name)
        return one if one.status.phase == wanted else None

    found: PersistentVolume = await world.until(there)
    return found


async def told(world: World, reason: str, name: str, namespace: str = "ns") -> str:
    """The message of an event about an object, once there is one."""

    async def there() -> str:
        found = (await world.client.list(Event, namespace)).items
        return next((e.message for e in found if e.reason == reason and e.involvedObject.name == name), "")

    return str(await world.until(there))


def test_each_claim_gets_the_smallest_volume_that_is_large_enough() -> None:
    async def story(world: World) -> None:
        for name, size in (("big", "10Gi"), ("middle", "5Gi"), ("small", "1Gi")):
            await world.client.create(volume(name, size))
        await phase(world, "big", "Available")
        await world.client.create(claim("two", "2Gi"))
        assert await bound(world, "two") == "middle"
        await world.client.create(claim("one", "1Gi"))
        assert await bound(world, "one") == "small"
        await world.client.create(claim("more", "20Gi"))
        assert "no persistent volumes available" in await told(world, "FailedBinding", "more")
        await world.client.create(volume("huge", "20Gi"))
        assert await bound(world, "more") == "huge"

    play(story)


def test_a_volume_that_comes_later_goes_to_one_of_those_who_wait() -> None:
    async def story(world: World) -> None:
        for number in range(5):
            await world.client.create(claim(f"c{number}"))
        await asyncio.sleep(10)
        for number in range(5):
            await world.client.create(volume(f"v{number}"))
        assert len({await bound(world, f"c{number}") for number in range(5)}) == 5

    play(story)


@pytest.mark.parametrize("seed", range(1, 6))
def test_no_volume_has_two_claims_under_faults(seed: int) -> None:
    async def story(world: World) -> None:
        for number in range(6):
            await world.client.create(volume(f"v{number}"))
            await world.client.create(claim(f"c{number}"))
        assert len({await bound(world, f"c{number}", 600) for number in range(6)}) == 6

    play(story, seed=seed, faults=NOISY)


def test_what_becomes_of_a_volume_is_its_policys_to_say() -> None:
    async def story(world: World) -> None:
        await world.client.create(volume("kept", persistentVolumeReclaimPolicy="Retain"))
        await world.client.create(claim("c"))
        await bound(world, "c")
        await world.client.delete(PersistentVolumeClaim, "c", "ns")
        kept = await phase(world, "kept", "Released")
        assert kept.spec.claimRef is not None
        await world.client.create(volume("doomed", persistentVolumeReclaimPolicy="Delete"))
        await world.client.create(claim("d"))
        assert await bound(world, "d") == "doomed"
        await world.client.delete(PersistentVolumeClaim, "d", "ns")
        assert (await phase(world, "doomed", "Failed")).status.message.startswith("host_path deleter only supports")
        await told(world, "VolumeFailedDelete", "doomed", "default")

    play(story)


def test_a_recycled_volume_is_emptied_by_a_pod_and_given_away_again() -> None:
    async def story(world: World) -> None:
        await world.client.create(volume("v", persistentVolumeReclaimPolicy="Recycle"))
        await world.client.create(claim("c"))
        await bound(world, "c")
        await world.client.delete(PersistentVolumeClaim, "c", "ns")

        async def running() -> Pod | None:
            try:
                return await world.client.get(Pod, "recycler-for-v", "default")
            except NotFound:
                return None

        pod = await world.until(running)
        assert pod.spec.volumes[0].hostPath.path == "/data"
        assert (await world.client.get(PersistentVolume, "v")).status.phase == "Released"
        status = {"status": {"phase": "Succeeded"}}
        await world.client.patch(Pod, "recycler-for-v", status, namespace="default", subresource="status")
        assert (await phase(world, "v", "Available")).spec.claimRef is None
        await world.gone(Pod, "recycler-for-v", "default")
        await world.client.create(claim("next"))
        assert await bound(world, "next") == "v"

    play(story)


def test_what_the_next_claim_leaves_is_emptied_too() -> None:
    """Also where nobody looked at the volume between the end of the first claim's data and that of the next claim."""

    async def story(world: World) -> None:
        informers = Informers(world.client)
        recycling = Recycling(world.client, informers.of(Pod))
        name = {"name": "recycler-for-v", "namespace": "default"}

        async def emptied(left: PersistentVolume) -> str:
            """The uid of the pod that emptied it."""
            uid = ""
            while await recycling.step(left) is None:
                await asyncio.sleep(1)
                with contextlib.suppress(NotFound):
                    uid = (await world.client.get(Pod, **name)).metadata.uid
                    done = {"status": {"phase": "Succeeded"}}
                    await world.client.patch(Pod, name["name"], done, namespace="default", subresource="status")
            return uid

        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(informers.run())
            pods = [
                await emptied(volume("v", claimRef={"name": "c", "namespace": "ns", "uid": uid})) for uid in ("a", "b")
            ]
            assert all(pods)
            assert pods[0] != pods[1]
            running.cancel()

    play(story)


def test_a_pod_that_the_informer_will_never_see_is_not_waited_for() -> None:
    """Neither one that is in the way nor our own: it may be gone when the informer has come so far."""

    async def story(world: World) -> None:
        left = volume("v", claimRef={"name": "c", "namespace": "ns", "uid": "a"})
        informers = Informers(world.client)
        recycling = Recycling(world.client, informers.of(Pod))
        await world.client.create(recycler(left))
        with pytest.raises(AlreadyExists):
            await recycling.step(left)
        await world.client.delete(Pod, "recycler-for-v", "default")
        assert await recycling.step(left) is None
        assert recycling.lags("v")
        await world.client.delete(Pod, "recycler-for-v", "default")
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(informers.run())
            await informers.wait_synced()
            assert not recycling.lags("v")
            assert await recycling.step(left) == "failed to recycle volume: recycler pod was deleted"
            running.cancel()

    play(story)


def test_a_volume_of_one_node_is_emptied_there() -> None:
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["n1"]}]}
    there = {"required": {"nodeSelectorTerms": [term]}}
    pod = recycler(volume("v", nodeAffinity=there))
    assert pod.spec.affinity is not None
    assert codec.to_builtins(pod.spec.affinity) == {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": there["required"]}
    }
    assert recycler(volume("w")).spec.affinity is None


def test_a_claim_that_loses_its_volume_says_so() -> None:
    async def story(world: World) -> None:
        await world.client.create(volume("v"))
        await world.client.create(claim("c"))
        await bound(world, "c")
        await world.client.delete(PersistentVolume, "v")
        await world.client.patch(PersistentVolume, "v", {"metadata": {"finalizers": None}})
        assert "Data on the volume is lost" in await told(world, "ClaimLost", "c")
        assert (await world.client.get(PersistentVolumeClaim, "c", "ns")).status.phase == "Lost"

    play(story)


def test_reservations_on_either_side_are_kept() -> None:
    async def story(world: World) -> None:
        await world.client.create(volume("mine", "5Gi", claimRef={"name": "late", "namespace": "ns"}))
        await world.client.create(claim("other"))
        assert await told(world, "FailedBinding", "other")
        await world.client.create(claim("late"))
        assert await bound(world, "late") == "mine"
        await world.client.create(claim("picky", volumeName="chosen"))
        await world.client.create(volume("chosen", "1Mi"))
        assert "too small" in await told(world, "VolumeMismatch", "picky")

    play(story)


def test_a_default_class_that_comes_late_is_given_to_claims_without_one() -> None:
    async def story(world: World) -> None:
        for one in (await world.client.list(StorageClass)).items:  # what a cluster begins with
            await world.client.delete(StorageClass, one.metadata.name)
        await world.client.create(claim("c", storage_class=None))
        await told(world, "FailedBinding", "c")
        fast = storage_class("fast")
        fast.metadata.annotations = {"storageclass.kubernetes.io/is-default-class": "true"}
        await world.client.create(fast)
        assert "example.com/disk" in await told(world, "ExternalProvisioning", "c")
        now = await world.client.get(PersistentVolumeClaim, "c", "ns")
        assert now.spec.storageClassName == "fast"
        assert now.metadata.annotations["volume.kubernetes.io/storage-provisioner"] == "example.com/disk"

    play(story)


def test_binding_waits_for_a_pod_and_the_schedulers_choice() -> None:
    async def story(world: World) -> None:
        await world.client.create(storage_class("late", volumeBindingMode="WaitForFirstConsumer"))
        await world.client.create(volume("v", storageClassName="late"))
        await world.client.create(claim("c", storage_class="late"))
        assert "first consumer" in await told(world, "WaitForFirstConsumer", "c")
        await world.client.create(user("p", "c", nodeSelector={"no": "such"}))
        assert await told(world, "WaitForPodScheduled", "c") == "waiting for pod p to be scheduled"
        chosen = {"metadata": {"annotations": {"volume.kubernetes.io/selected-node": "n1"}}}
        await world.client.patch(PersistentVolumeClaim, "c", chosen, namespace="ns")
        await told(world, "ExternalProvisioning", "c")
        made = volume("pvc-1", storageClassName="late", claimRef={"name": "c", "namespace": "ns"})
        await world.client.create(made)
        assert await bound(world, "c") == "pvc-1"

    play(story)


def test_a_claim_tells_since_when_no_pod_has_it() -> None:
    async def story(world: World) -> None:
        await world.client.create(volume("v"))
        await world.client.create(claim("c"))

        async def unused(wanted: str) -> bool:
            conditions = (await world.client.get(PersistentVolumeClaim, "c", "ns")).status.conditions
            return any(one.type == "Unused" and one.status == wanted for one in conditions)

        await world.until(lambda: unused("True"))
        await world.client.create(user("p", "c"))
        await world.until(lambda: unused("False"))
        await world.client.delete(Pod, "p", "ns", grace=0)
        await world.until(lambda: unused("True"))

    play(story)


def test_finalizers_are_put_on_what_lost_them() -> None:
    async def story(world: World) -> None:
        await world.client.create(volume("v"))
        await world.client.create(claim("c"))
        await bound(world, "c")
        nothing = {"metadata": {"finalizers": None}}
        await world.client.patch(PersistentVolumeClaim, "c", nothing, namespace="ns")
        await world.client.patch(PersistentVolume, "v", nothing)

        async def guarded() -> bool:
            one = await world.client.get(PersistentVolumeClaim, "c", "ns")
            other = await world.client.get(PersistentVolume, "v")
            return bool(one.metadata.finalizers and other.metadata.finalizers)

        await world.until(guarded)

    play(story)


def test_an_ephemeral_volume_is_a_claim_of_the_pods_own() -> None:
    async def story(world: World) -> None:
        template = {"metadata": {"labels": {"a": "b"}}, "spec": codec.to_builtins(claim("x").spec)}
        disk = {"name": "d", "ephemeral": {"volumeClaimTemplate": template}}
        given = {"containers": [{"name": "c", "image": "app:1"}], "volumes": [disk]}
        await world.client.create(volume("v"))
        taken = await world.client.create(claim("q-d"))
        for name in ("p", "q"):
            body = {"metadata": {"name": name, "namespace": "ns"}, "spec": given}
            await world.client.create(codec.from_builtins(Pod, body))
        said = await told(world, "FailedBinding", "q")
        assert said == "ephemeral volume d: PVC ns/q-d was not created for pod ns/q (pod is not owner)"

        async def made() -> PersistentVolumeClaim | None:
            try:
                return await world.client.get(PersistentVolumeClaim, "p-d", "ns")
            except NotFound:
                return None

        mine = await world.until(made)
        assert mine.metadata.labels == {"a": "b"}
        assert mine.metadata.ownerReferences[0].kind == "Pod"
        await world.client.delete(Pod, "p", "ns", grace=0)
        await world.gone(PersistentVolumeClaim, "p-d", "ns")
        await world.client.delete(PersistentVolumeClaim, "q-d", "ns")

        async def remade() -> bool:
            try:
                return (await world.client.get(PersistentVolumeClaim, "q-d", "ns")).metadata.uid != taken.metadata.uid
            except NotFound:
                return False

        await world.until(remade)

    play(story)


def test_a_claim_that_grows_waits_for_who_makes_it_grow() -> None:
    async def story(world: World) -> None:
        await world.client.create(storage_class("fast", allowVolumeExpansion=True))
        plain: dict[str, Any] = {"hostPath": None, "storageClassName": "fast", "accessModes": ["ReadWriteOnce"]}
        await world.client.create(volume("v", **plain, csi={"driver": "d.example.com", "volumeHandle": "1"}))
        old = {**plain, "gcePersistentDisk": {"pdName": "x"}, "accessModes": ["ReadWriteMany"]}
        await world.client.create(volume("w", **old))
        await world.client.create(claim("c", storage_class="fast"))
        await world.client.create(claim("d", storage_class="fast", accessModes=["ReadWriteMany"]))
        for name in ("c", "d"):
            await bound(world, name)
            more = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
            await world.client.patch(PersistentVolumeClaim, name, more, namespace="ns")
        assert await told(world, "ExternalExpanding", "c") == "waiting for an external controller to expand this PVC"
        assert "CSI migration enabled for kubernetes.io/gce-pd" in await told(world, "ExternalExpanding", "d")

        async def resizer() -> bool:
            own = (await world.client.get(PersistentVolumeClaim, "d", "ns")).metadata.annotations
            return own.get("volume.kubernetes.io/storage-resizer") == "pd.csi.storage.gke.io"

        await world.until(resizer)

    play(story)
