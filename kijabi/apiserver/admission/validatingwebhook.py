"""ValidatingAdmissionWebhook: the webhooks that users register may refuse a write; all are asked at the same time.

`chain.py` calls it for the valid object, after ValidatingAdmissionPolicy. Source: k8s.io/apiserver
`pkg/admission/plugin/webhook/validating`.
"""

from __future__ import annotations

import asyncio

from kijabi.api.admissionregistration.validatingwebhookconfiguration import (
    ValidatingWebhook,
    ValidatingWebhookConfiguration,
)
from kijabi.api.resource import Resource
from kijabi.apiserver.admission import hooks
from kijabi.apiserver.admission.forms import Form, Forms
from kijabi.apiserver.admission.hooks import CallFailed, Hook, Hooks, failed, refused
from kijabi.apiserver.admission.kinds import Kinds
from kijabi.apiserver.admission.plugin import Plugin
from kijabi.apiserver.attributes import Attributes, Authorizer, Operation, Reader
from kijabi.apiserver.webhooks.client import Webhooks
from kijabi.base.errors import ApiError

FAILED_OPEN = "failed-open.validating.webhook.admission.k8s.io/"


class ValidatingAdmissionWebhook(Plugin):
    """The plug-in."""

    name = "ValidatingAdmissionWebhook"

    def __init__(self, reader: Reader, kinds: Kinds, client: Webhooks, authorizer: Authorizer) -> None:
        self._kinds = kinds
        self._hooks: Hooks[ValidatingWebhook] = Hooks(ValidatingWebhookConfiguration, reader, kinds, client, authorizer)

    def handles(self, resource: Resource, subresource: str, operation: Operation) -> bool:
        """See Admission."""
        return hooks.handles(resource, operation)

    async def validate(self, attrs: Attributes) -> None:
        """See Admission. Of several refusals the first to come is told, as the calls end in any order."""
        found = self._hooks.of(attrs)
        if not found:
            return
        forms = Forms(self._kinds, attrs)
        wanted: list[tuple[Hook[ValidatingWebhook], Form]] = []
        for _, hook, target in found:
            if await self._hooks.wanted(hook, target, attrs, forms):
                wanted.append((hook, await forms.get(target)))
        refusals: list[ApiError] = []
        async with asyncio.TaskGroup() as calls:
            for index, (hook, form) in enumerate(wanted):
                calls.create_task(self._invoke(hook, form, attrs, index, refusals), name=f"webhook {hook.spec.name}")
        if refusals:
            raise refusals[0]

    async def _invoke(
        self, hook: Hook[ValidatingWebhook], form: Form, attrs: Attributes, index: int, refusals: list[ApiError]
    ) -> None:
        """Ask one webhook, and note what refuses the write."""
        try:
            verdict = await self._hooks.ask(hook, form, attrs, mutating=False)
            if not verdict.response.allowed:
                refusals.append(refused(hook, verdict))
        except CallFailed as error:
            if hook.ignores:
                self._hooks.ignore(hook, error, attrs, f"{FAILED_OPEN}round_0_index_{index}")
            else:
                refusals.append(failed(error))
        except ApiError as error:
            refusals.append(error)
