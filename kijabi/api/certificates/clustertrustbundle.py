"""Root certificates for the whole cluster; pods mount them through projected volumes."""

from typing import Annotated

from msgspec import field

from kijabi.api.certificates import rules
from kijabi.api.columns import NAME, NONE, column
from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Struct, Tag


class ClusterTrustBundleSpec(Struct):
    """The certificates in PEM, and the signer they belong to."""

    signerName: Annotated[str, Tag(1)] = ""
    trustBundle: Annotated[str, Tag(2, required=True)] = field(default_factory=str)


class ClusterTrustBundle(Object):
    """A set of X.509 trust anchors."""

    spec: Annotated[
        ClusterTrustBundleSpec,
        Tag(2, required=True),
    ] = field(default_factory=ClusterTrustBundleSpec)


COLUMNS = (NAME, column("SignerName", lambda obj: obj.spec.signerName or NONE, "Whose certificates it holds."))


RESOURCE = Resource(
    group="certificates.k8s.io",
    version="v1",
    kind="ClusterTrustBundle",
    plural="clustertrustbundles",
    type=ClusterTrustBundle,
    namespaced=False,
    singular="clustertrustbundle",
    name_rule="path",
    columns=COLUMNS,
    fields=(("spec.signerName", lambda bundle: bundle.spec.signerName),),
    update_needs_version=True,
    validate=rules.validate_bundle,
    validate_update=rules.validate_bundle_update,
    update_alone=True,
)
