"""What a pod uses by name: its service account, Secrets, ConfigMaps, claims.

The Node authorizer and admission grant by it what a kubelet may see, a controller finds Secrets that are in use.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from kijabi.api.core.container import Container, EphemeralContainer
from kijabi.api.core.pod import Pod
from kijabi.api.core.volume import Volume

MIRROR = "kubernetes.io/config.mirror"


class Ref(NamedTuple):
    """An object that a pod uses; kind is the resource's plural."""

    kind: str
    namespace: str
    name: str


def references(pod: Pod) -> Iterator[Ref]:
    """All that a pod uses by name, itself included. A mirror pod may use nothing through the API."""
    namespace, spec = pod.metadata.namespace, pod.spec
    yield Ref("pods", namespace, pod.metadata.name)
    if MIRROR in (pod.metadata.annotations or {}):
        return
    if spec.serviceAccountName:
        yield Ref("serviceaccounts", namespace, spec.serviceAccountName)
    for secret in spec.imagePullSecrets:
        yield Ref("secrets", namespace, secret.name)
    containers: tuple[Container | EphemeralContainer, ...] = (*spec.initContainers, *spec.containers)
    for container in containers + spec.ephemeralContainers:
        yield from _container_references(container, namespace)
    for volume in spec.volumes:
        yield from _volume_references(volume, pod)
    for status in pod.status.resourceClaimStatuses:
        if status.resourceClaimName:
            yield Ref("resourceclaims", namespace, status.resourceClaimName)
    for claim in spec.resourceClaims:
        if claim.resourceClaimName:
            yield Ref("resourceclaims", namespace, claim.resourceClaimName)


def claim_of(pod: Pod, volume: Volume) -> str:
    """The name of the claim that a volume of the pod is of; "" if it is of none."""
    if volume.persistentVolumeClaim is not None:
        return volume.persistentVolumeClaim.claimName
    return f"{pod.metadata.name}-{volume.name}" if volume.ephemeral is not None else ""


def _container_references(container: Container | EphemeralContainer, namespace: str) -> Iterator[Ref]:
    for source in container.envFrom:
        if source.configMapRef is not None:
            yield Ref("configmaps", namespace, source.configMapRef.name)
        if source.secretRef is not None:
            yield Ref("secrets", namespace, source.secretRef.name)
    for env in container.env:
        if env.valueFrom is not None and env.valueFrom.configMapKeyRef is not None:
            yield Ref("configmaps", namespace, env.valueFrom.configMapKeyRef.name)
        if env.valueFrom is not None and env.valueFrom.secretKeyRef is not None:
            yield Ref("secrets", namespace, env.valueFrom.secretKeyRef.name)


def _volume_references(volume: Volume, pod: Pod) -> Iterator[Ref]:
    namespace = pod.metadata.namespace
    if volume.configMap is not None:
        yield Ref("configmaps", namespace, volume.configMap.name)
    if volume.secret is not None:
        yield Ref("secrets", namespace, volume.secret.secretName)
    if volume.projected is not None:
        for source in volume.projected.sources:
            if source.configMap is not None:
                yield Ref("configmaps", namespace, source.configMap.name)
            if source.secret is not None:
                yield Ref("secrets", namespace, source.secret.name)
    if claim := claim_of(pod, volume):
        yield Ref("persistentvolumeclaims", namespace, claim)
    for secret in _secret_sources(volume):
        yield Ref("secrets", namespace, secret)


def _secret_sources(source: object) -> Iterator[str]:
    """Names of secrets in the volume plug-ins that share the shape `secretRef.name` or `secretName`."""
    for plugin in ("cephfs", "flexVolume", "rbd", "scaleIO", "iscsi", "storageos"):
        secret = getattr(getattr(source, plugin, None), "secretRef", None)
        if secret is not None:
            yield secret.name
    azure = getattr(source, "azureFile", None)
    if azure is not None:
        yield azure.secretName
    csi = getattr(source, "csi", None)
    secret = getattr(csi, "nodePublishSecretRef", None)
    if secret is not None:
        yield secret.name
