"""MutatingAdmissionWebhook: the webhooks that users register may change objects, one after the other, by name.

`chain.py` calls it after all in-tree plug-ins and the policies. A webhook answers with a JSON patch; what it makes is
decoded, pruned and defaulted before the next one sees it. Where an object was changed after a webhook saw it, the
webhook is asked once more if its reinvocationPolicy says so. Source: k8s.io/apiserver
`pkg/admission/plugin/webhook/mutating`.
"""

from __future__ import annotations

import msgspec

from kijabi.api import codec, codec_slow, patch
from kijabi.api.admissionregistration.mutatingwebhookconfiguration import MutatingWebhook, MutatingWebhookConfiguration
from kijabi.api.gotext import quote
from kijabi.api.resource import Resource
from kijabi.api.status import internal
from kijabi.apiserver.admission import hooks
from kijabi.apiserver.admission.forms import Form, Forms
from kijabi.apiserver.admission.hooks import CallFailed, Hook, Hooks, failed, refused
from kijabi.apiserver.admission.kinds import Kinds
from kijabi.apiserver.admission.plugin import Plugin
from kijabi.apiserver.admission.review import JSON_PATCH, Verdict
from kijabi.apiserver.attributes import Attributes, Authorizer, Operation, Reader
from kijabi.apiserver.webhooks.client import Webhooks
from kijabi.base.errors import ApiError

MUTATION = "mutation.webhook.admission.k8s.io/"  # audit annotations begin with these
PATCH = "patch.webhook.admission.k8s.io/"
FAILED_OPEN = f"failed-open.{MUTATION}"


class _Memory:
    """What the second round knows of the first. seen: the object as the last webhook left it."""

    def __init__(self) -> None:
        self.seen = b""
        self.invoked: set[str] = set()
        self.again: set[str] = set()

    def changed(self) -> None:
        """The object changed: whoever was asked before, and wants to know, is asked again."""
        self.again |= self.invoked
        self.invoked = set()


class MutatingAdmissionWebhook(Plugin):
    """The plug-in."""

    name = "MutatingAdmissionWebhook"

    def __init__(self, reader: Reader, kinds: Kinds, client: Webhooks, authorizer: Authorizer) -> None:
        self._kinds = kinds
        self._hooks: Hooks[MutatingWebhook] = Hooks(MutatingWebhookConfiguration, reader, kinds, client, authorizer)

    def handles(self, resource: Resource, subresource: str, operation: Operation) -> bool:
        """See Admission."""
        return hooks.handles(resource, operation)

    async def mutate(self, attrs: Attributes) -> None:
        """See Admission."""
        found = self._hooks.of(attrs)
        if not found:
            return
        rounds, forms = attrs.rounds, Forms(self._kinds, attrs)
        memory: _Memory = rounds.memory.setdefault(self.name, _Memory())
        if rounds.second and memory.seen != _snapshot(attrs):
            memory.changed()
        for position, hook, target in found:
            if not await self._hooks.wanted(hook, target, attrs, forms):
                continue
            if rounds.second and hook.uid not in memory.again:
                continue
            if await self._invoke(hook, await forms.get(target), attrs, forms, position):
                memory.changed()
                rounds.wanted = True
            if hook.spec.reinvocationPolicy == "IfNeeded":
                memory.invoked.add(hook.uid)
        memory.seen = _snapshot(attrs)

    async def _invoke(
        self, hook: Hook[MutatingWebhook], form: Form, attrs: Attributes, forms: Forms, position: int
    ) -> bool:
        """Ask one webhook; whether the object changed. Raises what refuses the write."""
        place = f"round_{int(attrs.rounds.second)}_index_{position}"
        changed = False
        try:
            verdict = await self._hooks.ask(hook, form, attrs, mutating=True)
            if not verdict.response.allowed:
                raise refused(hook, verdict)
            operations = _operations(hook, verdict)
            if operations:
                changed = await self._apply(hook, operations, form, forms)
                attrs.annotate(f"{PATCH}{place}", _note(hook, patch=operations, patchType=verdict.patch_type))
        except CallFailed as error:
            if not hook.ignores:
                raise failed(error) from error
            self._hooks.ignore(hook, error, attrs, f"{FAILED_OPEN}{place}")
        finally:
            attrs.annotate(f"{MUTATION}{place}", _note(hook, mutated=changed))
        return changed

    async def _apply(self, hook: Hook[MutatingWebhook], operations: list[object], form: Form, forms: Forms) -> bool:
        """Make the patched object the new one; whether it differs. Raises InternalError."""
        document = form.document
        if document is None:
            lead = f"admission webhook {quote(hook.spec.name)} attempted to modify the object"
            raise internal(f"{lead}, which is not supported for this operation")
        try:
            patched = patch.json_patch(document, operations)
        except patch.Inapplicable as problem:
            raise internal(problem.problem) from None
        except ApiError as problem:
            raise internal(problem.message) from None
        if not isinstance(patched, dict):
            raise internal("the patched object is no JSON object")
        return await forms.adopt(form, patched)


def _operations(hook: Hook[MutatingWebhook], verdict: Verdict) -> list[object]:
    """The operations of a verdict's patch. Raises CallFailed where there is no making sense of it."""
    if not verdict.patch:
        return []
    lead = "received undecodable patch in webhook response"
    try:
        found = patch.bounded(msgspec.json.decode(verdict.patch))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ApiError) as error:
        raise CallFailed(hook.spec.name, f"{lead}: {codec_slow.syntax_problem(verdict.patch) or error}") from None
    if found is not None and not (isinstance(found, list) and all(isinstance(each, dict) for each in found)):
        what = codec_slow.json_kind(verdict.patch) if not isinstance(found, list) else "value"
        text = f"json: cannot unmarshal {what} into Go value of type jsonpatch.Patch"
        raise CallFailed(hook.spec.name, f"{lead}: {text}")
    if found and verdict.patch_type != JSON_PATCH:
        raise CallFailed(hook.spec.name, f"unsupported patch type {quote(verdict.patch_type)}")
    return found or []


def _note(hook: Hook[MutatingWebhook], **more: object) -> str:
    """The value of an audit annotation."""
    return msgspec.json.encode({"configuration": hook.configuration, "webhook": hook.spec.name, **more}).decode()


def _snapshot(attrs: Attributes) -> bytes:
    """The object as it is now, to be compared."""
    return b"" if attrs.object is None else codec.encode(attrs.object)
