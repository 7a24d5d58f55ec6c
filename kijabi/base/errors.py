"""The one error tree: the server raises these classes and the client re-raises the same ones.

    KijabiError
    ├── ConnectionLost            the peer could not be reached or went away; whether it acted is unknown
    ├── ConfigError               this process was started with something it cannot use
    └── ApiError                  a Status that a caller sees: reason, code, message, details
        ├── BadRequest            400
        ├── Unauthorized          401
        ├── Forbidden             403
        ├── NotFound              404
        ├── MethodNotAllowed      405
        ├── NotAcceptable         406
        ├── AlreadyExists         409
        ├── Conflict              409
        ├── Gone                  410
        ├── Expired               410  the resourceVersion or continue token is too old: list again
        ├── RequestTooLarge       413  reason RequestEntityTooLarge
        ├── UnsupportedMediaType  415
        ├── Invalid               422
        ├── TooManyRequests       429
        ├── InternalError         500
        ├── ServerTimeout         500  try again
        ├── ServiceUnavailable    503
        └── Timeout               504

Reasons and codes are those of k8s.io/apimachinery `pkg/apis/meta/v1` StatusReason. `api/status.py` turns an
ApiError into a Status object and back; `from_reason` finds the class for a reason read off the wire.
"""

from __future__ import annotations

from typing import Any


class KijabiError(Exception):
    """Root of everything that this project raises on purpose."""


class ConnectionLost(KijabiError):
    """The peer could not be reached or went away; whether it acted is unknown, so read before you repeat."""


class ConfigError(KijabiError):
    """This process was started with something that it cannot use; the message says what to change."""


class ApiError(KijabiError):
    """A failure with a Kubernetes Status.

    message: the text clients show and tests assert. details: the wire form of StatusDetails (name, group,
    kind, uid, causes, retryAfterSeconds), or None. retry_after: seconds for the Retry-After header, 0 for
    none.
    """

    reason: str = ""
    code: int = 500

    def __init__(
        self,
        message: str,
        *,
        details: dict[str, Any] | None = None,
        retry_after: int = 0,
        reason: str | None = None,
        code: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.retry_after = retry_after
        if reason is not None:
            self.reason = reason
        if code is not None:
            self.code = code


class BadRequest(ApiError):
    """The request cannot be read or makes no sense."""

    reason, code = "BadRequest", 400


class Unauthorized(ApiError):
    """The credentials are missing where they are needed, or wrong."""

    reason, code = "Unauthorized", 401


class Forbidden(ApiError):
    """Known who asks; not allowed."""

    reason, code = "Forbidden", 403


class NotFound(ApiError):
    """No such object, or no such path."""

    reason, code = "NotFound", 404


class MethodNotAllowed(ApiError):
    """The resource does not support this verb."""

    reason, code = "MethodNotAllowed", 405


class NotAcceptable(ApiError):
    """None of the representations that the client takes can be had."""

    reason, code = "NotAcceptable", 406


class AlreadyExists(ApiError):
    """An object of this name is there already."""

    reason, code = "AlreadyExists", 409


class Conflict(ApiError):
    """The object changed since it was read, or a precondition does not hold."""

    reason, code = "Conflict", 409


class Gone(ApiError):
    """It was here and is not any more."""

    reason, code = "Gone", 410


class Expired(ApiError):
    """The resource version or continue token is too old: list again."""

    reason, code = "Expired", 410


class RequestTooLarge(ApiError):
    """The body is larger than the server takes."""

    reason, code = "RequestEntityTooLarge", 413


class UnsupportedMediaType(ApiError):
    """The body is of a type that the server does not read."""

    reason, code = "UnsupportedMediaType", 415


class Invalid(ApiError):
    """The object breaks rules; `details` has a cause for each."""

    reason, code = "Invalid", 422


class TooManyRequests(ApiError):
    """Not now; `retry_after` says when."""

    reason, code = "TooManyRequests", 429


class InternalError(ApiError):
    """A bug of the server."""

    reason, code = "InternalError", 500


class ServerTimeout(ApiError):
    """The server could not do it in time; trying again may help."""

    reason, code = "ServerTimeout", 500


class ServiceUnavailable(ApiError):
    """A part that this needs is not there at the moment."""

    reason, code = "ServiceUnavailable", 503


class Timeout(ApiError):
    """The request took longer than it was given."""

    reason, code = "Timeout", 504


_BY_REASON: dict[str, type[ApiError]] = {cls.reason: cls for cls in ApiError.__subclasses__()}


def from_reason(reason: str, message: str, *, code: int, details: dict[str, Any] | None = None) -> ApiError:
    """The error for a Status read off the wire; an unknown reason gives a plain ApiError that keeps it."""
    cls = _BY_REASON.get(reason, ApiError)
    retry_after = int((details or {}).get("retryAfterSeconds", 0) or 0)
    return cls(message, details=details, retry_after=retry_after, reason=reason, code=code)
