"""What the files of a ConfigMap, Secret, downward API or projected volume are to hold; pure.

`manager.py` gathers the objects and tokens and calls `payload`; `atomic.py` writes the result. Messages are those
that a FailedMount event has always shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.pod import Pod
from kijabi.api.core.secret import Secret
from kijabi.api.core.volume import (
    DownwardAPIVolumeFile,
    KeyToPath,
    PodCertificateProjection,
    ServiceAccountTokenProjection,
    Volume,
)
from kijabi.kubelet import downward, podspec
from kijabi.kubelet.downward import Facts
from kijabi.kubelet.problems import ConfigProblem, VolumeProblem
from kijabi.kubelet.references import TRUST_BUNDLES, Ref
from kijabi.kubelet.volumes import trust

DEFAULT_MODE = 0o644
TOKEN_SECONDS = 3600


class File(msgspec.Struct, frozen=True):
    """One file of a volume. user: its owner's uid, None for root."""

    data: bytes
    mode: int
    user: int | None = None


Payload = dict[str, File]


class TokenWanted(msgspec.Struct, frozen=True):
    """A service account token that a projected volume shows. audience "": the API server's own."""

    audience: str
    seconds: int


class Place(NamedTuple):
    """Where a certificate is shown: the volume, and the number of its source."""

    volume: str
    source: int


class Credentials(msgspec.Struct, frozen=True):
    """A private key and its certificates in PEM; or why there are none."""

    key: bytes = b""
    chain: bytes = b""
    problem: str = ""


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that payloads are made of. objects: those that exist; tokens: by what was wanted."""

    objects: Mapping[Ref, object] = {}
    tokens: Mapping[TokenWanted, str] = {}
    credentials: Mapping[Place, Credentials] = {}
    facts: Facts = Facts()


def is_payload(volume: Volume) -> bool:
    """Whether the volume's content is written by the kubelet."""
    return any(source is not None for source in (volume.configMap, volume.secret, volume.downwardAPI, volume.projected))


def tokens_of(volume: Volume) -> tuple[TokenWanted, ...]:
    """The tokens that a volume shows."""
    sources = volume.projected.sources if volume.projected is not None else ()
    return tuple(wanted(s.serviceAccountToken) for s in sources if s.serviceAccountToken is not None)


def wanted(source: ServiceAccountTokenProjection) -> TokenWanted:
    """The token that one projection asks for."""
    seconds = source.expirationSeconds
    return TokenWanted(source.audience, TOKEN_SECONDS if seconds is None else seconds)


def payload(pod: Pod, volume: Volume, sources: Sources) -> Payload:
    """The files of one volume. Raises VolumeProblem if something that is not optional is missing."""
    try:
        if volume.configMap is not None:
            config, mode = volume.configMap, _mode(volume.configMap.defaultMode)
            return _configmap(pod, config.name, config.items, bool(config.optional), mode, sources)
        if volume.secret is not None:
            secret, mode = volume.secret, _mode(volume.secret.defaultMode)
            return _secret(pod, secret.secretName, secret.items, bool(secret.optional), mode, sources)
        if volume.downwardAPI is not None:
            return _downward(pod, volume.downwardAPI.items, _mode(volume.downwardAPI.defaultMode), sources)
        return _projected(pod, volume, sources)
    except ConfigProblem as problem:
        raise VolumeProblem(volume.name, str(problem)) from problem


def _projected(pod: Pod, volume: Volume, sources: Sources) -> Payload:
    files: Payload = {}
    assert volume.projected is not None
    mode = _mode(volume.projected.defaultMode)
    for number, each in enumerate(volume.projected.sources):
        if (config := each.configMap) is not None:
            files |= _configmap(pod, config.name, config.items, bool(config.optional), mode, sources)
        elif (secret := each.secret) is not None:
            files |= _secret(pod, secret.name, secret.items, bool(secret.optional), mode, sources)
        elif each.downwardAPI is not None:
            files |= _downward(pod, each.downwardAPI.items, mode, sources)
        elif (token := each.serviceAccountToken) is not None:
            files[token.path] = _own(pod, sources.tokens[wanted(token)].encode(), mode)
        elif (bundle := each.clusterTrustBundle) is not None:
            files[bundle.path] = _own(pod, trust.anchors(bundle, sources.objects.get(TRUST_BUNDLES)), mode)
        elif (certificate := each.podCertificate) is not None:
            files |= _certificate(pod, certificate, sources.credentials[Place(volume.name, number)], mode)
        else:
            raise ConfigProblem("a projected source of this kind is not supported by this node")
    return files


