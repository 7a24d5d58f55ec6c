"""Who manages the replicas, for writes through the scale subresource.

`subresources/scale.py` calls `changed` after a write of a scale and `applied` for server-side apply on one; both give
the managed fields of the workload behind it. The mapping between the two is pure and in `api/apply/scale.py`.
"""

from __future__ import annotations

from operator import eq
from typing import Any

import msgspec

from kijabi.api import codec, jsonpath, meta
from kijabi.api.apply import managers, schema, updater
from kijabi.api.apply.compare import compare
from kijabi.api.apply.fieldset import Path
from kijabi.api.apply.scale import REPLICAS, VERSION, Paths, to_parent, to_scale
from kijabi.api.apply.schema import Schema
from kijabi.api.apply.updater import Document, Scope
from kijabi.api.autoscaling.scale import Scale
from kijabi.apiserver.call import Call
from kijabi.apiserver.managedfields import FieldManager, apply
from kijabi.apiserver.routes import Served

_SCOPE = Scope(VERSION, "scale")


def replicas_path(served: Served) -> Path | None:
    """Where a workload keeps its replicas; None if it has no scale."""
    sub = served.subresources.get("scale")
    if sub is None:
        return None
    return tuple(f"f:{name}" for name in jsonpath.fields(sub.paths[0])) if sub.paths else REPLICAS


class ScaleFields:
    """The managers of workloads' replicas."""

    def __init__(self, fields: FieldManager) -> None:
        self.fields = fields

    def _paths(self, served: Served) -> Paths:
        """The path in each version of a resource."""
        plural, group = served.resource.plural, served.resource.group
        return {
            other.resource.api_version: replicas_path(other)
            for (name, _), resources in self.fields.routes.versions.items()
            if name == group and (other := resources.get(plural)) is not None and other.cache is served.cache
        }

    def changed(self, call: Call, served: Served, workload: Any, old: Scale, new: Scale) -> msgspec.Raw:
        """The workload's managed fields after its scale was written."""
        paths, before = self._paths(served), managers.stored(workload.metadata.managedFields)
        managed = to_scale(before, paths)
        if managed:  # of a field that nobody tracks, an update does not begin to
            changes = compare(_schema(), _bare(old), _bare(new), eq)
            name = managers.name_of(call.options.field_manager, call.request.headers.get("user-agent", ""))
            managed = updater.update(managed, _SCOPE, name, changes, {}, meta.time_now())
        return managers.write(to_parent(before, managed, paths, served.resource.api_version))

    async def applied(
        self, call: Call, served: Served, workload: Any, old: Scale, config: Document
    ) -> tuple[Scale, msgspec.Raw]:
        """The scale after an apply, and the workload's managed fields. Raises as FieldManager.applied."""
        paths, before = self._paths(served), managers.stored(workload.metadata.managedFields)
        empty = codec.to_builtins(Scale())
        live, managed = codec.to_builtins(old), to_scale(before, paths)
        new, managed = await apply(call, _Only(), _SCOPE, live, empty, config, managed)
        scale = codec.from_builtins(Scale, new)
        return scale, managers.write(to_parent(before, managed, paths, served.resource.api_version))


class _Only:
    """The one version that scales have."""

    def schema(self, version: str) -> Schema | None:
        """See updater.Versions."""
        return _schema() if version == VERSION else None

    async def convert(self, document: Document, version: str) -> Document:
        """See updater.Versions."""
        return document


def _schema() -> Schema:
    return schema.of_type(Scale)


def _bare(scale: Scale) -> Document:
    """A scale without what nobody manages."""
    return {"spec": codec.to_builtins(scale.spec), "status": codec.to_builtins(scale.status)}
