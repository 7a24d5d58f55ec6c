"""Creates and updates as the API server does them, up to the store: defaults, preparation, validation."""

from typing import Any

import msgspec

from kijabi.api import codec, status, validation
from kijabi.api.catalog import RESOURCES
from kijabi.api.meta import time_now
from kijabi.api.resource import FieldError, Resource
from kijabi.apiserver import metadata
from kijabi.apiserver.strategy import check_for, prepare, prepare_for

BY_KIND = {(each.api_version, each.kind): each for each in RESOURCES if each.storage or each.stored_as}
UID = "11111111-2222-3333-4444-555555555555"


class Refused(Exception):
    """The text of the answer 422."""


def resource_of(value: dict[str, Any]) -> Resource:
    """The resource of an object as builtins."""
    return BY_KIND[value["apiVersion"], value["kind"]]


def create(value: dict[str, Any]) -> Any:
    """The object as it would be stored. Raises Refused."""
    resource = resource_of(value)
    obj: Any = codec.from_builtins(resource.type, value)
    resource.defaults(obj)
    own = obj.metadata
    own.namespace = own.namespace or ("default" if resource.namespaced else "")
    own.uid, own.creationTimestamp = UID, time_now()
    prepare(resource, obj, None)
    metadata.count_generation(resource, obj, None)
    known = resource.known_finalizers
    errors = validation.validate_metadata(
        own, namespaced=resource.namespaced, name_rule=resource.name_rule, known_finalizers=known
    )
    return _settle(resource, obj, [*errors, *resource.validate(obj)])


def update(value: dict[str, Any], before: dict[str, Any], sub: str = "") -> Any:
    """The object as it would be stored in place of another. Raises Refused."""
    resource = resource_of(value)
    new: Any = codec.from_builtins(resource.type, value)
    old: Any = codec.from_builtins(resource.type, before)
    resource.defaults(new)
    resource.defaults(old)
    metadata.begin_update(resource, new, old)
    prepare_for(resource, sub, new, old)
    if not sub:
        metadata.count_generation(resource, new, old)
    known = resource.known_finalizers
    errors = validation.validate_metadata_update(new.metadata, old.metadata, known_finalizers=known)
    return _settle(resource, new, [*errors, *check_for(resource, sub, new, old)])


def _settle(resource: Resource, obj: Any, errors: list[FieldError]) -> Any:
    if errors:
        raise Refused(status.invalid(resource, obj.metadata.name, errors).message)
    return obj


def stored(value: dict[str, Any], state: dict[str, Any] | None = None) -> dict[str, Any]:
    """The object as builtins, created a while ago; state: what its status became since."""
    made = codec.to_builtins(create(value))
    made["metadata"]["resourceVersion"] = "5"
    del made["metadata"]["creationTimestamp"]
    made.pop("status", None)
    return made | ({"status": state} if state is not None else {})


def changed(value: Any, pointer: str, new: Any = msgspec.UNSET) -> Any:
    """A copy with the member at a JSON pointer replaced, or without it; empty containers that are left go too."""
    path = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    return _changed(value, path, new)


def _changed(value: Any, path: list[str], new: Any) -> Any:
    if not path:
        return new
    key: Any = int(path[0]) if isinstance(value, list) else path[0]
    inner = _changed(value[key], path[1:], new)
    if isinstance(value, list):
        if inner is not msgspec.UNSET:
            return [*value[:key], inner, *value[key + 1 :]]
        rest = [*value[:key], *value[key + 1 :]]
        return rest or msgspec.UNSET
    rest_of = {name: item for name, item in value.items() if name != key}
    return rest_of if inner is msgspec.UNSET else value | {key: inner}
