"""One request on its way to a handler: what came in, who asks, and the two things every handler does with it.

`server.py` makes it after authorisation and gives it to a verb of `registry.py` or to a handler in
`subresources/`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Struct
from kijabi.apiserver.attributes import Answer, Operation, Peer, RequestInfo, UserInfo
from kijabi.client.transport import Request, Response

T = TypeVar("T", bound=Struct)


class Call(Protocol):
    """A request that may proceed. `resource` is a subresource's parent, `sub` its declaration or None."""

    request: Request
    peer: Peer
    user: UserInfo
    info: RequestInfo
    resource: Resource
    sub: Subresource | None
    warnings: list[str]

    def body(self, cls: type[T]) -> T:
        """The request body as `cls`: JSON, YAML or protobuf by Content-Type; fieldValidation is applied.

        Raises BadRequest, UnsupportedMediaType.
        """
        ...

    def respond(self, obj: Struct, status: int = 200) -> Response:
        """`obj` in the representation that the client accepts. apiVersion and kind must be filled in."""
        ...

    async def admit(self, operation: Operation, obj: Any, old: Any = None) -> None:
        """Put a subresource's body through mutating, then validating admission (TokenRequest, exec as CONNECT).

        Raises what a plug-in raises (Forbidden, Invalid …).
        """
        ...


# A handler of one subresource, or of a resource that is not stored (reviews): `handlers` in `app.py` maps
# ("pods", "log") or ("subjectaccessreviews.authorization.k8s.io", "") to it. `Resource.qualified` is the
# first part.
Handler = Callable[[Call], Awaitable[Answer]]
