"""Every controller, one line each. A new one is a file beside this and a line here.

`CONTROLLERS` run by default, `ON_REQUEST` only if the flag `controllers` names them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from kijabi.controllers.attachdetach.controller import AttachDetach
from kijabi.controllers.bootstraptokens import BootstrapSigner, TokenCleaner
from kijabi.controllers.certificates.approving import CertificateApprover
from kijabi.controllers.certificates.cleaning import CertificateRequestCleaner, PodCertificateRequestCleaner
from kijabi.controllers.certificates.signing import CertificateSigner
from kijabi.controllers.certificates.trustbundle import ServingTrustBundle
from kijabi.controllers.cloud.interface import Provider
from kijabi.controllers.cloud.providers import external
from kijabi.controllers.clusterroleaggregation import ClusterRoleAggregation
from kijabi.controllers.cronjob import CronJobs
from kijabi.controllers.daemonset.controller import DaemonSets
from kijabi.controllers.deployment.controller import Deployments
from kijabi.controllers.devicetaints import DeviceTaints
from kijabi.controllers.disruption import Disruptions
from kijabi.controllers.endpoints import EndpointsController
from kijabi.controllers.endpointslice import EndpointSlices
from kijabi.controllers.endpointslicemirroring import MirroredSlices
from kijabi.controllers.ephemeralvolume import EphemeralVolumes
from kijabi.controllers.flags import Flags
from kijabi.controllers.garbage.collector import GarbageCollector
from kijabi.controllers.horizontalpodautoscaler.controller import HorizontalPodAutoscalers
from kijabi.controllers.job.controller import Jobs
from kijabi.controllers.legacytokens import LegacyTokenCleaner
from kijabi.controllers.namespace import Namespaces
from kijabi.controllers.nodeipam import NodeRanges
from kijabi.controllers.nodelifecycle import NodeLifecycle
from kijabi.controllers.nodettl import NodeTtl
from kijabi.controllers.persistentvolume.controller import VolumeBinder
from kijabi.controllers.podgc import PodCollector
from kijabi.controllers.podgroupprotection import PodGroupProtection
from kijabi.controllers.replicaset import ReplicaSets
from kijabi.controllers.replicationcontroller import ReplicationControllers
from kijabi.controllers.resourceclaim import ResourceClaims
from kijabi.controllers.resourcequota import ResourceQuotas
from kijabi.controllers.rootca import RootCertificates
from kijabi.controllers.runtime import Context, Controller
from kijabi.controllers.serviceaccount import ServiceAccounts
from kijabi.controllers.serviceaccounttokens import ServiceAccountTokens
from kijabi.controllers.servicecidr import ServiceRanges
from kijabi.controllers.statefulset.controller import StatefulSets
from kijabi.controllers.storageversionmigrator import StorageVersionMigrator
from kijabi.controllers.tainteviction import TaintEviction
from kijabi.controllers.ttlafterfinished import FinishedJobs
from kijabi.controllers.validatingadmissionpolicystatus import PolicyStatus
from kijabi.controllers.volumeexpand import VolumeExpander
from kijabi.controllers.volumeprotection import AttributesProtection, ClaimProtection, VolumeProtection

CLOUD = (
    "service", "route", "cloud-node", "cloud-node-lifecycle", "load-balancer-addresses", "load-balancer-announcements"
)  # fmt: skip
"""Names of controllers that ask a cloud."""


class Kind(Protocol):
    """A controller's class: its name is known before it is built."""

    name: str

    def __call__(self, context: Context, /) -> Controller:
        """Build it."""
        ...


CONTROLLERS: tuple[Kind, ...] = (
    ServiceAccounts,
    ServiceAccountTokens,
    LegacyTokenCleaner,
    RootCertificates,
    ServingTrustBundle,
    CertificateApprover,
    CertificateSigner,
    CertificateRequestCleaner,
    PodCertificateRequestCleaner,
    NodeRanges,
    NodeLifecycle,
    NodeTtl,
    TaintEviction,
    Deployments,
    ReplicaSets,
    ReplicationControllers,
    DaemonSets,
    StatefulSets,
    Jobs,
    CronJobs,
    FinishedJobs,
    Disruptions,
    HorizontalPodAutoscalers,
    EndpointSlices,
    EndpointsController,
    MirroredSlices,
    ServiceRanges,
    Namespaces,
    ResourceQuotas,
    ResourceClaims,
    DeviceTaints,
    VolumeBinder,
    VolumeExpander,
    EphemeralVolumes,
    AttachDetach,
    ClaimProtection,
    VolumeProtection,
    AttributesProtection,
    PodGroupProtection,
    GarbageCollector,
    PodCollector,
    ClusterRoleAggregation,
    PolicyStatus,
    StorageVersionMigrator,
)

ON_REQUEST: tuple[Kind, ...] = (BootstrapSigner, TokenCleaner)


def chosen(flags: Flags) -> list[Kind]:
    """The controllers that are to run."""
    by_default = [kind for kind in CONTROLLERS if flags.runs(kind.name, by_default=True)]
    return [*by_default, *(kind for kind in ON_REQUEST if flags.runs(kind.name, by_default=False))]


def names() -> list[str]:
    """Of every controller that there may be, a cloud's too."""
    return [*(kind.name for kind in (*CONTROLLERS, *ON_REQUEST)), *CLOUD]


def cloud_controllers(cloud: Provider | None) -> Sequence[Callable[[Context], Controller]]:
    """Those that ask the cloud, as far as it has what they ask for, and those that it brings itself."""
    if cloud is None:
        return ()
    from kijabi.controllers.cloud.node import CloudNodes
    from kijabi.controllers.cloud.nodelifecycle import CloudNodeLifecycle
    from kijabi.controllers.cloud.route import CloudRoutes
    from kijabi.controllers.cloud.service import ServiceBalancers

    instances, balancers, routes = cloud.instances, cloud.load_balancers, cloud.routes
    found: list[Callable[[Context], Controller]] = []
    if instances is not None or external(cloud.name):
        found.append(lambda context: CloudNodes(context, instances))
    if instances is not None:
        found.append(lambda context: CloudNodeLifecycle(context, instances))
    if balancers is not None:
        found.append(lambda context: ServiceBalancers(context, balancers))
    if routes is not None:
        found.append(lambda context: CloudRoutes(context, routes))
    return (*found, *cloud.controllers)
