"""What the controllers are told at start: addresses, the cluster's certificate, patience. `cmd` fills it in."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from kijabi.controllers.flags import Flags, parse


class Cluster(Protocol):
    """What the settings are read from: a cluster on this machine, as `cmd` knows it."""

    @property
    def pod_cidr(self) -> str: ...
    @property
    def service_cidr(self) -> str: ...
    @property
    def pki(self) -> Path: ...
    @property
    def controller_args(self) -> tuple[str, ...]: ...
    def node_names(self) -> tuple[str, ...]: ...
    def pod_cidr_of(self, index: int) -> str: ...
    @property
    def cloud_provider(self) -> str: ...
    @property
    def cloud_config(self) -> str: ...
    @property
    def balancer_pool(self) -> tuple[str, ...]: ...


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
    cluster_name: str = "kubernetes"
    """Tells apart what belongs to several clusters in one cloud."""
    cloud_provider: str = ""
    """Who is asked for load balancers, facts about machines and routes (`cloud/providers.py`); empty: nobody."""
    cloud_config: str = ""
    """The file of the cloud provider's own settings."""
    load_balancer_pool: tuple[str, ...] = ()
    """Ranges of addresses that the provider `bare` gives to Services."""
    flags: Flags = field(default_factory=Flags)
    """What the administrator set; the defaults are kube-controller-manager's."""

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
            flags=parse(cluster.controller_args),
            cloud_provider=cluster.cloud_provider,
            cloud_config=cluster.cloud_config,
            load_balancer_pool=cluster.balancer_pool,
        )
