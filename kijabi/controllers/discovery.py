"""Which resources the server has, those of extensions included: asked of the server, in two requests.

The namespace controller and the garbage collector must not miss a kind, so they ask discovery rather than our own
catalog. They need of each object its metadata only.
"""

from __future__ import annotations

from kijabi.api.meta import PartialObjectMetadata
from kijabi.api.resource import Resource
from kijabi.client import discovery
from kijabi.client.client import Client
from kijabi.client.discovery import Found


async def discover(client: Client, *verbs: str) -> list[Resource]:
    """The server's resources that can do all of `verbs`, each in the version that its group prefers."""
    return (await discovered(client, *verbs)).resources


async def discovered(client: Client, *verbs: str) -> Found:
    """As `discover`, with the groups of which nothing is known now."""
    found = await discovery.discover(client, PartialObjectMetadata)
    known: dict[tuple[str, str], Resource] = {}
    for one in found.resources:
        known.setdefault((one.group, one.plural), one)
    return Found([one for one in known.values() if set(verbs) <= set(one.verbs)], found.stale)
