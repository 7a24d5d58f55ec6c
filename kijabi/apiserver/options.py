"""The options of a request, read from its query and checked: ListOptions, and those of writes.

`registry.py` and `reading.py` ask here; what clients get wrong becomes the BadRequest or Invalid that
k8s.io/apimachinery `pkg/apis/meta/v1/validation` and `meta/internalversion/validation` give.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from kijabi.api import status, validation
from kijabi.api.gotext import quote
from kijabi.api.resource import FieldError
from kijabi.api.selector import FieldSelector, FieldTerm, Selector, parse_fields, parse_labels
from kijabi.apiserver.attributes import RequestInfo
from kijabi.base.errors import ApiError, BadRequest
from kijabi.client.transport import Request

MAX_INT64 = 2**63 - 1
Validation = Literal["Ignore", "Warn", "Strict"]


class WriteOptions(msgspec.Struct, kw_only=True):
    """CreateOptions, UpdateOptions and PatchOptions as one: they differ in name only."""

    kind: str = "CreateOptions"
    dry_run: bool = False
    field_manager: str = ""
    validation: Validation = "Warn"
    force: bool | None = None


class ListOptions(msgspec.Struct, kw_only=True):
    """What a list or watch asks for. `version` is its resourceVersion as a number, None where it gave none.

    unreadable: why the resourceVersion is none; what follows from that depends on what is asked.
    """

    watch: bool = False
    labels: Selector = Selector()
    fields: FieldSelector = FieldSelector()
    version: int | None = None
    unreadable: str = ""
    match: str = ""
    limit: int = 0
    token: str = ""
    timeout: int = 0
    bookmarks: bool = False
    initial_events: bool | None = None


def flag(text: str) -> bool:
    """A query boolean: anything but `0` and `false` is true, also the empty text."""
    return text != "0" and text.lower() != "false"


def integer(request: Request, name: str, default: int = 0) -> int:
    """A query integer. Raises BadRequest."""
    found = request.params(name)
    return parse_int(found[0]) if found else default


def parse_int(text: str) -> int:
    """A number as Go's strconv.ParseInt reads it. Raises BadRequest with its text."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not (digits.isascii() and digits.isdigit()):
        raise BadRequest(f"strconv.ParseInt: parsing {quote(text)}: invalid syntax")
    number = int(text) if len(text) < 25 else MAX_INT64 + 1
    if not -MAX_INT64 - 1 <= number <= MAX_INT64:
        raise BadRequest(f"strconv.ParseInt: parsing {quote(text)}: value out of range")
    return number


