"""What the environment of a container may be made of: names, sources, paths of the downward API.

`container_rules.py` calls these, and `volume_rules.py` those about the downward API. Texts are those of
k8s.io/kubernetes `pkg/apis/core/validation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from re import compile as regex
from typing import TYPE_CHECKING

from kijabi.api.formats import config_key, dns_label, dns_subdomain, env_name, name_problems, qualified_name
from kijabi.api.resource import FieldError
from kijabi.api.validation import each, invalid, not_supported, required

if TYPE_CHECKING:
    from kijabi.api.core.env import (
        ConfigMapKeySelector,
        EnvFromSource,
        EnvVar,
        EnvVarSource,
        FileKeySelector,
        ObjectFieldSelector,
        ResourceFieldSelector,
        SecretKeySelector,
    )

# Paths that name a field of the pod, for variables and for files.
ENV_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
FILE_FIELDS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")
_ALL_FIELDS = {*ENV_FIELDS, *FILE_FIELDS, "spec.restartPolicy", "spec.schedulerName", "status.phase"}
_AMOUNTS = (
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
)
_PAGES = ("limits.hugepages-", "requests.hugepages-")
_BYTES = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")
_SUBSCRIPT = regex(r"(.*)\['(.*)'\]")


def validate_env(path: str, variables: Sequence[EnvVar]) -> list[FieldError]:
    """Errors of the variables of a container."""
    errors: list[FieldError] = []
    for index, variable in enumerate(variables):
        here = f"{path}[{index}]"
        if not variable.name:
            errors.append(required(f"{here}.name"))
        else:
            errors += each(f"{here}.name", variable.name, env_name(variable.name))
        if variable.valueFrom is not None:
            errors += _validate_source(f"{here}.valueFrom", variable.valueFrom, variable.value)
    return errors


def _validate_source(path: str, source: EnvVarSource, value: str) -> list[FieldError]:
    errors: list[FieldError] = []
    sources = 0
    if source.fieldRef is not None:
        sources += 1
        errors += validate_field(f"{path}.fieldRef", source.fieldRef, ENV_FIELDS)
    if source.resourceFieldRef is not None:
        sources += 1
        errors += validate_resource_field(f"{path}.resourceFieldRef", source.resourceFieldRef)
    if source.configMapKeyRef is not None:
        sources += 1
        errors += _validate_key(f"{path}.configMapKeyRef", source.configMapKeyRef)
    if source.secretKeyRef is not None:
        sources += 1
        errors += _validate_key(f"{path}.secretKeyRef", source.secretKeyRef)
    if source.fileKeyRef is not None:
        sources += 1
        errors += _validate_file_key(f"{path}.fileKeyRef", source.fileKeyRef)
    if not sources:
        known = "`fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        errors.append(invalid(path, "", f"must specify one of: {known}"))
    elif value:
        errors.append(invalid(path, "", "may not be specified when `value` is not empty"))
    elif sources > 1:
        errors.append(invalid(path, "", "may not have more than one field specified at a time"))
    return errors


def validate_field(path: str, field: ObjectFieldSelector, known: Sequence[str]) -> list[FieldError]:
    """Errors of a path to a field of the pod; one label or annotation is named in brackets."""
    if not field.apiVersion:
        return [required(f"{path}.apiVersion")]
    if not field.fieldPath:
        return [required(f"{path}.fieldPath")]
    name = field.fieldPath
    match = _SUBSCRIPT.fullmatch(name)
    problem = ""
    if field.apiVersion != "v1":
        problem = f"unsupported pod version: {field.apiVersion}"
    elif match and match[1] not in ("metadata.annotations", "metadata.labels"):
        problem = f"field label does not support subscript: {name}"
    elif not match and name not in _ALL_FIELDS and name != "spec.host":
        problem = f"field label not supported: {name}"
    if problem:
        return [invalid(f"{path}.fieldPath", name, f"error converting fieldPath: {problem}")]
    if match:
        key = match[2].lower() if match[1] == "metadata.annotations" else match[2]
        return each(path, key, qualified_name(key))
    name = "spec.nodeName" if name == "spec.host" else name
    return [] if name in known else [not_supported(f"{path}.fieldPath", name, known)]


def validate_resource_field(path: str, field: ResourceFieldSelector, *, in_file: bool = False) -> list[FieldError]:
    """Errors of a reference to a container's limit or request; a file must say which container's."""
    errors: list[FieldError] = []
    if in_file and not field.containerName:
        errors.append(required(f"{path}.containerName"))
    elif not field.resource:
        errors.append(required(f"{path}.resource"))
    elif field.resource not in _AMOUNTS and not field.resource.startswith(_PAGES):
        errors.append(not_supported(f"{path}.resource", field.resource, _AMOUNTS))
    return errors + _validate_divisor(path, field)


def _validate_divisor(path: str, field: ResourceFieldSelector) -> list[FieldError]:
    if field.divisor.is_zero():
        return []
    kind = field.resource.partition(".")[2]
    known: tuple[str, ...]
    if kind == "cpu":
        known, shown = ("1m", "1"), "1m and 1 are supported with the cpu"
    else:
        what = {"memory": "memory", "ephemeral-storage": "local ephemeral storage"}.get(kind, "hugepages")
        known, shown = _BYTES, f"{', '.join(_BYTES)} are supported with the {what}"
    if field.divisor in known or not (kind in ("cpu", "memory", "ephemeral-storage") or kind.startswith("hugepages-")):
        return []
    return [invalid(f"{path}.divisor", field.resource, f"only divisor's values {shown} resource")]


def _validate_key(path: str, key: ConfigMapKeySelector | SecretKeySelector) -> list[FieldError]:
    errors = each(f"{path}.name", key.name, dns_subdomain(key.name))
    if not key.key:
        return [*errors, required(f"{path}.key")]
    return errors + each(f"{path}.key", key.key, config_key(key.key))


def _validate_file_key(path: str, key: FileKeySelector) -> list[FieldError]:
    errors = each(f"{path}.key", key.key, env_name(key.key)) if key.key else [required(f"{path}.key")]
    if not key.volumeName:
        errors.append(required(f"{path}.volumeName"))
    else:
        errors += each(f"{path}.volumeName", key.volumeName, dns_label(key.volumeName))
    if not key.path:
        errors.append(required(f"{path}.path"))
    elif ".." in key.path.split("/"):
        errors.append(invalid(f"{path}.path", key.path, "must not contain '..'"))
    return errors


def validate_env_from(path: str, sources: Sequence[EnvFromSource]) -> list[FieldError]:
    """Errors of the maps whose keys all become variables."""
    errors: list[FieldError] = []
    for index, source in enumerate(sources):
        here = f"{path}[{index}]"
        if source.prefix:
            errors += each(f"{here}.prefix", source.prefix, env_name(source.prefix))
        given = [("configMapRef", source.configMapRef), ("secretRef", source.secretRef)]
        found = [(name, reference) for name, reference in given if reference is not None]
        for name, reference in found:
            if not reference.name:
                errors.append(required(f"{here}.{name}.name"))
            else:
                problems = name_problems("subdomain", reference.name, prefix=True)
                errors += each(f"{here}.{name}.name", reference.name, problems)
        if not found:
            errors.append(invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif len(found) > 1:
            errors.append(invalid(path, "", "may not have more than one field specified at a time"))
    return errors
