"""The rules of a CustomResourceDefinition: group, names, versions, columns, conversion, and what updates may change.

`customresourcedefinition.py` names these functions in its Resource; `schemarules.py` knows the schemas. Order, paths
and texts of errors are those of k8s.io/apiextensions-apiserver `pkg/apis/apiextensions/validation`. There, what all
versions say alike counts as said once, of the whole definition, and is blamed under `spec`
(`spec.validation.openAPIV3Schema`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from kijabi.api import codec, gourl, validation
from kijabi.api.apiextensions import conversionrules, fieldpath, goschema, schemarules, structural
from kijabi.api.formats import dns1035_label, dns_subdomain
from kijabi.api.gotext import json_text, quote
from kijabi.api.resource import FieldError

if TYPE_CHECKING:
    from kijabi.api.apiextensions.customresourcedefinition import (
        CustomResourceColumnDefinition,
        CustomResourceDefinition,
        CustomResourceDefinitionNames,
        CustomResourceDefinitionSpec,
        CustomResourceDefinitionVersion,
        CustomResourceSubresources,
        CustomResourceValidation,
        SelectableField,
    )

APPROVAL = "api-approved.kubernetes.io"
SELECTABLE_LIMIT = 8
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_SELECTABLE = ("string", "boolean", "integer")
_WARNING_LIMIT = 256


def validate(crd: CustomResourceDefinition) -> list[FieldError]:
    """Errors of a new definition, besides those that every object's metadata can have."""
    return [
        *_name(crd),
        *_Rules(crd, None).spec("spec"),
        *_status(crd),
        *_approval(crd, None),
        *_preserve(crd, None),
    ]


def validate_update(new: CustomResourceDefinition, old: CustomResourceDefinition) -> list[FieldError]:
    """Errors of a changed definition; what was stored before the rules were as they are is forgiven."""
    errors = _Rules(new, old).spec("spec")
    if established(old):
        errors += validation.immutable("spec.scope", new.spec.scope, old.spec.scope)
        errors += validation.immutable("spec.names.kind", new.spec.names.kind, old.spec.names.kind)
    errors += validation.immutable("spec.group", new.spec.group, old.spec.group)
    errors += validation.immutable("spec.names.plural", new.spec.names.plural, old.spec.names.plural)
    return [*errors, *_status(new), *_approval(new, old), *_preserve(new, old)]


def validate_status(new: CustomResourceDefinition, old: CustomResourceDefinition) -> list[FieldError]:
    """Errors of a changed status."""
    return _names(new.status.acceptedNames, "status.acceptedNames")


def established(crd: CustomResourceDefinition) -> bool:
    """Whether its resource is being served."""
    return any(each.type == "Established" and each.status == "True" for each in crd.status.conditions)


def _name(crd: CustomResourceDefinition) -> list[FieldError]:
    wanted = f"{crd.spec.names.plural}.{crd.spec.group}"
    detail = 'must be spec.names.plural+"."+spec.group'
    meta = crd.metadata
    names = (("metadata.generateName", meta.generateName), ("metadata.name", meta.name))
    return [validation.invalid(path, name, detail) for path, name in names if name and name != wanted]


class _Common(msgspec.Struct):
    """What all versions say alike, and the versions without it."""

    versions: tuple[CustomResourceDefinitionVersion, ...]
    schema: CustomResourceValidation | None = None
    subresources: CustomResourceSubresources | None = None
    columns: tuple[CustomResourceColumnDefinition, ...] = ()
    selectable: tuple[SelectableField, ...] = ()


def _common(spec: CustomResourceDefinitionSpec) -> _Common:
    found = _Common(spec.versions)
    if not spec.versions:
        return found
    first, rest = spec.versions[0], spec.versions[1:]
    blank: dict[str, Any] = {}
    for attribute, into in (
        ("schema", "schema"), ("subresources", "subresources"), ("additionalPrinterColumns", "columns"),
        ("selectableFields", "selectable"),
    ):  # fmt: skip
        value = getattr(first, attribute)
        if all(getattr(each, attribute) == value for each in rest):
            setattr(found, into, value)
            blank[attribute] = type(value)() if isinstance(value, tuple) else None
    found.versions = tuple([msgspec.structs.replace(each, **blank) for each in spec.versions])
    return found


