"""Errors as Kubernetes says them: ApiErrors with upstream's texts, and their wire form, the Status object.

The API server and its admission raise what these constructors build; its HTTP side writes `to_status`; the
client reads `from_status` off the wire and raises the same classes (`base/errors.py`). Texts are those of
k8s.io/apimachinery `pkg/api/errors`.

`target` names what the error is about: a Resource, or its qualified name (`pods`, `deployments.apps`), or
`""`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kijabi.api import codec
from kijabi.api.gotext import quote
from kijabi.api.meta import Status
from kijabi.api.resource import FieldError, Resource
from kijabi.api.validation import aggregate
from kijabi.base import errors
from kijabi.base.errors import ApiError

Target = Resource | str
OUTDATED = "the object has been modified; please apply your changes to the latest version and try again"


def _qualified(target: Target) -> str:
    return target if isinstance(target, str) else target.qualified


def _details(target: Target, name: str = "", **more: Any) -> dict[str, Any]:
    plural, _, group = _qualified(target).partition(".")
    return _details_of(plural, group, name, **more)


def _details_of(kind: str, group: str, name: str, **more: Any) -> dict[str, Any]:
    pairs = {"name": name, "group": group, "kind": kind, **more}
    return {key: value for key, value in pairs.items() if value}


def not_found(target: Target, name: str) -> errors.NotFound:
    """No object of that name."""
    text = f"{_qualified(target)} {quote(name)} not found"
    return errors.NotFound(text, details=_details(target, name))


def already_exists(target: Target, name: str) -> errors.AlreadyExists:
    """An object of that name is there already."""
    text = f"{_qualified(target)} {quote(name)} already exists"
    return errors.AlreadyExists(text, details=_details(target, name))


def generate_name_conflict(target: Target, name: str, retry_after: int = 1) -> errors.AlreadyExists:
    """Every generated name was taken; the client may try again."""
    text = (
        f"{_qualified(target)} {quote(name)} already exists, the server was not able to generate a unique "
        "name for "
        "the object"
    )
    details = _details(target, name, retryAfterSeconds=retry_after)
    return errors.AlreadyExists(text, details=details, retry_after=retry_after)


def unauthorized(reason: str = "") -> errors.Unauthorized:
    """Nobody knows who is asking. The API server's own answer has the reason `Unauthorized`."""
    return errors.Unauthorized(reason or "not authorized")


def forbidden(target: Target, name: str, reason: str, *, causes: Iterable[Mapping[str, str]] = ()) -> errors.Forbidden:
    """The asker may not do that, or an admission rule says no."""
    qualified = _qualified(target)
    if not qualified:
        text = f"forbidden: {reason}"
    elif not name:
        text = f"{qualified} is forbidden: {reason}"
    else:
        text = f"{qualified} {quote(name)} is forbidden: {reason}"
    return errors.Forbidden(text, details=_details(target, name, causes=[dict(cause) for cause in causes]))


def conflict(target: Target, name: str, reason: str = OUTDATED) -> errors.Conflict:
    """The stored object is not the one that the client changed."""
    text = f"Operation cannot be fulfilled on {_qualified(target)} {quote(name)}: {reason}"
    return errors.Conflict(text, details=_details(target, name))


def apply_conflict(causes: Iterable[Mapping[str, str]], message: str) -> errors.Conflict:
    """Server-side apply met fields that other managers own."""
    return errors.Conflict(message, details=_details_of("", "", "", causes=[dict(cause) for cause in causes]))


def gone(message: str) -> errors.Gone:
    """What was asked for is no longer here and will not come back."""
    return errors.Gone(message)


def resource_expired(message: str) -> errors.Expired:
    """The resource version or continue token is too old."""
    return errors.Expired(message)


def invalid(target: Target, name: str, problems: Iterable[FieldError]) -> errors.Invalid:
    """The object breaks rules. target: a Resource, or kind and group as `Deployment.apps`."""
    if isinstance(target, str):
        kind, _, group = target.partition(".")
    else:
        group, _, kind = target.stored_as or (target.group, target.version, target.kind)
    found = tuple(problems)
    qualified = f"{kind}.{group}" if group else kind
    text = f"{qualified} {quote(name)} is invalid"
    if found:
        text += f": {aggregate(found)}"
    causes = [
        {key: value for key, value in (("reason", e.reason), ("message", e.message), ("field", e.field)) if value}
        for e in found
    ]
    return errors.Invalid(text, details=_details_of(kind, group, name, causes=causes))


def bad_request(reason: str) -> errors.BadRequest:
    """The request cannot be understood."""
    return errors.BadRequest(reason)


def too_many_requests(message: str, retry_after: int = 0) -> errors.TooManyRequests:
    """The client must wait."""
    details = _details_of("", "", "", retryAfterSeconds=retry_after)
    return errors.TooManyRequests(message, details=details, retry_after=retry_after)


def service_unavailable(reason: str) -> errors.ServiceUnavailable:
    """The server cannot serve now."""
    return errors.ServiceUnavailable(reason)


def method_not_supported(target: Target, action: str) -> errors.MethodNotAllowed:
    """That verb does not exist on that resource."""
    text = f"{action} is not supported on resources of kind {quote(_qualified(target))}"
    return errors.MethodNotAllowed(text, details=_details(target))


