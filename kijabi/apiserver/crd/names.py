"""Which names a CustomResourceDefinition gets, and what its conditions say of that. Pure.

`lifecycle.py` asks for the status that a definition should have and stores it. Names are unique in a group: whoever
had one first keeps it (apiextensions-apiserver `pkg/controller/status`, `establish`, `apiapproval`,
`nonstructuralschema`; reasons and texts are theirs).
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

import msgspec

from kijabi.api import meta
from kijabi.api.apiextensions.customresourcedefinition import (
    CustomResourceDefinition,
    CustomResourceDefinitionCondition,
    CustomResourceDefinitionNames,
    CustomResourceDefinitionStatus,
)
from kijabi.api.gotext import quote
from kijabi.apiserver.webhooks.client import WebhookError, trust

NAMES_ACCEPTED, ESTABLISHED, TERMINATING = "NamesAccepted", "Established", "Terminating"
NON_STRUCTURAL, APPROVED = "NonStructuralSchema", "KubernetesAPIApprovalPolicyConformant"
APPROVAL = "api-approved.kubernetes.io"
_SEE = "see https://github.com/kubernetes/enhancements/pull/1111"


def condition(status: CustomResourceDefinitionStatus, kind: str) -> CustomResourceDefinitionCondition | None:
    """The condition of that type."""
    return next((each for each in status.conditions if each.type == kind), None)


def holds(crd: CustomResourceDefinition, kind: str) -> bool:
    """Whether a condition is there and True."""
    found = condition(crd.status, kind)
    return found is not None and found.status == "True"


def is_served(crd: CustomResourceDefinition) -> bool:
    """Whether requests for its objects are answered."""
    return holds(crd, NAMES_ACCEPTED) or holds(crd, ESTABLISHED)


def with_condition(
    status: CustomResourceDefinitionStatus, kind: str, value: str, reason: str, message: str
) -> CustomResourceDefinitionStatus:
    """The status with a condition set; its time changes with its value only."""
    made = CustomResourceDefinitionCondition(
        type=kind, status=value, lastTransitionTime=meta.time_now(), reason=reason, message=message
    )
    conditions = list(status.conditions)
    for place, old in enumerate(conditions):
        if old.type == kind:
            if old.status == value and old.lastTransitionTime:
                made.lastTransitionTime = old.lastTransitionTime
            made.observedGeneration = old.observedGeneration
            conditions[place] = made
            break
    else:
        conditions.append(made)
    return msgspec.structs.replace(status, conditions=tuple(conditions))


def settled(
    crd: CustomResourceDefinition, others: Iterable[CustomResourceDefinition]
) -> CustomResourceDefinitionStatus:
    """The status that a definition should have, given the other definitions of its group; its own if it is right."""
    status = crd.status
    accepted = condition(status, NAMES_ACCEPTED)
    if crd.spec.names != status.acceptedNames or accepted is None:
        names, problem = _accept(crd, others)
        status = msgspec.structs.replace(status, acceptedNames=names)
        value, reason, message = ("False", *problem) if problem else ("True", "NoConflicts", "no conflicts found")
        status = _set(status, NAMES_ACCEPTED, value, reason, message)
        if problem and condition(status, ESTABLISHED) is None:
            status = _set(status, ESTABLISHED, "False", "NotAccepted", "not all names are accepted")
    accepted, established = condition(status, NAMES_ACCEPTED), condition(status, ESTABLISHED)
    if accepted is not None and accepted.status == "True" and (established is None or established.status != "True"):
        status = _establish(crd, status)
    status = _structural(crd, status)
    return _approved(crd, status)


def _set(
    status: CustomResourceDefinitionStatus, kind: str, value: str, reason: str, message: str
) -> CustomResourceDefinitionStatus:
    """As `with_condition`, but nothing changes if the condition says this already."""
    old = condition(status, kind)
    if old is not None and (old.status, old.reason, old.message) == (value, reason, message):
        return status
    return with_condition(status, kind, value, reason, message)


def _accept(
    crd: CustomResourceDefinition, others: Iterable[CustomResourceDefinition]
) -> tuple[CustomResourceDefinitionNames, tuple[str, str] | None]:
    """The names that it gets, and the reason and message of the last conflict if there is one."""
    resources: set[str] = set()
    kinds: set[str] = set()
    for other in (*others, crd):  # its own accepted names count as used, too
        own = other.status.acceptedNames
        resources |= {own.plural, own.singular, *own.shortNames}
        kinds |= {own.kind, own.listKind}
    wanted, have = crd.spec.names, crd.status.acceptedNames
    got = msgspec.structs.replace(have, categories=wanted.categories)
    problem: tuple[str, str] | None = None
    checks = (
        ("plural", resources, "PluralConflict"), ("singular", resources, "SingularConflict"),
        ("shortNames", resources, "ShortNamesConflict"),
        ("kind", kinds, "KindConflict"), ("listKind", kinds, "ListKindConflict"),
    )  # fmt: skip
    for attribute, used, reason in checks:
        new, old = getattr(wanted, attribute), getattr(have, attribute)
        asked, mine = (new, old) if attribute == "shortNames" else ((new,), (old,))
        taken = [name for name in dict.fromkeys(asked) if name not in mine and name in used]
        if taken:
            texts = [f"{quote(name)} is already in use" for name in taken]
            problem = (reason, texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")
        else:
            setattr(got, attribute, new)
    return got, problem


def _establish(crd: CustomResourceDefinition, status: CustomResourceDefinitionStatus) -> CustomResourceDefinitionStatus:
    conversion = crd.spec.conversion
    webhook = conversion.webhook if conversion is not None else None
    config = webhook.clientConfig if webhook is not None else None
    if config is not None and not _usable(config.caBundle):
        message = "The conversion webhook CABundle is invalid"
        return _set(status, ESTABLISHED, "False", "InvalidCABundle", message)
    return _set(status, ESTABLISHED, "True", "InitialNamesAccepted", "the initial names have been accepted")


def _usable(bundle: bytes) -> bool:
    """Whether certificates can be read from a CA bundle; none at all is fine."""
    try:
        trust(bundle.strip())
    except WebhookError:
        return False
    return True


def _structural(
    crd: CustomResourceDefinition, status: CustomResourceDefinitionStatus
) -> CustomResourceDefinitionStatus:
    """Definitions that were stored long ago may still keep unknown fields."""
    if crd.spec.preserveUnknownFields:
        message = "spec.preserveUnknownFields: Invalid value: true: must be false"
        return _set(status, NON_STRUCTURAL, "True", "Violations", message)
    if condition(status, NON_STRUCTURAL) is None:
        return status
    kept = tuple(each for each in status.conditions if each.type != NON_STRUCTURAL)
    return msgspec.structs.replace(status, conditions=kept)


def _approved(crd: CustomResourceDefinition, status: CustomResourceDefinitionStatus) -> CustomResourceDefinitionStatus:
    """Groups of the Kubernetes community say where their API was approved (KEP-1111)."""
    group = f".{crd.spec.group}"
    if not group.endswith((".k8s.io", ".kubernetes.io")):
        return status
    text = crd.metadata.annotations.get(APPROVAL, "")
    if not text:
        message = f"protected groups must have approval annotation {quote(APPROVAL)}, {_SEE}"
        return _set(status, APPROVED, "False", "MissingAnnotation", message)
    if text.startswith("unapproved"):
        return _set(status, APPROVED, "False", "UnapprovedAnnotation", f"not approved: {quote(text)}")
    try:
        url = urlsplit(text)
    except ValueError:
        url = urlsplit("")
    if url.scheme and url.netloc:
        return _set(status, APPROVED, "True", "ApprovedAnnotation", f"approved in {text}")
    message = (
        f"protected groups must have approval annotation {quote(APPROVAL)} with either a URL or a reason starting with "
        f'"unapproved", {_SEE}'
    )
    return _set(status, APPROVED, "False", "InvalidAnnotation", message)
