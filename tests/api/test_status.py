"""Errors and their Status: upstream's texts, causes, and the way there and back."""

import pytest

from kijabi.api import status
from kijabi.api.resource import FieldError, Resource
from kijabi.api.struct import Struct
from kijabi.api.validation import invalid, required
from kijabi.base import errors

DEPLOYMENTS = Resource(group="apps", version="v1", kind="Deployment", plural="deployments", type=Struct)

TEXTS = [
    (status.not_found("pods", "x"), 404, "NotFound", 'pods "x" not found'),
    (status.not_found(DEPLOYMENTS, "x"), 404, "NotFound", 'deployments.apps "x" not found'),
    (status.already_exists("pods", "x"), 409, "AlreadyExists", 'pods "x" already exists'),
    (
        status.conflict("pods", "x"),
        409,
        "Conflict",
        'Operation cannot be fulfilled on pods "x": the object has been modified; please apply your changes '
        "to the "
        "latest version and try again",
    ),
    (status.forbidden("", "", "no"), 403, "Forbidden", "forbidden: no"),
    (status.forbidden("pods", "", "no"), 403, "Forbidden", "pods is forbidden: no"),
    (status.forbidden(DEPLOYMENTS, "x", "no"), 403, "Forbidden", 'deployments.apps "x" is forbidden: no'),
    (status.bad_request("what?"), 400, "BadRequest", "what?"),
    (
        status.method_not_supported("pods", "create"),
        405,
        "MethodNotAllowed",
        'create is not supported on resources of kind "pods"',
    ),
    (status.timeout("slow"), 504, "Timeout", "Timeout: slow"),
    (status.internal("bang"), 500, "InternalError", "Internal error occurred: bang"),
    (status.request_too_large("no"), 413, "RequestEntityTooLarge", "Request entity too large: no"),
    (
        status.server_timeout("pods", "get", 2),
        500,
        "ServerTimeout",
        "The get operation against pods could not be completed at this time, please try again.",
    ),
    (status.generic(404), 404, "NotFound", "the server could not find the requested resource"),
    (
        status.generic(404, verb="GET", target="pods", name="x"),
        404,
        "NotFound",
        "the server could not find the requested resource (get pods x)",
    ),
    (
        status.generic(422),
        422,
        "Invalid",
        "the server rejected our request due to an error in our request",
    ),
    (
        status.generic(502, said="boo"),
        502,
        "InternalError",
        'an error on the server ("boo") has prevented the request from succeeding',
    ),
    (
        status.generic(418),
        418,
        "",
        "the server responded with the status code 418 but did not return more information",
    ),
]


@pytest.mark.parametrize(("error", "code", "reason", "message"), TEXTS, ids=lambda v: str(v)[:40])
def test_texts(error: errors.ApiError, code: int, reason: str, message: str) -> None:
    assert (error.code, error.reason, error.message) == (code, reason, message)


@pytest.mark.parametrize("error", [row[0] for row in TEXTS], ids=lambda v: str(v)[:40])
def test_the_way_over_the_wire_and_back(error: errors.ApiError) -> None:
    back = status.from_wire(status.to_wire(error))
    assert type(back) is type(error)
    assert (back.code, back.reason, back.message, back.details) == (
        error.code,
        error.reason,
        error.message,
        error.details,
    )


def test_one_problem_stands_alone_and_several_in_brackets() -> None:
    negative = invalid("spec.replicas", -1, "must be greater than or equal to 0")
    missing = required("spec.selector")
    assert status.invalid(DEPLOYMENTS, "x", [negative]).message == (
        'Deployment.apps "x" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0'
    )
    assert status.invalid(DEPLOYMENTS, "x", [negative, missing, missing]).message == (
        'Deployment.apps "x" is invalid: [spec.replicas: Invalid value: -1: must be greater than or equal to '
        "0, "
        "spec.selector: Required value]"
    )


def test_invalid_tells_every_cause() -> None:
    error = status.invalid("Pod", "x", [FieldError("spec", "FieldValueRequired", "Required value")])
    assert status.to_wire(error) == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'Pod "x" is invalid: spec: Required value',
        "reason": "Invalid",
        "details": {
            "name": "x",
            "kind": "Pod",
            "causes": [{"reason": "FieldValueRequired", "message": "Required value", "field": "spec"}],
        },
        "code": 422,
    }


def test_an_unknown_reason_counts_for_its_code() -> None:
    error = status.from_wire({"kind": "Status", "reason": "Odd", "message": "hm", "code": 404})
    assert isinstance(error, errors.NotFound)
    assert error.reason == "Odd"
