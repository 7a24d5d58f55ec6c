"""Where a node's kubelet listens, and how the API server proves itself to it.

Receives nodes from the watch caches; `log.py`, `streams.py` and `proxy.py` ask for the address of a node's kubelet, or
of a pod's. The kubelet shows a certificate of the cluster CA for its node's name; the API server shows that of
`pki.KUBELET_CLIENT`.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable

from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.status import bad_request, internal, not_found
from kijabi.apiserver.attributes import Reader
from kijabi.apiserver.subresources.backend import Address, Dial, dial

# In this order a node's address is chosen (kube-apiserver `--kubelet-preferred-address-types` as kubeadm sets it).
PREFERRED = ("InternalIP", "ExternalIP", "Hostname")

Tls = Callable[[], ssl.SSLContext | None]


def insecure() -> ssl.SSLContext:
    """TLS that trusts anybody, for those who ask for it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Kubelets:
    """Finds kubelets. tls: gives the client context of now, so that a renewed certificate is used at once; None for
    plain HTTP (simulation)."""

    def __init__(self, reader: Reader, tls: Tls, open_: Dial = dial) -> None:
        self.reader = reader
        self.open = open_
        self._tls = tls

    def pod(self, name: str, namespace: str) -> Pod:
        """A pod. Raises NotFound."""
        pod = self.reader.get(Pod, name, namespace)
        if pod is None:
            raise not_found("pods", name)
        return pod

    def node(self, name: str, *, verify: bool = True) -> Address:
        """The address of a node's kubelet. Raises NotFound, InternalError where it has none."""
        node = self.reader.get(Node, name)
        if node is None:
            raise not_found("nodes", name)
        addresses = {each.type: each.address for each in reversed(node.status.addresses)}
        host = next((addresses[kind] for kind in PREFERRED if kind in addresses), "")
        endpoints = node.status.daemonEndpoints
        port = endpoints.kubeletEndpoint.Port if endpoints is not None and endpoints.kubeletEndpoint else 0
        if not host:
            raise internal(f"no preferred addresses found; known addresses: {list(addresses.values())}")
        tls = self._tls()
        if tls is not None and not verify:
            tls = insecure()
        return Address(host, port or 10250, tls, name)


def container_of(pod: Pod, asked: str) -> str:
    """The container that a request means. Raises BadRequest when it must say, or says a wrong one."""
    spec = pod.spec
    names = [each.name for each in (*spec.initContainers, *spec.containers)]
    names += [each.name for each in spec.ephemeralContainers]
    if asked:
        if asked not in names:
            raise bad_request(f"container {asked} is not valid for pod {pod.metadata.name}")
        return asked
    if len(spec.containers) == 1:
        return spec.containers[0].name
    text = f"a container name must be specified for pod {pod.metadata.name}"
    if spec.containers:
        text += f", choose one of: [{' '.join(names)}]"
    raise bad_request(text)
