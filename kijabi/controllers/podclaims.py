"""What the volume controllers ask about a pod: which claims it has, and whether it still uses them.

Generic ephemeral volumes are of claims too, named after pod and volume (core/v1 EphemeralVolumeSource).
"""

from __future__ import annotations

from kijabi.api.core.pod import Pod
from kijabi.api.core.podreferences import claim_of
from kijabi.client.informer import Informer
from kijabi.controllers.pods import terminal

CLAIM = "claim"
"""The index of pods by their claims' namespace and name."""


def claims_of(pod: Pod) -> list[str]:
    """The names of the claims that a pod's volumes are of."""
    return [name for volume in pod.spec.volumes if (name := claim_of(pod, volume))]


def by_claim(pod: Pod) -> tuple[str, ...]:
    """The index function."""
    return tuple(f"{pod.metadata.namespace}/{name}" for name in claims_of(pod)) if pod.spec.volumes else ()


def indexed(informer: Informer[Pod]) -> Informer[Pod]:
    """The pods' informer with the index `CLAIM`."""
    informer.add_index(CLAIM, by_claim)
    return informer


def ended(pod: Pod) -> bool:
    """It has ended, or is being deleted and nothing of it runs."""
    if terminal(pod):
        return True
    status = pod.status
    every = (*status.initContainerStatuses, *status.containerStatuses, *status.ephemeralContainerStatuses)
    running = any(one.state.terminated is None and one.state.waiting is None for one in every)
    return pod.metadata.deletionTimestamp is not None and not running


def standing(pod: Pod) -> tuple[str, str, bool]:
    """What of a pod decides about its volumes: which pod it is, where, and whether it still uses them."""
    return pod.metadata.uid, pod.spec.nodeName, ended(pod)
