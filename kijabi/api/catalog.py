"""What exists: every resource that the server serves, one line each.

Routes, discovery, OpenAPI, tables, garbage collection and namespace clean-up derive from `RESOURCES`. A new
built-in resource is one file and one line here; a CustomResourceDefinition makes the same `Resource` at run
time and does not come here. Groups stand in the order in which upstream's discovery ranks them, the preferred
version first.
"""

from __future__ import annotations

from functools import cache

from kijabi.api.admission.admissionreview import AdmissionReview
from kijabi.api.admissionregistration import (
    mutatingadmissionpolicy,
    mutatingadmissionpolicybinding,
    mutatingwebhookconfiguration,
    validatingadmissionpolicy,
    validatingadmissionpolicybinding,
    validatingwebhookconfiguration,
)
from kijabi.api.apidiscovery.apigroupdiscovery import APIGroupDiscoveryList
from kijabi.api.apiextensions import customresourcedefinition
from kijabi.api.apiextensions.conversionreview import ConversionReview
from kijabi.api.apiregistration import apiservice
from kijabi.api.apps import controllerrevision, daemonset, deployment, replicaset, statefulset
from kijabi.api.authentication import selfsubjectreview, tokenreview
from kijabi.api.authentication.tokenrequest import TokenRequest
from kijabi.api.authorization import (
    localsubjectaccessreview,
    selfsubjectaccessreview,
    selfsubjectrulesreview,
    subjectaccessreview,
)
from kijabi.api.autoscaling import horizontalpodautoscaler, horizontalpodautoscaler_v1
from kijabi.api.autoscaling.scale import Scale
from kijabi.api.batch import cronjob, job
from kijabi.api.certificates import certificatesigningrequest, clustertrustbundle, podcertificaterequest
from kijabi.api.coordination import lease
from kijabi.api.core import (
    binding,
    componentstatus,
    configmap,
    endpoints,
    event,
    limitrange,
    namespace,
    node,
    persistentvolume,
    persistentvolumeclaim,
    pod,
    podoptions,
    podtemplate,
    replicationcontroller,
    resourcequota,
    secret,
    service,
    serviceaccount,
)
from kijabi.api.discovery import endpointslice
from kijabi.api.dra import deviceclass, devicetaintrule, resourceclaim, resourceclaimtemplate, resourceslice
from kijabi.api.events import event as events_event
from kijabi.api.flowcontrol import flowschema, prioritylevelconfiguration
from kijabi.api.meta import DeleteOptions, PartialObjectMetadata, Status, TypeMeta
from kijabi.api.metrics import nodemetrics, nodemetrics_v1beta1, podmetrics, podmetrics_v1beta1
from kijabi.api.networking import ingress, ingressclass, ipaddress, networkpolicy, servicecidr
from kijabi.api.node import runtimeclass
from kijabi.api.options import CreateOptions, GetOptions, ListOptions, PatchOptions, UpdateOptions
from kijabi.api.policy import poddisruptionbudget
from kijabi.api.policy.eviction import Eviction
from kijabi.api.rbac import clusterrole, clusterrolebinding, role, rolebinding
from kijabi.api.resource import Resource
from kijabi.api.scheduling import podgroup, priorityclass, workload
from kijabi.api.storage import (
    csidriver,
    csinode,
    csistoragecapacity,
    storageclass,
    volumeattachment,
    volumeattributesclass,
)
from kijabi.api.storagemigration import storageversionmigration
from kijabi.api.struct import Struct
from kijabi.api.table import Table

RESOURCES: tuple[Resource, ...] = (
    binding.RESOURCE,
    componentstatus.RESOURCE,
    configmap.RESOURCE,
    endpoints.RESOURCE,
    event.RESOURCE,
    limitrange.RESOURCE,
    namespace.RESOURCE,
    node.RESOURCE,
    persistentvolumeclaim.RESOURCE,
    persistentvolume.RESOURCE,
    pod.RESOURCE,
    podtemplate.RESOURCE,
    replicationcontroller.RESOURCE,
    resourcequota.RESOURCE,
    secret.RESOURCE,
    serviceaccount.RESOURCE,
    service.RESOURCE,
    apiservice.RESOURCE,
    controllerrevision.RESOURCE,
    daemonset.RESOURCE,
    deployment.RESOURCE,
    replicaset.RESOURCE,
    statefulset.RESOURCE,
    events_event.RESOURCE,
    selfsubjectreview.RESOURCE,
    tokenreview.RESOURCE,
    localsubjectaccessreview.RESOURCE,
    selfsubjectaccessreview.RESOURCE,
    selfsubjectrulesreview.RESOURCE,
    subjectaccessreview.RESOURCE,
    horizontalpodautoscaler.RESOURCE,
    horizontalpodautoscaler_v1.RESOURCE,
    cronjob.RESOURCE,
    job.RESOURCE,
    certificatesigningrequest.RESOURCE,
    clustertrustbundle.RESOURCE,
    podcertificaterequest.RESOURCE,
    ingressclass.RESOURCE,
    ingress.RESOURCE,
    ipaddress.RESOURCE,
    networkpolicy.RESOURCE,
    servicecidr.RESOURCE,
    poddisruptionbudget.RESOURCE,
    clusterrolebinding.RESOURCE,
    clusterrole.RESOURCE,
    rolebinding.RESOURCE,
    role.RESOURCE,
    csidriver.RESOURCE,
    csinode.RESOURCE,
    csistoragecapacity.RESOURCE,
    storageclass.RESOURCE,
    volumeattachment.RESOURCE,
    volumeattributesclass.RESOURCE,
    mutatingadmissionpolicy.RESOURCE,
    mutatingadmissionpolicybinding.RESOURCE,
    mutatingwebhookconfiguration.RESOURCE,
    validatingadmissionpolicy.RESOURCE,
    validatingadmissionpolicybinding.RESOURCE,
    validatingwebhookconfiguration.RESOURCE,
    customresourcedefinition.RESOURCE,
    priorityclass.RESOURCE,
    podgroup.RESOURCE,
    workload.RESOURCE,
    lease.RESOURCE,
    runtimeclass.RESOURCE,
    endpointslice.RESOURCE,
    deviceclass.RESOURCE,
    devicetaintrule.RESOURCE,
    resourceclaim.RESOURCE,
    resourceclaimtemplate.RESOURCE,
    resourceslice.RESOURCE,
    flowschema.RESOURCE,
    prioritylevelconfiguration.RESOURCE,
    storageversionmigration.RESOURCE,
    nodemetrics.RESOURCE,
    podmetrics.RESOURCE,
    nodemetrics_v1beta1.RESOURCE,
    podmetrics_v1beta1.RESOURCE,
)

