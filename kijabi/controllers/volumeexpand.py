"""A claim that asks for more than its volume has: people are told who will make it grow.

Receives claims from the informer. Growing is the work of the CSI driver's resizer; this controller says by an event
that it is waited for, and names the driver on claims whose volumes are of a kind that a driver now serves
(KEP-284; k8s.io/kubernetes `pkg/controller/volume/expand`). Whether a claim may grow at all is for admission to say
(`apiserver/admission/claimresize.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kijabi.api import codec
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.storage.matching import held, requested
from kijabi.api.storage.migration import DRIVERS, plugin_of
from kijabi.base.errors import Conflict
from kijabi.client.cache import key_of
from kijabi.controllers.runtime import Context, Source
from kijabi.controllers.sources import claims

RESIZER = "volume.kubernetes.io/storage-resizer"
"""On a claim: the driver that is to make its volume grow."""
PRE_RESIZE = "volume.alpha.kubernetes.io/pre-resize-capacity"
_EXTERNAL = "waiting for an external controller to expand this PVC"


class Expansion(NamedTuple):
    """What to tell, and the driver to name on the claim; empty for none."""

    message: str
    resizer: str = ""


def plan(claim: PersistentVolumeClaim, volume: PersistentVolume | None) -> Expansion | None:
    """What there is to do for a bound claim, None for nothing. Raises Conflict if the volume is not yet the claim's."""
    ref = volume.spec.claimRef if volume is not None else None
    if volume is None or ref is None or (ref.namespace, ref.uid) != (claim.metadata.namespace, claim.metadata.uid):
        raise Conflict(f"persistent Volume is not bound to PVC being updated : {key_of(claim)}")
    if requested(claim).cmp(held(claim)) <= 0 and PRE_RESIZE not in volume.metadata.annotations:
        return None
    plugin = plugin_of(volume.spec)
    if not plugin:
        return Expansion(_EXTERNAL)
    message = f"CSI migration enabled for {plugin}; waiting for external resizer to expand the pvc"
    return Expansion(message, DRIVERS[plugin])


class VolumeExpander:
    """A key is a claim's namespace and name."""

    name = "persistentvolume-expander"
    workers = 2

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.recorder = context.recorder("volume_expand")
        self.claims = claims(context.informers)
        self.volumes = context.informers.of(PersistentVolume)

    def sources(self) -> Sequence[Source]:
        return (Source(self.claims, self._keys),)

    def _keys(self, old: PersistentVolumeClaim | None, new: PersistentVolumeClaim | None) -> Iterable[str]:
        """A bound claim that is new here, asks for more than before, or has got more."""
        if new is None or new.status.phase != "Bound":
            return ()
        if old is None or requested(new).cmp(requested(old)) > 0 or held(new).cmp(held(old)) > 0:
            return (key_of(new),)
        return ()

    async def reconcile(self, key: str) -> float | None:
        claim = self.claims.get(key)
        if claim is None or claim.status.phase != "Bound":
            return None
        todo = plan(claim, self.volumes.get(claim.spec.volumeName))
        if todo is None:
            return None
        self.recorder.event(claim, "Normal", "ExternalExpanding", todo.message)
        if todo.resizer and claim.metadata.annotations.get(RESIZER) != todo.resizer:
            named = codec.clone(claim)
            named.metadata.annotations = {**claim.metadata.annotations, RESIZER: todo.resizer}
            await self.client.update_status(named)  # which carries annotations too; the claim itself is not ours
        return None