def _certificate(pod: Pod, source: PodCertificateProjection, held: Credentials, mode: int) -> Payload:
    """Key and certificates, in one file or in two."""
    if held.problem:
        raise ConfigProblem(held.problem)
    shown = (
        (source.credentialBundlePath, held.key + held.chain),
        (source.keyPath, held.key),
        (source.certificateChainPath, held.chain),
    )
    return {path: _own(pod, data, mode) for path, data in shown if path}


def _own(pod: Pod, data: bytes, mode: int) -> File:
    """A file of the pod's user, such as a token or a key: 0600 for the one user of all containers, or for fsGroup."""
    user = _common_user(pod)
    whole = pod.spec.securityContext
    if user is not None or (whole is not None and whole.fsGroup is not None):
        mode = 0o600
    return File(data, mode, user)


def _common_user(pod: Pod) -> int | None:
    """The user that every container runs as, if that is known from the spec alone."""
    whole = pod.spec.securityContext.runAsUser if pod.spec.securityContext is not None else None
    users = set()
    for _, container in podspec.containers(pod.spec):
        own = container.securityContext.runAsUser if container.securityContext is not None else None
        users.add(whole if own is None else own)
    return users.pop() if len(users) == 1 else None


def _mode(mode: int | None) -> int:
    return DEFAULT_MODE if mode is None else mode


def _configmap(pod: Pod, name: str, items: Iterable[KeyToPath], optional: bool, mode: int, sources: Sources) -> Payload:
    found = sources.objects.get(Ref("configmap", pod.metadata.namespace, name))
    if not isinstance(found, ConfigMap):
        if optional:
            return {}
        raise ConfigProblem(f'configmap "{name}" not found')
    data = {key: text.encode() for key, text in (found.data or {}).items()} | dict(found.binaryData or {})
    return _keyed(data, items, optional, mode, "configmap references non-existent config key")


def _secret(pod: Pod, name: str, items: Iterable[KeyToPath], optional: bool, mode: int, sources: Sources) -> Payload:
    found = sources.objects.get(Ref("secret", pod.metadata.namespace, name))
    if not isinstance(found, Secret):
        if optional:
            return {}
        raise ConfigProblem(f'secret "{name}" not found')
    return _keyed(found.data or {}, items, optional, mode, "references non-existent secret key")


def _keyed(data: Mapping[str, bytes], items: Iterable[KeyToPath], optional: bool, mode: int, missing: str) -> Payload:
    """All keys under their own names, or the chosen ones under the paths given."""
    chosen = tuple(items)
    if not chosen:
        return {key: File(bytes(value), mode) for key, value in data.items()}
    files: Payload = {}
    for item in chosen:
        if item.key in data:
            files[item.path] = File(bytes(data[item.key]), mode if item.mode is None else item.mode)
        elif not optional:
            raise ConfigProblem(f"{missing}: {item.key}")
    return files


def _downward(pod: Pod, items: Iterable[DownwardAPIVolumeFile], mode: int, sources: Sources) -> Payload:
    files: Payload = {}
    for item in items:
        if item.fieldRef is not None:
            text = downward.field(item.fieldRef, pod, sources.facts)
        elif item.resourceFieldRef is not None:
            text = downward.resource(item.resourceFieldRef, pod, None, sources.facts)
        else:
            continue
        files[item.path] = File(text.encode(), mode if item.mode is None else item.mode)
    return files
