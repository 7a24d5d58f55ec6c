"""AdmissionReview: the document that a webhook gets, and what of its answer counts.

Pure. `webhooks.py` makes the request and checks the answer here; the policies' expressions read the same request as
their variable `request`. Both versions, v1 and v1beta1. Source: k8s.io/apiserver `pkg/admission/plugin/webhook/request`
and `…/webhook/errors`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from msgspec import Raw

from kijabi.api import codec
from kijabi.api.gotext import quote
from kijabi.api.meta import Status, TypeMeta
from kijabi.api.struct import NO_JSON, Struct
from kijabi.apiserver.admission.kinds import Target
from kijabi.apiserver.attributes import Attributes, UserInfo
from kijabi.apiserver.options import WriteOptions
from kijabi.base.errors import ApiError, BadRequest, from_reason

VERSIONS = ("v1", "v1beta1")  # of AdmissionReview that are spoken
_GROUP = "admission.k8s.io"
JSON_PATCH = "JSONPatch"


class Response(Struct):
    """What a webhook answers."""

    uid: str = ""
    allowed: bool = False
    status: Status | None = None
    patch: bytes = b""
    patchType: str | None = None
    auditAnnotations: dict[str, str] = {}
    warnings: tuple[str, ...] = ()


class Review(TypeMeta):
    """The document that carries an answer; some send the request back as well, and nobody reads it."""

    request: Raw = NO_JSON
    response: Response | None = None


class Verdict(NamedTuple):
    """An answer that was checked, with the patch that counts: JSON, empty for none."""

    response: Response
    patch: bytes
    patch_type: str


class BadReview(ValueError):
    """The answer is no answer to the question; the text is upstream's."""


def choose(versions: Iterable[str]) -> str:
    """The first version that both sides speak, or an empty text."""
    return next((version for version in versions if version in VERSIONS), "")


def request(attrs: Attributes, target: Target) -> dict[str, Any]:
    """The AdmissionRequest without uid, object and oldObject; empty members are left out as Go does."""
    group, version, kind = target.kind
    asked_group, asked_version, asked_kind = attrs.kind
    resource, asked = target.resource, attrs.resource
    found: dict[str, Any] = {
        "kind": {"group": group, "version": version, "kind": kind},
        "resource": {"group": resource.group, "version": resource.version, "resource": resource.plural},
        "subResource": attrs.subresource,
        "requestKind": {"group": asked_group, "version": asked_version, "kind": asked_kind},
        "requestResource": {"group": asked.group, "version": asked.version, "resource": asked.plural},
        "requestSubResource": attrs.subresource,
        "name": attrs.name,
        "namespace": attrs.namespace,
        "operation": attrs.operation,
        "userInfo": user(attrs.user),
    }
    found = {key: value for key, value in found.items() if value != ""}
    found["dryRun"] = attrs.dry_run
    found["options"] = options(attrs)
    return found


def user(who: UserInfo) -> dict[str, Any]:
    """UserInfo in wire form."""
    found = {
        "username": who.name,
        "uid": who.uid,
        "groups": list(who.groups),
        "extra": {key: list(values) for key, values in who.extra.items()},
    }
    return {key: value for key, value in found.items() if value}


def options(attrs: Attributes) -> dict[str, Any] | None:
    """CreateOptions, UpdateOptions, PatchOptions or DeleteOptions in wire form; None where a write has none."""
    wanted = attrs.options
    if wanted is None or attrs.operation == "CONNECT":
        return None
    if isinstance(wanted, Struct):
        found = codec.to_builtins(wanted)
        return {**found, "kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"}
    if not isinstance(wanted, WriteOptions):
        return None
    kind = wanted.kind if attrs.operation != "CREATE" or wanted.kind == "PatchOptions" else "CreateOptions"
    given = {
        "kind": kind,
        "apiVersion": "meta.k8s.io/v1",
        "dryRun": ["All"] if wanted.dry_run else None,
        "force": wanted.force,
        "fieldManager": wanted.field_manager,
        "fieldValidation": wanted.validation if wanted.validation != "Warn" else "",
    }
    return {key: value for key, value in given.items() if value not in (None, "")}


def document(version: str, uid: str, asked: Mapping[str, Any], obj: Any, old: Any) -> dict[str, Any]:
    """The whole review to post. obj and old: JSON values or raw JSON, None for null."""
    return {
        "kind": "AdmissionReview",
        "apiVersion": f"{_GROUP}/{version}",
        "request": {"uid": uid, **asked, "object": obj, "oldObject": old},
    }


def verdict(version: str, uid: str, answer: Mapping[str, Any], *, mutating: bool) -> Verdict:
    """What the answer says. Raises BadReview."""
    try:
        review = codec.from_builtins(Review, answer)
    except BadRequest as problem:
        raise BadReview(problem.message) from None
    response = review.response
    if response is None:
        raise BadReview("webhook response was absent")
    if version == "v1beta1":
        patch = response.patch if mutating else b""
        return Verdict(response, patch, JSON_PATCH if patch else "")
    if response.uid != uid:
        raise BadReview(f"expected response.uid={quote(uid)}, got {quote(response.uid)}")
    group, _, said = review.apiVersion.rpartition("/")
    if (group, said, review.kind) != (_GROUP, version, "AdmissionReview"):
        got = f"{group}/{said}, Kind={review.kind}"
        raise BadReview(f"expected webhook response of {_GROUP}/{version}, Kind=AdmissionReview, got {got}")
    _check_patch(response, mutating)
    return Verdict(response, response.patch, response.patchType or "")


def _check_patch(response: Response, mutating: bool) -> None:
    """A patch and its type come together, and from a mutating webhook only. Raises BadReview."""
    patch, kind = response.patch, response.patchType
    if not mutating:
        if patch:
            raise BadReview("validating webhook may not return response.patch")
        if kind is not None:
            raise BadReview("validating webhook may not return response.patchType")
    elif patch and kind is None:
        raise BadReview("webhook returned response.patch but not response.patchType")
    elif not patch and kind is not None:
        raise BadReview("webhook returned response.patchType but not response.patch")
    elif kind == "":
        raise BadReview('webhook returned invalid response.patchType of ""')


def denial(name: str, said: Status | None) -> ApiError:
    """The refusal of a webhook as the client gets it: never with a code that looks like success."""
    found = said if said is not None else Status()
    lead = f"admission webhook {quote(name)} denied the request"
    told = found.message or found.reason
    message = f"{lead}: {told}" if told else f"{lead} without explanation"
    code = found.code if 400 <= found.code <= 599 else 400
    details = codec.to_builtins(found.details) if found.details is not None else None
    return from_reason(found.reason, message, code=code, details=details)
