"""Reviews: questions about who one is and what one may do. Nothing is stored; the answer is the object, filled in.

`app.py` maps the resources of authentication.k8s.io and authorization.k8s.io to these handlers; they ask the same
authenticator and authorizer as the server does for every request. Source: k8s.io/kubernetes `pkg/registry/
{authentication,authorization}`, KEP-3325 (self subject review).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

from kijabi.api import validation
from kijabi.api.authentication.selfsubjectreview import SelfSubjectReview
from kijabi.api.authentication.tokenreview import TokenReview
from kijabi.api.authentication.tokenreview import UserInfo as ApiUserInfo
from kijabi.api.authorization.localsubjectaccessreview import LocalSubjectAccessReview
from kijabi.api.authorization.selfsubjectaccessreview import SelfSubjectAccessReview
from kijabi.api.authorization.selfsubjectrulesreview import (
    NonResourceRule,
    ResourceRule,
    SelfSubjectRulesReview,
    SubjectRulesReviewStatus,
)
from kijabi.api.authorization.subjectaccessreview import (
    FieldSelectorAttributes,
    LabelSelectorAttributes,
    NonResourceAttributes,
    ResourceAttributes,
    SubjectAccessReview,
    SubjectAccessReviewStatus,
)
from kijabi.api.formats import label_value, qualified_name
from kijabi.api.gotext import aggregate
from kijabi.api.meta import ObjectMeta, time_now
from kijabi.api.resource import FieldError
from kijabi.api.selector import FieldTerm, Operator, parse_fields, parse_labels, requirement
from kijabi.api.status import bad_request, invalid
from kijabi.apiserver.attributes import Authorizer, RequestInfo, UserInfo
from kijabi.apiserver.authn.bearer import Bearer
from kijabi.apiserver.authn.chain import authenticated
from kijabi.apiserver.authz.rules import Resolved, Resolver
from kijabi.apiserver.call import Call, Handler
from kijabi.base.errors import ApiError, Unauthorized
from kijabi.client.transport import Response

log = logging.getLogger(__name__)

_LABEL_OPERATORS: dict[str, Operator] = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}
_ONE_OF = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
_AUTHN, _AUTHZ = "authentication.k8s.io", "authorization.k8s.io"


class Reviews:
    """The handlers of all review kinds."""

    def __init__(self, authorizer: Authorizer, tokens: Bearer | None) -> None:
        self._authorizer = authorizer
        self._tokens = tokens

    def handlers(self) -> dict[tuple[str, str], Handler]:
        """What `app.py` adds to its map of handlers."""
        return {
            (f"tokenreviews.{_AUTHN}", ""): self.token,
            (f"selfsubjectreviews.{_AUTHN}", ""): self.myself,
            (f"subjectaccessreviews.{_AUTHZ}", ""): self.access,
            (f"localsubjectaccessreviews.{_AUTHZ}", ""): self.local_access,
            (f"selfsubjectaccessreviews.{_AUTHZ}", ""): self.my_access,
            (f"selfsubjectrulesreviews.{_AUTHZ}", ""): self.my_rules,
        }

    async def myself(self, call: Call) -> Response:
        """Who am I (`kubectl auth whoami`)?"""
        review = call.body(SelfSubjectReview)
        await call.admit("CREATE", review)
        review.metadata = ObjectMeta(creationTimestamp=time_now())
        review.status.userInfo = _user(call.user)
        return _created(call, review)

    async def token(self, call: Call) -> Response:
        """Whose token is this?"""
        review = call.body(TokenReview)
        if not review.spec.token:
            raise bad_request("token is required for TokenReview in authentication")
        await call.admit("CREATE", review)
        status = type(review.status)()
        if self._tokens is not None:
            audiences = review.spec.audiences or self._tokens.audiences
            try:
                found = await self._tokens.authenticate(review.spec.token, audiences)
            except Unauthorized as error:
                status.error = error.message
            else:
                status.authenticated = True
                status.audiences = found.audiences
                status.user = _user(authenticated(found.user))
        review.status = status
        return _created(call, review)

    async def access(self, call: Call) -> Response:
        """May that user do this?"""
        review = call.body(SubjectAccessReview)
        problems = _check_spec(review.spec) + _check_subject(review.spec)
        problems += _check_metadata(review.metadata, "must be empty")
        if problems:
            raise invalid(call.resource, "", problems)
        await call.admit("CREATE", review)
        review.status = await self._decide(_subject(review.spec), review.spec)
        return _created(call, review)

    async def local_access(self, call: Call) -> Response:
        """May that user do this in this namespace? Those who may ask may not be allowed to ask about others."""
        review = call.body(LocalSubjectAccessReview)
        namespace = call.info.namespace
        review.metadata.namespace = review.metadata.namespace or namespace
        spec = review.spec
        problems = _check_spec(spec) + _check_subject(spec)
        problems += _check_metadata(replace(review.metadata, namespace=""), "must be empty except for namespace")
        if spec.resourceAttributes is not None and spec.resourceAttributes.namespace != review.metadata.namespace:
            where = "spec.resourceAttributes.namespace"
            problems += [validation.invalid(where, spec.resourceAttributes.namespace, "must match metadata.namespace")]
        if spec.nonResourceAttributes is not None:
            where, text = "spec.nonResourceAttributes", "disallowed on this kind of request"
            problems += [validation.invalid(where, spec.nonResourceAttributes, text)]
        if problems:
            raise invalid(call.resource, "", problems)
        if review.metadata.namespace != namespace:
            raise bad_request(f"spec.resourceAttributes.namespace must match namespace: {namespace}")
        await call.admit("CREATE", review)
        review.status = await self._decide(_subject(spec), spec)
        return _created(call, review)

    async def my_access(self, call: Call) -> Response:
        """May I do this (`kubectl auth can-i`)?"""
        review = call.body(SelfSubjectAccessReview)
        problems = _check_spec(review.spec) + _check_metadata(review.metadata, "must be empty")
        if problems:
            raise invalid(call.resource, "", problems)
        await call.admit("CREATE", review)
        review.status = await self._decide(call.user, review.spec)
        return _created(call, review)

    async def my_rules(self, call: Call) -> Response:
        """What may I do in a namespace (`kubectl auth can-i --list`)?"""
        review = call.body(SelfSubjectRulesReview)
        if not review.spec.namespace:
            raise bad_request("no namespace on request")
        await call.admit("CREATE", review)
        authorizer = self._authorizer
        found = Resolved(incomplete=True)
        if isinstance(authorizer, Resolver):
            found = authorizer.rules_of(call.user, review.spec.namespace)
        status = SubjectRulesReviewStatus(
            resourceRules=tuple(
                ResourceRule(
                    verbs=rule.verbs,
                    apiGroups=rule.apiGroups,
                    resources=rule.resources,
                    resourceNames=rule.resourceNames,
                )
                for rule in found.rules
                if rule.resources
            ),
            nonResourceRules=tuple(
                NonResourceRule(verbs=rule.verbs, nonResourceURLs=rule.nonResourceURLs)
                for rule in found.rules
                if rule.nonResourceURLs
            ),
            incomplete=found.incomplete,
            evaluationError=aggregate(found.errors),
        )
        return _created(call, SelfSubjectRulesReview(status=status))

    async def _decide(self, user: UserInfo, spec: Any) -> SubjectAccessReviewStatus:
        resource: ResourceAttributes | None = spec.resourceAttributes
        problems: list[str] = []
        if resource is not None:
            info = _resource_info(resource, problems)
        else:
            other: NonResourceAttributes = spec.nonResourceAttributes
            info = RequestInfo(verb=other.verb, path=other.path)
        decision = await self._authorizer.authorize(user, info)
        if decision.error:
            problems.insert(0, decision.error)
        return SubjectAccessReviewStatus(
            allowed=decision.allowed, denied=decision.denied, reason=decision.reason,
            evaluationError="; ".join(problems),
        )  # fmt: skip


def _resource_info(asked: ResourceAttributes, problems: list[str]) -> RequestInfo:
    return RequestInfo(
        verb=asked.verb,
        path="",
        is_resource=True,
        group=asked.group,
        version=asked.version or "*",
        resource=asked.resource,
        subresource=asked.subresource,
        namespace=asked.namespace,
        name=asked.name,
        field_selector=_field_selector(asked.fieldSelector, problems),
        label_selector=_label_selector(asked.labelSelector, problems),
    )


def _ignored(name: str, found: bool, problems: list[str]) -> None:
    how = "partially ignored" if found else "ignored"
    problems.append(f"spec.resourceAttributes.{name} {how} due to parse error")


def _field_selector(asked: FieldSelectorAttributes | None, problems: list[str]) -> str:
    """The selector as text. Requirements that no text can say are left out: that asks for more, never less."""
    if asked is None:
        return ""
    if not asked.requirements:
        return _readable("fieldSelector", asked.rawSelector, parse_fields, problems)
    terms = [
        str(FieldTerm(each.key, each.values[0], each.operator == "In"))
        for each in asked.requirements
        if each.operator in ("In", "NotIn") and len(each.values) == 1
    ]
    if len(terms) < len(asked.requirements):
        _ignored("fieldSelector", bool(terms), problems)
    return ",".join(terms)


def _label_selector(asked: LabelSelectorAttributes | None, problems: list[str]) -> str:
    """As `_field_selector`."""
    if asked is None:
        return ""
    if not asked.requirements:
        return _readable("labelSelector", asked.rawSelector, parse_labels, problems)
    terms: list[str] = []
    for each in asked.requirements:
        operator = _LABEL_OPERATORS.get(each.operator)
        try:
            if operator is not None:
                terms.append(str(requirement(each.key, operator, each.values)))
        except ApiError as error:
            log.debug("label requirement ignored", extra={"reason": error.message})
    if len(terms) < len(asked.requirements):
        _ignored("labelSelector", bool(terms), problems)
    return ",".join(terms)


def _readable(name: str, text: str, parse: Callable[[str], object], problems: list[str]) -> str:
    try:
        parse(text)
    except ApiError:
        _ignored(name, False, problems)
        return ""
    return text


def _created(call: Call, review: Any) -> Response:
    review.apiVersion, review.kind = call.resource.api_version, call.resource.kind
    return call.respond(review, 201)


def _user(user: UserInfo) -> ApiUserInfo:
    return ApiUserInfo(username=user.name, uid=user.uid, groups=user.groups, extra=dict(user.extra))


def _subject(spec: Any) -> UserInfo:
    return UserInfo(name=spec.user, uid=spec.uid, groups=spec.groups, extra=dict(spec.extra))


def _check_subject(spec: Any) -> list[FieldError]:
    if spec.user or spec.groups:
        return []
    return [validation.invalid("spec.user", spec.user, "at least one of user or group must be specified")]


def _check_spec(spec: Any) -> list[FieldError]:
    resource, other = spec.resourceAttributes, spec.nonResourceAttributes
    problems: list[FieldError] = []
    if (resource is None) == (other is None):
        problems.append(validation.invalid("spec", other, _ONE_OF))
    if resource is not None:
        problems += _check_selector(resource.fieldSelector, "spec.resourceAttributes.fieldSelector", labels=False)
        problems += _check_selector(resource.labelSelector, "spec.resourceAttributes.labelSelector", labels=True)
    return problems


def _check_selector(selector: Any, where: str, *, labels: bool) -> Iterable[FieldError]:
    if selector is None:
        return
    if selector.rawSelector and selector.requirements:
        text = "may not specified at the same time as requirements"
        yield validation.invalid(f"{where}.rawSelector", selector.rawSelector, text)
    if not selector.rawSelector and not selector.requirements:
        text = f"when {where} is specified, requirements or rawSelector is required"
        yield validation.required(f"{where}.requirements", text)
    for index, each in enumerate(selector.requirements):
        path = f"{where}.requirements[{index}]"
        if not labels and not each.key:
            yield validation.required(f"{path}.key", "must be specified")
        if each.operator in ("In", "NotIn") and not each.values:
            text = "must be specified when `operator` is 'In' or 'NotIn'"
            yield validation.required(f"{path}.values", text)
        if each.operator in ("Exists", "DoesNotExist") and each.values:
            text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield validation.forbidden(f"{path}.values", text)
        if labels:
            yield from validation.each(f"{path}.key", each.key, qualified_name(each.key))
            for number, value in enumerate(each.values):
                yield from validation.each(f"{path}.values[{number}]", value, label_value(value))


def _check_metadata(metadata: ObjectMeta, text: str) -> list[FieldError]:
    bare = replace(metadata, managedFields=ObjectMeta().managedFields)
    return [] if bare == ObjectMeta() else [validation.invalid("metadata", metadata, text)]
