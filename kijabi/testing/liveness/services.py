"""What must come true of Services and PodDisruptionBudgets: what they say of pods is so."""

from __future__ import annotations

from collections.abc import Iterator

from kijabi.api.core.endpoints import Endpoints
from kijabi.api.core.pod import Pod
from kijabi.api.core.service import Service
from kijabi.api.discovery.endpointslice import SERVICE_NAME, EndpointSlice
from kijabi.api.policy.poddisruptionbudget import PodDisruptionBudget
from kijabi.api.selector import from_label_selector
from kijabi.testing.history import Ledger
from kijabi.testing.safety.facts import ready


def service(one: Service, ledger: Ledger) -> Iterator[str]:
    """Its slices and its endpoints list its ready pods."""
    if not one.spec.selector:
        return
    meta = one.metadata
    chosen = {
        pod.status.podIP
        for pod in ledger.of(Pod)
        if pod.metadata.namespace == meta.namespace
        and one.spec.selector.items() <= pod.metadata.labels.items()
        and ready(pod)
    }
    slices = [
        part
        for part in ledger.of(EndpointSlice)
        if part.metadata.namespace == meta.namespace and part.metadata.labels.get(SERVICE_NAME) == meta.name
    ]
    endpoints_ready = (each for part in slices for each in part.endpoints if each.conditions.ready)
    listed = [address for each in endpoints_ready for address in each.addresses]
    if sorted(listed) != sorted(chosen):
        yield f"its slices have {sorted(listed)}, its ready pods {sorted(chosen)}"
    endpoints = ledger.get(Endpoints, meta.name, meta.namespace)
    old = sorted(a.ip for subset in endpoints.subsets for a in subset.addresses) if endpoints is not None else None
    if old != sorted(chosen):
        yield f"its endpoints are {old}, its ready pods {sorted(chosen)}"


def budget(one: PodDisruptionBudget, ledger: Ledger) -> Iterator[str]:
    """Its status counts the pods as they are."""
    matches = from_label_selector(one.spec.selector).matches
    pods = [pod for pod in ledger.of(Pod) if pod.metadata.namespace == one.metadata.namespace]
    healthy = sum(ready(pod) and matches(pod.metadata.labels) for pod in pods)
    status = one.status
    if status.observedGeneration != one.metadata.generation:
        yield "generation not observed"
    if status.currentHealthy != healthy:
        yield f"says {status.currentHealthy} pods are healthy, {healthy} are"
    if status.disruptionsAllowed != max(0, healthy - status.desiredHealthy) and status.expectedPods:
        yield f"allows {status.disruptionsAllowed} disruptions of {healthy} pods, wants {status.desiredHealthy}"
