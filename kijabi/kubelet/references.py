"""The ConfigMaps, Secrets and trust bundles that this node's pods refer to: fetched when needed, then watched.

Node authorisation lets a kubelet see only the objects that its pods name, so each is watched alone
(`metadata.name=…`) for as long as any pod here uses it; only ClusterTrustBundles, which are nobody's secret, are
watched all together. Claims are watched until they are bound and mounted, and their volumes are looked at once.
Environment, volumes and image pulls read from here; a change wakes the pods that use the object.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple

from kijabi.api.certificates.clustertrustbundle import ClusterTrustBundle
from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.api.core.podreferences import claim_of
from kijabi.api.core.secret import Secret
from kijabi.base.errors import NotFound
from kijabi.client.client import Client
from kijabi.client.informer import Informer
from kijabi.kubelet import podspec
from kijabi.kubelet.together import together

Kind = Literal["configmap", "secret", "trustbundles", "claim", "volume"]
KINDS: dict[Kind, type[Any]] = {
    "configmap": ConfigMap,
    "secret": Secret,
    "trustbundles": ClusterTrustBundle,
    "claim": PersistentVolumeClaim,
    "volume": PersistentVolume,
}


class Ref(NamedTuple):
    """One object that a pod refers to, or (without a name) all of a kind, as a tuple."""

    kind: Kind
    namespace: str
    name: str


TRUST_BUNDLES = Ref("trustbundles", "", "")


class _Followed:
    """One object's informer, its task, and the pods that need it."""

    def __init__(self, informer: Informer[Any], task: asyncio.Task[None]) -> None:
        self.informer = informer
        self.task = task
        self.users: set[str] = set()


class References:
    """Follows the objects that pods use. changed(uid) is called for every pod that uses an object that changed."""

    def __init__(self, client: Client, changed: Callable[[str], None]) -> None:
        self._client = client
        self._changed = changed
        self._followed: dict[Ref, _Followed] = {}
        self._wanted: dict[str, frozenset[Ref]] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Be the parent of the watches; a task for a TaskGroup, which must run before `use`."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            await asyncio.get_running_loop().create_future()

    def use(self, uid: str, wanted: frozenset[Ref]) -> None:
        """Follow what this pod needs, and no longer what only it needed before."""
        before = self._wanted.get(uid, frozenset())
        if wanted == before:
            return
        for ref in wanted - before:
            self._follow(ref).users.add(uid)
        for ref in before - wanted:
            self._leave(ref, uid)
        if wanted:
            self._wanted[uid] = wanted
        else:
            self._wanted.pop(uid, None)

    def drop(self, uid: str) -> None:
        """The pod is gone."""
        self.use(uid, frozenset())

    async def get(self, ref: Ref) -> Any | None:
        """The object, or None if there is none; asks the server unless the watch already knows.

        Raises ApiError (such as Forbidden) or ConnectionLost.
        """
        followed = self._followed.get(ref)
        known = followed is not None and followed.informer.synced
        if not ref.name:
            return tuple(followed.informer.items()) if followed is not None and known else await self._list(ref)
        if followed is not None and known:
            return followed.informer.get(f"{ref.namespace}/{ref.name}")
        try:
            return await self._client.get(KINDS[ref.kind], ref.name, ref.namespace)
        except NotFound:
            return None

    async def _list(self, ref: Ref) -> tuple[Any, ...]:
        return (await self._client.list(KINDS[ref.kind])).items

    async def get_all(self, refs: Iterable[Ref]) -> dict[Ref, Any]:
        """Those of the objects that exist, fetched side by side."""
        wanted = tuple(dict.fromkeys(refs))
        found = await together(self.get(ref) for ref in wanted)
        return {ref: obj for ref, obj in zip(wanted, found, strict=True) if obj is not None}

    def _follow(self, ref: Ref) -> _Followed:
        followed = self._followed.get(ref)
        if followed is None:
            assert self._group is not None, "References.run() must be running"
            only = f"metadata.name={ref.name}" if ref.name else ""
            informer: Informer[Any] = Informer(self._client, KINDS[ref.kind], namespace=ref.namespace, fields=only)
            task = self._group.create_task(informer.run(), name=f"watch {ref.kind} {ref.namespace}/{ref.name}")
            followed = self._followed[ref] = _Followed(informer, task)
            informer.add_handler(lambda old, new: self._note(ref))
        return followed

    def _leave(self, ref: Ref, uid: str) -> None:
        followed = self._followed[ref]
        followed.users.discard(uid)
        if not followed.users:
            followed.task.cancel()
            del self._followed[ref]

    def _note(self, ref: Ref) -> None:
        followed = self._followed.get(ref)
        for uid in tuple(followed.users) if followed is not None else ():
            self._changed(uid)


def of_pod(pod: Pod, *, claims: bool = False) -> frozenset[Ref]:
    """Every ConfigMap and Secret that a pod names: in environments, volumes and image pull secrets.

    claims: and every claim.
    """
    namespace = pod.metadata.namespace
    refs = {Ref("secret", namespace, each.name) for each in pod.spec.imagePullSecrets if each.name}
    for _, container in podspec.containers(pod.spec):
        refs |= set(of_container(namespace, container))
    if claims:
        names = (claim_of(pod, volume) for volume in pod.spec.volumes)
        refs |= {Ref("claim", namespace, name) for name in names if name}
    return frozenset(refs | set(of_volumes(pod)))


def of_container(namespace: str, container: Any) -> Iterator[Ref]:
    """What a container's environment needs."""
    for source in container.envFrom:
        if source.configMapRef is not None:
            yield Ref("configmap", namespace, source.configMapRef.name)
        if source.secretRef is not None:
            yield Ref("secret", namespace, source.secretRef.name)
    for variable in container.env:
        if variable.valueFrom is not None and variable.valueFrom.configMapKeyRef is not None:
            yield Ref("configmap", namespace, variable.valueFrom.configMapKeyRef.name)
        if variable.valueFrom is not None and variable.valueFrom.secretKeyRef is not None:
            yield Ref("secret", namespace, variable.valueFrom.secretKeyRef.name)


def of_volumes(pod: Pod) -> Iterator[Ref]:
    """What the pod's volumes show."""
    namespace = pod.metadata.namespace
    for volume in pod.spec.volumes:
        if volume.configMap is not None:
            yield Ref("configmap", namespace, volume.configMap.name)
        if volume.secret is not None:
            yield Ref("secret", namespace, volume.secret.secretName)
        for source in volume.projected.sources if volume.projected is not None else ():
            if source.configMap is not None:
                yield Ref("configmap", namespace, source.configMap.name)
            if source.secret is not None:
                yield Ref("secret", namespace, source.secret.name)
            if source.clusterTrustBundle is not None:
                yield TRUST_BUNDLES
