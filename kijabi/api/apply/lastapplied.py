"""From client-side apply to server-side apply: what kubectl's annotation says, and how it is kept up.

`apiserver/managedfields.py` asks here when the manager is `kubectl`: fields that its `last-applied-configuration`
holds unchanged are its own, so conflicts about them are none; and the annotation follows each apply, so that the user
can go back to client-side apply (KEP-555; k8s.io/apimachinery `pkg/util/managedfields/internal/lastapplied*.go`).
"""

from __future__ import annotations

from operator import eq
from typing import Any

import msgspec

from kijabi.api.apply import fieldset, typed
from kijabi.api.apply.compare import compare
from kijabi.api.apply.fieldset import Tree
from kijabi.api.apply.managers import Conflicts
from kijabi.api.apply.schema import Schema
from kijabi.api.gotext import json_text
from kijabi.api.patch import bounded
from kijabi.base.errors import BadRequest

Document = dict[str, Any]
KUBECTL = "kubectl"
ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
MAX_ANNOTATIONS = 256 * 1024  # bytes of all annotations of an object


def annotation(document: Document) -> str:
    """What the annotation says; nothing if it is not there."""
    found = (document.get("metadata") or {}).get("annotations") or {}
    return str(found.get(ANNOTATION) or "")


def still_ours(conflicts: Conflicts, schema: Schema, live: Document, version: str) -> Conflicts | None:
    """What is left of the conflicts without those about fields that client-side apply set; None: nothing."""
    allowed = _unchanged(schema, live, version)
    if allowed is None:
        return conflicts
    left = [each for each in conflicts.found if not fieldset.has(allowed, each.path)]
    return Conflicts(left) if left else None


def _unchanged(schema: Schema, live: Document, version: str) -> Tree | None:
    """The fields of the annotation that the object still has as they were; None if it says nothing of use."""
    text = annotation(live)
    if not text:
        return None
    try:
        applied = bounded(msgspec.json.decode(text))
        if not isinstance(applied, dict) or applied.get("apiVersion") != version:
            return None
        typed.check(schema, applied)
        changes = compare(schema, applied, live, eq)
    except (msgspec.MsgspecError, RecursionError, BadRequest, typed.Mismatch):
        return None
    changed = fieldset.union(changes.written, changes.removed)
    return fieldset.difference(typed.fields_of(schema, applied), changed)


def follow(document: Document, config: Document) -> Document:
    """The object with its annotation brought up to what was applied now, if it has one."""
    if not annotation(document):
        return document
    meta = document["metadata"]
    annotations = {**meta["annotations"], ANNOTATION: json_text(_bare(config)) + "\n"}
    if sum(len(name.encode()) + len(str(value).encode()) for name, value in annotations.items()) > MAX_ANNOTATIONS:
        del annotations[ANNOTATION]
    return {**document, "metadata": {**meta, "annotations": annotations}}


def _bare(config: Document) -> Document:
    """A configuration without the annotation itself."""
    if not annotation(config):
        return config
    meta = config["metadata"]
    left = {name: value for name, value in meta["annotations"].items() if name != ANNOTATION}
    return {**config, "metadata": {**meta, "annotations": left}}
