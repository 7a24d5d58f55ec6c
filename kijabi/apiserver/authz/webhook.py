"""Asks a webhook what a user may do: a SubjectAccessReview is posted, and the answer remembered for a while.

`modes.py` makes one of these for each webhook of `config.py`; `union.py` asks it in its turn. A webhook that fails, or
is too slow, holds up only the requests that wait for it, and decides as its failurePolicy says. Source:
k8s.io/apiserver `plugin/pkg/authorizer/webhook`.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import msgspec

from kijabi.api import codec
from kijabi.api.authorization.subjectaccessreview import (
    FieldSelectorAttributes,
    LabelSelectorAttributes,
    NonResourceAttributes,
    ResourceAttributes,
    SubjectAccessReviewSpec,
    SubjectAccessReviewStatus,
)
from kijabi.api.meta import FieldSelectorRequirement, LabelSelectorRequirement
from kijabi.api.selector import parse_fields, parse_labels
from kijabi.apiserver.attributes import Decision, RequestInfo, UserInfo
from kijabi.apiserver.authz.config import WebhookConfiguration
from kijabi.apiserver.authz.matching import Matcher, MatchError
from kijabi.apiserver.authz.rules import Resolved
from kijabi.apiserver.configfile import seconds
from kijabi.apiserver.webhooks.answers import status_of
from kijabi.apiserver.webhooks.calls import Configured
from kijabi.apiserver.webhooks.client import WebhookError
from kijabi.base.errors import ApiError
from kijabi.base.expiring import Expiring

log = logging.getLogger(__name__)

REMEMBERED = 8192  # answers
MAX_TEXT = 10_000  # characters that the requester chose; what is longer is not remembered
GROUP = "authorization.k8s.io"
_IN, _NOT_IN = ("=", "==", "in"), ("!=", "notin")


class WebhookAuthorizer:
    """One webhook. Raises ConfigError for a kubeconfig that cannot be used."""

    def __init__(self, name: str, configuration: WebhookConfiguration) -> None:
        self._name = name
        self._version = configuration.subjectAccessReviewVersion
        self._denies = configuration.failurePolicy == "Deny"
        self._hook = Configured(
            Path(configuration.connectionInfo.kubeConfigFile or ""), timeout=seconds(configuration.timeout)
        )
        self._matcher = Matcher([each.expression for each in configuration.matchConditions])
        self._answers: Expiring[bytes, Decision] = Expiring(REMEMBERED)
        self._allowed = seconds(configuration.authorizedTTL) if configuration.cacheAuthorizedRequests else 0.0
        self._refused = seconds(configuration.unauthorizedTTL) if configuration.cacheUnauthorizedRequests else 0.0

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        """See Authorizer."""
        spec = specification(user, info)
        try:
            if not await self._matcher.matches(spec):
                return Decision(False)
        except MatchError as error:
            return self._failed(str(error))
        key = msgspec.json.encode(spec)
        known = self._answers.get(key)
        if known is not None:
            return known
        await asyncio.sleep(0)  # whoever cannot wait gives up here, before anything has begun
        try:
            decision = _decision(await self._ask(spec))
        except WebhookError as error:
            log.error("authorization webhook failed", extra={"webhook": self._name, "reason": str(error)})
            return self._failed(str(error))
        lasts = self._allowed if decision.allowed else self._refused
        if lasts and _length(info) < MAX_TEXT:
            self._answers.put(key, decision, lasts)
        return decision

    def rules_of(self, user: UserInfo, namespace: str) -> Resolved:
        """See Resolver: what a webhook would allow cannot be listed."""
        return Resolved(incomplete=True, errors=("webhook authorizer does not support user rule resolution",))

    def close(self) -> None:
        """Ask no more."""
        self._hook.close()

    def _failed(self, error: str) -> Decision:
        return Decision(False, denied=self._denies, error=error)

    async def _ask(self, spec: SubjectAccessReviewSpec) -> SubjectAccessReviewStatus:
        version = f"{GROUP}/{self._version}"
        wanted: dict[str, Any] = codec.to_builtins(spec)
        if self._version == "v1beta1" and "groups" in wanted:
            wanted["group"] = wanted.pop("groups")
        review = {"kind": "SubjectAccessReview", "apiVersion": version, "metadata": {}, "spec": wanted}
        answer = await self._hook.post({**review, "status": {"allowed": False}})
        return status_of(SubjectAccessReviewStatus, answer, "SubjectAccessReview", version)


def _decision(status: SubjectAccessReviewStatus) -> Decision:
    if status.denied and status.allowed:
        error = "webhook subject access review returned both allow and deny response"
        return Decision(False, status.reason, denied=True, error=error)
    return Decision(status.allowed, status.reason, denied=status.denied)


def _length(info: RequestInfo) -> int:
    texts = (info.namespace, info.verb, info.group, info.version, info.resource, info.subresource, info.name, info.path)
    return sum(map(len, texts))


def specification(user: UserInfo, info: RequestInfo) -> SubjectAccessReviewSpec:
    """A request as a SubjectAccessReview asks about it."""
    resource = other = None
    if info.is_resource:
        resource = ResourceAttributes(
            namespace=info.namespace,
            verb=info.verb,
            group=info.group,
            version=info.version,
            resource=info.resource,
            subresource=info.subresource,
            name=info.name,
            fieldSelector=_fields(info.field_selector),
            labelSelector=_labels(info.label_selector),
        )
    else:
        other = NonResourceAttributes(path=info.path, verb=info.verb)
    return SubjectAccessReviewSpec(
        user=user.name, uid=user.uid, groups=user.groups, extra=dict(user.extra), resourceAttributes=resource,
        nonResourceAttributes=other,
    )  # fmt: skip


def _fields(text: str) -> FieldSelectorAttributes | None:
    """The selector's terms. What cannot be read is left out: that asks for more, never less."""
    try:
        terms = parse_fields(text).terms if text else ()
    except ApiError:
        return None
    found = tuple(
        FieldSelectorRequirement(key=term.field, operator="In" if term.equal else "NotIn", values=(term.value,))
        for term in terms
    )
    return FieldSelectorAttributes(requirements=found) if found else None


def _labels(text: str) -> LabelSelectorAttributes | None:
    try:
        terms = parse_labels(text).requirements if text else ()
    except ApiError:
        return None
    operators = {**dict.fromkeys(_IN, "In"), **dict.fromkeys(_NOT_IN, "NotIn"), "exists": "Exists", "!": "DoesNotExist"}
    found = tuple(
        LabelSelectorRequirement(key=term.key, operator=operators[term.operator], values=tuple(sorted(term.values)))
        for term in terms
        if term.operator in operators
    )
    return LabelSelectorAttributes(requirements=found) if found else None
