"""ControllerRevisions: the templates that a DaemonSet or a StatefulSet had, numbered, so that it can go back.

The two controllers ask here which revision is the present one and have it written; `kubectl rollout history` and `undo`
read the same objects (apps/v1 ControllerRevision; k8s.io/kubernetes `pkg/controller/history`). The first functions are
pure, `Revisions` reads and writes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from kijabi.api import codec
from kijabi.api.apps.controllerrevision import ControllerRevision
from kijabi.api.core.podtemplate import PodTemplateSpec
from kijabi.api.gotext import json_text
from kijabi.api.meta import Object, ObjectMeta, OwnerReference
from kijabi.api.selector import Selector
from kijabi.base.errors import AlreadyExists, NotFound
from kijabi.client.client import Client
from kijabi.client.informer import Informer
from kijabi.controllers.owners import candidates, claim, controller_of, settle

HASH_LABEL = "controller-revision-hash"
"""Of pods and revisions: which revision they are of."""
_SAFE = "bcdfghjklmnpqrstvwxz2456789"
_NAME_BASE = 223


class History(NamedTuple):
    """The revisions of one owner. current: those with the present template, the highest last; old: the others."""

    current: tuple[ControllerRevision, ...]
    old: tuple[ControllerRevision, ...]

    @property
    def next_number(self) -> int:
        """What the present template's revision is numbered: above all others."""
        return max((one.revision for one in self.old), default=0) + 1

    @property
    def up_to_date(self) -> bool:
        """The present template's revision is the last of all."""
        return bool(self.current) and (not self.old or order(self.current[-1]) > order(self.old[-1]))


def data_of(template: PodTemplateSpec) -> msgspec.Raw:
    """What a revision keeps: the strategic merge patch that brings the template back.

    Written as Go writes it, for clients look for the present revision by comparing bytes (`daemon.Match`).
    """
    body = {**msgspec.json.decode(codec.encode(template)), "$patch": "replace"}
    return msgspec.Raw(json_text({"spec": {"template": body}}).encode())


def template_in(revision: ControllerRevision) -> PodTemplateSpec:
    """The template that a revision keeps."""
    body = dict(msgspec.json.decode(revision.data)["spec"]["template"])
    body.pop("$patch", None)
    return codec.from_builtins(PodTemplateSpec, body)


def order(revision: ControllerRevision) -> tuple[int, str, str]:
    """Sort key: by number, then age, then name."""
    return (revision.revision, str(revision.metadata.creationTimestamp), revision.metadata.name)


def sort_out(revisions: Iterable[ControllerRevision], data: msgspec.Raw) -> History:
    """Tell the revisions with this content from the others. Content is compared as JSON, not as text."""
    wanted = msgspec.json.decode(data)
    current: list[ControllerRevision] = []
    old: list[ControllerRevision] = []
    for one in sorted(revisions, key=order):
        (current if msgspec.json.decode(one.data) == wanted else old).append(one)
    return History(tuple(current), tuple(old))


def hash_of(data: msgspec.Raw, collisions: int | None) -> str:
    """A short DNS-safe name for a content; `collisions` gives another where two contents share one."""
    digest = hashlib.blake2b(bytes(data), digest_size=4)
    if collisions:
        digest.update(collisions.to_bytes(8, "little"))
    return "".join(_SAFE[int(char) % len(_SAFE)] for char in str(int.from_bytes(digest.digest(), "big")))


def make(
    owner: Object, ref: OwnerReference, data: msgspec.Raw, code: str, labels: Mapping[str, str], number: int
) -> ControllerRevision:
    """A revision of an owner, named by its content's hash so that creating it twice makes one."""
    return ControllerRevision(
        metadata=ObjectMeta(
            name=f"{owner.metadata.name[:_NAME_BASE]}-{code}",
            namespace=owner.metadata.namespace,
            labels=dict(labels),
            annotations=owner.metadata.annotations,
            ownerReferences=(ref,),
        ),
        data=data,
        revision=number,
    )


def expired(old: Iterable[ControllerRevision], live: Container[str], limit: int) -> tuple[ControllerRevision, ...]:
    """The old revisions beyond `revisionHistoryLimit`, the lowest numbers first. live: names in use, which stay."""
    ordered = sorted(old, key=order)
    excess = max(0, len(ordered) - limit)
    return tuple([one for one in ordered if one.metadata.name not in live][:excess])


class Revisions:
    """The revisions of one kind of owner: claims, creates, renumbers and deletes them."""

    def __init__(self, client: Client, informer: Informer[ControllerRevision]) -> None:
        self.client = client
        self.informer = informer

    async def of(self, owner: Object, ref: OwnerReference, selector: Selector) -> tuple[ControllerRevision, ...]:
        """What the owner controls, after adopting and releasing. Raises Conflict for an owner that is gone."""
        near = candidates(self.informer, owner.metadata, selector)
        return await settle(self.client, owner, ref, claim(owner.metadata, selector.matches, near))

    async def ensure(self, wanted: ControllerRevision) -> ControllerRevision | None:
        """Create a revision; the one of its name if that has the same content; None if it has another."""
        try:
            return await self.client.create(wanted)
        except AlreadyExists:
            found = await self.client.get(ControllerRevision, wanted.metadata.name, wanted.metadata.namespace)
        own, mine = controller_of(found.metadata), controller_of(wanted.metadata)
        same = msgspec.json.decode(found.data) == msgspec.json.decode(wanted.data)
        return found if same and own is not None and mine is not None and own.uid == mine.uid else None

    async def renumber(self, revision: ControllerRevision, number: int) -> ControllerRevision:
        """Make it the newest: its template is the present one again."""
        changed = codec.clone(revision)
        changed.revision = number
        return await self.client.update(changed)

    async def delete(self, revision: ControllerRevision) -> None:
        """It is needed no more."""
        own = revision.metadata
        try:
            await self.client.delete(ControllerRevision, own.name, own.namespace, uid=own.uid)
        except NotFound:
            return


def labels_of(template: PodTemplateSpec, key: str, code: str) -> dict[str, Any]:
    """The labels of a revision: the template's, and its own hash under the key of its kind."""
    return {**template.metadata.labels, key: code}
