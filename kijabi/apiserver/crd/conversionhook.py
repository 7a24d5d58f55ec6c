"""Conversion of custom objects by a webhook: the question, and what its answer may and may not change.

`rendering.py` asks a Hook for objects that are in another version than is wanted. One request takes many objects. The
webhook may change everything but what identifies an object: of its metadata only labels and annotations are taken
(apiextensions.k8s.io/v1 ConversionReview; texts of apiextensions-apiserver `pkg/apiserver/conversion`). Time, size and
the number of requests under way are bounded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from kijabi.api import codec, validation
from kijabi.api.apiextensions.customresourcedefinition import CustomResourceDefinition, WebhookConversion
from kijabi.api.custom import Custom
from kijabi.api.gotext import quote
from kijabi.api.meta import ObjectMeta
from kijabi.apiserver.crd.conversion import ConversionError, identity
from kijabi.apiserver.webhooks.client import WebhookError, Webhooks
from kijabi.base import rand

TIMEOUT = 30.0  # seconds for one request
BATCH = 500  # objects of one request
CONCURRENT = 8  # requests of one definition that are under way at once
_GROUP = "apiextensions.k8s.io"
_KNOWN = ("v1", "v1beta1")
_META_TEXTS = ("labels", "annotations")


class _Refused(Exception):
    """Why an answer cannot be used; the text follows `conversion webhook for … `."""


class Hook:
    """The strategy Webhook, of one definition."""

    def __init__(self, crd: CustomResourceDefinition, webhook: WebhookConversion, client: Webhooks) -> None:
        self._webhook = webhook
        self._client = client
        self._version = next((each for each in webhook.conversionReviewVersions if each in _KNOWN), "")
        self._turn = asyncio.Semaphore(CONCURRENT)
        self.name = crd.metadata.name

    def at_once(self, obj: Custom, api_version: str) -> Custom | None:
        """See Converter: only what is there already."""
        return obj if obj.apiVersion == api_version else None

    async def convert(
        self, objects: Sequence[Custom], api_version: str, *, about: str, listed: bool = False
    ) -> list[Custom]:
        """See Converter."""
        if not self._version:
            raise ConversionError("no supported conversion review versions")
        found: list[Custom] = []
        for start in range(0, len(objects), BATCH):
            found += await self._ask(objects[start : start + BATCH], api_version, about, listed)
        return found

    async def _ask(self, objects: Sequence[Custom], api_version: str, about: str, listed: bool) -> list[Custom]:
        uid = rand.uuid()
        request = {
            "uid": uid,
            "desiredAPIVersion": api_version,
            "objects": [msgspec.Raw(codec.encode(obj)) for obj in objects],
        }
        review = {"kind": "ConversionReview", "apiVersion": f"{_GROUP}/{self._version}", "request": request}
        config = self._webhook.clientConfig
        lead = f"conversion webhook for {about}"
        if config is None:
            raise ConversionError(f"{lead} failed: no client configuration")
        try:
            async with self._turn:
                answer = await self._client.post(config, msgspec.json.encode(review), TIMEOUT)
            answers = _objects(answer, uid, self._version)
        except (WebhookError, _Refused) as error:
            raise ConversionError(f"{lead} failed: {error}") from None
        if len(answers) != len(objects):
            raise ConversionError(f"{lead} returned {len(answers)} objects, expected {len(objects)}")
        try:
            return [
                _checked(original, converted, api_version, _Place.at(index, listed))
                for index, (original, converted) in enumerate(zip(objects, answers, strict=True))
            ]
        except _Refused as error:
            raise ConversionError(f"{lead} returned {error}") from None


def _objects(answer: dict[str, Any], uid: str, version: str) -> list[Any]:
    """The converted objects of a review. Raises _Refused."""
    response = answer.get("response")
    if version == "v1":
        expected = identity(f"{_GROUP}/v1", "ConversionReview")
        got = identity(str(answer.get("apiVersion") or ""), str(answer.get("kind") or ""))
        if got != expected:
            raise _Refused(f"expected webhook response of {expected}, got {got}")
    if not isinstance(response, dict):
        raise _Refused("no response provided")
    if version == "v1" and response.get("uid") != uid:
        raise _Refused(f"expected response.uid={quote(uid)}, got {quote(str(response.get('uid') or ''))}")
    result = response.get("result")
    result = result if isinstance(result, dict) else {}
    if result.get("status") != "Success":
        message = result.get("message")
        raise _Refused(
            str(message) if message else f"response.result.status was '{result.get('status') or ''}', not 'Success'"
        )
    objects = response.get("convertedObjects")
    return objects if isinstance(objects, list) else []


class _Place(NamedTuple):
    """How errors begin: about what an object is, about what identifies it, about its metadata."""

    kind: str
    identity: str
    metadata: str

    @classmethod
    def at(cls, index: int, listed: bool) -> _Place:
        """Of an object of a list, or of one that stands alone."""
        if not listed:
            return cls("invalid object at index 0", "invalid object", "invalid metadata")
        place = f"invalid converted object at index {index}"
        return cls(place, place, f"invalid metadata in object at index {index}")


def _checked(original: Custom, converted: Any, api_version: str, place: _Place) -> Custom:
    """A converted object with the metadata that it must have. Raises _Refused."""
    if not isinstance(converted, dict) or not isinstance(converted.get("kind"), str) or not converted["kind"]:
        shown = msgspec.json.encode(converted).decode()[:256]
        raise _Refused(f"{place.kind}: Object 'Kind' is missing in '{shown}'")
    got = converted.get("apiVersion") or ""
    if got != api_version:
        raise _Refused(f"{place.kind}: invalid groupVersion (expected {api_version}, received {got})")
    if converted["kind"] != original.kind:
        raise _Refused(f"{place.kind}: invalid kind (expected {original.kind}, received {converted['kind']})")
    metadata = converted.get("metadata")
    _same(original, metadata if isinstance(metadata, dict) else {}, place.identity)
    where = place.metadata
    if "metadata" not in converted:
        raise _Refused(f"{where}: missing metadata in converted object")
    if not isinstance(metadata, dict):
        raise _Refused(f"{where}: invalid metadata of type {_go_type(metadata)} in converted object")
    content = {name: value for name, value in converted.items() if name not in ("apiVersion", "kind", "metadata")}
    own = _metadata(original.metadata, metadata, where)
    return Custom(apiVersion=api_version, kind=original.kind, metadata=own, content=content)


def _same(original: Custom, metadata: dict[str, Any], place: str) -> None:
    """What identifies an object must stay. Raises _Refused."""
    own = original.metadata
    for name, label in (("name", "name"), ("namespace", "namespace"), ("uid", "UID")):
        before, after = getattr(own, name), metadata.get(name) or ""
        if before != after:
            raise _Refused(f"{place}: must have the same {label}: {before} != {after}")


def _metadata(own: ObjectMeta, given: dict[str, Any], where: str) -> ObjectMeta:
    """The original's metadata with the labels and annotations of the converted. Raises _Refused."""
    texts: dict[str, dict[str, str]] = {}
    for name in _META_TEXTS:
        value = given.get(name)
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise _Refused(f"{where}: invalid metadata.{name} of type {_go_type(value)} in converted object")
        for key, text in value.items():
            if not isinstance(text, str):
                kind = _go_type(text)
                raise _Refused(f"{where}: metadata.{name}[{key}] must be a string, but is {kind} in converted object")
        if value != getattr(own, name):
            check = validation.validate_labels if name == "labels" else validation.validate_annotations
            errors = check(value, "metadata.labels" if name == "labels" else "metadata.annotation")
            if errors:
                raise _Refused(f"{where}: {validation.aggregate(errors)}")
        texts[name] = value
    return msgspec.structs.replace(own, **texts)


def _go_type(value: Any) -> str:
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "bool"
    kinds: dict[type, str] = {
        int: "int64", float: "float64", str: "string", dict: "map[string]interface {}", list: "[]interface {}",
    }  # fmt: skip
    return kinds[type(value)]
