"""Asks "Whose token is this?": asked of the API server, or by it of an authentication webhook."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Struct, Tag


class UserInfo(Struct):
    """A user: name, uid, groups and whatever else the authenticator knows."""

    username: Annotated[str, Tag(1)] = ""
    uid: Annotated[str, Tag(2)] = ""
    groups: Annotated[tuple[str, ...], Tag(3, listType="atomic")] = ()
    extra: Annotated[dict[str, tuple[str, ...]], Tag(4)] = {}


class TokenReviewSpec(Struct):
    """The token, and the audiences it should be meant for."""

    token: Annotated[str, Tag(1, required=True)] = ""
    audiences: Annotated[tuple[str, ...], Tag(2, listType="atomic")] = ()


class TokenReviewStatus(Struct):
    """Whether it is valid, whose it is, and for which audiences."""

    authenticated: Annotated[bool, Tag(1)] = False
    user: Annotated[UserInfo, Tag(2)] = field(default_factory=UserInfo)
    audiences: Annotated[tuple[str, ...], Tag(4, listType="atomic")] = ()
    error: Annotated[str, Tag(3)] = ""


class TokenReview(Object):
    """Asks whether a token is valid and whose it is."""

    spec: Annotated[TokenReviewSpec, Tag(2, required=True)] = field(default_factory=TokenReviewSpec)
    status: Annotated[TokenReviewStatus, Tag(3)] = field(default_factory=TokenReviewStatus)


RESOURCE = Resource(
    group="authentication.k8s.io",
    version="v1",
    kind="TokenReview",
    plural="tokenreviews",
    type=TokenReview,
    namespaced=False,
    singular="tokenreview",
    verbs=("create",),
    storage=False,
)
