"""Every controller, one line each. A new one is a file beside this and a line here."""

from __future__ import annotations

from collections.abc import Callable

from kijabi.controllers.certificates.approving import CertificateApprover
from kijabi.controllers.certificates.cleaning import CertificateRequestCleaner, PodCertificateRequestCleaner
from kijabi.controllers.certificates.signing import CertificateSigner
from kijabi.controllers.certificates.trustbundle import ServingTrustBundle
from kijabi.controllers.clusterroleaggregation import ClusterRoleAggregation
from kijabi.controllers.cronjob import CronJobs
from kijabi.controllers.daemonset.controller import DaemonSets
from kijabi.controllers.deployment.controller import Deployments
from kijabi.controllers.disruption import Disruptions
from kijabi.controllers.endpoints import EndpointsController
from kijabi.controllers.endpointslice import EndpointSlices
from kijabi.controllers.endpointslicemirroring import MirroredSlices
from kijabi.controllers.garbage.collector import GarbageCollector
from kijabi.controllers.horizontalpodautoscaler.controller import HorizontalPodAutoscalers
from kijabi.controllers.job.controller import Jobs
from kijabi.controllers.namespace import Namespaces
from kijabi.controllers.nodeipam import NodeRanges
from kijabi.controllers.nodelifecycle import NodeLifecycle
from kijabi.controllers.persistentvolume.controller import VolumeBinder
from kijabi.controllers.podgc import PodCollector
from kijabi.controllers.replicaset import ReplicaSets
from kijabi.controllers.replicationcontroller import ReplicationControllers
from kijabi.controllers.resourcequota import ResourceQuotas
from kijabi.controllers.rootca import RootCertificates
from kijabi.controllers.runtime import Context, Controller
from kijabi.controllers.serviceaccount import ServiceAccounts
from kijabi.controllers.serviceaccounttokens import ServiceAccountTokens
from kijabi.controllers.statefulset.controller import StatefulSets
from kijabi.controllers.storageversionmigrator import StorageVersionMigrator
from kijabi.controllers.tainteviction import TaintEviction
from kijabi.controllers.ttlafterfinished import FinishedJobs
from kijabi.controllers.validatingadmissionpolicystatus import PolicyStatus
from kijabi.controllers.volumeprotection import AttributesProtection, ClaimProtection, VolumeProtection

CONTROLLERS: tuple[Callable[[Context], Controller], ...] = (
    ServiceAccounts,
    ServiceAccountTokens,
    RootCertificates,
    ServingTrustBundle,
    CertificateApprover,
    CertificateSigner,
    CertificateRequestCleaner,
    PodCertificateRequestCleaner,
    NodeRanges,
    NodeLifecycle,
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
    Namespaces,
    ResourceQuotas,
    VolumeBinder,
    ClaimProtection,
    VolumeProtection,
    AttributesProtection,
    GarbageCollector,
    PodCollector,
    ClusterRoleAggregation,
    PolicyStatus,
    StorageVersionMigrator,
)
