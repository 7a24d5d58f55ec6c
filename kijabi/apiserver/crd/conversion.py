"""From one version of a custom resource to another, where only the apiVersion differs (strategy None).

`rendering.py` converts stored objects to the version that is served and written ones to the version that is stored.
`conversionhook.py` does the same by asking a webhook. A conversion that fails is a ConversionError in upstream's words
(apiextensions-apiserver `pkg/apiserver/conversion`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from kijabi.api.custom import Custom
from kijabi.base.errors import ApiError


class ConversionError(ApiError):
    """Objects could not be converted. A Status without a reason, as upstream gives for what its storage cannot read."""

    code = 500


class Converter(Protocol):
    """Turns objects of one definition into another of its versions."""

    def at_once(self, obj: Custom, api_version: str) -> Custom | None:
        """The object in a version, sharing what it can; None if that takes `convert`."""
        ...

    async def convert(
        self, objects: Sequence[Custom], api_version: str, *, about: str, listed: bool = False
    ) -> list[Custom]:
        """Objects that are in other versions, in this one. Raises ConversionError.

        about and listed are for errors: what is converted (`example.com/v1, Kind=Widget`), and whether it is a list.
        """
        ...


def identity(api_version: str, kind: str) -> str:
    """A group, version and kind as Go prints it."""
    return f"{api_version}, Kind={kind}"


def rewritten(obj: Custom, api_version: str) -> Custom:
    """The object under another apiVersion; everything else is shared."""
    if obj.apiVersion == api_version:
        return obj
    return Custom(apiVersion=api_version, kind=obj.kind, metadata=obj.metadata, content=obj.content)


class Renaming:
    """The strategy None."""

    def at_once(self, obj: Custom, api_version: str) -> Custom | None:
        """See Converter."""
        return rewritten(obj, api_version)

    async def convert(
        self, objects: Sequence[Custom], api_version: str, *, about: str, listed: bool = False
    ) -> list[Custom]:
        """See Converter."""
        return [rewritten(obj, api_version) for obj in objects]
