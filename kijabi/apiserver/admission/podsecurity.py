"""Pods keep to the standard that their namespace's labels name: enforced, recorded for audit, or warned of.

`pod-security.kubernetes.io/enforce`, `audit` and `warn` are levels (privileged, baseline, restricted), each with a
`-version` (latest, v1.25). What a level forbids is in `podsecurity_checks.py`; a namespace without such labels costs
one look at its labels. Source of the rules and texts: KEP-2579, k8s.io/pod-security-admission `admission` and `api`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from re import compile as regex
from typing import Any, NamedTuple

from kijabi.api import status, validation
from kijabi.api.batch.cronjob import CronJob
from kijabi.api.core.namespace import Namespace
from kijabi.api.core.pod import Pod, PodSpec
from kijabi.api.core.podtemplate import PodTemplate
from kijabi.api.meta import ObjectMeta
from kijabi.api.resource import FieldError, Resource
from kijabi.apiserver.admission.plugin import Plugin, is_kind, refuse
from kijabi.apiserver.admission.podsecurity_checks import Violation, evaluate
from kijabi.apiserver.attributes import Attributes, Operation, Reader
from kijabi.apiserver.body import add_warning
from kijabi.base import clock

PREFIX = "pod-security.kubernetes.io/"
LEVELS = ("privileged", "baseline", "restricted")  # from the laxest to the strictest
MAX_PODS = 3000  # of a namespace that are looked at when its labels change
PATIENCE = 1.0  # seconds for that
TEMPLATES = frozenset((
    "replicationcontrollers", "podtemplates", "replicasets.apps", "deployments.apps", "statefulsets.apps",
    "daemonsets.apps", "jobs.batch", "cronjobs.batch",
))  # fmt: skip
POD_WRITES = ("", "ephemeralcontainers", "resize")  # subresources of pods that can change what a pod may do
_VERSION = regex(r"v1\.(0|[1-9][0-9]*)")


class Standard(NamedTuple):
    """A level as of a minor version of Kubernetes, None being the latest."""

    level: str = "privileged"
    minor: int | None = None

    def __str__(self) -> str:
        return f"{self.level}:{'latest' if self.minor is None else f'v1.{self.minor}'}"

    def violations(self, annotations: Mapping[str, str], spec: PodSpec) -> list[Violation]:
        """What the pod breaks of it."""
        return evaluate(self.level, self.minor, annotations, spec)


class Policy(NamedTuple):
    """What a namespace asks of its pods."""

    enforce: Standard = Standard()
    audit: Standard = Standard()
    warn: Standard = Standard()


NONE = Policy()


def policy_of(labels: Mapping[str, str]) -> tuple[Policy, list[FieldError]]:
    """The policy that a namespace's labels state, and what is wrong with them.

    What cannot be read counts as restricted for enforce, and as privileged for audit and warn.
    """
    if not any(key.startswith(PREFIX) for key in labels):
        return NONE, []
    errors: list[FieldError] = []
    found = {mode: _standard(mode, labels, errors) for mode in ("enforce", "audit", "warn")}
    enforce, warn = found["enforce"], found["warn"]
    stated = labels.get(f"{PREFIX}enforce", "") in LEVELS and f"{PREFIX}warn" not in labels
    if stated and LEVELS.index(enforce.level) > LEVELS.index(warn.level):  # warn follows a stricter enforce
        warn = Standard(enforce.level, warn.minor if f"{PREFIX}warn-version" in labels else enforce.minor)
    return Policy(enforce, found["audit"], warn), errors


def _standard(mode: str, labels: Mapping[str, str], errors: list[FieldError]) -> Standard:
    level, minor = "privileged", None
    asked = labels.get(f"{PREFIX}{mode}")
    if asked is not None:
        level = asked
        if asked not in LEVELS:
            level = "restricted" if mode == "enforce" else "privileged"
            text = f"must be one of {', '.join(LEVELS)}"
            errors.append(validation.invalid(f"metadata.labels[{PREFIX}{mode}]", asked, text))
    version = labels.get(f"{PREFIX}{mode}-version")
    if version is not None and version != "latest":
        match = _VERSION.fullmatch(version)
        if match is None:
            text = 'must be "latest" or "v1.x"'
            errors.append(validation.invalid(f"metadata.labels[{PREFIX}{mode}-version]", version, text))
        else:
            minor = int(match[1])
    return Standard(level, minor)


class PodSecurity(Plugin):
    """Refuses pods and warns of workloads; looks at a namespace's pods when its labels change."""

    name = "PodSecurity"

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def handles(self, resource: Resource, subresource: str, operation: Operation) -> bool:
        """See Admission."""
        if operation not in ("CREATE", "UPDATE"):
            return False
        if is_kind(resource, "", "pods"):
            return subresource in POD_WRITES
        return not subresource and (is_kind(resource, "", "namespaces") or resource.qualified in TEMPLATES)

    async def validate(self, attrs: Attributes) -> None:
        """See Admission."""
        obj = attrs.object
        if isinstance(obj, Namespace):
            self._validate_namespace(attrs, obj)
            return
        namespace = self._reader.get(Namespace, attrs.namespace)
        if namespace is None:
            raise status.internal(f'failed to lookup namespace "{attrs.namespace}"')
        policy, errors = policy_of(namespace.metadata.labels)
        if policy == NONE and not errors:
            return
        if isinstance(obj, Pod):
            if attrs.operation == "CREATE" or changed(obj, attrs.old):
                judge(attrs, policy, errors, obj.metadata, obj.spec)
        elif (template := template_of(obj)) is not None:
            judge(attrs, policy._replace(enforce=Standard()), errors, template.metadata, template.spec)

    def _validate_namespace(self, attrs: Attributes, new: Namespace) -> None:
        policy, errors = policy_of(new.metadata.labels)
        before, old_errors = policy_of(attrs.old.metadata.labels) if attrs.old is not None else (NONE, [])
        if errors and errors != old_errors:
            raise status.invalid(attrs.resource, attrs.name, errors)
        enforce, old = policy.enforce, before.enforce
        if attrs.operation == "CREATE" or enforce == old or enforce.level == "privileged":
            return
        if enforce.minor == old.minor and LEVELS.index(enforce.level) <= LEVELS.index(old.level):
            return
        for text in warnings(new.metadata.name, enforce, self._reader.items(Pod, new.metadata.name)):
            add_warning(attrs.warnings, text)


