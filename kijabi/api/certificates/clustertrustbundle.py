"""The clustertrustbundle types of the certificates group."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Struct, Tag


class ClusterTrustBundleSpec(Struct):
    """What is asked of a Cluster Trust Bundle."""

    signerName: Annotated[str, Tag(1)] = ""
    trustBundle: Annotated[str, Tag(2, required=True)] = field(default_factory=str)


class ClusterTrustBundle(Object):
    """The API type ClusterTrustBundle."""

    spec: Annotated[
        ClusterTrustBundleSpec,
        Tag(2, required=True),
    ] = field(default_factory=ClusterTrustBundleSpec)


RESOURCE = Resource(
    group="certificates.k8s.io",
    version="v1",
    kind="ClusterTrustBundle",
    plural="clustertrustbundles",
    type=ClusterTrustBundle,
    namespaced=False,
    singular="clustertrustbundle",
    name_rule="path",
)
