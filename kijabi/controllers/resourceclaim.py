"""Claims to devices: made from templates for the pods that ask so, reserved for pods, let go when nobody runs.

Receives pods, claims and templates from the informers; makes claims, writes their names into the pod's status and who
uses a claim into the claim's, and deletes claims that were made for a pod that will not run any more. Which devices a
claim gets is the scheduler's part. `plan_pod` and `plan_claim` are pure. Source: resource.k8s.io/v1 ResourceClaim;
KEP-4381, KEP-5004; k8s.io/kubernetes `pkg/controller/resourceclaim`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from kijabi.api import codec
from kijabi.api.core.pod import Pod, PodResourceClaim
from kijabi.api.dra.podclaims import claim_name, made_for, reserved_for
from kijabi.api.dra.resourceclaim import ResourceClaim, ResourceClaimConsumerReference
from kijabi.api.dra.resourceclaimtemplate import ResourceClaimTemplate
from kijabi.api.meta import ObjectMeta, OwnerReference
from kijabi.base.errors import ApiError, ConnectionLost, NotFound
from kijabi.client.cache import key_of
from kijabi.client.informer import Informer, Informers
from kijabi.controllers import pods as podlib
from kijabi.controllers.creation import generated
from kijabi.controllers.owners import CONTROLLER, controller_index, controller_of
from kijabi.controllers.ownwrites import AGAIN, OwnWrites
from kijabi.controllers.runtime import WORKERS, Context, Source
from kijabi.controllers.sources import pods

FINALIZER = "resource.kubernetes.io/delete-protection"
"""Keeps a claim while it holds devices."""
POD_CLAIM = "resource.kubernetes.io/pod-claim-name"
"""Annotation: for which of the pod's claims it was made."""
CLAIM, TEMPLATE = "resourceclaim", "resourceclaimtemplate"
_POD, _CLAIM = "pod:", "claim:"
_LONGEST = 57


class PodPlan(NamedTuple):
    """What to do for a pod. make: claims to be made; names: of claims that were made and are not in its status yet, by
    the pod's name for them; reserve: claims that it uses, though they do not know.
    """

    make: tuple[PodResourceClaim, ...] = ()
    names: tuple[tuple[str, str], ...] = ()
    reserve: tuple[ResourceClaim, ...] = ()


class ClaimPlan(NamedTuple):
    """What to do with a claim, in this order: who still uses it (None: as it is), whether it gives its devices back,
    whether nothing keeps it any more, whether it goes.
    """

    reserved: tuple[ResourceClaimConsumerReference, ...] | None = None
    deallocate: bool = False
    release: bool = False
    delete: bool = False


def done(pod: Pod) -> bool:
    """It will not run any more: it has ended, or is deleted and was never given a node."""
    return podlib.terminal(pod) or (pod.metadata.deletionTimestamp is not None and not pod.spec.nodeName)


def claims_of(pod: Pod) -> list[str]:
    """Names of all claims that a pod uses, those of extended resources too, which the scheduler makes."""
    found = [name for wanted in pod.spec.resourceClaims if (name := claim_name(pod, wanted))]
    extended = pod.status.extendedResourceClaimStatus
    return [*found, extended.resourceClaimName] if extended is not None and extended.resourceClaimName else found


def plan_pod(pod: Pod, known: Callable[[str], ResourceClaim | None], owned: Sequence[ResourceClaim]) -> PodPlan:
    """What to do for a pod. known: the claim of a name. owned: the claims that the pod controls."""
    if pod.metadata.deletionTimestamp is not None:
        return PodPlan()
    make: list[PodResourceClaim] = []
    names: list[tuple[str, str]] = []
    reserve: list[ResourceClaim] = []
    for wanted in pod.spec.resourceClaims:
        name = claim_name(pod, wanted)
        claim = known(name) if name else None
        generated_here = wanted.resourceClaimName is None
        if generated_here and name is not None and (claim is None or not made_for(pod, claim)):
            claim = next((one for one in owned if one.metadata.annotations.get(POD_CLAIM) == wanted.name), None)
            if claim is None:
                make.append(wanted)
                continue
            names.append((wanted.name, claim.metadata.name))
        held = claim is not None and claim.status.allocation is not None
        if claim is not None and held and pod.spec.nodeName and not reserved_for(pod, claim):
            reserve.append(claim)
    return PodPlan(tuple(make), tuple(names), tuple(reserve))


