"""What a CustomResourceDefinition says, as Resources: one for each version that is served. Pure.

`serving.py` makes a Definition whenever a stored CRD changes, and hands its Resources to the routes. Whatever is dear
to make (compiled schemas, JSON paths) is made when it is first needed, so that hundreds of definitions that nobody uses
cost little.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from typing import Any

from kijabi.api import codec, status
from kijabi.api.apiextensions import structural
from kijabi.api.apiextensions.customresourcedefinition import CustomResourceDefinition, CustomResourceDefinitionVersion
from kijabi.api.apiextensions.structural import Structural
from kijabi.api.autoscaling.scale import Scale
from kijabi.api.custom import Custom
from kijabi.api.resource import Resource, Subresource
from kijabi.apiserver.aggregation.ranks import version_order
from kijabi.apiserver.crd import columns
from kijabi.apiserver.crd.objects import Rules

MATERIALISED = 32  # schemas that are kept as JSON values, those that were asked for last
_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
_SUB_VERBS = ("get", "patch", "update")


class Schema(Mapping[str, Any]):
    """A version's OpenAPI v3 schema as JSON values, which are made of the stored definition when they are read."""

    def __init__(self, declared: CustomResourceDefinitionVersion) -> None:
        self.declared = declared

    def __getitem__(self, name: str) -> Any:
        return _materialised(self)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_materialised(self))

    def __len__(self) -> int:
        return len(_materialised(self))

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


@lru_cache(MATERIALISED)
def _materialised(schema: Schema) -> dict[str, Any]:
    declared = schema.declared.schema
    props = declared.openAPIV3Schema if declared is not None else None
    return codec.to_builtins(props) if props is not None else {}


class Version:
    """One version of a definition."""

    def __init__(self, definition: Definition, declared: CustomResourceDefinitionVersion) -> None:
        self.definition = definition
        self.declared = declared
        self.name = declared.name
        self.api_version = f"{definition.group}/{declared.name}"
        self.schema = Schema(declared)

    @cached_property
    def structural(self) -> Structural:
        """The compiled schema. Raises InternalError for one that has no structural form, stored by who knows whom."""
        try:
            return structural.compile(self.schema)
        except structural.SchemaError as error:
            raise status.internal(f"the server could not properly serve the CR schema: {error}") from None

    @cached_property
    def resource(self) -> Resource:
        """The declaration, as a built-in resource has it in its file."""
        names, declared = self.definition.names, self.declared
        rules = Rules(self)
        subs = declared.subresources
        return Resource(
            group=self.definition.group,
            version=self.name,
            kind=names.kind,
            plural=names.plural,
            singular=names.singular,
            short=names.shortNames,
            categories=names.categories,
            list_kind=names.listKind,
            namespaced=self.definition.namespaced,
            type=Custom,
            verbs=_VERBS,
            subresources=self._subresources(names.kind),
            schema=self.schema,
            prune=rules.prune,
            defaults=rules.default,
            prepare=rules.prepare,
            prepare_status=rules.prepare_status if subs is not None and subs.status is not None else None,
            validate=rules.validate,
            validate_update=rules.validate_update,
            validate_status=rules.validate_status,
            warnings=rules.warnings,
            warnings_update=rules.warnings_update,
            fields=columns.selectable(declared.selectableFields),
            columns=columns.of(declared.additionalPrinterColumns),
            deprecated=self._deprecation() if declared.deprecated else "",
            update_alone=True,
            update_needs_version=True,
        )

    def _subresources(self, kind: str) -> tuple[Subresource, ...]:
        subs = self.declared.subresources
        found = []
        if subs is not None and subs.status is not None:
            found.append(Subresource(name="status", kind=kind, verbs=_SUB_VERBS, type=Custom))
        if subs is not None and subs.scale is not None:
            paths = (subs.scale.specReplicasPath, subs.scale.statusReplicasPath, subs.scale.labelSelectorPath or "")
            scale = Subresource(
                name="scale", kind="Scale", group="autoscaling", version="v1", verbs=_SUB_VERBS, type=Scale, paths=paths
            )
            found.append(scale)
        return tuple(found)

    def _deprecation(self) -> str:
        """The warning that every request to a deprecated version gets."""
        if self.declared.deprecationWarning is not None:
            return self.declared.deprecationWarning
        kind = self.definition.names.kind
        usable = [each.name for each in self.definition.served if not each.declared.deprecated]
        mine = version_order(self.name)
        better = sorted((name for name in usable if version_order(name) < mine), key=version_order)
        instead = f"; use {self.definition.group}/{better[0]} {kind}" if better else ""
        return f"{self.api_version} {kind} is deprecated{instead}"


class Definition:
    """One CustomResourceDefinition as it is stored now."""

    def __init__(self, crd: CustomResourceDefinition) -> None:
        self.crd = crd
        self.group = crd.spec.group
        self.names = crd.status.acceptedNames
        self.namespaced = crd.spec.scope == "Namespaced"
        self.versions = {each.name: Version(self, each) for each in crd.spec.versions}
        self.storage = next(each.name for each in crd.spec.versions if each.storage)

    @property
    def served(self) -> list[Version]:
        """The versions that clients may use."""
        return [version for version in self.versions.values() if version.declared.served]

    def version_of(self, api_version: str) -> Version | None:
        """The version that an object says it is in."""
        group, _, name = api_version.rpartition("/")
        return self.versions.get(name) if group == self.group else None