def parse_version(text: str) -> int:
    """A resourceVersion. Raises ValueError with Go's strconv.ParseUint text."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"strconv.ParseUint: parsing {quote(text)}: invalid syntax")
    if len(text) > 20 or int(text) >= 2**64:
        raise ValueError(f"strconv.ParseUint: parsing {quote(text)}: value out of range")
    return int(text)


def parse_query_version(text: str) -> int | None:
    """The resourceVersion of a get; None where there is none. Raises an ApiError without a reason, as upstream."""
    if not text:
        return None
    try:
        return parse_version(text)
    except ValueError as problem:
        raise ApiError(_unreadable(text, problem)) from None


def write_options(request: Request, kind: str, *, applies: bool = False) -> WriteOptions:
    """The options of a create, update or patch (kind names them in errors). Raises Invalid or BadRequest.

    applies: whether it is a server-side apply, whose manager must have a name and which alone may use force.
    """
    options = WriteOptions(kind=kind)
    if not request.query and not applies:
        return options
    errors: list[FieldError] = []
    if applies and not request.param("fieldManager"):
        errors.append(validation.required("fieldManager", "is required for apply patch"))
    dry_run = request.params("dryRun")
    if dry_run:
        errors.extend(check_dry_run(dry_run))
        options.dry_run = True
    manager = request.param("fieldManager")
    if manager:
        errors.extend(validation.validate_field_manager(manager, "fieldManager"))
        options.field_manager = manager
    directive = request.param("fieldValidation")
    if directive in ("Ignore", "Warn", "Strict"):
        options.validation = directive  # type: ignore[assignment]
    elif directive:
        allowed = ("", "Ignore", "Strict", "Warn")
        errors.append(validation.not_supported("fieldValidation", directive, allowed))
    force = request.params("force")
    if force and kind == "PatchOptions":
        options.force = flag(force[0])
        if not applies:
            errors.append(validation.forbidden("force", "may not be specified for non-apply patch"))
    if errors:
        raise status.invalid(f"{kind}.meta.k8s.io", "", errors)
    return options


def check_dry_run(values: Sequence[str]) -> list[FieldError]:
    """`dryRun` may only be `All`."""
    if any(value != "All" for value in values):
        return [validation.not_supported("dryRun", list(values), ("All",))]
    return []


def list_options(request: Request, info: RequestInfo) -> ListOptions:
    """The options of a list, watch or deletecollection. Raises BadRequest or Invalid."""
    options = ListOptions(watch=info.verb == "watch")
    if request.query:
        _read(request, options)
    if options.watch and not options.version and not options.unreadable:
        _begin_with_state(options)
    if request.query:
        errors = _check(request, options)
        if errors:
            raise status.invalid("ListOptions.meta.k8s.io", "", errors)
    if info.name:
        _narrow(options, info.name)
    return options


def _read(request: Request, options: ListOptions) -> None:
    for name, value in reversed(request.query):  # the first of several counts
        match name:
            case "labelSelector":
                options.labels = parse_labels(value)
            case "fieldSelector":
                options.fields = parse_fields(value)
            case "resourceVersion":
                _read_version(options, value)
            case "resourceVersionMatch":
                options.match = value
            case "limit":
                options.limit = max(0, parse_int(value))
            case "continue":
                options.token = value
            case "timeoutSeconds":
                options.timeout = parse_int(value)
            case "allowWatchBookmarks":
                options.bookmarks = flag(value)
            case "sendInitialEvents":
                options.initial_events = flag(value)
            case _:
                pass


def _read_version(options: ListOptions, text: str) -> None:
    options.version, options.unreadable = None, ""
    if text:
        try:
            options.version = parse_version(text)
        except ValueError as problem:
            options.version, options.unreadable = 0, _unreadable(text, problem)


def _unreadable(text: str, problem: ValueError) -> str:
    return f"resourceVersion: Invalid value: {quote(text)}: {problem}"


def _check(request: Request, options: ListOptions) -> list[FieldError]:
    return _check_watch(options) if options.watch else _check_list(request, options)


def _begin_with_state(options: ListOptions) -> None:
    """A watch from nowhere begins with what there is (k8s.io/apimachinery `SetListOptionsDefaults`)."""
    if options.initial_events is None and not options.match:
        options.initial_events, options.match = True, "NotOlderThan"


def _check_list(request: Request, options: ListOptions) -> list[FieldError]:
    errors: list[FieldError] = []
    path, match = "resourceVersionMatch", options.match
    if match:
        if options.version is None:
            text = f"{path} is forbidden unless resourceVersion is provided"
            errors.append(validation.forbidden(path, text))
        if options.token:
            errors.append(validation.forbidden(path, f"{path} is forbidden when continue is provided"))
        if match not in ("Exact", "NotOlderThan"):
            errors.append(validation.not_supported(path, match, ("Exact", "NotOlderThan", "")))
        if match == "Exact" and request.param("resourceVersion") == "0":
            text = f'{path} "exact" is forbidden for resourceVersion "0"'
            errors.append(validation.forbidden(path, text))
    if options.initial_events is not None:
        text = "sendInitialEvents is forbidden for list"
        errors.append(validation.forbidden("sendInitialEvents", text))
    return errors


def _check_watch(options: ListOptions) -> list[FieldError]:
    errors: list[FieldError] = []
    path, match = "resourceVersionMatch", options.match
    if options.initial_events is not None and match != "NotOlderThan":
        text = f"sendInitialEvents requires setting {path} to NotOlderThan"
        errors.append(validation.forbidden(path, text))
    if match:
        if options.initial_events is None:
            text = f"{path} is forbidden for watch unless sendInitialEvents is provided"
            errors.append(validation.forbidden(path, text))
        if match != "NotOlderThan":
            errors.append(validation.not_supported(path, match, ("NotOlderThan",)))
        if options.token:
            errors.append(validation.forbidden(path, f"{path} is forbidden when continue is provided"))
    return errors


def _narrow(options: ListOptions, name: str) -> None:
    """A name in the path counts as a field selector on it; one that says otherwise is an error."""
    if options.fields.everything:
        options.fields = FieldSelector((FieldTerm("metadata.name", name),))
    elif options.fields.exact("metadata.name") != name:
        raise BadRequest("fieldSelector metadata.name doesn't match requested name")
