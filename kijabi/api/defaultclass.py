"""The default of a cluster's classes: of storage classes, of ingress classes; pure.

Asked by admission, when an object is created, and by the volume binder for claims that are older than the default
(k8s.io/kubernetes `pkg/volume/util/storageclass.go`, KEP-3333).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from kijabi.api.meta import Object

T = TypeVar("T", bound=Object)

STORAGE = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
"""The annotations that mark the default storage class."""
INGRESS = ("ingressclass.kubernetes.io/is-default-class",)
"""The annotation that marks the default ingress class."""


def default_of(classes: Iterable[T], marks: tuple[str, ...]) -> str | None:
    """The name of the newest class that is marked as the default; of equally old ones the first by name."""
    marked = [each for each in classes if any(each.metadata.annotations.get(mark) == "true" for mark in marks)]
    found = min(marked, key=lambda each: (-_born(each), each.metadata.name), default=None)
    return found.metadata.name if found is not None else None


def _born(obj: Object) -> float:
    created = obj.metadata.creationTimestamp
    return created.timestamp() if created else 0.0
