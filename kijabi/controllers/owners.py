"""Who controls an object: the controller reference, and how a controller claims what its selector matches.

`claim` is pure and decides; `adopt` and `release` write. The replica set and deployment controllers claim
with it; informers index by `CONTROLLER` so that nobody reads the objects of others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from kijabi.api.meta import Object, ObjectMeta, OwnerReference
from kijabi.api.selector import Selector
from kijabi.base.errors import Conflict, Invalid, NotFound
from kijabi.client.client import Client
from kijabi.client.informer import Informer

CONTROLLER = "controller"


T = TypeVar("T", bound=Object)


def controller_of(meta: ObjectMeta) -> OwnerReference | None:
    """The one owner that manages the object, if any."""
    return next((ref for ref in meta.ownerReferences if ref.controller), None)


def controller_ref(owner: Object, api_version: str, kind: str) -> OwnerReference:
    """The reference by which `owner` controls an object and holds up its own foreground deletion."""
    return OwnerReference(
        apiVersion=api_version,
        kind=kind,
        name=owner.metadata.name,
        uid=owner.metadata.uid,
        controller=True,
        blockOwnerDeletion=True,
    )


def orphans(namespace: str, label: str = "", value: str = "") -> str:
    """The index value of a namespace's objects that nobody controls; with a label, of those that have it."""
    return f"orphan/{namespace}/{label}={value}" if label else f"orphan/{namespace}"


def controller_index(obj: Object) -> tuple[str, ...]:
    """Index function: by the controller's uid, or as orphans."""
    meta = obj.metadata
    ref = controller_of(meta)
    if ref is not None:
        return (ref.uid,)
    return (orphans(meta.namespace), *(orphans(meta.namespace, *pair) for pair in meta.labels.items()))


INDEXES: Mapping[str, Callable[[Any], Iterable[str]]] = {CONTROLLER: controller_index}


def candidates(informer: Informer[T], owner: ObjectMeta, selector: Selector) -> tuple[T, ...]:
    """What an owner may claim, of an informer indexed by `CONTROLLER`: what it controls, and orphans."""
    return (*informer.index(CONTROLLER, owner.uid), *adoptable(informer, owner, selector))


def adoptable(informer: Informer[T], owner: ObjectMeta, selector: Selector) -> tuple[T, ...]:
    """The orphans that an owner may claim: those that have the rarest of the labels that it demands."""
    exact = [(one.key, value) for one in selector.requirements if (value := selector.exact(one.key)) is not None]
    namespace = owner.namespace
    free = [informer.index(CONTROLLER, orphans(namespace, *pair)) for pair in exact]
    return min(free, key=len) if free else informer.index(CONTROLLER, orphans(namespace))


def living(meta: ObjectMeta) -> bool:
    """Nobody asked for its deletion."""
    return meta.deletionTimestamp is None


class Claim(NamedTuple, Generic[T]):
    """How ownership stands: `owned` are ours and match; `adopt` match and are nobody's; `release` no longer
    match.
    """

    owned: tuple[T, ...]
    adopt: tuple[T, ...]
    release: tuple[T, ...]


def claim(
    owner: ObjectMeta,
    matches: Callable[[Mapping[str, str]], bool],
    objects: Iterable[T],
    suits: Callable[[T], bool] = lambda obj: True,
) -> Claim[T]:
    """Sort objects into ours, to adopt and to release; others' are left out (apps/v1, controller adoption).

    An owner being deleted neither adopts nor releases; an object being deleted is not adopted. matches: whether its
    labels are right; suits: whether all else is.
    """
    owned, adopt, release = [], [], []
    for obj in objects:
        meta = obj.metadata
        ref = controller_of(meta)
        fits = matches(meta.labels) and suits(obj)
        if ref is not None and ref.uid == owner.uid:
            if fits:
                owned.append(obj)
            elif living(owner):
                release.append(obj)
        elif ref is None and fits and meta.namespace == owner.namespace and living(owner) and living(meta):
            adopt.append(obj)
    return Claim(tuple(owned), tuple(adopt), tuple(release))


async def settle(
    client: Client, owner: Object, ref: OwnerReference, todo: Claim[T], finalizer: str = ""
) -> tuple[T, ...]:
    """Carry a claim out and return what is owned now. finalizer: comes with the ownership, and goes with it.

    Before the first adoption the owner is read from the server: one that is gone or being deleted adopts
    nothing (Conflict; the caller tries again). Objects that vanished meanwhile are passed over.
    """
    for obj in todo.release:
        await release(client, owner, obj, finalizer)
    if not todo.adopt:
        return todo.owned
    live = await client.get(type(owner), owner.metadata.name, owner.metadata.namespace)
    if live.metadata.uid != owner.metadata.uid or not living(live.metadata):
        raise Conflict(
            f"{ref.kind} {owner.metadata.namespace}/{owner.metadata.name} has just been deleted: not adopting"
        )
    adopted = [obj for obj in todo.adopt if await adopt(client, ref, obj, finalizer)]
    return (*todo.owned, *adopted)


async def adopt(client: Client, ref: OwnerReference, obj: Object, finalizer: str = "") -> bool:
    """Make the referenced controller the object's; False if the object is gone. Raises ApiError."""
    patch = {
        "metadata": {
            "uid": obj.metadata.uid,
            "ownerReferences": [
                {
                    "apiVersion": ref.apiVersion,
                    "kind": ref.kind,
                    "name": ref.name,
                    "uid": ref.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                },
            ],
            **({"finalizers": [finalizer]} if finalizer else {}),
        }
    }
    try:
        await client.patch(type(obj), obj.metadata.name, patch, namespace=obj.metadata.namespace, type="strategic")
    except NotFound:
        return False
    return True


async def release(client: Client, owner: Object, obj: Object, finalizer: str = "") -> None:
    """Take the owner's reference off the object. Gone, or replaced by another of its name: nothing to
    release.
    """
    patch = {
        "metadata": {
            "uid": obj.metadata.uid,
            "ownerReferences": [
                {"$patch": "delete", "uid": owner.metadata.uid},
            ],
            **({"$deleteFromPrimitiveList/finalizers": [finalizer]} if finalizer else {}),
        }
    }
    try:
        await client.patch(type(obj), obj.metadata.name, patch, namespace=obj.metadata.namespace, type="strategic")
    except (NotFound, Invalid):
        return