def server_timeout(target: Target, operation: str, retry_after: int = 0) -> errors.ServerTimeout:
    """A passing trouble inside the server; the client should try again."""
    text = (
        f"The {operation} operation against {_qualified(target)} could not be completed at this time, please try again."
    )
    details = _details(target, operation, retryAfterSeconds=retry_after)
    return errors.ServerTimeout(text, details=details, retry_after=retry_after)


def internal(reason: str) -> errors.InternalError:
    """The server failed."""
    text = f"Internal error occurred: {reason}"
    return errors.InternalError(text, details=_details_of("", "", "", causes=[{"message": reason}]))


def timeout(message: str, retry_after: int = 0) -> errors.Timeout:
    """Time ran out before the answer; what was asked may yet happen."""
    details = _details_of("", "", "", retryAfterSeconds=retry_after)
    return errors.Timeout(f"Timeout: {message}", details=details, retry_after=retry_after)


def too_large_version(asked: int, current: int) -> errors.Timeout:
    """A list at a resource version that has not been reached (apiserver
    `storage.NewTooLargeResourceVersionError`)."""
    error = timeout(f"Too large resource version: {asked}, current: {current}", 1)
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    error.details = {**(error.details or {}), "causes": [cause]}
    return error


def request_too_large(message: str) -> errors.RequestTooLarge:
    """The body is larger than the server reads."""
    return errors.RequestTooLarge(f"Request entity too large: {message}")


def not_acceptable(media_types: Iterable[str]) -> errors.NotAcceptable:
    """None of the media types the client takes can be written."""
    shown = ", ".join(media_types)
    return errors.NotAcceptable(f"only the following media types are accepted: {shown}")


def unsupported_media_type(media_types: Iterable[str]) -> errors.UnsupportedMediaType:
    """The body's media type cannot be read."""
    shown = ", ".join(media_types)
    text = f"the body of the request was in an unknown format - accepted media types include: {shown}"
    return errors.UnsupportedMediaType(text)


_GENERIC: dict[int, tuple[str, str]] = {
    400: ("BadRequest", "the server rejected our request for an unknown reason"),
    401: ("Unauthorized", "the server has asked for the client to provide credentials"),
    403: ("Forbidden", ""),
    404: ("NotFound", "the server could not find the requested resource"),
    405: ("MethodNotAllowed", "the server does not allow this method on the requested resource"),
    406: ("NotAcceptable", "the server was unable to respond with a content type that the client supports"),
    409: ("Conflict", "the server reported a conflict"),
    415: ("UnsupportedMediaType", ""),
    422: ("Invalid", "the server rejected our request due to an error in our request"),
    429: ("TooManyRequests", "the server has received too many requests and has asked us to try again later"),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: (
        "Timeout",
        "the server was unable to return a response in the time allotted, but may still be processing the request",
    ),
}


def generic(
    code: int, *, verb: str = "", target: Target = "", name: str = "", said: str = "", retry_after: int = 0,
    unexpected: bool = False,
) -> ApiError:  # fmt: skip
    """The error for a bare HTTP answer.

    verb: the HTTP method. said: the body's text. unexpected: the answer was no Status, so tell what it was.
    """
    reason, text = _GENERIC.get(code, ("", ""))
    if code == 409 and verb.upper() == "POST":
        reason = "AlreadyExists"
    if code in (403, 415) or (code == 406 and said not in ("", "unknown")):
        text = said
    elif not text and code >= 500:
        reason = "InternalError"
        text = f"an error on the server ({quote(said)}) has prevented the request from succeeding"
    elif not text:
        text = f"the server responded with the status code {code} but did not return more information"
    qualified = _qualified(target)
    if qualified:
        words = (verb.lower(), qualified, name) if name else (verb.lower(), qualified)
        text = f"{text} ({' '.join(words)})"
    causes = [{"reason": "UnexpectedServerResponse", "message": said}] if unexpected else []
    details = _details(target, name, causes=causes, retryAfterSeconds=retry_after)
    return errors.from_reason(reason, text, code=code, details=details)


def to_status(error: ApiError) -> Status:
    """The Status of an error."""
    return codec.from_builtins(Status, to_wire(error))


def from_status(status: Status) -> ApiError:
    """The error that a Status says."""
    return from_wire(codec.to_builtins(status))


def to_wire(error: ApiError) -> dict[str, Any]:
    """The Status of an error, as builtins in wire form."""
    status: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": error.message,
        "reason": error.reason,
        "details": error.details,
        "code": error.code,
    }
    return {key: value for key, value in status.items() if value not in ("", None)}


def from_wire(status: Mapping[str, Any]) -> ApiError:
    """The error that a Status in wire form says.

    A reason that nobody knows counts for what its code means, as upstream's IsNotFound and its like do.
    """
    reason, code = str(status.get("reason") or ""), int(status.get("code") or 500)
    message, details = str(status.get("message") or ""), status.get("details")
    error = errors.from_reason(reason, message, code=code, details=details)
    if type(error) is ApiError and code in _GENERIC:
        error = errors.from_reason(_GENERIC[code][0], message, code=code, details=details)
        error.reason = reason
    return error