class _Rules:
    """The rules of one write of a definition."""

    def __init__(self, new: CustomResourceDefinition, old: CustomResourceDefinition | None) -> None:
        self.new = new
        self.old = old
        self.common = _common(new.spec)
        before = {} if old is None else {each.name: each for each in old.spec.versions}
        self.before: Mapping[str, CustomResourceDefinitionVersion] = before

    def spec(self, path: str) -> list[FieldError]:
        """Errors of the spec."""
        spec, common = self.new.spec, self.common
        errors = _group(spec.group, f"{path}.group") + conversionrules.enumerated(
            f"{path}.scope", spec.scope, ("Cluster", "Namespaced")
        )
        for index, version in enumerate(spec.versions):
            if version.schema is None or version.schema.openAPIV3Schema is None:
                errors.append(validation.required(f"{path}.versions[{index}].schema.openAPIV3Schema"))
        if spec.preserveUnknownFields and self._has_defaults():
            detail = "must be false in order to use defaults in the schema"
            errors.append(validation.invalid(f"{path}.preserveUnknownFields", True, detail))
        for index, version in enumerate(common.versions):
            errors += self._version(version, f"{path}.versions[{index}]")
        errors += self._versions(f"{path}.versions")
        for name in ("plural", "singular", "kind", "listKind"):
            if not getattr(spec.names, name):
                errors.append(validation.required(f"{path}.names.{name}"))
        errors += _names(spec.names, f"{path}.names")
        if spec.versions:
            errors += self._common(path)
        if spec.conversion is not None and spec.conversion.strategy != "None" and spec.preserveUnknownFields:
            detail = "must be None if spec.preserveUnknownFields is true"
            errors.append(validation.invalid(f"{path}.conversion.strategy", spec.conversion.strategy, detail))
        before = None if self.old is None else self.old.spec.conversion
        served = self.old is not None and established(self.old)
        return errors + conversionrules.validate(spec.conversion, before, f"{path}.conversion", served=served)

    def _has_defaults(self) -> bool:
        schemas = [each.schema for each in self.new.spec.versions if each.schema is not None]
        return any(_defaulted(_props(schema)) for schema in schemas)

    def _common(self, path: str) -> list[FieldError]:
        """Errors of what all versions say alike."""
        common = self.common
        first = self.new.spec.versions[0]
        errors: list[FieldError] = []
        if common.schema is not None:
            status = any(_has_status(each.subresources) for each in self.new.spec.versions)
            errors += self._schema(common.schema, first.name, status, f"{path}.validation")
        errors += _subresources(common.subresources, f"{path}.subresources")
        errors += _columns(common.columns, f"{path}.additionalPrinterColumns")
        if common.selectable and common.schema is None:
            detail = "may only be set when validations.schema is included"
            errors.append(validation.invalid(f"{path}.selectableFields", "", detail))
        elif common.selectable and common.schema is not None:
            errors += self._selectable(common.selectable, common.schema, first.name, f"{path}.selectableFields")
        return errors

    def _version(self, version: CustomResourceDefinitionVersion, path: str) -> list[FieldError]:
        errors = []
        problems = dns1035_label(version.name)
        if problems:
            errors.append(validation.invalid(f"{path}.name", version.name, ",".join(problems)))
        errors += _deprecation(version, f"{path}.deprecationWarning")
        if version.schema is not None:
            subresources = self.common.subresources if version.subresources is None else version.subresources
            errors += self._schema(version.schema, version.name, _has_status(subresources), f"{path}.schema")
        errors += _subresources(version.subresources, f"{path}.subresources")
        errors += _columns(version.additionalPrinterColumns, f"{path}.additionalPrinterColumns")
        if version.selectableFields and (version.schema is None or version.schema.openAPIV3Schema is None):
            detail = "may only be set when `version.schema.openAPIV3Schema` is not included"
            errors.append(validation.invalid(f"{path}.selectableFields", "", detail))
        elif version.selectableFields and version.schema is not None:
            at = f"{path}.selectableFields"
            errors += self._selectable(version.selectableFields, version.schema, version.name, at)
        return errors

    def _schema(self, schema: CustomResourceValidation, version: str, status: bool, path: str) -> list[FieldError]:
        if schema.openAPIV3Schema is None:
            return []
        before = self.before.get(version)
        known = before is not None and before.schema == schema
        props = _props(schema)
        return schemarules.validate(props, f"{path}.openAPIV3Schema", status=status, known_schema=known)

    def _selectable(
        self, fields: Sequence[SelectableField], schema: CustomResourceValidation, version: str, path: str
    ) -> list[FieldError]:
        props = _props(schema)
        if not structural.depth(props):
            return []  # said of the schema
        errors: list[FieldError] = []
        compiled: structural.Structural | None = None
        try:
            compiled = structural.compile(props)
        except structural.SchemaError as error:
            errors.append(validation.invalid(f"{path.rpartition('.')[0]}.schema.openAPIV3Schema", "", str(error)))
        seen: set[str] = set()
        for index, field in enumerate(fields):
            at = f"{path}[{index}].jsonPath"
            if not field.jsonPath:
                errors.append(validation.required(at))
                continue
            if compiled is None:
                continue
            try:
                names, shown, found = fieldpath.resolve(field.jsonPath, compiled, brackets=False)
            except fieldpath.PathError as error:
                errors.append(validation.invalid(at, field.jsonPath, f"is an invalid path: {error}"))
                continue
            if names[0] == "metadata":
                errors.append(validation.invalid(at, field.jsonPath, "must not point to fields in metadata"))
            if found is None or found.type not in _SELECTABLE:
                detail = (
                    "must point to a field of type string, boolean or integer. Enum string fields and strings with "
                    "formats are allowed."
                )
                errors.append(validation.invalid(at, field.jsonPath, detail))
            if shown in seen:
                errors.append(validation.duplicate(at, field.jsonPath))
            seen.add(shown)
        before = self.before.get(version)
        forgiven = before is not None and before.selectableFields == fields
        if len(seen) > SELECTABLE_LIMIT and not forgiven:
            errors.append(validation.too_many(path, len(seen), SELECTABLE_LIMIT))
        return errors

    def _versions(self, path: str) -> list[FieldError]:
        """Errors of the versions as a whole."""
        names = [each.name for each in self.new.spec.versions]
        errors = []
        if len(set(names)) < len(names):
            shown = goschema.versions(self.common.versions)
            errors.append(validation.invalid(path, shown, "must contain unique version names"))
        if sum(each.storage for each in self.new.spec.versions) != 1:
            detail = "must have exactly one version marked as storage version"
            errors.append(validation.invalid(path, goschema.versions(self.common.versions), detail))
        if names and dns1035_label(names[0]):
            # Go's internal type has the first version's name a second time.
            errors.append(validation.invalid("spec.version", names[0], ",".join(dns1035_label(names[0]))))
        return errors


