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
from kijabi.api.meta import LabelSelector, ObjectMeta, OwnerReference
from kijabi.controllers.deployment.scale import age, desired, max_surge, replicas_of

REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
ROLLBACK_TO = "deprecated.deployment.rollback.rollback.to"
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
    text = annotations.get(REVISION, "")
    return int(text) if text.lstrip("-").isdecimal() and text.isascii() else 0


def next_number(old: Iterable[ReplicaSet]) -> int:
    """The revision of the present template: one above the highest of the old sets."""
    return max((number(rs.metadata.annotations) for rs in old), default=0) + 1


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

    A set that was rolled back to keeps its earlier revision numbers in the history annotation. The same
    object is returned where nothing changes.
    """
    before = rs.metadata.annotations
    after = {**before, **{k: v for k, v in d.metadata.annotations.items() if k not in _NOT_COPIED}}
    text = before.get(REVISION, "")
    valid = not text or (text.lstrip("-").isdecimal() and text.isascii())
    if valid and number(before) < revision:
        after[REVISION] = str(revision)
        if text:
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
    numbers = [*before.split(","), revision] if before else [revision]
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
    if not (text.isascii() and text.isdecimal()) or int(text) > _NO_LIMIT:
        return None
    return int(text)


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


def rollback_target(d: Deployment, sets: Sets) -> int | None:
    """The revision that the deprecated rollback annotation asks for; None if it does not. 0: the one before."""
    text = d.metadata.annotations.get(ROLLBACK_TO, "")
    if not text or not text.isascii() or not text.lstrip("-").isdecimal():
        return None
    if (target := int(text)) != 0:
        return target
    known = sorted((number(rs.metadata.annotations) for rs in sets.all), reverse=True)
    return known[1] if len(known) > 1 else 0


def rolled_back(d: Deployment, rs: ReplicaSet) -> Deployment:
    """The Deployment with the template and annotations of an old set."""
    kept = {k: v for k, v in d.metadata.annotations.items() if k in _NOT_COPIED and k != ROLLBACK_TO}
    own = {k: v for k, v in rs.metadata.annotations.items() if k not in _NOT_COPIED}
    result = codec.clone(d)
    result.metadata.annotations = {**kept, **own}
    result.spec.template = codec.clone(_bare(rs.spec.template))
    return result
