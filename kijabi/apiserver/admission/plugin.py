"""What admission plug-ins share: a base with nothing to say, and the way they refuse.

Every plug-in of this package starts from `Plugin` and overrides what it needs; the Protocol they fulfil is
`attributes.Admission`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kijabi.api.resource import Resource
from kijabi.api.status import forbidden
from kijabi.apiserver.attributes import Attributes, Operation
from kijabi.base.errors import Forbidden


class Plugin:
    """A plug-in that handles nothing and lets everything pass."""

    name = ""

    def handles(self, resource: Resource, subresource: str, operation: Operation) -> bool:
        """See Admission."""
        return False

    async def mutate(self, attrs: Attributes) -> None:
        """See Admission."""
        return

    async def validate(self, attrs: Attributes) -> None:
        """See Admission."""
        return


def is_kind(resource: Resource, group: str, *plurals: str) -> bool:
    """Is it one of these resources of a group?"""
    return resource.group == group and resource.plural in plurals


def refuse(attrs: Attributes, reason: str, causes: Iterable[Mapping[str, str]] = ()) -> Forbidden:
    """The refusal of a write. A name that is yet to be generated shows as its prefix (k8s.io/apiserver
    `pkg/admission/errors.go`)."""
    name = attrs.name
    if not name:
        metadata = getattr(attrs.object, "metadata", None)
        name = getattr(metadata, "name", "") or getattr(metadata, "generateName", "") or "Unknown"
    return forbidden(attrs.resource, name, reason, causes=causes)
