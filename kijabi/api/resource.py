"""A resource is one declaration: from it derive routes, discovery, OpenAPI, tables, selectors and clean-up.

A kind's file ends with its `Resource`; `api/catalog.py` lists them all. A CustomResourceDefinition builds the
same `Resource` at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from kijabi.api import defaults
from kijabi.api.struct import Struct


class FieldError(msgspec.Struct, frozen=True):
    """One thing wrong with an object (k8s.io/apimachinery `pkg/util/validation/field`).

    reason: FieldValueRequired, FieldValueInvalid, FieldValueNotSupported, FieldValueForbidden,
    FieldValueTooLong, FieldValueTooMany, FieldValueDuplicate, FieldValueNotFound, FieldValueTypeInvalid.
    field: `spec.ports[0].port`. message: the text of the cause, such as `Invalid value: "x": must be …`
    (build with `api/validation.py`).
    """

    field: str
    reason: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class LongValidation(Exception):
    """To validate this object takes long: `work()` does it and gives the errors, wherever it holds nobody up."""

    def __init__(self, work: Callable[[], Sequence[FieldError]]) -> None:
        super().__init__("validation takes long")
        self.work = work


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column of `kubectl get`: priority 0 is shown always, 1 with `-o wide`. cell maps an object to a
    scalar."""

    name: str
    cell: Callable[[Any], str | int | float | bool | None]
    type: str = "string"
    format: str = ""
    description: str = ""
    priority: int = 0


class Subresource(msgspec.Struct, frozen=True, kw_only=True):
    """`pods/log` and its like: `name` is the last path segment, `kind` what its body or answer is.

    group and version: of the body's kind where it differs from the parent's (Eviction is policy/v1, Scale
    autoscaling/v1). accepts: other apiVersions that a body may have. type: the Struct of the body, None for a raw
    stream. paths: of the scale of a custom resource, the JSON paths of the size wanted, the size that there is, and (or
    empty) the selector.
    """

    name: str
    kind: str
    verbs: tuple[str, ...]
    group: str = ""
    version: str = ""
    accepts: tuple[str, ...] = ()
    type: type[Struct] | None = None
    paths: tuple[str, ...] = ()


def _no_errors(*_: Any) -> Sequence[FieldError]:
    return ()


_STRICT_GROUPS = frozenset((
    "", "apps", "autoscaling", "batch", "certificates.k8s.io", "discovery.k8s.io", "events.k8s.io",
    "flowcontrol.apiserver.k8s.io", "networking.k8s.io", "node.k8s.io", "policy", "rbac.authorization.k8s.io",
    "resource.k8s.io", "scheduling.k8s.io", "storage.k8s.io",
))  # fmt: skip
_ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """One resource of one group and version: what it is called and the rules its objects follow.

    type: the Struct of its objects. storage: False where this version is a view of another (`events.k8s.io`)
    or nothing is stored at all (reviews). stored_as: (group, version, kind) of the stored form where it
    differs.

    defaults(obj): fill what the client left out, in place, on a fresh copy; by the types (`api/defaults.py`).
    prepare(new, old): reset what clients may not set (`status` on the main resource, server-owned fields); old is None
    on create. validate(obj) on every write and validate_update(new, old) on updates give FieldErrors, or raise
    LongValidation. Both are pure.

    fields: the field selector labels besides metadata.name and metadata.namespace, with what they read.
    columns: of its table, all of them in order, Name and Age included (`api/columns.py`); none: Name, Created
    At. up and down: where `stored_as` is given, turn an object of this version into the stored form, and
    back. schema and prune: of a custom resource only: the schema of its version (OpenAPI v3, as JSON values), and what
    drops the members that it does not know from a decoded object, naming them as a strict decoder does
    (`unknown field "spec.x"`). verbs: as in discovery.

    list_kind: of its lists, where that is not the kind with `List`. deprecated: the warning that every request gets.
    prepare_status(new, old): what a write of the status may not change, where the usual rule does not fit.
    update_alone: `validate_update` says all that is wrong with an update (it forgives what was wrong before), so
    `validate` is asked for creations only. warnings_update(new, old): of an update, where it is not `warnings`.
    gate: the feature gate without which it is not served (`api/features.py`).
    begin_delete(obj): what the first deletion writes into the object, such as a finalizer of the server's own.
    """

    group: str
    version: str
    kind: str
    plural: str
    type: type[Struct]
    namespaced: bool = True
    singular: str = ""
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = _ALL_VERBS
    storage: bool = True
    stored_as: tuple[str, str, str] | None = None
    up: Callable[[Any], Any] | None = None
    down: Callable[[Any], Any] | None = None
    subresources: tuple[Subresource, ...] = ()
    defaults: Callable[[Any], None] = defaults.apply
    prepare: Callable[[Any, Any | None], None] | None = None
    validate: Callable[[Any], Sequence[FieldError]] = _no_errors
    validate_update: Callable[[Any, Any], Sequence[FieldError]] = _no_errors
    validate_status: Callable[[Any, Any], Sequence[FieldError]] = _no_errors
    warnings: Callable[[Any], Sequence[str]] = _no_errors  # type: ignore[assignment]
    warnings_update: Callable[[Any, Any], Sequence[str]] | None = None
    prepare_status: Callable[[Any, Any], None] | None = None
    begin_delete: Callable[[Any], None] | None = None
    fields: tuple[tuple[str, Callable[[Any], str]], ...] = ()
    columns: tuple[Column, ...] = ()
    schema: Mapping[str, Any] | None = None
    prune: Callable[[Any], Sequence[str]] | None = None
    name_rule: str = "subdomain"  # subdomain | label | label1035 | path | none
    create_on_update: bool = False
    update_needs_version: bool = False
    update_alone: bool = False
    list_kind: str = ""
    deprecated: str = ""
    gate: str = ""
    has_generation: bool = False
    graceful: bool = False

    @property
    def known_finalizers(self) -> bool:
        """Whether finalizers without a domain must be of Kubernetes' own: of most kinds that it brings itself."""
        return self.group in _STRICT_GROUPS and self.qualified not in ("events", "poddisruptionbudgets.policy")

    @property
    def custom(self) -> bool:
        """Whether a CustomResourceDefinition made it."""
        return self.schema is not None

    @property
    def listed(self) -> str:
        """The kind of its lists."""
        return self.list_kind or f"{self.kind}List"

    @property
    def api_version(self) -> str:
        """`v1`, or `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """`pods`, or `deployments.apps`: the name that error messages and keys use."""
        return f"{self.plural}.{self.group}" if self.group else self.plural