def template_of(obj: Any) -> Any:
    """The pod template of a workload; None if it has none."""
    if isinstance(obj, PodTemplate):
        return obj.template
    return obj.spec.jobTemplate.spec.template if isinstance(obj, CronJob) else obj.spec.template


def changed(new: Pod, old: Pod) -> bool:
    """Whether an update makes other containers or images of the pod."""
    if len(new.spec.containers) != len(old.spec.containers) or len(new.spec.initContainers) != len(
        old.spec.initContainers
    ):
        return True
    ephemeral = {each.name: each.image for each in old.spec.ephemeralContainers}
    pairs = [
        *zip(new.spec.containers, old.spec.containers, strict=True),
        *zip(new.spec.initContainers, old.spec.initContainers, strict=True),
    ]
    return any(after.image != before.image for after, before in pairs) or any(
        ephemeral.get(each.name) != each.image for each in new.spec.ephemeralContainers
    )


def judge(attrs: Attributes, policy: Policy, errors: Sequence[FieldError], metadata: ObjectMeta, spec: PodSpec) -> None:
    """Hold a pod (or a template, of which nothing is enforced) to a policy. Raises Forbidden."""
    notes = attrs.audit_annotations
    if errors:
        notes[f"{PREFIX}error"] = f"Failed to parse policy: {validation.aggregate(errors)}"
    known: dict[Standard, list[Violation]] = {}

    def violations(standard: Standard) -> str:
        if standard not in known:
            known[standard] = standard.violations(metadata.annotations, spec)
        return ", ".join(str(each) for each in known[standard])

    if isinstance(attrs.object, Pod):
        notes[f"{PREFIX}enforce-policy"] = str(policy.enforce)
    if text := violations(policy.audit):
        notes[f"{PREFIX}audit-violations"] = f'would violate PodSecurity "{policy.audit}": {text}'
    if text := violations(policy.enforce):
        raise refuse(attrs, f'violates PodSecurity "{policy.enforce}": {text}')
    if text := violations(policy.warn):
        add_warning(attrs.warnings, f'would violate PodSecurity "{policy.warn}": {text}')


def warnings(namespace: str, standard: Standard, pods: Iterable[Pod]) -> list[str]:
    """What to say of a namespace's present pods when a standard is to be enforced; the pods are not touched."""
    ordered = _one_of_each(pods)
    deadline = clock.monotonic() + PATIENCE
    found: dict[str, list[str]] = {}
    checked = 0
    for pod in ordered[:MAX_PODS]:
        broken = standard.violations(pod.metadata.annotations, pod.spec)
        if broken:
            found.setdefault(", ".join(each.reason for each in broken), []).append(pod.metadata.name)
        checked += 1
        if clock.monotonic() > deadline:
            break
    said = []
    if checked < len(ordered):
        text = f"only checked against the first {checked} of {len(ordered)} existing pods"
        said.append(f"new PodSecurity enforce level {text}")
    if found:
        said.append(f'existing pods in namespace "{namespace}" violate the new PodSecurity enforce level "{standard}"')
    return said + sorted(f"{_names(names)}: {reasons}" for reasons, names in found.items())


def _names(names: list[str]) -> str:
    first, others = min(names), len(names) - 1
    if not others:
        return first
    return f"{first} (and {others} other {'pod' if others == 1 else 'pods'})"


def _one_of_each(pods: Iterable[Pod]) -> list[Pod]:
    """The pods, one of each controller in front: the others of it are most likely the same."""
    first: list[Pod] = []
    later: list[Pod] = []
    seen: set[str] = set()
    for pod in pods:
        owner = next((ref.uid for ref in pod.metadata.ownerReferences if ref.controller), "")
        (later if owner in seen else first).append(pod)
        if owner:
            seen.add(owner)
    return first + later