def _props(schema: CustomResourceValidation) -> dict[str, Any]:
    """The schema as JSON values."""
    if schema.openAPIV3Schema is None:
        return {}
    props: dict[str, Any] = msgspec.json.decode(codec.encode_part(schema.openAPIV3Schema))
    return props


def _defaulted(props: Any) -> bool:
    """Whether there is a default somewhere in a schema."""
    if isinstance(props, list):
        return any(map(_defaulted, props))
    return isinstance(props, dict) and ("default" in props or any(map(_defaulted, props.values())))


def _group(group: str, path: str) -> list[FieldError]:
    if not group:
        return [validation.required(path)]
    problems = dns_subdomain(group)
    if problems:
        return [validation.invalid(path, group, ",".join(problems))]
    return [] if "." in group else [validation.invalid(path, group, "should be a domain with at least one dot")]


def _names(names: CustomResourceDefinitionNames, path: str) -> list[FieldError]:
    errors = []
    for name in ("plural", "singular"):
        value = getattr(names, name)
        problems = dns1035_label(value) if value else []
        if problems:
            errors.append(validation.invalid(f"{path}.{name}", value, ",".join(problems)))
    for name in ("kind", "listKind"):
        value = getattr(names, name)
        problems = dns1035_label(value.lower()) if value else []
        if problems:
            detail = f"may have mixed case, but should otherwise match: {','.join(problems)}"
            errors.append(validation.invalid(f"{path}.{name}", value, detail))
    errors += _labels(names.shortNames, f"{path}.shortNames")
    if names.kind and names.kind == names.listKind:
        errors.append(validation.invalid(f"{path}.listKind", names.listKind, "kind and listKind may not be the same"))
    return errors + _labels(names.categories, f"{path}.categories")


def _labels(values: Sequence[str], path: str) -> list[FieldError]:
    problems = [(index, value, dns1035_label(value)) for index, value in enumerate(values)]
    return [validation.invalid(f"{path}[{index}]", value, ",".join(wrong)) for index, value, wrong in problems if wrong]


def _deprecation(version: CustomResourceDefinitionVersion, path: str) -> list[FieldError]:
    warning = version.deprecationWarning
    if warning is None:
        return []
    if not version.deprecated:
        return [validation.invalid(path, _as_json(warning), "can only be set for deprecated versions")]
    problems = []
    if len(warning.encode()) > _WARNING_LIMIT:
        problems.append(f"must be <= {_WARNING_LIMIT} characters long")
    if not warning:
        problems.append("must not be an empty string")
    index = 0
    for char in warning:
        if not char.isprintable():
            found = f"non-printable character found at index {index}"
            problems.append(f"must only contain printable UTF-8 characters; {found}")
            break
        index += len(char.encode())
    return [validation.invalid(path, _as_json(warning), problem) for problem in problems]


def _as_json(text: str) -> msgspec.Raw:
    """A text that errors show as JSON, because upstream has a pointer to it."""
    return msgspec.Raw(json_text(text).encode())


def _has_status(subresources: CustomResourceSubresources | None) -> bool:
    return subresources is not None and subresources.status is not None


