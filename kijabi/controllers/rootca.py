"""Every active namespace has a ConfigMap `kube-root-ca.crt` with the certificate of the cluster's authority.

Pods mount it beside their token to know whom they talk to. Receives namespaces and those ConfigMaps; creates
and mends them.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.namespace import Namespace
from kijabi.api.meta import ObjectMeta
from kijabi.base.errors import AlreadyExists, ApiError, NotFound
from kijabi.controllers.runtime import WORKERS, Context, Source, namespace_terminating
from kijabi.controllers.sources import active, namespace_of, namespaces

NAME = "kube-root-ca.crt"
KEY = "ca.crt"
DESCRIPTION = "kubernetes.io/description"
DESCRIBED = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)


def plan(namespace: Namespace | None, present: ConfigMap | None, certificate: str) -> ConfigMap | None:
    """The ConfigMap to create or update, if what there is does not say the certificate."""
    if namespace is None or not active(namespace):
        return None
    data = {KEY: certificate}
    if present is None:
        meta = ObjectMeta(name=NAME, namespace=namespace.metadata.name, annotations={DESCRIPTION: DESCRIBED})
        return ConfigMap(metadata=meta, data=data)
    if present.data == data and present.metadata.annotations.get(DESCRIPTION):
        return None
    annotations = {**present.metadata.annotations, DESCRIPTION: DESCRIBED}
    return replace(present, data=data, metadata=replace(present.metadata, annotations=annotations))


class RootCertificates:
    """The controller; a key is a namespace's name."""

    name = "root-ca-certificate-publisher"
    workers = WORKERS

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.certificate = context.config.root_ca
        self.namespaces = namespaces(context.informers)
        self.maps = context.informers.of(ConfigMap, fields=f"metadata.name={NAME}")

    def sources(self) -> Sequence[Source]:
        return (
            Source(self.namespaces, lambda old, new: (new.metadata.name,) if new is not None else ()),
            Source(self.maps, lambda old, new: namespace_of(new if new is not None else old)),
        )

    async def reconcile(self, key: str) -> float | None:
        present = self.maps.get(f"{key}/{NAME}")
        wanted = plan(self.namespaces.get(key), present, self.certificate)
        if wanted is None:
            return None
        try:
            await (self.client.create(wanted) if present is None else self.client.update(wanted))
        except (AlreadyExists, NotFound):  # There already; or it, or the namespace, is gone: an event follows.
            return None
        except ApiError as error:
            if not namespace_terminating(error):
                raise
        return None
