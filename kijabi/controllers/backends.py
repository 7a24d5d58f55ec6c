"""What a Service's selector makes of a pod: whether it is a back end, at which address and ports, since when.

Pure functions and one small memory, shared by `endpointslice.py` and `endpoints.py`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from kijabi.api.core.pod import Pod
from kijabi.api.core.service import Service, ServicePort
from kijabi.api.meta import Object, ObjectMeta
from kijabi.client.cache import key_of
from kijabi.client.informer import Informer
from kijabi.controllers import pods as podlib
from kijabi.controllers.sources import LABEL, NODE, SELECTOR, labelled

HEADLESS = "service.kubernetes.io/headless"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
TRIGGERED = "endpoints.kubernetes.io/last-change-trigger-time"
ZONE = "topology.kubernetes.io/zone"


class Port(NamedTuple):
    """A port of a back end, as the Service calls it."""

    name: str
    protocol: str
    port: int
    appProtocol: str | None


def selects(service: Service, labels: Mapping[str, str]) -> bool:
    """The service has a selector and it matches; services without one have their endpoints made by others."""
    wanted = service.spec.selector
    return bool(wanted) and wanted.items() <= labels.items()


def managed(service: Service) -> bool:
    """Its endpoints are ours to make: it has a selector and is not an ExternalName."""
    return bool(service.spec.selector) and service.spec.type != "ExternalName"


def eligible(pod: Pod, *, terminating: bool) -> bool:
    """It has an address and has not ended; one that is being deleted counts only if `terminating`."""
    if podlib.terminal(pod) or not addresses(pod):
        return False
    return terminating or pod.metadata.deletionTimestamp is None


def addresses(pod: Pod) -> tuple[str, ...]:
    """All addresses of the pod, the primary one first."""
    listed = tuple(entry.ip for entry in pod.status.podIPs if entry.ip)
    return listed or ((pod.status.podIP,) if pod.status.podIP else ())


def address_of(pod: Pod, family: str) -> str | None:
    """The pod's address of a family, `IPv4` or `IPv6`."""
    wanted = 6 if family == "IPv6" else 4
    return next((ip for ip in addresses(pod) if ipaddress.ip_address(ip).version == wanted), None)


def families(service: Service) -> tuple[str, ...]:
    """The address families that the service wants; guessed from its cluster IP where it does not say."""
    if service.spec.ipFamilies:
        return tuple(service.spec.ipFamilies)
    address = service.spec.clusterIP
    return ("IPv6",) if address and address != "None" and ":" in address else ("IPv4",)


def slice_families(service: Service) -> tuple[str, ...]:
    """The families of a service's slices: both where neither it nor its cluster IP says which."""
    if service.spec.ipFamilies or not headless(service):
        return families(service)
    return ("IPv4", "IPv6")


def headless(service: Service) -> bool:
    """It has no cluster IP."""
    return service.spec.clusterIP in ("", "None")


def hostname(pod: Pod, service: Service) -> str:
    """The name under which DNS shows the pod below the service; empty if it has none."""
    return pod.spec.hostname if pod.spec.subdomain == service.metadata.name else ""


def ports(pod: Pod, service: Service) -> tuple[Port, ...]:
    """The pod's ports that serve the service; a named target port that the pod lacks is left out."""
    found = ((entry, _target(pod, entry)) for entry in service.spec.ports)
    return tuple(
        Port(entry.name, entry.protocol or "TCP", number, entry.appProtocol)
        for entry, number in found
        if number is not None
    )


def _target(pod: Pod, port: ServicePort) -> int | None:
    """The number behind `targetPort`: a name is looked up in the containers and the sidecars."""
    target = port.targetPort
    if isinstance(target, str) and target:
        sidecars = (c for c in pod.spec.initContainers if c.restartPolicy == "Always")
        for container in (*pod.spec.containers, *sidecars):
            for entry in container.ports:
                if entry.name == target and (entry.protocol or "TCP") == (port.protocol or "TCP"):
                    return entry.containerPort
        return None
    return target if isinstance(target, int) and target else port.port


def pod_matters(old: Pod | None, new: Pod | None) -> bool:
    """The change may alter an endpoint; most pod updates do not."""
    if old is None or new is None:
        return True
    return _facts(old) != _facts(new)


def _facts(pod: Pod) -> tuple[object, ...]:
    meta, spec, status = pod.metadata, pod.spec, pod.status
    return (
        meta.uid,
        meta.labels,
        meta.deletionTimestamp is None,
        spec.nodeName,
        spec.hostname,
        spec.subdomain,
        podlib.terminal(pod),
        podlib.ready(pod),
        status.podIP,
        status.podIPs,
    )


def services_of(services: Informer[Service], pod: Pod) -> Iterator[Service]:
    """The services that select a pod: those that ask for one of its labels, then for all."""
    labels = pod.metadata.labels
    for pair in labels.items():
        for service in services.index(SELECTOR, labelled(pod.metadata.namespace, *pair)):
            if selects(service, labels):
                yield service


def chosen(pods: Informer[Pod], service: Service) -> list[Pod]:
    """The pods that the service selects, found by the rarest of the labels it asks for."""
    pairs = (labelled(service.metadata.namespace, *pair) for pair in service.spec.selector.items())
    rarest = min((pods.index(LABEL, value) for value in pairs), key=len, default=())
    return [pod for pod in rarest if selects(service, pod.metadata.labels)]


def services_of_pod(services: Informer[Service], old: Pod | None, new: Pod | None) -> set[str]:
    """Keys of the services that select the pod, before or after a change."""
    if not pod_matters(old, new):
        return set()
    if old is not None and new is not None and old.metadata.labels == new.metadata.labels:
        old = None
    return {key_of(service) for pod in (old, new) if pod is not None for service in services_of(services, pod)}


def services_of_node(services: Informer[Service], pods: Informer[Pod], name: str) -> set[str]:
    """Keys of the services with a back end on a node."""
    return {key_of(service) for pod in pods.index(NODE, name) for service in services_of(services, pod)}


class TriggerTimes:
    """When the change happened that an endpoint update answers, for the programming-latency measure (SLI).

    `of` compares with what it saw for the service last time and gives the oldest change since, "" if there is
    none.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, dict[str, str]]] = {}

    def of(self, service: Service, pods: Iterable[Pod]) -> str:
        key = key_of(service)
        created = _created(service.metadata)
        known = self._seen.get(key)
        times = {key_of(pod): _changed(pod) for pod in pods}
        self._seen[key] = (created, times)
        if known is None:
            candidates = [created, *times.values()]
            return max(candidates, default="")
        before_service, before = known
        news = [at for pod, at in times.items() if at > before.get(pod, "")]
        if created > before_service:
            news.append(created)
        return min((at for at in news if at), default="")

    def forget(self, key: str) -> None:
        """The service is gone."""
        self._seen.pop(key, None)


def _created(meta: ObjectMeta) -> str:
    return str(meta.creationTimestamp or "")


def _changed(pod: Pod) -> str:
    found = podlib.condition(pod, "Ready")
    return str(found.lastTransitionTime or "") if found is not None else ""


def same_labels(obj: Object, wanted: Mapping[str, str]) -> bool:
    """The object has exactly these labels."""
    return obj.metadata.labels == wanted
