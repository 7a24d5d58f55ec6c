"""Identities for pods; tokens are issued for them."""

from typing import Annotated

from kijabi.api.authentication.tokenrequest import TokenRequest
from kijabi.api.columns import AGE, NAME
from kijabi.api.core.reference import LocalObjectReference, ObjectReference
from kijabi.api.meta import Object
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Tag


class ServiceAccount(Object):
    """An identity in a namespace, and the pull secrets that come with it."""

    secrets: Annotated[
        tuple[ObjectReference, ...],
        Tag(2, listType="map", keys=("name",), strategy="merge", mergeKey="name"),
    ] = ()
    imagePullSecrets: Annotated[tuple[LocalObjectReference, ...], Tag(3, listType="atomic")] = ()
    automountServiceAccountToken: Annotated[bool | None, Tag(4)] = None


def prepare(new: ServiceAccount, _: ServiceAccount | None) -> None:
    """Of the secrets only the names count."""
    new.secrets = tuple(ObjectReference(name=reference.name) for reference in new.secrets)


RESOURCE = Resource(
    group="",
    version="v1",
    kind="ServiceAccount",
    plural="serviceaccounts",
    type=ServiceAccount,
    singular="serviceaccount",
    short=("sa",),
    subresources=(
        Subresource(
            name="token",
            kind="TokenRequest",
            verbs=("create",),
            group="authentication.k8s.io",
            version="v1",
            type=TokenRequest,
        ),
    ),
    columns=(NAME, AGE),
    prepare=prepare,
)
