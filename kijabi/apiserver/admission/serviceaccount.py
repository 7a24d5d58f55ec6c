"""Every pod runs as a service account and finds its token, the cluster's CA and its namespace in a volume.

The token itself is made when the kubelet asks for it (`subresources/token.py`). Source of the rules:
k8s.io/kubernetes `plugin/pkg/admission/serviceaccount` (KEP-1205, bound service account tokens).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from kijabi.api.core.container import Container, EphemeralContainer, VolumeMount
from kijabi.api.core.env import ObjectFieldSelector
from kijabi.api.core.pod import Pod
from kijabi.api.core.podreferences import MIRROR, references
from kijabi.api.core.reference import LocalObjectReference
from kijabi.api.core.serviceaccount import ServiceAccount
from kijabi.api.core.volume import (
    ConfigMapProjection,
    DownwardAPIProjection,
    DownwardAPIVolumeFile,
    KeyToPath,
    ProjectedVolumeSource,
    ServiceAccountTokenProjection,
    Volume,
    VolumeProjection,
)
from kijabi.api.gotext import quote
from kijabi.api.resource import Resource
from kijabi.apiserver.admission.plugin import Plugin, is_kind, refuse
from kijabi.apiserver.attributes import Attributes, Operation, Reader
from kijabi.base import rand

DEFAULT = "default"
VOLUME = "kube-api-access"
MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
ROOT_CA = "kube-root-ca.crt"
# Not an hour: a token of exactly this life is lengthened, because old programs read it once (KEP-1205).
TOKEN_SECONDS = 3607
ENFORCE = "kubernetes.io/enforce-mountable-secrets"
WAIT = 1.5  # seconds for the controller to make the default account of a new namespace


class ServiceAccountAdmission(Plugin):
    """Gives pods their service account."""

    name = "ServiceAccount"

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._waiting: dict[tuple[str, str], list[asyncio.Future[None]]] = {}
        reader.subscribe(ServiceAccount, self._account_changed)

    def handles(self, resource: Resource, subresource: str, operation: Operation) -> bool:
        """See Admission."""
        if not is_kind(resource, "", "pods"):
            return False
        return (operation == "CREATE" and not subresource) or (
            operation == "UPDATE" and subresource == "ephemeralcontainers"
        )

    async def mutate(self, attrs: Attributes) -> None:
        """See Admission."""
        if attrs.operation != "CREATE":
            return
        pod: Pod = attrs.object
        if MIRROR in (pod.metadata.annotations or {}):
            _check_mirror(attrs, pod)
            return
        spec = pod.spec
        if not spec.serviceAccountName:
            spec.serviceAccountName = DEFAULT
            spec.serviceAccount = DEFAULT
        account = await self._account(attrs, spec.serviceAccountName)
        if _automounts(account, pod):
            _mount_token(pod)
        if not spec.imagePullSecrets:
            names = [each.name for each in account.imagePullSecrets]
            spec.imagePullSecrets = tuple(LocalObjectReference(name=name) for name in names)
        _check_secrets(attrs, account, pod)

    async def validate(self, attrs: Attributes) -> None:
        """See Admission."""
        pod: Pod = attrs.object
        if MIRROR in (pod.metadata.annotations or {}):
            if attrs.operation == "CREATE":
                _check_mirror(attrs, pod)
            return
        if not pod.spec.serviceAccountName:
            where = f"{attrs.namespace}/{pod.metadata.name}"
            raise refuse(attrs, f"no service account specified for pod {where}")
        account = await self._account(attrs, pod.spec.serviceAccountName)
        _check_secrets(attrs, account, pod)

    async def _account(self, attrs: Attributes, name: str) -> ServiceAccount:
        account = self._reader.get(ServiceAccount, name, attrs.namespace)
        if account is None and name == DEFAULT:
            await self._wait(attrs.namespace, name)
            account = self._reader.get(ServiceAccount, name, attrs.namespace)
        if account is None:
            where = f"{attrs.namespace}/{name}"
            missing = f"serviceaccount {quote(name)} not found"
            raise refuse(attrs, f"error looking up service account {where}: {missing}")
        return account

    async def _wait(self, namespace: str, name: str) -> None:
        made: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault((namespace, name), [])
        waiting.append(made)
        try:
            async with asyncio.timeout(WAIT):
                await made
        except TimeoutError:
            return  # the caller looks again, and says that there is none
        finally:
            waiting.remove(made)
            if not waiting:
                self._waiting.pop((namespace, name), None)

    def _account_changed(self, old: ServiceAccount | None, new: ServiceAccount | None) -> None:
        if new is not None:
            for made in self._waiting.get((new.metadata.namespace, new.metadata.name), ()):
                if not made.done():
                    made.set_result(None)


def _automounts(account: ServiceAccount, pod: Pod) -> bool:
    """The pod's wish counts before the account's; the default is yes."""
    if pod.spec.automountServiceAccountToken is not None:
        return pod.spec.automountServiceAccountToken
    return account.automountServiceAccountToken is not False


def _mount_token(pod: Pod) -> None:
    spec = pod.spec
    there = next((each.name for each in spec.volumes if each.name.startswith(VOLUME + "-")), "")
    mount = VolumeMount(name=there or f"{VOLUME}-{rand.suffix()}", readOnly=True, mountPath=MOUNT_PATH)
    containers = (*spec.initContainers, *spec.containers)
    without = [each for each in containers if all(m.mountPath != MOUNT_PATH for m in each.volumeMounts)]
    for container in without:
        container.volumeMounts += (mount,)
    if without and not there:
        spec.volumes += (Volume(name=mount.name, projected=token_volume()),)


def token_volume() -> ProjectedVolumeSource:
    """Token, CA and namespace: what a program in a pod needs to speak to the API server."""
    namespace = ObjectFieldSelector(apiVersion="v1", fieldPath="metadata.namespace")
    return ProjectedVolumeSource(
        defaultMode=0o644,
        sources=(
            VolumeProjection(
                serviceAccountToken=ServiceAccountTokenProjection(path="token", expirationSeconds=TOKEN_SECONDS)
            ),
            VolumeProjection(
                configMap=ConfigMapProjection(name=ROOT_CA, items=(KeyToPath(key="ca.crt", path="ca.crt"),))
            ),
            VolumeProjection(
                downwardAPI=DownwardAPIProjection(items=(DownwardAPIVolumeFile(path="namespace", fieldRef=namespace),))
            ),
        ),
    )


def _check_mirror(attrs: Attributes, pod: Pod) -> None:
    """A mirror pod shows what a kubelet runs from a file; it may use nothing of the API."""
    if pod.spec.serviceAccountName:
        raise refuse(attrs, "a mirror pod may not reference service accounts")
    bare = Pod(metadata=type(pod.metadata)(name=pod.metadata.name), spec=pod.spec)
    if any(ref.kind == "secrets" for ref in references(bare)):
        raise refuse(attrs, "a mirror pod may not reference secrets")
    for volume in pod.spec.volumes:
        sources = volume.projected.sources if volume.projected is not None else ()
        if any(source.serviceAccountToken is not None for source in sources):
            raise refuse(attrs, "a mirror pod may not use ServiceAccountToken volume projections")


def _check_secrets(attrs: Attributes, account: ServiceAccount, pod: Pod) -> None:
    """An account may be told to let its pods use only the secrets that it lists."""
    wanted = (account.metadata.annotations or {}).get(ENFORCE, "")
    if wanted not in ("1", "t", "T", "true", "TRUE", "True"):
        return
    allowed = {each.name for each in account.secrets}
    tail = f"is not allowed because service account {account.metadata.name} does not reference that secret"
    if attrs.operation == "CREATE":
        for volume in pod.spec.volumes:
            if volume.secret is not None and volume.secret.secretName not in allowed:
                raise refuse(attrs, f'volume with secret.secretName="{volume.secret.secretName}" {tail}')
    for what, name in _secrets_in_containers(attrs, pod):
        if name not in allowed:
            raise refuse(attrs, f'{what} referencing secret.secretName="{name}" {tail}')
    if attrs.operation == "CREATE":
        pulls = {each.name for each in account.imagePullSecrets}
        for index, pull in enumerate(pod.spec.imagePullSecrets):
            if pull.name not in pulls:
                raise refuse(attrs, f'imagePullSecrets[{index}].name="{pull.name}" {tail[:-6]}imagePullSecret')


def _secrets_in_containers(attrs: Attributes, pod: Pod) -> Iterator[tuple[str, str]]:
    spec = pod.spec
    kinds: list[tuple[str, Container | EphemeralContainer]] = []
    if attrs.operation == "CREATE":
        kinds += [("init container", each) for each in spec.initContainers]
        kinds += [("container", each) for each in spec.containers]
    else:
        kinds += [("ephemeral container", each) for each in spec.ephemeralContainers]
    for kind, container in kinds:
        for env in container.env:
            if env.valueFrom is not None and env.valueFrom.secretKeyRef is not None:
                yield f"{kind} {container.name} with envVar {env.name}", env.valueFrom.secretKeyRef.name
        for source in container.envFrom:
            if source.secretRef is not None:
                yield f"{kind} {container.name} with envFrom", source.secretRef.name
