"""Which ReplicaSet serves which template, under which revision, and which old ones may go. Pure functions.

`plan.py` calls them; the annotations are what `kubectl rollout history` and `kubectl rollout undo` read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from kijabi.api import codec
from kijabi.api.apps.deployment import Deployment
from kijabi.api.apps.replicaset import ReplicaSet, ReplicaSetSpec
from kijabi.api.core.podtemplate import PodTemplateSpec
from kijabi.api.gotext import read_int
from kijabi.api.meta import LabelSelector, ObjectMeta, OwnerReference
from kijabi.controllers.deployment.scale import age, desired, max_surge, replicas_of

REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
ROLLBACK_TO = "deprecated.deployment.rollback.to"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
HASH_LABEL = "pod-template-hash"
_NOT_COPIED = frozenset({LAST_APPLIED, REVISION, HISTORY, DESIRED, MAXIMUM, ROLLBACK_TO})
_HISTORY_CHARS = 2000
_SAFE = "bcdfghjklmnpqrstvwxz2456789"
_NAME_MAX = 253
_NO_LIMIT = 2**31 - 1


class Sets(NamedTuple):
    """A Deployment's ReplicaSets: the one of the present template, if there is one, and the others, oldest
    first.
    """

    new: ReplicaSet | None
    old: tuple[ReplicaSet, ...]

    @property
    def all(self) -> tuple[ReplicaSet, ...]:
        return self.old if self.new is None else (*self.old, self.new)


def find(d: Deployment, sets: Iterable[ReplicaSet]) -> Sets:
    """Tell the set that has the Deployment's template from the rest; of several equal ones the oldest counts."""
    ordered = sorted(sets, key=age)
    wanted = _bare(d.spec.template)
    new = next((rs for rs in ordered if _bare(rs.spec.template) == wanted), None)
    return Sets(new, tuple(rs for rs in ordered if rs is not new))


def _bare(template: PodTemplateSpec) -> PodTemplateSpec:
    """The template without the label that its own hash adds."""
    labels = {key: value for key, value in template.metadata.labels.items() if key != HASH_LABEL}
    return replace(template, metadata=replace(template.metadata, labels=labels))


def same_template(a: PodTemplateSpec, b: PodTemplateSpec) -> bool:
    """Equal but for the hash label."""
    return _bare(a) == _bare(b)


def template_hash(template: PodTemplateSpec, collisions: int | None) -> str:
    """A short, stable, DNS-safe name for a template; `collisions` gives another one when two templates clash."""
    digest = hashlib.blake2b(codec.encode(template), digest_size=4)
    if collisions is not None:
        digest.update(collisions.to_bytes(8, "little", signed=True))
    number = str(int.from_bytes(digest.digest(), "big"))
    return "".join(_SAFE[ord(char) % len(_SAFE)] for char in number)


def number(annotations: Mapping[str, str]) -> int:
    """The revision that annotations carry; 0 if none, or not a number."""
    return read_int(annotations.get(REVISION)) or 0


def next_number(old: Iterable[ReplicaSet]) -> int:
    """The revision of the present template: one above the highest of the old sets."""
    return max((0, *(number(rs.metadata.annotations) for rs in old))) + 1


def new_set(d: Deployment, owner: OwnerReference, old: Sequence[ReplicaSet]) -> ReplicaSet:
    """The ReplicaSet for the Deployment's template, with no pods yet.

    Its name is made of the Deployment's and the hash, so that creating it twice makes one.
    """
    template = codec.clone(d.spec.template)
    code = template_hash(d.spec.template, d.status.collisionCount)
    labels = {**template.metadata.labels, HASH_LABEL: code}
    template.metadata = replace(template.metadata, labels=labels)
    selector = d.spec.selector or LabelSelector()
    made = ReplicaSet(
        metadata=ObjectMeta(
            name=f"{d.metadata.name[: _NAME_MAX - 1 - len(code)]}-{code}",
            namespace=d.metadata.namespace,
            labels=labels,
            ownerReferences=(owner,),
        ),
        spec=ReplicaSetSpec(
            replicas=0,
            minReadySeconds=d.spec.minReadySeconds,
            selector=replace(selector, matchLabels={**selector.matchLabels, HASH_LABEL: code}),
            template=template,
        ),
    )
    return with_sizes(synced(d, made, next_number(old)), d)


