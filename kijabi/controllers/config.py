"""What the controllers are told at start: addresses, the cluster's certificate, patience. `cmd` fills it in."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Cluster(Protocol):
    """What the settings are read from: a cluster on this machine, as `cmd` knows it."""

    @property
    def pod_cidr(self) -> str: ...
    @property
    def service_cidr(self) -> str: ...
    @property
    def pki(self) -> Path: ...
    def node_names(self) -> tuple[str, ...]: ...
    def pod_cidr_of(self, index: int) -> str: ...


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of the controller manager; the defaults are kube-controller-manager's.

    root_ca: the cluster authority's certificate, PEM. pod_cidrs: the cluster's pod addresses, one entry for each
    family, with the prefix length of a node's share. service_cidrs: never given to nodes. reserved: pod ranges that
    nodes of these names are to have. Times in seconds.
    """

    root_ca: str = ""
    pod_cidrs: tuple[tuple[str, int], ...] = (("10.244.0.0/16", 24),)
    service_cidrs: tuple[str, ...] = ("10.96.0.0/16",)
    reserved: tuple[tuple[str, str], ...] = ()
    signing_cert: str = ""
    """The file of the certificate that signs requests for certificates; without it and its key nobody does."""
    signing_key: str = ""
    signing_duration: float = 365 * 86400.0
    """The longest life of what is signed."""
    account_key: str = ""
    """The file of the key that signs tokens which are kept in Secrets; without it there are none."""
    host: str = ""
    """Names this process in events and in the lease."""
    leader_elect: bool = False
    node_grace: float = 40.0
    """A node that renewed neither lease nor status for so long is not reachable."""
    node_startup_grace: float = 60.0
    """The same for a node that never reported a status."""
    eviction_rate: float = 0.1
    """Nodes a second, at most, whose pods begin to be evicted for being unreachable, in each zone."""
    slow_eviction_rate: float = 0.01
    """The same in a large zone that is partially disrupted; a small one stops."""
    large_zone: int = 50
    """A zone of more nodes than this is large."""
    unhealthy_zone: float = 0.55
    """The share of nodes that are not ready from which a zone counts as partially disrupted."""
    terminated_pods: int = 12500
    """Ended pods that are kept; 0 keeps all."""

    @classmethod
    def of(cls, cluster: Cluster) -> Config:
        """The settings of a cluster on this machine; reads the authority's certificate from its directory."""
        reserved = tuple((name, cluster.pod_cidr_of(index)) for index, name in enumerate(cluster.node_names()))
        return cls(
            root_ca=(cluster.pki / "ca.crt").read_text(),
            signing_cert=str(cluster.pki / "ca.crt"),
            signing_key=str(cluster.pki / "ca.key"),
            account_key=str(cluster.pki / "sa.key"),
            pod_cidrs=((cluster.pod_cidr, ipaddress.ip_network(cluster.pod_cidr_of(0)).prefixlen),),
            service_cidrs=(cluster.service_cidr,),
            reserved=reserved,
        )
