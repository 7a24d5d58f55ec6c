"""The keys and kubeconfigs of a cluster's parts, made at `up` and renewed there and by the API server.

`up` calls `make_keys` before anything runs; `apiserver` calls it again from time to time, so that certificates of a
cluster that runs for years are renewed before they end.
"""

from __future__ import annotations

from pathlib import Path

from kijabi.apiserver import pki
from kijabi.cmd.config import ClusterConfig

CLIENTS: tuple[tuple[str, pki.Identity], ...] = (
    ("controller-manager", pki.CONTROLLER_MANAGER),
    ("scheduler", pki.SCHEDULER),
    ("proxy", pki.PROXY),
    ("dns", pki.DNS),
)


def make_keys(config: ClusterConfig) -> pki.Pki:
    """Everything that is missing or about to end: certificates under DIR/pki, kubeconfigs for each part."""
    keys = pki.Pki(config.pki)
    ca = keys.ca.pair.cert
    keys.apiserver(config.service_ip, [config.address, config.advertise], domain=config.dns_domain)
    keys.kubelet_client()
    keys.service_account_key()
    admin = keys.client("admin", pki.ADMIN)
    whole = pki.kubeconfig(config.server, ca, admin, pki.ADMIN.user, embed=True)
    pki.ensure_kubeconfig(config.kubeconfig, whole)
    for name, identity in CLIENTS:
        _write(config.component_kubeconfig(name), config, ca, keys.client(name, identity), identity)
    for node in config.node_names():
        pair = keys.node_client(node)
        _write(config.component_kubeconfig(node), config, ca, pair, pki.node_identity(node), config.advertised_server)
    return keys


def _write(
    path: Path, config: ClusterConfig, ca: Path, pair: pki.Pair, identity: pki.Identity, server: str = ""
) -> None:
    content = pki.kubeconfig(server or config.server, ca, pair, identity.user)
    pki.ensure_kubeconfig(path, content)