# Kinds that are no resource of their own: bodies of subresources, options and answers.
KINDS: dict[tuple[str, str, str], type[TypeMeta]] = {
    ("", "v1", "DeleteOptions"): DeleteOptions,
    ("", "v1", "Status"): Status,
    ("", "v1", "PodAttachOptions"): podoptions.PodAttachOptions,
    ("", "v1", "PodExecOptions"): podoptions.PodExecOptions,
    ("", "v1", "PodLogOptions"): podoptions.PodLogOptions,
    ("", "v1", "PodPortForwardOptions"): podoptions.PodPortForwardOptions,
    ("", "v1", "PodProxyOptions"): podoptions.PodProxyOptions,
    ("", "v1", "NodeProxyOptions"): podoptions.NodeProxyOptions,
    ("", "v1", "ServiceProxyOptions"): podoptions.ServiceProxyOptions,
    ("meta.k8s.io", "v1", "CreateOptions"): CreateOptions,
    ("meta.k8s.io", "v1", "GetOptions"): GetOptions,
    ("meta.k8s.io", "v1", "ListOptions"): ListOptions,
    ("meta.k8s.io", "v1", "PatchOptions"): PatchOptions,
    ("meta.k8s.io", "v1", "UpdateOptions"): UpdateOptions,
    ("meta.k8s.io", "v1", "PartialObjectMetadata"): PartialObjectMetadata,
    ("meta.k8s.io", "v1", "Table"): Table,
    ("admission.k8s.io", "v1", "AdmissionReview"): AdmissionReview,
    ("apidiscovery.k8s.io", "v2", "APIGroupDiscoveryList"): APIGroupDiscoveryList,
    ("apiextensions.k8s.io", "v1", "ConversionReview"): ConversionReview,
    ("authentication.k8s.io", "v1", "TokenRequest"): TokenRequest,
    ("autoscaling", "v1", "Scale"): Scale,
    ("policy", "v1", "Eviction"): Eviction,
}


@cache
def _by_type() -> dict[type[Struct], Resource]:
    return {resource.type: resource for resource in RESOURCES}


@cache
def _by_plural() -> dict[tuple[str, str, str], Resource]:
    return {(resource.group, resource.version, resource.plural): resource for resource in RESOURCES}


@cache
def _by_kind() -> dict[tuple[str, str, str], Resource]:
    return {(resource.group, resource.version, resource.kind): resource for resource in RESOURCES}


def by_type(cls: type[Struct]) -> Resource:
    """The resource whose objects are of this class; KeyError for a class that is no resource."""
    return _by_type()[cls]


def by_plural(group: str, version: str, plural: str) -> Resource | None:
    """The resource under its name in a URL, such as ("apps", "v1", "deployments")."""
    return _by_plural().get((group, version, plural))


def by_kind(group: str, version: str, kind: str) -> Resource | None:
    """The resource whose objects have this kind, such as ("", "v1", "Pod")."""
    return _by_kind().get((group, version, kind))


def type_of(group: str, version: str, kind: str) -> type[Struct] | None:
    """The class behind a group, version and kind, be it a resource or only a body such as Eviction."""
    resource = by_kind(group, version, kind)
    return resource.type if resource else KINDS.get((group, version, kind))


@cache
def identity(cls: type[Struct]) -> tuple[str, str]:
    """(apiVersion, kind) that objects of this class carry on the wire; two empty texts for other classes."""
    if resource := _by_type().get(cls):
        return resource.api_version, resource.kind
    for (group, version, kind), other in KINDS.items():
        if other is cls:
            return (f"{group}/{version}" if group else version), kind
    return "", ""
