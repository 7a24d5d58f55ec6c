"""Objects for the controllers' tests, with only what matters said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from kijabi.api.apps.deployment import (
    Deployment,
    DeploymentSpec,
    DeploymentStatus,
    DeploymentStrategy,
    RollingUpdateDeployment,
)
from kijabi.api.apps.replicaset import ReplicaSet, ReplicaSetSpec, ReplicaSetStatus
from kijabi.api.core.container import Container
from kijabi.api.core.node import Node, NodeSpec
from kijabi.api.core.pod import Pod, PodSpec
from kijabi.api.core.podstatus import ContainerStatus, PodCondition, PodIP, PodStatus
from kijabi.api.core.podtemplate import PodTemplateSpec
from kijabi.api.core.service import Service, ServicePort, ServiceSpec
from kijabi.api.meta import LabelSelector, ObjectMeta, OwnerReference, Time

NOW = datetime(2025, 3, 1, 12, 0, 0, tzinfo=UTC)
APP = {"app": "web"}


def ago(seconds: float) -> Time:
    """The moment so many seconds before NOW."""
    return Time.of(NOW - timedelta(seconds=seconds))


def owner(name: str, kind: str = "ReplicaSet", uid: str = "") -> OwnerReference:
    """A controller reference."""
    version = "v1" if kind == "Service" else "apps/v1"
    return OwnerReference(
        apiVersion=version, kind=kind, name=name, uid=uid or f"uid-{name}", controller=True, blockOwnerDeletion=True
    )


def pod(
    name: str,
    *,
    phase: str = "Running",
    ready: float | None = 100.0,
    node: str = "n1",
    age: float = 1000.0,
    restarts: int = 0,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    controller: OwnerReference | None = None,
    deleting: bool = False,
    ip: str = "10.0.0.1",
    spec: dict[str, Any] | None = None,
) -> Pod:
    """A pod; ready: for how many seconds it has been ready, None for not."""
    conditions = () if ready is None else (PodCondition(type="Ready", status="True", lastTransitionTime=ago(ready)),)
    return Pod(
        metadata=ObjectMeta(
            name=name,
            namespace="ns",
            uid=f"uid-{name}",
            labels=APP if labels is None else labels,
            annotations=annotations or {},
            creationTimestamp=ago(age),
            deletionTimestamp=ago(1) if deleting else None,
            ownerReferences=() if controller is None else (controller,),
        ),
        spec=PodSpec(nodeName=node, containers=(Container(name="c", image="i"),), **(spec or {})),
        status=PodStatus(
            phase=phase,
            conditions=conditions,
            podIP=ip,
            podIPs=(PodIP(ip=ip),) if ip else (),
            containerStatuses=(ContainerStatus(name="c", restartCount=restarts),),
        ),
    )


def template(image: str = "web:1", labels: dict[str, str] | None = None) -> PodTemplateSpec:
    """A pod template that differs by image."""
    return PodTemplateSpec(
        metadata=ObjectMeta(labels=APP if labels is None else labels),
        spec=PodSpec(containers=(Container(name="c", image=image),)),
    )


def replica_set(
    name: str,
    replicas: int,
    *,
    available: int | None = None,
    current: int | None = None,
    image: str = "web:1",
    age: float = 1000.0,
    annotations: dict[str, str] | None = None,
    controller: OwnerReference | None = None,
    min_ready: int = 0,
    status: ReplicaSetStatus | None = None,
) -> ReplicaSet:
    """A ReplicaSet; available and current default to its replicas."""
    have = replicas if current is None else current
    good = have if available is None else available
    return ReplicaSet(
        metadata=ObjectMeta(
            name=name,
            namespace="ns",
            uid=f"uid-{name}",
            generation=1,
            labels=APP,
            annotations=annotations or {},
            creationTimestamp=ago(age),
            ownerReferences=() if controller is None else (controller,),
        ),
        spec=ReplicaSetSpec(
            replicas=replicas,
            minReadySeconds=min_ready,
            selector=LabelSelector(matchLabels=APP),
            template=template(image),
        ),
        status=status
        or ReplicaSetStatus(
            replicas=have,
            fullyLabeledReplicas=have,
            readyReplicas=good,
            availableReplicas=good,
            terminatingReplicas=0,
            observedGeneration=1,
        ),
    )


def deployment(
    replicas: int = 10,
    *,
    image: str = "web:1",
    surge: int | str = "25%",
    unavailable: int | str = "25%",
    strategy: str = "RollingUpdate",
    status: DeploymentStatus | None = None,
    annotations: dict[str, str] | None = None,
    **spec: Any,
) -> Deployment:
    """A Deployment named web."""
    rolling = RollingUpdateDeployment(maxSurge=surge, maxUnavailable=unavailable)
    return Deployment(
        metadata=ObjectMeta(
            name="web",
            namespace="ns",
            uid="uid-web",
            generation=1,
            labels=APP,
            annotations=annotations or {},
            creationTimestamp=ago(2000),
        ),
        spec=DeploymentSpec(
            replicas=replicas,
            selector=LabelSelector(matchLabels=APP),
            template=template(image),
            strategy=DeploymentStrategy(type=strategy, rollingUpdate=rolling if strategy == "RollingUpdate" else None),
            **{"progressDeadlineSeconds": 600, "revisionHistoryLimit": 10, **spec},
        ),
        status=status or DeploymentStatus(),
    )


def service(name: str = "web", *, ports: tuple[ServicePort, ...] | None = None, **spec: Any) -> Service:
    """A Service that selects APP, on port 80 to 8080."""
    usual = (ServicePort(name="http", protocol="TCP", port=80, targetPort=8080),)
    fields = {
        "selector": APP,
        "clusterIP": "10.96.0.7",
        "ipFamilies": ("IPv4",),
        "type": "ClusterIP",
        "ports": usual if ports is None else ports,
    }
    return Service(
        metadata=ObjectMeta(
            name=name, namespace="ns", uid=f"uid-{name}", labels={"team": "a"}, creationTimestamp=ago(2000)
        ),
        spec=ServiceSpec(**{**fields, **spec}),
    )


def node(name: str, *, zone: str = "", **spec: Any) -> Node:
    """A node."""
    labels = {"topology.kubernetes.io/zone": zone} if zone else {}
    return Node(
        metadata=ObjectMeta(name=name, uid=f"uid-{name}", labels=labels, creationTimestamp=ago(5000)),
        spec=NodeSpec(**spec),
    )
