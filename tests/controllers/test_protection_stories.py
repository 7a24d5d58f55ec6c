"""Claims and volumes stay while they are used, and go then."""

from __future__ import annotations

import asyncio

from kijabi.api import codec
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.api.storage.volumeattributesclass import VolumeAttributesClass
from tests.controllers.world import World, play


def test_what_is_in_use_is_not_deleted_before_it_is_free() -> None:
    async def story(world: World) -> None:
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        claim = {"metadata": {"name": "c", "namespace": "ns"}, "spec": {**claim, "volumeAttributesClassName": "fast"}}
        made = await world.client.create(codec.from_builtins(PersistentVolumeClaim, claim))
        assert made.metadata.finalizers == ("kubernetes.io/pvc-protection",)
        fast = {"metadata": {"name": "fast"}, "driverName": "d.example.com", "parameters": {"a": "b"}}
        await world.client.create(codec.from_builtins(VolumeAttributesClass, fast))
        volume = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}}
        volume = {"metadata": {"name": "v"}, "spec": volume}
        await world.client.create(codec.from_builtins(PersistentVolume, volume))
        volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]
        spec = {"containers": [{"name": "c", "image": "app:1"}], "volumes": volumes}
        pod = codec.from_builtins(Pod, {"metadata": {"name": "p", "namespace": "ns"}, "spec": spec})
        await world.client.create(pod)

        async def bound() -> bool:
            return bool((await world.client.get(Pod, "p", "ns")).spec.nodeName)

        await world.until(bound)
        await world.client.delete(VolumeAttributesClass, "fast")
        await world.client.delete(PersistentVolumeClaim, "c", "ns")
        await world.client.delete(PersistentVolume, "v")
        await world.gone(PersistentVolume, "v")
        await asyncio.sleep(30)
        assert (await world.client.get(PersistentVolumeClaim, "c", "ns")).metadata.deletionTimestamp is not None
        await world.client.get(VolumeAttributesClass, "fast")
        await world.client.delete(Pod, "p", "ns", grace=0)
        await world.gone(PersistentVolumeClaim, "c", "ns")
        await world.gone(VolumeAttributesClass, "fast")

    play(story)
