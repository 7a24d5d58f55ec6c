"""What the administrator may set of the controllers: kube-controller-manager's own flags, as far as they mean
something here.

`kijabi up --controller-arg node-eviction-rate=0.5` keeps them in the cluster's directory; `cmd` parses them and gives
`Flags` to the controllers as part of their `Config`. A new flag is one line in `Flags`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from kijabi.api.flags import Reader, Seconds
from kijabi.base.errors import ConfigError

ALL = "*"
MOST_WORKERS = 1000
MOST_IN_SLICE = 1000  # as validation of EndpointSlices has it


class Flags(msgspec.Struct, frozen=True, kw_only=True):
    """The settings, by upstream's names with underscores (reference page "kube-controller-manager")."""

    controllers: tuple[str, ...] = (ALL,)  # "*": those that run by default; a name: this too; "-name": not this
    # Nodes
    node_monitor_grace_period: Seconds = Seconds(50.0)  # without lease or status a node is unreachable after this
    node_startup_grace_period: Seconds = Seconds(60.0)  # the same for a node that never reported a status
    node_eviction_rate: float = 0.1  # nodes a second that begin to be evicted, in each zone
    secondary_node_eviction_rate: float = 0.01  # the same in a large zone of which much is down; a small one stops
    large_cluster_size_threshold: int = 50  # a zone of more nodes is large
    unhealthy_zone_threshold: float = 0.55  # the share of nodes not ready from which much of a zone is down
    # Pods, tokens, endpoints
    terminated_pod_gc_threshold: int = 12500  # ended pods that are kept; 0 keeps all
    legacy_service_account_token_clean_up_period: Seconds = Seconds(8760 * 3600.0)  # that a token may go unused
    max_endpoints_per_slice: int = 100
    mirroring_max_endpoints_per_subset: int = 1000
    # How many objects of a kind are worked on at once; None: as many as the controller thinks fit
    concurrent_cron_job_syncs: int | None = None
    concurrent_daemonset_syncs: int | None = None
    concurrent_deployment_syncs: int | None = None
    concurrent_device_taint_eviction_syncs: int | None = None
    concurrent_disruption_syncs: int | None = None
    concurrent_endpoint_syncs: int | None = None
    concurrent_ephemeralvolume_syncs: int | None = None
    concurrent_gc_syncs: int | None = None
    concurrent_horizontal_pod_autoscaler_syncs: int | None = None
    concurrent_job_syncs: int | None = None
    concurrent_namespace_syncs: int | None = None
    concurrent_rc_syncs: int | None = None
    concurrent_replicaset_syncs: int | None = None
    concurrent_resource_quota_syncs: int | None = None
    concurrent_resourceclaim_syncs: int | None = None
    concurrent_service_endpoint_syncs: int | None = None
    concurrent_serviceaccount_token_syncs: int | None = None
    concurrent_statefulset_syncs: int | None = None
    concurrent_ttl_after_finished_syncs: int | None = None
    concurrent_validating_admission_policy_status_syncs: int | None = None
    mirroring_concurrent_service_endpoint_syncs: int | None = None

    def workers(self, controller: str, usual: int) -> int:
        """How many workers a controller has."""
        flag = _SYNCS.get(canonical(controller))
        asked = getattr(self, flag) if flag is not None else None
        return asked if asked is not None else usual

    def runs(self, controller: str, *, by_default: bool) -> bool:
        """Whether a controller is wanted: what names it counts before what speaks of all."""
        own = canonical(controller)
        named = [name for name in self.controllers if name != ALL and canonical(name.removeprefix("-")) == own]
        if named:
            return not named[-1].startswith("-")
        return by_default and ALL in self.controllers


