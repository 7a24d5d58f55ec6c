"""The keys and kubeconfigs of a cluster's parts, made at `up` and renewed there and by the API server.

`up` calls `make_keys` before anything runs; `apiserver` calls it again from time to time, so that certificates of a
cluster that runs for years are renewed before they end.
"""

from __future__ import annotations

from pathlib import Path

from kijabi.apiserver import pki
from kijabi.cmd import addresses
from kijabi.cmd.config import ClusterConfig

CENTRAL: tuple[tuple[str, pki.Identity], ...] = (
    ("controller-manager", pki.CONTROLLER_MANAGER),
    ("scheduler", pki.SCHEDULER),
)
# Each node runs these, and it may be in a network namespace where 127.0.0.1 is not the API server.
OF_NODES: tuple[tuple[str, pki.Identity], ...] = (
    ("proxy", pki.PROXY),
    ("dns", pki.DNS),
    ("local-path", pki.LOCAL_PATH),
)


def make_keys(config: ClusterConfig) -> pki.Pki:
    """Everything that is missing or about to end: certificates under DIR/pki, kubeconfigs for each part."""
    keys = pki.Pki(config.pki)
    ca = keys.ca.pair.cert
    keys.apiserver(config.service_ip, [config.address, config.advertise], domain=config.dns_domain)
    inside = config.advertised_server
    keys.kubelet_client()
    keys.front_proxy_client()
    keys.service_account_key()
    admin = keys.client("admin", pki.ADMIN)
    whole = pki.kubeconfig(config.server, ca, admin, pki.ADMIN.user, embed=True)
    pki.ensure_kubeconfig(config.kubeconfig, whole)
    for name, identity, server in (*((*row, config.server) for row in CENTRAL), *((*row, inside) for row in OF_NODES)):
        _write(config.component_kubeconfig(name), server, ca, keys.client(name, identity), identity)
    for node in config.node_names():
        _write(config.component_kubeconfig(node), inside, ca, keys.node_client(node), pki.node_identity(node))
        if config.runtime == "cri":
            keys.kubelet_serving(node, addresses.of_node(config, node))
    return keys


def _write(path: Path, server: str, ca: Path, pair: pki.Pair, identity: pki.Identity) -> None:
    pki.ensure_kubeconfig(path, pki.kubeconfig(server, ca, pair, identity.user))
