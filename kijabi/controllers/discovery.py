"""Which resources the server has, those of extensions included: asked of the server, in two requests.

The namespace controller and the garbage collector must not miss a kind, so they ask discovery rather than our own
catalog (apidiscovery.k8s.io/v2, aggregated discovery).
"""

from __future__ import annotations

from kijabi.api import codec
from kijabi.api.apidiscovery.apigroupdiscovery import APIGroupDiscoveryList
from kijabi.api.meta import PartialObjectMetadata
from kijabi.api.resource import Resource
from kijabi.client.client import Client
from kijabi.client.transport import Request

_ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def resources_of(found: APIGroupDiscoveryList) -> list[Resource]:
    """Every resource once, in the version that its group prefers, to be used with metadata only."""
    result = []
    for group in found.items:
        known: set[str] = set()
        for version in group.versions:
            for one in version.resources:
                if one.resource not in known:
                    known.add(one.resource)
                    result.append(
                        Resource(
                            group=group.metadata.name,
                            version=version.version,
                            kind=one.responseKind.kind if one.responseKind is not None else "",
                            plural=one.resource,
                            type=PartialObjectMetadata,
                            namespaced=one.scope == "Namespaced",
                            verbs=one.verbs,
                        )
                    )
    return result


async def discover(client: Client, *verbs: str) -> list[Resource]:
    """The server's resources that can do all of `verbs`."""
    result: list[Resource] = []
    for path in ("/api", "/apis"):
        answer = await client.request_raw(Request(method="GET", path=path, headers={"accept": _ACCEPT}))
        found = resources_of(codec.decode(APIGroupDiscoveryList, answer.body))
        result += [one for one in found if set(verbs) <= set(one.verbs)]
    return result