_SYNCS: Mapping[str, str] = {
    "cronjob": "concurrent_cron_job_syncs",
    "daemonset": "concurrent_daemonset_syncs",
    "deployment": "concurrent_deployment_syncs",
    "devicetainteviction": "concurrent_device_taint_eviction_syncs",
    "disruption": "concurrent_disruption_syncs",
    "endpoints": "concurrent_endpoint_syncs",
    "ephemeralvolume": "concurrent_ephemeralvolume_syncs",
    "garbagecollector": "concurrent_gc_syncs",
    "horizontalpodautoscaler": "concurrent_horizontal_pod_autoscaler_syncs",
    "job": "concurrent_job_syncs",
    "namespace": "concurrent_namespace_syncs",
    "replicationcontroller": "concurrent_rc_syncs",
    "replicaset": "concurrent_replicaset_syncs",
    "resourcequota": "concurrent_resource_quota_syncs",
    "resourceclaim": "concurrent_resourceclaim_syncs",
    "endpointslice": "concurrent_service_endpoint_syncs",
    "serviceaccounttoken": "concurrent_serviceaccount_token_syncs",
    "statefulset": "concurrent_statefulset_syncs",
    "ttlafterfinished": "concurrent_ttl_after_finished_syncs",
    "validatingadmissionpolicystatus": "concurrent_validating_admission_policy_status_syncs",
    "endpointslicemirroring": "mirroring_concurrent_service_endpoint_syncs",
}

_ALIASES: Mapping[str, str] = {
    "attachdetach": "persistentvolumeattachdetach",
    "csrapproving": "certificatesigningrequestapproving",
    "csrcleaner": "certificatesigningrequestcleaner",
    "csrsigning": "certificatesigningrequestsigning",
    "endpoint": "endpoints",
    "horizontalpodautoscaling": "horizontalpodautoscaler",
    "podgc": "podgarbagecollector",
    "noderoute": "route",
    "pvcprotection": "persistentvolumeclaimprotection",
    "pvprotection": "persistentvolumeprotection",
    "replication": "replicationcontroller",
    "rootcacertpublisher": "rootcacertificatepublisher",
    "servicelb": "service",
    "svm": "storageversionmigrator",
    "vacprotection": "volumeattributesclassprotection",
}


def canonical(name: str) -> str:
    """One form of a controller's names: upstream's has "-controller" at the end, older ones had fewer dashes."""
    bare = name.lower().removesuffix("-controller").replace("-", "")
    return _ALIASES.get(bare, bare)


OPTION = "--controller-arg"
READER = Reader(Flags, OPTION, "the controller manager")


def parse(arguments: Sequence[str]) -> Flags:
    """The settings that these arguments ask for. Raises ConfigError in words."""
    flags = READER.parse(arguments)
    for name in Flags.__struct_fields__:
        value = getattr(flags, name)
        shown = f"{OPTION} {name.replace('_', '-')}={value}"
        if isinstance(value, float | int) and value < 0:
            raise ConfigError(f"{shown}: must not be negative")
        if name in _SYNCS.values() and value is not None and not 1 <= value <= MOST_WORKERS:
            raise ConfigError(f"{shown}: must be from 1 to {MOST_WORKERS}")
    if flags.unhealthy_zone_threshold > 1:
        raise ConfigError(f"{OPTION} unhealthy-zone-threshold={flags.unhealthy_zone_threshold}: must be from 0 to 1")
    for name in ("max_endpoints_per_slice", "mirroring_max_endpoints_per_subset"):
        if not 1 <= getattr(flags, name) <= MOST_IN_SLICE:
            shown = f"{name.replace('_', '-')}={getattr(flags, name)}"
            raise ConfigError(f"{OPTION} {shown}: must be from 1 to {MOST_IN_SLICE}")
    return flags


def check_names(flags: Flags, known: Iterable[str]) -> None:
    """ConfigError if the flag `controllers` names one that does not exist."""
    there = {canonical(name) for name in known}
    for name in flags.controllers:
        if name != ALL and canonical(name.removeprefix("-")) not in there:
            raise ConfigError(f"{OPTION} controllers={name}: there is no controller of this name")
