"""Who manages the replicas of a workload, as its scale shows it, and back.

The scale subresource is an object of its own: what its writers own there is one field of the workload.
`apiserver/managedfields.py` shows the workload's managers as the scale's before a write, and notes afterwards what came
of it (k8s.io/apimachinery `pkg/util/managedfields` ScaleHandler).
"""

from __future__ import annotations

from collections.abc import Mapping

from kijabi.api.apply import fieldset
from kijabi.api.apply.fieldset import Path
from kijabi.api.apply.managers import Entry, Managed, Manager

VERSION = "autoscaling/v1"
REPLICAS: Path = ("f:spec", "f:replicas")
Paths = Mapping[str, Path | None]  # of the replicas in each apiVersion of a workload; None: it has no scale there


def to_scale(parent: Managed, paths: Paths) -> Managed:
    """The managers of a scale: those who own the workload's replicas."""
    found: Managed = {}
    for who, entry in parent.items():
        path = paths.get(entry.version)
        if path is not None and fieldset.has(entry.fields, path):
            found[who] = Entry(VERSION, entry.applied, fieldset.of(REPLICAS), entry.time)
    return found


def to_parent(parent: Managed, scale: Managed, paths: Paths, version: str) -> Managed:
    """The managers of the workload after a write of its scale. version: of the workload, as the request has it."""
    out: Managed = {}
    left = dict(scale)
    for who, entry in parent.items():
        if entry.version not in paths:
            continue
        path = paths[entry.version]
        if path is None or not fieldset.has(entry.fields, path) or who in left:
            out[who] = entry
            left.pop(who, None)
            continue
        kept = fieldset.difference(entry.fields, fieldset.of(path))
        if kept:
            out[who] = entry.with_fields(kept)
    own = paths[version]
    for who, entry in left.items():
        if own is not None and fieldset.has(entry.fields, REPLICAS):
            before = parent.get(who)
            time = before.time if before is not None else None
            recorded = Manager(who.name, who.operation, "" if entry.applied else version, who.subresource)
            out[recorded] = Entry(version, entry.applied, fieldset.of(own), time)
    return out