def plan_claim(claim: ResourceClaim, gone: Collection[str], owner: Pod | None) -> ClaimPlan:
    """What to do with a claim. gone: uids of users that need it no more; owner: the pod that has the name of the one
    for which it was made, if there is one.
    """
    reserved = claim.status.reservedFor
    left = tuple(ref for ref in reserved if ref.uid not in gone)
    ours, going = FINALIZER in claim.metadata.finalizers, claim.metadata.deletionTimestamp is not None
    todo = ClaimPlan()
    if len(left) < len(reserved):
        given_back = not left and ours
        released = ours and (given_back or claim.status.allocation is None)
        todo = ClaimPlan(left, deallocate=given_back, release=released)
    elif ours and going and not left:
        todo = ClaimPlan(deallocate=claim.status.allocation is not None, release=True)
    ref = owning_pod(claim)
    if not left and ref is not None and owner is not None and (owner.metadata.uid != ref.uid or done(owner)):
        todo = todo._replace(delete=True)
    return todo


def owning_pod(claim: ResourceClaim) -> OwnerReference | None:
    """The pod for which a claim was made."""
    ref = controller_of(claim.metadata)
    return ref if ref is not None and (ref.apiVersion, ref.kind) == ("v1", "Pod") else None


def base_name(pod: str, wanted: str) -> str:
    """What a claim's name begins with; of long names something of both stays."""
    whole = f"{pod}-{wanted}-"
    if len(whole) <= _LONGEST:
        return whole.removesuffix("-")
    return f"{pod[: len(pod) * _LONGEST // len(whole)]}-{wanted[: len(wanted) * _LONGEST // len(whole)]}"


def make_claim(pod: Pod, wanted: PodResourceClaim, template: ResourceClaimTemplate, name: str) -> ResourceClaim:
    """The claim of a pod, by its template."""
    given, own = template.spec.metadata, pod.metadata
    owner = OwnerReference(apiVersion="v1", kind="Pod", name=own.name, uid=own.uid, controller=True)
    meta = ObjectMeta(
        name=name,
        generateName=f"{base_name(own.name, wanted.name)}-",
        namespace=own.namespace,
        labels=given.labels,
        annotations={**given.annotations, POD_CLAIM: wanted.name},
        ownerReferences=(owner,),
    )
    return ResourceClaim(metadata=meta, spec=codec.clone(template).spec.spec)


def _claims_index(pod: Pod) -> list[str]:
    return [f"{pod.metadata.namespace}/{name}" for name in claims_of(pod)]


def _templates_index(pod: Pod) -> list[str]:
    named = (wanted.resourceClaimTemplateName for wanted in pod.spec.resourceClaims)
    return [f"{pod.metadata.namespace}/{name}" for name in named if name is not None]


def pods_with_claims(informers: Informers) -> Informer[Pod]:
    """All pods, also by their claims and templates of claims (`namespace/name`)."""
    pods(informers)
    return informers.of(Pod, indexes={CLAIM: _claims_index, TEMPLATE: _templates_index})


def resource_claims(informers: Informers) -> Informer[ResourceClaim]:
    """All claims, by the pod that controls them."""
    return informers.of(ResourceClaim, indexes={CONTROLLER: controller_index})


