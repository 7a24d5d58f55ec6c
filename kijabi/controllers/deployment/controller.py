"""The Deployment controller: claims ReplicaSets, carries out the plan, tells what it scaled.

Receives Deployments, ReplicaSets and pods from the informers; writes ReplicaSets, the Deployment's revision
annotation and its status. All decisions are in `plan.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from kijabi.api import codec
from kijabi.api.apps.deployment import Deployment, DeploymentStatus
from kijabi.api.apps.replicaset import ReplicaSet
from kijabi.api.core.pod import Pod
from kijabi.api.meta import LabelSelector
from kijabi.api.selector import Selector, from_label_selector
from kijabi.base import clock
from kijabi.base.errors import AlreadyExists, ApiError, ConnectionLost, NotFound
from kijabi.client.cache import key_of
from kijabi.controllers import pods as podlib
from kijabi.controllers.deployment import revision, status
from kijabi.controllers.deployment.plan import Change, Plan, plan
from kijabi.controllers.deployment.scale import replicas_of
from kijabi.controllers.owners import CONTROLLER, candidates, claim, controller_of, controller_ref, settle
from kijabi.controllers.ownwrites import AGAIN, OwnWrites
from kijabi.controllers.runtime import WORKERS, Context, Source, namespace_terminating
from kijabi.controllers.sources import deployments, keys_of_owners, pods, replica_sets, selects

KIND = "Deployment"
API_VERSION = "apps/v1"


class Deployments:
    """The controller; see the module."""

    name = "deployment"
    workers = WORKERS

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.recorder = context.recorder("deployment-controller")
        self.deployments = deployments(context.informers)
        self.sets = replica_sets(context.informers)
        self.pods = pods(context.informers)
        self.own = OwnWrites(self.client, self.sets)

    def sources(self) -> Sequence[Source]:
        return (
            Source(self.deployments, lambda old, new: (key_of(new if new is not None else old),)),
            Source(self.sets, self._keys_of_set),
            Source(self.pods, self._keys_of_pod),
        )

    def _keys_of_set(self, old: ReplicaSet | None, new: ReplicaSet | None) -> Iterable[str]:
        return keys_of_owners(KIND, self.deployments, selects, old, new)

    def _keys_of_pod(self, old: Pod | None, new: Pod | None) -> Iterable[str]:
        """Recreate waits for old pods to end; nothing else here depends on pods."""
        pod = new if new is not None else old
        if pod is None or (new is not None and not podlib.terminal(new)):
            return ()
        ref = controller_of(pod.metadata)
        rs = self.sets.get(f"{pod.metadata.namespace}/{ref.name}") if ref is not None else None
        if ref is None or rs is None or rs.metadata.uid != ref.uid:
            return ()
        owner = controller_of(rs.metadata)
        d = self.deployments.get(f"{rs.metadata.namespace}/{owner.name}") if owner is not None else None
        return (key_of(d),) if d is not None and d.spec.strategy.type == "Recreate" else ()

    async def reconcile(self, key: str) -> float | None:
        d = self.deployments.get(key)
        if d is None:
            return None
        if not await self.own.visible(key):
            return AGAIN
        if d.spec.selector is None or d.spec.selector == LabelSelector():
            await self._refuse(d)
            return None
        selector = from_label_selector(d.spec.selector)
        near = candidates(self.sets, d.metadata, selector)
        ref = controller_ref(d, API_VERSION, KIND)
        owned = await settle(self.client, d, ref, claim(d.metadata, selector.matches, near))
        todo = plan(d, owned, ref, self._old_pods(d, owned), clock.now())
        if d.spec.strategy.type == "Recreate" and _begins(todo) and await self._hidden_pods(d, owned, selector):
            todo = plan(d, owned, ref, True, clock.now())._replace(again=AGAIN)
        try:
            await self._carry_out(d, todo)
        except ConnectionLost:
            self.own.lost(key)
            raise
        except ApiError as error:
            if namespace_terminating(error):
                return None
            raise
        return todo.again

    def _old_pods(self, d: Deployment, owned: Iterable[ReplicaSet]) -> bool:
        """Some pod of a set of another template has not ended."""
        return any(
            not podlib.terminal(pod)
            for rs in revision.find(d, owned).old
            for pod in self.pods.index(CONTROLLER, rs.metadata.uid)
        )

    async def _hidden_pods(self, d: Deployment, owned: Iterable[ReplicaSet], selector: Selector) -> bool:
        """The server has a pod of an old set that has not ended, though the cache does not show it (yet)."""
        old = {rs.metadata.uid for rs in revision.find(d, owned).old}
        if not old:
            return False
        found = (await self.client.list(Pod, d.metadata.namespace, labels=str(selector))).items
        return any(ref.uid in old for pod in found if not podlib.terminal(pod) and (ref := controller_of(pod.metadata)))

    async def _refuse(self, d: Deployment) -> None:
        """An empty selector would take every pod of the namespace."""
        self.recorder.event(
            d,
            "Warning",
            "SelectingAll",
            "This deployment is selecting all pods. A non-empty selector is required.",
        )
        if d.status.observedGeneration < d.metadata.generation:
            await self._write_status(d, replace(d.status, observedGeneration=d.metadata.generation))

    async def _carry_out(self, d: Deployment, todo: Plan) -> None:
        if todo.create is not None:
            await self._create(d, todo.create)
        for change in todo.updates:
            await self._update(d, change)
        for rs in todo.delete:
            try:
                await self.client.delete(ReplicaSet, rs.metadata.name, rs.metadata.namespace, uid=rs.metadata.uid)
            except NotFound:
                continue
        if todo.revision and todo.revision != d.metadata.annotations.get(revision.REVISION):
            patch = {"metadata": {"uid": d.metadata.uid, "annotations": {revision.REVISION: todo.revision}}}
            d = await self.client.patch(Deployment, d.metadata.name, patch, namespace=d.metadata.namespace)
        if todo.status != d.status:
            d = await self._write_status(d, todo.status)
        if todo.rollback is not None:
            changed, kind, reason, text = todo.rollback
            changed.metadata.annotations |= {revision.REVISION: todo.revision} if todo.revision else {}
            changed.metadata.resourceVersion = d.metadata.resourceVersion
            await self.client.update(changed)
            self.recorder.event(d, kind, reason, text)

    async def _write_status(self, d: Deployment, wanted: DeploymentStatus) -> Deployment:
        changed = codec.clone(d)
        changed.status = wanted
        return await self.client.update_status(changed)

    async def _create(self, d: Deployment, rs: ReplicaSet) -> None:
        """Create the new set; if its name is taken by another template, count a collision and try again."""
        name, size = rs.metadata.name, replicas_of(rs)
        try:
            self.own.wrote(key_of(d), await self.client.create(rs))
        except AlreadyExists:
            await self._existing(d, rs)
            return
        except ApiError as error:
            if not namespace_terminating(error):
                await self._report(d, f'Failed to create new replica set "{name}": {error}')
            raise
        if size > 0:
            text = f"Scaled up replica set {name} from 0 to {size}"
            self.recorder.event(d, "Normal", "ScalingReplicaSet", text)

    async def _existing(self, d: Deployment, rs: ReplicaSet) -> None:
        """A set of this name exists: ours from before (the cache lags), or of another template (a hash
        collision).
        """
        live = await self.client.get(ReplicaSet, rs.metadata.name, rs.metadata.namespace)
        owner = controller_of(live.metadata)
        ours = owner is not None and owner.uid == d.metadata.uid
        if ours and revision.same_template(live.spec.template, d.spec.template):
            return
        count = (d.status.collisionCount or 0) + 1
        await self._write_status(d, replace(d.status, collisionCount=count))
        raise AlreadyExists(f'replica set "{rs.metadata.name}" belongs to another template: collision {count}')

    async def _report(self, d: Deployment, message: str) -> None:
        """Show in the status and as an event why there is no new set."""
        self.recorder.event(d, "Warning", "ReplicaSetCreateError", message)
        if status.has_deadline(d):
            one = status.made(status.PROGRESSING, "False", "ReplicaSetCreateError", message, clock.now())
            conditions = status.put(d.status.conditions, one)
            if conditions != d.status.conditions:
                await self._write_status(d, replace(d.status, conditions=conditions))

    async def _update(self, d: Deployment, change: Change) -> None:
        before, after = replicas_of(change.before), replicas_of(change.after)
        self.own.wrote(key_of(d), await self.client.update(change.after))
        if before != after:
            way = "up" if after > before else "down"
            text = f"Scaled {way} replica set {change.after.metadata.name} from {before} to {after}"
            self.recorder.event(d, "Normal", "ScalingReplicaSet", text)


def _begins(todo: Plan) -> bool:
    """A set is given its first pods."""
    given = (todo.create, *(change.after for change in todo.updates))
    return any(rs is not None and replicas_of(rs) > 0 and not rs.status.replicas for rs in given)
