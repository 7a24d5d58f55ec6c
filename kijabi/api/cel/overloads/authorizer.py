"""Checks of permissions in admission expressions: `authorizer.group('').resource('pods').check('get').allowed()`.

The bindings `authorizer` and `authorizer.requestResource` are made with `Authorizer` and `ResourceCheck`; who asks and
how a decision is reached is the caller's function (`Ask`). It is called while the expression runs, so it must answer
from what is in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import msgspec

from kijabi.api import formats
from kijabi.api.cel.errors import CelError
from kijabi.api.cel.functions import NAMED, Overload
from kijabi.api.cel.types import Type


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What a check asks. account: namespace and name of a service account in place of the one who makes the request.
    path: of a non-resource URL, else the others count; version is always `*`."""

    verb: str
    account: tuple[str, str] | None = None
    path: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    field_selector: str = ""
    label_selector: str = ""


class Decision(msgspec.Struct, frozen=True):
    """What was answered. error: why no answer could be given."""

    allowed: bool
    reason: str = ""
    error: str = ""
    cel_type: ClassVar[Type] = NAMED["Decision"]

    def cel_equals(self, other: Any) -> bool:
        """Whether the answer is the same."""
        return bool(self == other)


Ask = Callable[[Question], Decision]


class Authorizer(msgspec.Struct, frozen=True):
    """The variable `authorizer`: asks for whoever makes the request, or for a service account."""

    ask: Ask
    account: tuple[str, str] | None = None
    cel_type: ClassVar[Type] = NAMED["Authorizer"]

    def cel_equals(self, other: Any) -> bool:
        """Whether it asks for the same."""
        return bool(self == other)


class PathCheck(msgspec.Struct, frozen=True):
    """A check of a path that is no resource."""

    authorizer: Authorizer
    path: str
    cel_type: ClassVar[Type] = NAMED["PathCheck"]

    def cel_equals(self, other: Any) -> bool:
        """Whether it is the same check."""
        return bool(self == other)


class GroupCheck(msgspec.Struct, frozen=True):
    """The beginning of a check of a resource."""

    authorizer: Authorizer
    group: str
    cel_type: ClassVar[Type] = NAMED["GroupCheck"]

    def cel_equals(self, other: Any) -> bool:
        """Whether it is the same check."""
        return bool(self == other)


class ResourceCheck(msgspec.Struct, frozen=True):
    """A check of a resource."""

    authorizer: Authorizer
    group: str
    resource: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    field_selector: str = ""
    label_selector: str = ""
    cel_type: ClassVar[Type] = NAMED["ResourceCheck"]

    def cel_equals(self, other: Any) -> bool:
        """Whether it is the same check."""
        return bool(self == other)


def _path(one: Authorizer, path: str) -> PathCheck:
    if not path.strip():
        raise CelError("path must not be empty")
    return PathCheck(one, path)


def _service_account(one: Authorizer, namespace: str, name: str) -> Authorizer:
    if formats.dns_subdomain(name):
        raise CelError("Invalid service account name")
    if formats.dns_label(namespace):
        raise CelError("Invalid service account namespace")
    return Authorizer(one.ask, (namespace, name))


def _resource(one: GroupCheck, resource: str) -> ResourceCheck:
    if not resource.strip():
        raise CelError("resource must not be empty")
    return ResourceCheck(one.authorizer, one.group, resource)


def _with(member: str) -> Callable[[ResourceCheck, str], ResourceCheck]:
    return lambda one, value: msgspec.structs.replace(one, **{member: value})


def _check_path(one: PathCheck, verb: str) -> Decision:
    return one.authorizer.ask(Question(verb=verb, account=one.authorizer.account, path=one.path))


def _check_resource(one: ResourceCheck, verb: str) -> Decision:
    return one.authorizer.ask(Question(
        verb=verb, account=one.authorizer.account, group=one.group, resource=one.resource, subresource=one.subresource,
        namespace=one.namespace, name=one.name, field_selector=one.field_selector, label_selector=one.label_selector,
    ))  # fmt: skip


_FIELDS, _LABELS = _with("field_selector"), _with("label_selector")

LIBRARY = (
    Overload("authorizer_path", "Authorizer.path(string) -> PathCheck", _path),
    Overload("authorizer_group", "Authorizer.group(string) -> GroupCheck", GroupCheck),
    Overload("authorizer_serviceaccount", "Authorizer.serviceAccount(string, string) -> Authorizer", _service_account),
    Overload("groupcheck_resource", "GroupCheck.resource(string) -> ResourceCheck", _resource),
    Overload("resourcecheck_subresource", "ResourceCheck.subresource(string) -> ResourceCheck", _with("subresource")),
    Overload("resourcecheck_namespace", "ResourceCheck.namespace(string) -> ResourceCheck", _with("namespace")),
    Overload("resourcecheck_name", "ResourceCheck.name(string) -> ResourceCheck", _with("name")),
    Overload("authorizer_fieldselector", "ResourceCheck.fieldSelector(string) -> ResourceCheck", _FIELDS),
    Overload("authorizer_labelselector", "ResourceCheck.labelSelector(string) -> ResourceCheck", _LABELS),
    Overload("pathcheck_check", "PathCheck.check(string) -> Decision", _check_path),
    Overload("resourcecheck_check", "ResourceCheck.check(string) -> Decision", _check_resource),
    Overload("decision_errored", "Decision.errored() -> bool", lambda one: bool(one.error)),
    Overload("decision_error", "Decision.error() -> string", lambda one: one.error),
    Overload("decision_allowed", "Decision.allowed() -> bool", lambda one: one.allowed),
    Overload("decision_reason", "Decision.reason() -> string", lambda one: one.reason),
)
