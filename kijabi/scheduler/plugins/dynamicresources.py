"""DynamicResources: a pod that claims devices waits until its claims have them, and goes where those can be reached.

Claims are not allocated here: whoever does writes `status.allocation`, and until then no node will do. So a pod never
runs without the devices that it asks for. Rules and texts: KEP-4381; resource.k8s.io/v1 ResourceClaim.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kijabi.api.dra.claim_rules import MOST_USERS
from kijabi.api.dra.podclaims import claim_name, made_for, reserved_for
from kijabi.api.dra.resourceclaim import ResourceClaim
from kijabi.scheduler.framework import Change, Event, Mask, Refusal, Static
from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.plugins.nodeaffinity import matches_any
from kijabi.scheduler.podinfo import PodInfo

UNALLOCATED = "cannot allocate all claims"
ELSEWHERE = "resourceclaim not available on the node"
IN_USE = "resourceclaim in use"


class DynamicResources(Static):
    """Refuses pods whose claims are not there or hold no devices, and nodes that cannot reach those devices."""

    name = "DynamicResources"
    wakes = Change.DEVICE_CLAIM | Change.POD_CHANGED | Change.NODE_ADDED | Change.NODE_LABELS

    def begin(self, pod: PodInfo, nodes: NodeState) -> str | Mask | None:
        """See Filter: each claim must be there, meant for this pod, and have room for one more user."""
        meta = pod.pod.metadata
        for wanted in pod.pod.spec.resourceClaims:
            name = claim_name(pod.pod, wanted)
            if name is None:
                continue
            if not name:
                return f'pod "{meta.namespace}/{meta.name}": ResourceClaim not created yet'
            claim = nodes.storage.device_claims.get(f"{meta.namespace}/{name}")
            if claim is None:
                return f'resourceclaim "{name}" not found'
            if claim.metadata.deletionTimestamp is not None:
                return f'resourceclaim "{name}" is being deleted'
            if wanted.resourceClaimName is None and not made_for(pod.pod, claim):
                where = f"{meta.namespace}/{name} was not created for Pod {meta.namespace}/{meta.name}"
                return f"ResourceClaim {where} (Pod is not owner)"
            full = len(claim.status.reservedFor) >= MOST_USERS and not reserved_for(pod.pod, claim)
            if claim.status.allocation is not None and full:
                return IN_USE
        return None

    def filter(self, pod: PodInfo, nodes: NodeState) -> Sequence[Refusal]:
        refusals = []
        for claim in _claims(pod, nodes):
            held = claim.status.allocation
            if held is None:
                return [Refusal(nodes.live, UNALLOCATED, final=True)]
            if held.nodeSelector is not None:
                reached = matches_any(held.nodeSelector.nodeSelectorTerms, nodes)
                refusals.append(Refusal(nodes.live & ~reached, ELSEWHERE, final=True))
        return refusals

    def worth(self, pod: PodInfo, event: Event) -> bool:
        """See Filter: a claim of this pod changed, or one that is made for it and that it does not know yet."""
        if event.change is not Change.DEVICE_CLAIM:
            return True
        claim = event.new
        if claim.metadata.namespace != pod.pod.metadata.namespace:
            return False
        named = {claim_name(pod.pod, wanted) for wanted in pod.pod.spec.resourceClaims}
        return claim.metadata.name in named or made_for(pod.pod, claim)


def _claims(pod: PodInfo, nodes: NodeState) -> Iterator[ResourceClaim]:
    for wanted in pod.pod.spec.resourceClaims:
        name = claim_name(pod.pod, wanted)
        claim = nodes.storage.device_claims.get(f"{pod.pod.metadata.namespace}/{name}") if name else None
        if claim is not None:
            yield claim
