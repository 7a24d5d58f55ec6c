"""How one kubelet is set up. Made by `cmd`, read by `app.py` and `loop.py`."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from kijabi.api.core.node import Taint


class KubeletConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One node.

    root: its directory (`pods/` and `logs/` are made in it). address: InternalIP, where the API server and pods reach
    it. port: of its HTTPS server, 0 for none. certificate, key, client_ca: files of that server; clients must show a
    certificate of client_ca. fake: nothing runs, no file system, no network (hollow nodes and simulations).
    host_cpu, host_memory and host_storage: capacity to report instead of what the machine has (milli-CPU, bytes).
    """

    node: str
    address: str
    root: str
    port: int = 0
    bind: str = "0.0.0.0"
    certificate: str = ""
    key: str = ""
    client_ca: str = ""
    cluster_dns: tuple[str, ...] = ()
    cluster_domain: str = "cluster.local"
    resolv_conf: str = "/etc/resolv.conf"
    runtime_name: str = "containerd"
    cgroup_prefix: str = ""
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    # The addresses that the node shows are the cloud's to say, once there are any.
    external_cloud: bool = False
    taints: tuple[Taint, ...] = ()
    max_pods: int = 110
    fake: bool = False
    host_cpu: int = 0
    host_memory: int = 0
    host_storage: int = 0
    # Kept for the system, so that allocatable is capacity less these: milli-CPU and bytes.
    reserved_cpu: int = 0
    reserved_memory: int = 0
    # Hard eviction: with less than this free the node is under pressure (bytes of memory, shares of the disk).
    evict_memory: int = 100 * 1024 * 1024
    evict_disk: float = 0.10
    evict_inodes: float = 0.05
    # Image garbage collection: begin at this use of the disk in percent, and stop at that.
    images_high: int = 85
    images_low: int = 80
    # With so much free, in bytes, a disk counts as roomy whatever its percentages: a big disk of somebody's
    # workstation is often 90 % full, and that is no reason to evict pods or to drop images that no registry has.
    roomy_disk: int = 10 * 1024 * 1024 * 1024
    # Log rotation.
    log_bytes: int = 10 * 1024 * 1024
    log_files: int = 5

    @property
    def pods_root(self) -> str:
        """Where pods' volumes are."""
        return f"{self.root}/pods"

    @property
    def log_root(self) -> str:
        """Where pods' logs are."""
        return f"{self.root}/logs"
