"""What mutating and validating webhooks share: the configured hooks, whether one is to be called, and the call.

`mutatingwebhook.py` and `validatingwebhook.py` decide on order and on what becomes of an answer. The configurations
come from the watch caches; the call goes out through `webhooks/client.py`. Source: k8s.io/apiserver
`pkg/admission/plugin/webhook/{generic,accessors.go,mutating,validating}`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
from msgspec import Raw

from kijabi.api import codec
from kijabi.api.admissionregistration.mutatingwebhookconfiguration import MutatingWebhook, MutatingWebhookConfiguration
from kijabi.api.admissionregistration.validatingwebhookconfiguration import (
    ValidatingWebhook,
    ValidatingWebhookConfiguration,
)
from kijabi.api.gotext import quote
from kijabi.api.resource import Resource
from kijabi.api.status import bad_request, forbidden, internal
from kijabi.apiserver.admission import review
from kijabi.apiserver.admission.forms import Form, Forms
from kijabi.apiserver.admission.kinds import Kinds, Target
from kijabi.apiserver.admission.matching import Candidates, Lazy, Selectors
from kijabi.apiserver.admission.review import BadReview, Verdict
from kijabi.apiserver.admission.rules import exempt
from kijabi.apiserver.attributes import Attributes, Authorizer, Operation, Reader
from kijabi.apiserver.audit import context
from kijabi.apiserver.body import add_warning
from kijabi.apiserver.webhooks.client import WebhookError, Webhooks
from kijabi.base import clock, rand
from kijabi.base.errors import ApiError, KijabiError

if TYPE_CHECKING:
    from kijabi.apiserver.admission.conditions import Conditions

log = logging.getLogger(__name__)

DEFAULT_SECONDS = 10  # that a webhook may take
OPERATIONS = frozenset(("CREATE", "UPDATE", "DELETE", "CONNECT"))
_HARMLESS = frozenset(("None", "NoneOnDryRun"))

W = TypeVar("W", MutatingWebhook, ValidatingWebhook)
Configuration = MutatingWebhookConfiguration | ValidatingWebhookConfiguration


class CallFailed(KijabiError):
    """A webhook gave no usable answer: its failurePolicy says what becomes of the write. The text is upstream's."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"failed calling webhook {quote(name)}: {reason}")


class Hook(msgspec.Struct, Generic[W], frozen=True, eq=False):
    """One webhook of a configuration, compiled. uid: which it is, over all configurations."""

    uid: str
    configuration: str
    spec: W
    selectors: Selectors
    conditions: Lazy[Conditions] | None

    @property
    def ignores(self) -> bool:
        """Whether a write passes when the webhook cannot be asked."""
        return self.spec.failurePolicy == "Ignore"


