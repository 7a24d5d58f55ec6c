"""What a write of a CustomResourceDefinition does to it beside checking: its status, and how its deletion begins.

Functions of the Resource in `customresourcedefinition.py`. The API server does the rest: it gives names and deletes the
objects (apiextensions-apiserver `pkg/registry/customresourcedefinition`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from kijabi.api import meta

if TYPE_CHECKING:
    from kijabi.api.apiextensions.customresourcedefinition import CustomResourceDefinition

CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
"""The finalizer under which the server deletes a definition's objects."""


def prepare(new: CustomResourceDefinition, old: CustomResourceDefinition | None) -> None:
    """Every version that objects may be stored in is noted, for good, until somebody has rewritten them."""
    storage = next((version.name for version in new.spec.versions if version.storage), None)
    stored = new.status.storedVersions
    if storage is not None and storage not in stored:
        new.status = msgspec.structs.replace(new.status, storedVersions=(*stored, storage))


def begin_delete(crd: CustomResourceDefinition) -> None:
    """A definition does not go before its objects."""
    from kijabi.api.apiextensions.customresourcedefinition import CustomResourceDefinitionCondition

    if CLEANUP not in crd.metadata.finalizers:
        crd.metadata.finalizers = (*crd.metadata.finalizers, CLEANUP)
    pending = CustomResourceDefinitionCondition(
        type="Terminating",
        status="True",
        lastTransitionTime=meta.time_now(),
        reason="InstanceDeletionPending",
        message="CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
    )
    kept = tuple(each for each in crd.status.conditions if each.type != "Terminating")
    crd.status = msgspec.structs.replace(crd.status, conditions=(*kept, pending))