def _subresources(subresources: CustomResourceSubresources | None, path: str) -> list[FieldError]:
    if subresources is None or subresources.scale is None:
        return []
    scale = subresources.scale
    errors: list[FieldError] = []
    for name, value, below in (
        ("specReplicasPath", scale.specReplicasPath, ".spec."),
        ("statusReplicasPath", scale.statusReplicasPath, ".status."),
    ):
        at = f"{path}.scale.{name}"
        if not value:
            errors.append(validation.required(at))
            continue
        problems = _simple_path(value, at)
        if not problems and not value.startswith(below):
            problems = [validation.invalid(at, value, f"should be a json path under {below[:-1]}")]
        errors += problems
    selector = scale.labelSelectorPath
    if selector:
        at = f"{path}.scale.labelSelectorPath"
        problems = _simple_path(selector, at)
        if not problems and not selector.startswith((".spec.", ".status.")):
            detail = "should be a json path under either .spec or .status"
            problems = [validation.invalid(at, _as_json(selector), detail)]
        errors += problems
    return errors


def _simple_path(text: str, path: str) -> list[FieldError]:
    if text.startswith("."):
        return []
    return [validation.invalid(path, text, "must be a simple json path starting with .")]


def _columns(columns: Sequence[CustomResourceColumnDefinition], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, column in enumerate(columns):
        at = f"{path}[{index}]"
        if not column.name:
            errors.append(validation.required(f"{at}.name"))
        detail = f"must be one of {','.join(_COLUMN_TYPES)}"
        if not column.type:
            errors.append(validation.required(f"{at}.type", detail))
        elif column.type not in _COLUMN_TYPES:
            errors.append(validation.invalid(f"{at}.type", column.type, detail))
        if column.format and column.format not in _COLUMN_FORMATS:
            detail = f"must be one of {','.join(_COLUMN_FORMATS)}"
            errors.append(validation.invalid(f"{at}.format", column.format, detail))
        if not column.jsonPath:
            errors.append(validation.required(f"{at}.JSONPath"))
        else:
            errors += _simple_path(column.jsonPath, f"{at}.JSONPath")
    return errors


def _status(crd: CustomResourceDefinition) -> list[FieldError]:
    return _names(crd.status.acceptedNames, "status.acceptedNames") + _stored(crd)


def _stored(crd: CustomResourceDefinition) -> list[FieldError]:
    path, stored = "status.storedVersions", crd.status.storedVersions
    if not stored:
        return [validation.invalid(path, None, "must have at least one stored version")]
    errors = []
    for version in crd.spec.versions:
        if version.storage and version.name not in stored:
            errors.append(validation.invalid(path, stored, f"must have the storage version {version.name}"))
    known = {version.name for version in crd.spec.versions}
    for index, name in enumerate(stored):
        if name not in known and name not in stored[index + 1 :]:
            detail = (
                f"missing from spec.versions; {name} was previously a storage version, and must remain in "
                f"spec.versions until a storage migration ensures no data remains persisted in {name} and removes "
                f"{name} from status.storedVersions"
            )
            errors.append(validation.invalid(f"{path}[{index}]", name, detail))
    return errors


def _approval(new: CustomResourceDefinition, old: CustomResourceDefinition | None) -> list[FieldError]:
    """Groups of the Kubernetes community need its approval, or to say that they have none (KEP-1111)."""
    if not f".{new.spec.group}".endswith((".k8s.io", ".kubernetes.io")):
        return []
    annotation = new.metadata.annotations.get(APPROVAL, "")
    state = _approval_state(annotation)
    if state in ("approved", "bypassed") or (
        old is not None and state == _approval_state(old.metadata.annotations.get(APPROVAL, ""))
    ):
        return []
    path = f"metadata.annotations[{APPROVAL}]"
    see = "see https://github.com/kubernetes/enhancements/pull/1111"
    detail = f"protected groups must have approval annotation {quote(APPROVAL)}"
    if state == "missing":
        return [validation.required(path, f"{detail}, {see}")]
    either = 'with either a URL or a reason starting with "unapproved"'
    return [validation.invalid(path, annotation, f"{detail} {either}, {see}")]


def _approval_state(annotation: str) -> str:
    if not annotation:
        return "missing"
    if annotation.startswith("unapproved"):
        return "bypassed"
    try:
        url = gourl.parse(annotation, request=True)
    except gourl.UrlError:
        return "invalid"
    return "approved" if url.host and url.scheme else "invalid"


def _preserve(new: CustomResourceDefinition, old: CustomResourceDefinition | None) -> list[FieldError]:
    if not new.spec.preserveUnknownFields or (old is not None and old.spec.preserveUnknownFields):
        return []
    detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
    return [validation.invalid("spec.preserveUnknownFields", True, detail)]
