"""Pod groups go when no pod that has not ended names them any more: their finalizer is taken off.

The finalizer comes at creation (`apiserver/admission/podgroups.py`). Where the server has no such kind there is nothing
to do, and nothing is followed. Source: k8s.io/kubernetes `pkg/controller/scheduling/podgroupprotection`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kijabi.api import catalog, codec
from kijabi.api.core.pod import Pod
from kijabi.api.scheduling.podgroup import FINALIZER, PodGroup
from kijabi.base.errors import NotFound
from kijabi.client.cache import key_of
from kijabi.controllers.pods import terminal
from kijabi.controllers.runtime import Context, Source
from kijabi.controllers.sources import pods

GROUP = "podgroup"
"""The index of pods that have not ended by the group that they name."""


def group_of(pod: Pod) -> tuple[str, ...]:
    """The key of the group that a pod names."""
    named = pod.spec.schedulingGroup
    return (f"{pod.metadata.namespace}/{named.podGroupName}",) if named is not None and named.podGroupName else ()


def in_group(pod: Pod) -> tuple[str, ...]:
    """The key of the group that a pod keeps."""
    return () if terminal(pod) else group_of(pod)


def going(group: PodGroup) -> bool:
    """Whether a group waits for us to be deleted."""
    return group.metadata.deletionTimestamp is not None and FINALIZER in group.metadata.finalizers


class PodGroupProtection:
    """A key is a group's namespace and name."""

    name = "podgroup-protection"
    workers = 1

    def __init__(self, context: Context) -> None:
        self.client = context.client
        kind = catalog.by_type(PodGroup)
        self.served = any(
            (one.group, one.version, one.plural) == (kind.group, kind.version, kind.plural) for one in context.resources
        )
        if self.served:
            self.groups = context.informers.of(PodGroup)
            self.pods = pods(context.informers)
            self.pods.add_index(GROUP, in_group)

    def sources(self) -> Sequence[Source]:
        if not self.served:
            return ()
        return (Source(self.groups, self._keys), Source(self.pods, self._left))

    def _keys(self, old: PodGroup | None, new: PodGroup | None) -> Iterable[str]:
        return (key_of(new),) if new is not None and going(new) else ()

    def _left(self, old: Pod | None, new: Pod | None) -> Iterable[str]:
        """The group that a pod kept, and does not any more: it ended, or has gone, or another has its name."""
        if old is None:
            return group_of(new) if new is not None and terminal(new) else ()
        same = new is not None and new.metadata.uid == old.metadata.uid
        return () if same and new is not None and not terminal(new) else group_of(old)

    async def reconcile(self, key: str) -> float | None:
        group = self.groups.get(key)
        if group is None or not going(group) or self.pods.index(GROUP, key):
            return None
        changed = codec.clone(group)
        changed.metadata.finalizers = tuple(one for one in group.metadata.finalizers if one != FINALIZER)
        try:
            await self.client.update(changed)
        except NotFound:
            return None
        return None
