"""Garbage collection: images when the disk fills up, and whatever no pod worker knows.

Dead containers are removed by the workers themselves (`collect.py`). Here every few minutes: containers, directories
and control groups of pods that nobody has any more, and unused images above the high threshold, oldest use first,
until the low one is reached (k8s `pkg/kubelet/images`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from kijabi.base import clock
from kijabi.base.errors import ConnectionLost
from kijabi.kubelet import collect
from kijabi.kubelet.config import KubeletConfig
from kijabi.kubelet.credentials import with_default_tag
from kijabi.kubelet.machine import Machine
from kijabi.kubelet.parts import Parts
from kijabi.kubelet.runtime.interface import Image, RuntimeFailure

log = logging.getLogger(__name__)

EVERY_SECONDS = 300.0
MIN_AGE = 120.0  # an image must be known for so long before it may go


class Collector:
    """Collects garbage. images_changed() is called when images were removed."""

    def __init__(
        self, parts: Parts, machine: Machine, config: KubeletConfig, images_changed: Callable[[], None]
    ) -> None:
        self._parts, self._machine, self._config = parts, machine, config
        self._images_changed = images_changed
        self._first_seen: dict[str, float] = {}
        self._last_used: dict[str, float] = {}

    async def run(self, known: Callable[[], frozenset[str]]) -> None:
        """Collect every few minutes, for ever. known: the pods that have a worker."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                await self.collect_pods(known())
                await self.collect_images()
            except (RuntimeFailure, ConnectionLost, OSError) as problem:
                log.warning("garbage collection failed", extra={"reason": str(problem)})

    async def collect_pods(self, known: frozenset[str]) -> None:
        """Remove what is left of pods without a worker. Raises RuntimeFailure, ConnectionLost, OSError."""
        parts = self._parts
        for uid in parts.cache.uids() - known:
            if not parts.cache.view(uid).running:
                await collect.remove_pod(parts, uid)
        for uid in set(parts.volumes.leftovers()) - known - parts.cache.uids():
            await parts.volumes.teardown(uid)
        for uid in set(parts.groups.leftovers()) - known - parts.cache.uids():
            await parts.groups.remove(uid)

    async def collect_images(self, *, to_percent: int | None = None) -> int:
        """Remove unused images while the disk is too full; gives the bytes freed.

        to_percent: aim for this use instead of waiting for the high threshold. Raises RuntimeFailure, ConnectionLost.
        """
        images = await self._parts.runtime.list_images()
        self._note_use(images)
        usage = self._machine.usage()
        percent = 100 - 100 * usage.disk_free // max(usage.disk, 1)
        full = percent >= self._config.images_high and usage.disk_free < self._config.roomy_disk
        if to_percent is None and not full:
            return 0
        target = self._config.images_low if to_percent is None else to_percent
        wanted = usage.disk * (100 - target) // 100 - usage.disk_free
        freed = 0
        for image in self._candidates(images):
            if freed >= wanted:
                break
            log.info("removing unused image", extra={"image": image.id, "tags": image.tags, "bytes": image.size})
            await self._parts.runtime.remove_image(image.id)
            freed += image.size
        if freed:
            self._images_changed()
        if freed < wanted:
            text = (
                f"Failed to garbage collect required amount of images. Attempted to free {wanted} bytes, "
                f"but only found {freed} bytes eligible to free."
            )
            self._parts.reports.node("Warning", "FreeDiskSpaceFailed", text)
        return freed

    def _note_use(self, images: tuple[Image, ...]) -> None:
        now = clock.wall()
        used = self._used()
        present = {image.id for image in images}
        self._first_seen = {i: at for i, at in self._first_seen.items() if i in present}
        self._last_used = {i: at for i, at in self._last_used.items() if i in present}
        for image in images:
            self._first_seen.setdefault(image.id, now)
            if self._is_used(image, used):
                self._last_used[image.id] = now

    def _used(self) -> set[str]:
        """Names, ids and digests of the images that containers here have."""
        parts = self._parts
        held = (info for uid in parts.cache.uids() for info in parts.cache.view(uid).containers)
        return {name for info in held for name in (info.image, info.image_ref)} | parts.images.pulling

    @staticmethod
    def _is_used(image: Image, used: set[str]) -> bool:
        names = {image.id, *image.tags, *image.digests}
        return image.pinned or bool(names & used) or any(_tagged(name) in names for name in used)

    def _candidates(self, images: tuple[Image, ...]) -> list[Image]:
        """What may go, least recently used first."""
        used, now = self._used(), clock.wall()
        free = [
            image
            for image in images
            if not self._is_used(image, used) and now - self._first_seen.get(image.id, now) >= MIN_AGE
        ]
        return sorted(free, key=lambda image: (self._last_used.get(image.id, 0.0), image.id))


def _tagged(name: str) -> str:
    try:
        return with_default_tag(name)
    except ValueError:
        return name
