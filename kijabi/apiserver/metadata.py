"""What the server itself does to an object's metadata on its way to the store.

`registry.py` calls these between decoding and validation: clients may not set what identifies and times an object,
and `generation` counts the changes of what they want (k8s.io/apiserver `pkg/registry/rest`).
"""

from __future__ import annotations

from typing import Any

from kijabi.api import meta
from kijabi.api.resource import Resource
from kijabi.base import rand
from kijabi.base.errors import BadRequest

GENERATED_BASE = 58  # characters of generateName that are kept: a name of 63 less a suffix of 5
NAME_ATTEMPTS = 8  # names that are tried for one generateName


def match_namespace(obj: Any, namespace: str) -> None:
    """Give the object the request's namespace. Raises BadRequest if it says another."""
    own = obj.metadata
    if own.namespace == namespace:
        return
    if own.namespace and namespace:
        raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
    own.namespace = namespace


def match_name(obj: Any, name: str) -> None:
    """The name in the body must be the one in the path. Raises BadRequest."""
    own = obj.metadata
    if not own.name:
        raise BadRequest(f"the name of the object ({name} based on URL) was undeterminable: name must be provided")
    if own.name != name:
        raise BadRequest(f"the name of the object ({own.name}) does not match the name on the URL ({name})")


def begin_create(obj: Any) -> None:
    """Wipe what only the server may say, then say it: uid and creation time."""
    own = obj.metadata
    own.deletionTimestamp = None
    own.deletionGracePeriodSeconds = None
    own.selfLink = ""
    own.creationTimestamp = meta.time_now()
    own.uid = rand.uuid()


def generated(base: str) -> str:
    """A name for `generateName`."""
    return base[:GENERATED_BASE] + rand.suffix()


def begin_update(resource: Resource, new: Any, old: Any) -> None:
    """Keep what an update cannot change, and count the generation when what is wanted changes."""
    own, before = new.metadata, old.metadata
    own.generation = before.generation
    own.selfLink = ""
    own.uid = own.uid or before.uid
    own.creationTimestamp = before.creationTimestamp
    if before.deletionTimestamp is not None:
        own.deletionTimestamp = before.deletionTimestamp
    if before.deletionGracePeriodSeconds is not None and own.deletionGracePeriodSeconds is None:
        own.deletionGracePeriodSeconds = before.deletionGracePeriodSeconds


def count_generation(resource: Resource, new: Any, old: Any | None) -> None:
    """`metadata.generation` starts at 1 and goes up with every change that is not status or metadata."""
    if not resource.has_generation:
        return
    if old is None:
        new.metadata.generation = 1
    elif wanted(new) != wanted(old):
        new.metadata.generation = old.metadata.generation + 1


def wanted(obj: Any) -> tuple[Any, ...]:
    """What a client wants of an object: its spec, or whatever is neither status nor metadata."""
    if hasattr(obj, "spec"):
        return (obj.spec,)
    ignored = ("apiVersion", "kind", "metadata", "status")
    return tuple(getattr(obj, name) for name in obj.__struct_fields__ if name not in ignored)


def duplicate_owners(obj: Any) -> str:
    """Leave out owner references that repeat a uid; the warning for it, or an empty text."""
    seen: dict[str, Any] = {}
    doubled: list[str] = []
    references = obj.metadata.ownerReferences
    if len(references) < 2:
        return ""
    for reference in references:
        if reference.uid in seen and seen[reference.uid] == reference:
            doubled.append(reference.uid)
        else:
            seen.setdefault(reference.uid, reference)
    if not doubled:
        return ""
    obj.metadata.ownerReferences = tuple(seen.values())
    return (
        ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and "
        f"may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {doubled}"
    )
