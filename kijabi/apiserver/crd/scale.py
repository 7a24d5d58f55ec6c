"""The scale of custom resources: which of their members are the size, the observed size and the selector.

`subresources/scale.py` reads and writes scales through a CustomSize; `objects.py` asks for what is wrong with the
members (apiextensions.k8s.io/v1 CustomResourceSubresourceScale).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kijabi.api import jsonpath, validation
from kijabi.api.apiextensions.customresourcedefinition import CustomResourceSubresourceScale
from kijabi.api.custom import Custom
from kijabi.api.resource import FieldError
from kijabi.base.errors import ApiError, BadRequest

_MOST = 2**31 - 1


class WrongType(ValueError):
    """A member is not of the type that it must have; the text is upstream's."""


def nested(content: dict[str, Any], path: str) -> Any:
    """The value of a plain path; None if it is not there. Raises WrongType."""
    value: Any = content
    names = jsonpath.fields(path)
    for place, name in enumerate(names):
        if not isinstance(value, dict):
            where = "." + ".".join(names[: place + 1])
            raise WrongType(f"{where} accessor error: {_shown(value)} is of the type {_go_type(value)}, "
                            "expected map[string]interface{}")  # fmt: skip
        if name not in value:
            return None
        value = value[name]
    return value


def _typed(content: dict[str, Any], path: str, kind: type, wanted: str) -> Any:
    value = nested(content, path)
    if value is None or (isinstance(value, kind) and not isinstance(value, bool)):
        return value
    where = "." + ".".join(jsonpath.fields(path))
    raise WrongType(f"{where} accessor error: {_shown(value)} is of the type {_go_type(value)}, expected {wanted}")


def _shown(value: Any) -> str:
    return "<nil>" if value is None else jsonpath.printed(value)


def _go_type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    kinds: dict[type, str] = {
        int: "int64", float: "float64", str: "string", dict: "map[string]interface {}", list: "[]interface {}",
    }  # fmt: skip
    return kinds.get(type(value), "<nil>")


class CustomSize:
    """The size of one version's objects, by the paths of its scale (`Subresource.paths`)."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.name, self.status, self.selector = paths

    def wanted(self, obj: Custom) -> int | None:
        """The size that is wanted, None if nobody said. Raises InternalError if it is no size."""
        value: int | None = self._read(obj, self.name, int, "int64")
        return value

    def observed(self, obj: Custom) -> int:
        """The size that there is. Raises InternalError if it is no size."""
        return self._read(obj, self.status, int, "int64") or 0

    def chosen(self, obj: Custom) -> str:
        """The label selector of what is counted. Raises InternalError if it is no text."""
        return self._read(obj, self.selector, str, "string") or "" if self.selector else ""

    @staticmethod
    def _read(obj: Custom, path: str, kind: type, wanted: str) -> Any:
        try:
            return _typed(obj.content, path, kind, wanted)
        except WrongType as wrong:
            raise ApiError(str(wrong), code=500) from None

    def resize(self, obj: Custom, replicas: int) -> None:
        """Write the size that is wanted, in place. Raises BadRequest if there is something else on the way."""
        content = obj.content
        *parents, last = jsonpath.fields(self.name)
        for name in parents:
            content = content.setdefault(name, {})
            if not isinstance(content, dict):
                raise BadRequest(f"value cannot be set because .{name} is not a map[string]interface{{}}")
        content[last] = replicas


def errors(declared: CustomResourceSubresourceScale, content: dict[str, Any], *, spec: bool) -> list[FieldError]:
    """What is wrong with the members that make the scale; spec: with the wanted size too."""
    found: list[FieldError] = []
    for path in (declared.specReplicasPath, declared.statusReplicasPath)[0 if spec else 1 :]:
        try:
            replicas = _typed(content, path, int, "int64") or 0
        except WrongType as wrong:
            found.append(validation.invalid(path, 0, str(wrong)))
            continue
        if replicas < 0:
            found.append(validation.invalid(path, replicas, "should be a non-negative integer"))
        elif replicas > _MOST:
            found.append(validation.invalid(path, replicas, f"should be less than or equal to {_MOST}"))
    if declared.labelSelectorPath is not None:
        try:
            _typed(content, declared.labelSelectorPath, str, "string")
        except WrongType as wrong:
            found.append(validation.invalid(declared.labelSelectorPath, "", str(wrong)))
    return found
