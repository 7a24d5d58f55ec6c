"""A write in the version in which a webhook or policy wants to see it, and its way back into the object.

`mutatingwebhook.py`, `validatingwebhook.py` and the policies get `Form`s from `Forms`; `adopt` takes a changed document
as the new object: decoded, pruned, defaulted, converted back. Source: k8s.io/apiserver `pkg/admission/conversion.go`.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from kijabi.api import codec, defaults
from kijabi.api.status import internal, request_too_large
from kijabi.apiserver.admission.kinds import Kinds, Target
from kijabi.apiserver.attributes import Attributes
from kijabi.base.errors import BadRequest

MAX_OBJECT = 3 * 1024 * 1024  # bytes that an object may have after a change: as many as a request's body


class Form:
    """One write in one version. object and old are typed, or None; document and old_document their JSON values."""

    def __init__(self, target: Target, obj: Any, old: Any) -> None:
        self.target = target
        self.object = obj
        self.old = old

    @cached_property
    def document(self) -> dict[str, Any] | None:
        """The object as JSON values, with apiVersion and kind. Nobody writes to it."""
        return self._document(self.object)

    @cached_property
    def old_document(self) -> dict[str, Any] | None:
        """The old object as JSON values."""
        return self._document(self.old)

    def _document(self, obj: Any) -> dict[str, Any] | None:
        if obj is None:
            return None
        group, version, kind = self.target.kind
        identity = {"kind": kind, "apiVersion": f"{group}/{version}" if group else version}
        return {**codec.to_builtins(obj), **identity}


class Forms:
    """The forms of one write, each made once."""

    def __init__(self, kinds: Kinds, attrs: Attributes) -> None:
        self._kinds = kinds
        self._attrs = attrs
        self._made: dict[tuple[str, str, str], Form] = {}

    async def get(self, target: Target) -> Form:
        """The write as `target` sees it. Raises InternalError where it cannot be converted."""
        found = self._made.get(target.kind)
        if found is None:
            attrs = self._attrs
            obj = await self._convert(attrs.object, target)
            found = self._made[target.kind] = Form(target, obj, await self._convert(attrs.old, target))
        return found

    async def _convert(self, obj: Any, target: Target) -> Any:
        if obj is None:
            return None
        try:
            return await self._kinds.convert(obj, self._attrs.resource, target.resource)
        except LookupError as error:
            raise internal(str(error)) from error

    async def adopt(self, form: Form, document: dict[str, Any]) -> bool:
        """Make a document in the version of `form` the new object; whether that changes anything.

        Raises InternalError for what is no such object, RequestTooLarge.
        """
        attrs, resource = self._attrs, form.target.resource
        new = _decode(form, document)
        if isinstance(new, resource.type):
            if resource.prune is not None:
                resource.prune(new)
            resource.defaults(new)
        else:
            defaults.apply(new)
        if len(codec.encode(new)) > MAX_OBJECT:
            raise request_too_large(f"limit is {MAX_OBJECT}")
        if new == form.object:
            return False
        if resource is not attrs.resource:
            new = codec.clone(await self._kinds.convert(new, resource, attrs.resource))
        _replace(attrs.object, new)
        self._made.clear()
        return True


def _decode(form: Form, document: dict[str, Any]) -> Any:
    group, version, kind = form.target.kind
    identity = {"apiVersion": f"{group}/{version}" if group else version, "kind": kind}
    if any(document.get(name) != value for name, value in identity.items()):
        raise internal(f"a patch may not change apiVersion and kind, which are {identity['apiVersion']}, {kind}")
    try:
        new = codec.from_builtins(type(form.object), document)
    except BadRequest as problem:
        raise internal(problem.message) from None
    for name in identity:
        setattr(new, name, getattr(form.object, name))  # absent in bodies that left it out
    return new


def _replace(obj: Any, new: Any) -> None:
    """Give an object, which others hold, everything that another of its type has."""
    for name in obj.__struct_fields__:
        setattr(obj, name, getattr(new, name))