class ResourceClaims:
    """The controller. A key is `pod:` or `claim:` and the object's namespace and name."""

    name = "resourceclaim"
    workers = WORKERS

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.recorder = context.recorder("resource_claim")
        self.pods = pods_with_claims(context.informers)
        self.claims = resource_claims(context.informers)
        self.templates = context.informers.of(ResourceClaimTemplate)
        self.own = OwnWrites(self.client, self.claims)

    def sources(self) -> Sequence[Source]:
        return (
            Source(self.pods, self._keys_of_pod),
            Source(self.claims, self._keys_of_claim),
            Source(self.templates, self._keys_of_template),
        )

    def _keys_of_pod(self, old: Pod | None, new: Pod | None) -> Iterable[str]:
        pod = new if new is not None else old
        if pod is None or not (pod.spec.resourceClaims or pod.status.extendedResourceClaimStatus is not None):
            return ()
        if new is None or done(new):
            return [_CLAIM + key for key in _claims_index(pod)]
        return (_POD + key_of(new),)

    def _keys_of_claim(self, old: ResourceClaim | None, new: ResourceClaim | None) -> Iterable[str]:
        claim = new if new is not None else old
        if claim is None:
            return ()
        users = [_POD + key_of(pod) for pod in self.pods.index(CLAIM, key_of(claim))]
        return [_CLAIM + key_of(claim), *users] if new is not None else users

    def _keys_of_template(self, old: ResourceClaimTemplate | None, new: ResourceClaimTemplate | None) -> Iterable[str]:
        return [_POD + key_of(pod) for pod in self.pods.index(TEMPLATE, key_of(new))] if new is not None else ()

    async def reconcile(self, key: str) -> float | None:
        if key.startswith(_CLAIM):
            await self._settle_claim(key.removeprefix(_CLAIM))
            return None
        key = key.removeprefix(_POD)
        pod: Pod | None = self.pods.get(key)
        if pod is None or done(pod):
            return None
        if not await self.own.visible(key):
            return AGAIN
        await self._settle_pod(key, pod)
        return None

    # Pods

    async def _settle_pod(self, key: str, pod: Pod) -> None:
        known = {name: await self._known(pod.metadata.namespace, name) for name in claims_of(pod)}
        todo = plan_pod(pod, known.get, self.claims.index(CONTROLLER, pod.metadata.uid))
        names = dict(todo.names)
        for wanted in todo.make:
            try:
                names[wanted.name] = await self._make(key, pod, wanted)
            except (ApiError, ConnectionLost) as error:
                text = f"PodResourceClaim {wanted.name}: {error}"
                self.recorder.event(pod, "Warning", "FailedResourceClaimCreation", text)
                if isinstance(error, NotFound):  # the template's coming will wake us
                    return
                raise
        if names:
            await self._name_claims(pod, names)
        for claim in todo.reserve:
            own = pod.metadata
            user = ResourceClaimConsumerReference(resource="pods", name=own.name, uid=own.uid)
            changed = codec.clone(claim)
            changed.status.reservedFor = (*changed.status.reservedFor, user)
            await self.client.update_status(changed)

    async def _known(self, namespace: str, name: str) -> ResourceClaim | None:
        """A claim by the cache, or else by the server: the cache may be late, and a claim made twice is held twice."""
        cached: ResourceClaim | None = self.claims.get(f"{namespace}/{name}")
        if cached is not None:
            return cached
        try:
            return await self.client.get(ResourceClaim, name, namespace)
        except NotFound:
            return None

    async def _make(self, key: str, pod: Pod, wanted: PodResourceClaim) -> str:
        """Make a claim; its name. Raises NotFound without a template."""
        named = wanted.resourceClaimTemplateName or ""
        template: ResourceClaimTemplate | None = self.templates.get(f"{pod.metadata.namespace}/{named}")
        if template is None:
            missing = f'resourceclaimtemplate.resource.k8s.io "{named}" not found'
            raise NotFound(f'resource claim template "{named}": {missing}')
        name = generated(base_name(pod.metadata.name, wanted.name))
        await self.own.noted(key, self.client.create(make_claim(pod, wanted, template, name)))
        return name

    async def _name_claims(self, pod: Pod, names: dict[str, str]) -> None:
        """Say in the pod's status which claims were made for it."""
        kept = {one.name: one.resourceClaimName for one in pod.status.resourceClaimStatuses}
        merged = {**kept, **names}
        entries = [
            {"name": name, **({"resourceClaimName": claim} if claim is not None else {})}
            for name, claim in sorted(merged.items())
        ]
        own = pod.metadata
        patch = {"metadata": {"uid": own.uid}, "status": {"resourceClaimStatuses": entries}}
        try:
            await self.client.patch(Pod, own.name, patch, namespace=own.namespace, subresource="status")
        except NotFound:
            return

    # Claims

    async def _settle_claim(self, key: str) -> None:
        claim: ResourceClaim | None = self.claims.get(key)
        if claim is None:
            return
        namespace, ref = claim.metadata.namespace, owning_pod(claim)
        gone = {user.uid for user in claim.status.reservedFor if await self._gone(namespace, user)}
        todo = plan_claim(claim, gone, self.pods.get(f"{namespace}/{ref.name}") if ref is not None else None)
        if todo.reserved is not None or todo.deallocate:
            changed = codec.clone(claim)
            changed.status.reservedFor = claim.status.reservedFor if todo.reserved is None else todo.reserved
            if todo.deallocate:
                changed.status.allocation = None
            claim = await self.client.update_status(changed)
        own = claim.metadata
        if todo.release and FINALIZER in own.finalizers:
            left = tuple(name for name in own.finalizers if name != FINALIZER)
            await self.client.update(replace(claim, metadata=replace(own, finalizers=left)))
        if todo.delete:
            try:
                await self.client.delete(ResourceClaim, own.name, own.namespace, uid=own.uid)
            except NotFound:
                return

    async def _gone(self, namespace: str, user: ResourceClaimConsumerReference) -> bool:
        """Whether a pod needs its reservation no more; who is no pod keeps it.

        A pod that the cache does not show may be newer than the cache: the server knows.
        """
        if (user.apiGroup, user.resource) != ("", "pods"):
            return False
        pod: Pod | None = self.pods.get(f"{namespace}/{user.name}")
        if pod is None or pod.metadata.uid != user.uid:
            try:
                pod = await self.client.get(Pod, user.name, namespace)
            except NotFound:
                return True
        return pod.metadata.uid != user.uid or done(pod)
