"""The rules that a definition states for its objects, as the functions that a Resource has.

The registry calls them at the same places as those of built-in kinds. What a schema demands is checked by
`api/apiextensions/`; here is what upstream's strategy of custom resources adds: status on its own, generation, the
fields of the scale, finalizers (apiextensions-apiserver `pkg/registry/customresource`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from kijabi.api import codec, formats, validation
from kijabi.api.apiextensions import validation as schemas
from kijabi.api.apiextensions.celrules import TooMuch
from kijabi.api.apiextensions.defaulting import apply_defaults
from kijabi.api.apiextensions.prune import prune
from kijabi.api.custom import Custom
from kijabi.api.gotext import quote
from kijabi.api.resource import FieldError, LongValidation
from kijabi.apiserver.crd import scale
from kijabi.base.errors import BadRequest

if TYPE_CHECKING:
    from kijabi.apiserver.crd.definition import Version

STATUS = "status"
LARGE = 256 * 1024  # bytes of an object whose validation is done beside the event loop
MAX_DEPTH = 250  # levels of an object: every walk over one takes a few frames of Python for each
_STANDARD_FINALIZERS = frozenset(("orphan", "foregroundDeletion", "kubernetes"))


class Rules:
    """Of one version. Every object here is privately owned, unless it is called old."""

    def __init__(self, version: Version) -> None:
        self.version = version
        subs = version.declared.subresources
        self.own_status = subs is not None and subs.status is not None
        self.scale = subs.scale if subs is not None else None

    # What Resource calls

    def prune(self, obj: Custom) -> list[str]:
        """Drop what the schema does not know, in place, and name it as a strict decoder does.

        Raises BadRequest for what nests deeper than can be walked.
        """
        refuse_depth(obj.content)
        return [f'unknown field "{path}"' for path in prune(obj.content, self.version.structural)]

    def default(self, obj: Custom) -> None:
        """Fill in what the schema says, in place."""
        apply_defaults(obj.content, self.version.structural)

    def prepare(self, new: Custom, old: Custom | None) -> None:
        """Status is not written here if it has a place of its own; other changes count the generation up."""
        if self.own_status:
            if old is not None and STATUS in old.content:
                new.content[STATUS] = old.content[STATUS]
            else:
                new.content.pop(STATUS, None)
        if old is None:
            new.metadata.generation = 1
        elif new.content != old.content:
            new.metadata.generation = old.metadata.generation + 1

    def prepare_status(self, new: Custom, old: Custom) -> None:
        """A write of the status changes nothing else; who manages which field is noted all the same."""
        content = {name: value for name, value in old.content.items() if name != STATUS}
        if STATUS in new.content:
            content[STATUS] = new.content[STATUS]
        managed = new.metadata.managedFields
        new.content, new.metadata = content, codec.clone(old.metadata)
        new.metadata.managedFields = managed

    def validate(self, new: Custom) -> Sequence[FieldError]:
        """What is wrong with a new object."""
        wrong = self._identity(new)
        if wrong:
            return wrong
        return self._checked(new, schemas.validate, None, spec=True)

    def validate_update(self, new: Custom, old: Custom) -> Sequence[FieldError]:
        """What is wrong with a changed object and was not wrong before."""
        wrong = self._identity(new)
        if wrong:
            return wrong
        return self._checked(new, schemas.validate, old, spec=True)

    def validate_status(self, new: Custom, old: Custom) -> Sequence[FieldError]:
        """What is wrong with a changed status."""
        wrong = self._identity(new)
        if wrong:
            return wrong
        return self._checked(new, schemas.validate_status, old, spec=False)

    def warnings(self, new: Custom) -> Sequence[str]:
        """Finalizers that may not be what they should."""
        return [text for name in sorted(set(new.metadata.finalizers)) for text in _finalizer_warnings(name)]

    def warnings_update(self, new: Custom, old: Custom) -> Sequence[str]:
        """The same, of those that an update adds."""
        added = set(new.metadata.finalizers) - set(old.metadata.finalizers)
        return [text for name in sorted(added) for text in _finalizer_warnings(name)]

    # How

    def _identity(self, obj: Custom) -> list[FieldError]:
        """Kind and apiVersion must be the version's."""
        kind, api_version = self.version.definition.names.kind, self.version.api_version
        errors = []
        if obj.kind != kind:
            errors.append(validation.invalid("kind", obj.kind, f"must be {kind}"))
        if obj.apiVersion != api_version:
            errors.append(validation.invalid("apiVersion", obj.apiVersion, f"must be {api_version}"))
        return errors

    def _checked(
        self, new: Custom, check: Callable[..., list[FieldError]], old: Custom | None, *, spec: bool
    ) -> list[FieldError]:
        """Errors by the schema and of the scale. Raises LongValidation for large objects and expensive rules."""
        structural, whole = self.version.structural, self._whole(new)
        before = self._whole(old) if old is not None else None

        def thorough(hurry: bool = False) -> list[FieldError]:
            return [*check(whole, before, structural, hurry=hurry), *self._scale_errors(new, spec=spec)]

        if len(msgspec.json.encode(new.content)) > LARGE:
            raise LongValidation(thorough)
        try:
            return thorough(hurry=True)
        except TooMuch:
            raise LongValidation(thorough) from None

    def _scale_errors(self, obj: Custom, *, spec: bool) -> list[FieldError]:
        return scale.errors(self.scale, obj.content, spec=spec) if self.scale is not None else []

    def _whole(self, obj: Custom) -> dict[str, Any]:
        """The object as JSON values, sharing its content; its metadata if rules may look at it."""
        whole: dict[str, Any] = {"apiVersion": obj.apiVersion, "kind": obj.kind}
        schema = self.version.structural
        seen = bool(schema.rules) or "metadata" in schema.properties
        whole["metadata"] = codec.to_builtins(obj.metadata) if seen else {"name": obj.metadata.name}
        return {**whole, **obj.content}


def refuse_depth(content: dict[str, Any]) -> None:
    """Raises BadRequest if objects and lists nest deeper than MAX_DEPTH; without recursion, and seldom by looking."""
    text = msgspec.json.encode(content)
    if text.count(b"{") + text.count(b"[") <= MAX_DEPTH:
        return
    level: list[Any] = [content]
    for _ in range(MAX_DEPTH):
        level = [
            part
            for value in level
            for part in (value.values() if isinstance(value, dict) else value)
            if isinstance(part, dict | list)
        ]
        if not level:
            return
    raise BadRequest("exceeded max depth")


def _finalizer_warnings(name: str) -> list[str]:
    """Upstream warns of names that are no qualified names, or without a domain."""
    path = "metadata.finalizers"
    found = [f"{path}: {quote(name)}: {text}" for text in formats.qualified_name(name)]
    if "/" not in name and name not in _STANDARD_FINALIZERS:
        path_part = " including a path (/)" if "." in name else ""
        found.append(
            f"{path}: {quote(name)}: prefer a domain-qualified finalizer name{path_part} to avoid accidental conflicts "
            "with other finalizer writers"
        )
    return found
