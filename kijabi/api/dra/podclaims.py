"""Which claims to devices a pod means: those that it names, and those that are made for it from templates.

Asked by the controllers of claims and by the scheduler. Source: core/v1 PodResourceClaim; KEP-4381.
"""

from __future__ import annotations

from kijabi.api.core.pod import Pod, PodResourceClaim
from kijabi.api.dra.resourceclaim import ResourceClaim


def claim_name(pod: Pod, wanted: PodResourceClaim) -> str | None:
    """The name of the claim that is meant; empty if it is not made yet, None if none is needed."""
    if wanted.resourceClaimName is not None:
        return wanted.resourceClaimName
    for status in pod.status.resourceClaimStatuses:
        if status.name == wanted.name:
            return status.resourceClaimName
    return ""


def made_for(pod: Pod, claim: ResourceClaim) -> bool:
    """The pod controls it."""
    return any(ref.controller and ref.uid == pod.metadata.uid for ref in claim.metadata.ownerReferences)


def reserved_for(pod: Pod, claim: ResourceClaim) -> bool:
    """The claim knows that the pod uses it."""
    return any(ref.uid == pod.metadata.uid for ref in claim.status.reservedFor)