class Hooks(Generic[W]):
    """All webhooks of one sort, kept level with their configurations; and how they are asked.

    cls: the configurations' type.
    """

    def __init__(self, cls: type[Any], reader: Reader, kinds: Kinds, client: Webhooks, authorizer: Authorizer) -> None:
        self._reader = reader
        self._client = client
        self._authorizer = authorizer
        self._compiled: dict[str, tuple[Hook[W], ...]] = {}
        self._candidates: Candidates[Hook[W]] = Candidates(kinds, lambda hook: (hook.spec.rules, hook.spec.matchPolicy))
        kinds.routes.listen(lambda group, version: self._candidates.clear())
        reader.subscribe(cls, self._changed)

    def _changed(self, old: Configuration | None, new: Configuration | None) -> None:
        """A configuration was written: compile it. Hooks are asked in the order of its name, and within it."""
        if new is not None:
            self._compiled[new.metadata.name] = tuple(_compile(new))
        elif old is not None:
            self._compiled.pop(old.metadata.name, None)
        self._candidates.replace(hook for name in sorted(self._compiled) for hook in self._compiled[name])

    def of(self, attrs: Attributes) -> tuple[tuple[int, Hook[W], Target], ...]:
        """Position, hook and form of those whose rules are about such writes; nearly always none."""
        return self._candidates.of(attrs)

    async def wanted(self, hook: Hook[W], target: Target, attrs: Attributes, forms: Forms) -> bool:
        """Whether a hook is to be asked about this very write. Raises NotFound, InternalError, Forbidden."""
        if not hook.selectors.match(self._reader, attrs):
            return False
        if hook.conditions is None:
            return True
        # The expression language is loaded when the first condition is there.
        from kijabi.apiserver.admission.conditions import ConditionError
        from kijabi.apiserver.admission.evaluation import Scope

        try:
            conditions, scope = hook.conditions.value, Scope(await forms.get(target), attrs, self._authorizer)
            return await scope.run(lambda: conditions.match(scope))
        except ConditionError as problem:
            raise forbidden(attrs.resource, attrs.name, str(problem)) from None

    async def ask(self, hook: Hook[W], form: Form, attrs: Attributes, *, mutating: bool) -> Verdict:
        """Call a webhook; its verdict, warnings and audit annotations noted. Raises CallFailed, BadRequest."""
        spec = hook.spec
        if attrs.dry_run and spec.sideEffects not in _HARMLESS:
            raise bad_request(f"admission webhook {quote(spec.name)} does not support dry run")
        version = review.choose(spec.admissionReviewVersions)
        if not version:
            text = "webhook does not accept known AdmissionReview versions (v1, v1beta1)"
            raise CallFailed(spec.name, f"could not create admission objects: {text}")
        uid = rand.uuid()
        asked = review.request(attrs, form.target)
        document = review.document(version, uid, asked, _raw(form.object), _raw(form.old))
        started = clock.monotonic()
        try:
            answer = await self._client.post(spec.clientConfig, document, seconds(hook.spec.timeoutSeconds, attrs))
        except WebhookError as error:
            text = f"failed to call webhook: {error}" if error.called else str(error)
            raise CallFailed(spec.name, text) from error
        finally:
            context.spent("mutating-webhook" if mutating else "validating-webhook", clock.monotonic() - started)
        try:
            verdict = review.verdict(version, uid, answer, mutating=mutating)
        except BadReview as problem:
            raise CallFailed(spec.name, f"received invalid webhook response: {problem}") from None
        for key, value in verdict.response.auditAnnotations.items():
            attrs.annotate(f"{spec.name}/{key}", value)
        for text in verdict.response.warnings:
            add_warning(attrs.warnings, text)
        return verdict

    def ignore(self, hook: Hook[W], error: CallFailed, attrs: Attributes, key: str) -> None:
        """A webhook that could not be asked and need not be: tell the log and the audit log."""
        log.warning("%s; the write passes, as its failurePolicy says", error)
        attrs.annotate(key, hook.spec.name)


def refused(hook: Hook[W], verdict: Verdict) -> ApiError:
    """The refusal that a verdict is."""
    return review.denial(hook.spec.name, verdict.response.status)


def failed(error: CallFailed) -> ApiError:
    """What the client is told when a webhook that must be asked could not be."""
    return internal(str(error))


def handles(resource: Resource, operation: Operation) -> bool:
    """Whether webhooks can have a say in such writes at all."""
    return operation in OPERATIONS and not exempt(resource)


def seconds(stated: int | None, attrs: Attributes) -> float:
    """How long a call may take: what the webhook is given, and never longer than the request."""
    own = float(stated or DEFAULT_SECONDS)
    if not attrs.deadline:
        return own
    return max(0.001, min(own, attrs.deadline - asyncio.get_running_loop().time()))


def _raw(obj: Any) -> Raw | None:
    """An object as it goes into a review."""
    return None if obj is None else Raw(codec.encode(obj))


def _conditions(spec: MutatingWebhook | ValidatingWebhook) -> Conditions:
    from kijabi.api.admissionregistration.expressions import Compiler
    from kijabi.apiserver.admission.conditions import Conditions

    return Conditions(spec.matchConditions, spec.failurePolicy, Compiler())


def _compile(configuration: Configuration) -> Iterable[Hook[Any]]:
    name = configuration.metadata.name
    count: dict[str, int] = {}
    for spec in configuration.webhooks:
        number = count[spec.name] = count.get(spec.name, -1) + 1
        yield Hook(
            uid=f"{name}/{spec.name}/{number}",
            configuration=name,
            spec=spec,
            selectors=Selectors.of(spec.namespaceSelector, spec.objectSelector),
            conditions=Lazy(partial(_conditions, spec)) if spec.matchConditions else None,
        )
