"""One request on its way to a handler: what came in, who asks, and what every handler does with it.

`server.py` makes it after authorisation and gives it to a verb of `registry.py` or to a handler in
`subresources/`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import msgspec

from kijabi.api import codec, protobuf
from kijabi.api.custom import Custom
from kijabi.api.meta import Status, TypeMeta
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Struct
from kijabi.apiserver import body as bodies
from kijabi.apiserver import negotiate
from kijabi.apiserver.attributes import Answer, Attributes, Operation, Peer, RequestInfo, UserInfo
from kijabi.apiserver.audit.context import CURRENT
from kijabi.apiserver.crd import bodies as customs
from kijabi.apiserver.negotiate import Media
from kijabi.apiserver.options import WriteOptions
from kijabi.client.transport import Request, Response

T = TypeVar("T", bound=Struct)


class Chain(Protocol):
    """Admission as a whole: all plug-ins in order."""

    async def mutate(self, attrs: Attributes) -> None:
        """Let every plug-in change `attrs.object`, or raise an ApiError to refuse."""
        ...

    async def validate(self, attrs: Attributes) -> None:
        """Let every plug-in look at the final object; raises an ApiError to refuse."""
        ...


class Lens(Protocol):
    """A part of an object that a subresource writes in a form of its own: what admission sees of a scale."""

    def view(self, obj: Any) -> Any:
        """The part of an object, not shared with anybody."""
        ...

    def put(self, part: Any, obj: Any) -> None:
        """Write the part back into the object, in place."""
        ...


class Call(msgspec.Struct, kw_only=True, eq=False):
    """A request that may proceed. `resource` is a subresource's parent, `sub` its declaration or None.

    deadline: the loop's time when it ends, 0 for never. audit_annotations: what admission tells the audit log. lens:
    where a subresource is a part of an object and not the whole.
    """

    request: Request
    peer: Peer
    user: UserInfo
    info: RequestInfo
    resource: Resource
    admission: Chain
    sub: Subresource | None = None
    media: Media = Media()
    options: WriteOptions = msgspec.field(default_factory=WriteOptions)
    warnings: list[str] = msgspec.field(default_factory=list)
    audit_annotations: dict[str, str] = msgspec.field(default_factory=dict)
    deadline: float = 0.0
    lens: Lens | None = None

    def body(self, cls: type[T]) -> T:
        """The request body as `cls`: JSON, YAML or protobuf by Content-Type; fieldValidation is applied.

        Raises BadRequest, UnsupportedMediaType.
        """
        obj = self._decoded(cls)
        record = CURRENT.get()
        if record is not None:
            record.sent(self, obj)
        return obj

    def _decoded(self, cls: type[T]) -> T:
        if cls is Custom:
            return customs.decode(self.request, self.resource, self.options.validation, self.warnings)  # type: ignore[return-value]
        return bodies.decode(self.request, cls, self.expected(cls), self.options.validation, self.warnings)

    def expected(self, cls: type[Struct]) -> bodies.Expected:
        """The kind and apiVersion that objects of `cls` must have here."""
        resource, sub = self.resource, self.sub
        if cls is resource.type or sub is None:
            return bodies.Expected(resource.kind, resource.api_version)
        group, version = sub.group or resource.group, sub.version or resource.version
        return bodies.Expected(sub.kind, f"{group}/{version}" if group else version, sub.accepts)

    def respond(self, obj: Struct, status: int = 200) -> Response:
        """`obj` in the representation that the client accepts. apiVersion and kind must be filled in."""
        return encode(self.media, obj, status)

    def warn(self, text: str) -> None:
        """Send the client a Warning header."""
        bodies.add_warning(self.warnings, text)

    def attributes(self, operation: Operation, obj: Any, old: Any = None) -> Attributes:
        """What admission sees of this call; its warnings go to the client."""
        info = self.info
        return Attributes(
            user=self.user, resource=self.resource, operation=operation, namespace=info.namespace, name=info.name,
            subresource=info.subresource, object=obj, old=old, options=self.options,
            dry_run=self.options.dry_run, warnings=self.warnings, audit_annotations=self.audit_annotations,
            sub=self.sub, deadline=self.deadline,
        )  # fmt: skip

    async def admit(self, operation: Operation, obj: Any, old: Any = None) -> None:
        """Put a subresource's body through mutating, then validating admission (TokenRequest, exec as CONNECT).

        Raises what a plug-in raises (Forbidden, Invalid …).
        """
        attrs = self.attributes(operation, obj, old)
        await self.admission.mutate(attrs)
        await self.admission.validate(attrs)


def encode(media: Media, obj: Any, status: int = 200) -> Response:
    """A Struct, or a Status in wire form, as a whole answer in a negotiated form."""
    if media.type == negotiate.PROTOBUF:
        data = protobuf.encode_unknown(obj) if isinstance(obj, TypeMeta) else protobuf.encode_wire(Status, obj)
    else:
        data = codec.encode(obj) if isinstance(obj, Struct) else msgspec.json.encode(obj)
    return encoded(media, data, status)


def encoded(media: Media, data: bytes, status: int = 200) -> Response:
    """Bytes as a whole answer in a negotiated form: protobuf, or JSON, from which YAML is made."""
    if media.type == negotiate.PROTOBUF:
        return Response(status=status, headers={"Content-Type": negotiate.PROTOBUF}, body=data)
    if media.type == negotiate.YAML:
        import yaml  # hardly a client asks for it

        text = yaml.dump(msgspec.json.decode(data), Dumper=yaml.CSafeDumper, sort_keys=True)
        return Response(status=status, headers={"Content-Type": negotiate.YAML}, body=text.encode())
    return Response(status=status, headers={"Content-Type": negotiate.JSON}, body=data)


# A handler of one subresource, or of a resource that is not stored (reviews): `handlers` in `app.py` maps
# ("pods", "log") or ("subjectaccessreviews.authorization.k8s.io", "") to it. `Resource.qualified` is the
# first part.
Handler = Callable[[Call], Awaitable[Answer]]
EVERY = "*"  # as the resource: whichever has such a subresource