def synced(d: Deployment, rs: ReplicaSet, revision: int) -> ReplicaSet:
    """The present template's set with the Deployment's annotations, revision and minReadySeconds on it.

    A set that was rolled back to keeps its earlier revision numbers in the history annotation. A revision
    that is no number is left alone. The same object is returned where nothing changes.
    """
    before = rs.metadata.annotations
    after = {**before, **{k: v for k, v in d.metadata.annotations.items() if k not in _NOT_COPIED}}
    text = before.get(REVISION)
    strange = bool(text) and read_int(text) is None
    if not strange and number(before) < revision:
        after[REVISION] = str(revision)
        if text is not None:
            after[HISTORY] = _history(before.get(HISTORY, ""), text)
    if after == before and rs.spec.minReadySeconds == d.spec.minReadySeconds:
        return rs
    return replace(
        rs,
        metadata=replace(rs.metadata, annotations=after),
        spec=replace(rs.spec, minReadySeconds=d.spec.minReadySeconds),
    )


def _history(before: str, revision: str) -> str:
    """The list of earlier revisions, the oldest dropped to keep it within bounds."""
    first, *_ = numbers = [*before.split(","), revision]
    if not first:
        return revision
    while len(",".join(numbers)) > _HISTORY_CHARS and len(numbers) > 1:
        numbers.pop(0)
    return ",".join(numbers)


def with_sizes(rs: ReplicaSet, d: Deployment) -> ReplicaSet:
    """The set with annotations that say how large the Deployment was when it was last scaled."""
    sizes = {DESIRED: str(desired(d)), MAXIMUM: str(desired(d) + max_surge(d))}
    before = rs.metadata.annotations
    if sizes.items() <= before.items():
        return rs
    return replace(rs, metadata=replace(rs.metadata, annotations={**before, **sizes}))


def size_annotation(rs: ReplicaSet, key: str) -> int | None:
    """A number that `with_sizes` wrote; None if absent or not an int32."""
    text = rs.metadata.annotations.get(key, "")
    return read_int(text, 32) if text[:1].isdecimal() else None


def expired(d: Deployment, old: Iterable[ReplicaSet]) -> tuple[ReplicaSet, ...]:
    """The old sets beyond `revisionHistoryLimit`, by revision; one that may still have pods stays."""
    limit = d.spec.revisionHistoryLimit
    if limit is None or limit == _NO_LIMIT:
        return ()
    living = [rs for rs in old if rs.metadata.deletionTimestamp is None]
    living.sort(key=lambda rs: (number(rs.metadata.annotations), age(rs)))
    return tuple(
        rs
        for rs in living[: max(0, len(living) - limit)]
        if rs.status.replicas == 0 and replicas_of(rs) == 0 and rs.metadata.generation <= rs.status.observedGeneration
    )


class Rollback(NamedTuple):
    """What comes of the deprecated rollback annotation: the Deployment without it, and the event that tells."""

    after: Deployment
    type: str
    reason: str
    message: str


def rollback_target(d: Deployment) -> int | None:
    """The revision that the deprecated rollback annotation asks for; None if it does not. 0: the one before."""
    return read_int(d.metadata.annotations.get(ROLLBACK_TO))


def rollback(d: Deployment, sets: Sets, target: int) -> Rollback:
    """Take the template of the set with this revision, or say why not."""
    changed = codec.clone(d)
    changed.metadata.annotations = {k: v for k, v in d.metadata.annotations.items() if k != ROLLBACK_TO}
    missing = "Unable to find the revision to rollback to."
    if target == 0:
        known = sorted((number(rs.metadata.annotations) for rs in sets.all), reverse=True)
        target = max(0, known[1]) if len(known) > 1 else 0
        missing = missing if target else "Unable to find last revision."
    found = next((rs for rs in sets.all if target and number(rs.metadata.annotations) == target), None)
    if found is None:
        return Rollback(changed, "Warning", "DeploymentRollbackRevisionNotFound", missing)
    if same_template(found.spec.template, d.spec.template):
        text = f'The rollback revision contains the same template as current deployment "{d.metadata.name}"'
        return Rollback(changed, "Warning", "DeploymentRollbackTemplateUnchanged", text)
    kept = {k: v for k, v in changed.metadata.annotations.items() if k in _NOT_COPIED}
    own = {k: v for k, v in found.metadata.annotations.items() if k not in _NOT_COPIED}
    changed.metadata.annotations = {**kept, **own}
    changed.spec.template = codec.clone(_bare(found.spec.template))
    text = f'Rolled back deployment "{d.metadata.name}" to revision {target}'
    return Rollback(changed, "Normal", "DeploymentRollback", text)
