"""Files of one volume that would land on each other: accepted, yet likely wrong.

`pod_warnings.py` sends them on. Texts are those of k8s.io/kubernetes `pkg/api/pod`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from kijabi.api.core.volume import VolumeProjection
from kijabi.api.gotext import quote

if TYPE_CHECKING:
    from kijabi.api.core.volume import Volume

_Place = tuple[str, str]  # a path in the volume, and the source it comes from if that needs saying


def overlaps(volumes: Iterable[Volume]) -> Iterator[str]:
    """Warnings of paths that are the same, or of which one is inside the other."""
    for volume in volumes:
        for text in _of_volume(volume):
            yield f"volume {quote(volume.name)} {text}"


def _of_volume(volume: Volume) -> Iterator[str]:
    if volume.configMap is not None:
        yield from _among((item.path for item in volume.configMap.items), f"ConfigMap {quote(volume.configMap.name)}")
    if volume.secret is not None:
        yield from _among((item.path for item in volume.secret.items), f"Secret {quote(volume.secret.secretName)}")
    if volume.downwardAPI is not None:
        yield from _among((item.path for item in volume.downwardAPI.items), "DownwardAPI")
    if volume.projected is not None:
        seen: list[_Place] = []
        for source in volume.projected.sources:
            if source == VolumeProjection():
                yield "(Projected) has no sources provided"
            for path, origin in _places(source):
                for text in _clashes(seen, (path.rstrip("/"), origin)):
                    yield f"(Projected): overlapping paths: {text}"


def _places(source: VolumeProjection) -> Iterator[_Place]:
    bundle, certificate = source.clusterTrustBundle, source.podCertificate
    if source.configMap is not None and source.configMap.items:
        yield from ((item.path, f"ConfigMap {quote(source.configMap.name)}") for item in source.configMap.items)
    elif source.secret is not None and source.secret.items:
        yield from ((item.path, f"Secret {quote(source.secret.name)}") for item in source.secret.items)
    elif source.downwardAPI is not None and source.downwardAPI.items:
        yield from ((item.path, "DownwardAPI") for item in source.downwardAPI.items)
    elif source.serviceAccountToken is not None:
        yield source.serviceAccountToken.path, "ServiceAccountToken"
    elif bundle is not None:
        yield bundle.path, f"ClusterTrustBundle {quote(bundle.name or bundle.signerName or '')}"
    elif certificate is not None:
        found = (
            (certificate.certificateChainPath, "chain"),
            (certificate.keyPath, "key"),
            (certificate.credentialBundlePath, "credential bundle"),
        )
        yield from ((path, f"PodCertificate {what}") for path, what in found if path)


def _among(paths: Iterable[str], kind: str) -> Iterator[str]:
    seen: list[_Place] = []
    for path in paths:
        for text in _clashes(seen, (path.rstrip("/"), "")):
            yield f"({kind}): overlapping paths: {text}"


def _clashes(seen: list[_Place], place: _Place) -> list[str]:
    """Texts of what the place clashes with; it is then among those seen."""
    path = place[0]
    found = [other for other in seen if path and other[0] and _within(path, other[0])]
    seen.append(place)
    return [f"{_shown(place)} with {_shown(other)}" for other in found]


def _within(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def _shown(place: _Place) -> str:
    path, origin = place
    return f"{quote(path)} ({origin})" if origin else quote(path)
