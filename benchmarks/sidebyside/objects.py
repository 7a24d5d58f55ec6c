"""What the side-by-side run creates: pods as a Deployment makes them, and ConfigMaps, each of some 2 KB."""

from __future__ import annotations

from typing import Any

import msgspec

from kijabi.api import codec, protobuf
from kijabi.api.core.pod import Pod

APPS = 100  # different values of the label `app`


def pod(namespace: str, number: int) -> bytes:
    """A web server's pod, as a ReplicaSet would make it."""
    app = f"web-{number % APPS}"
    owner = {
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{app}-5d9c7b8f6d", "controller": True,
        "uid": f"9f1c2d3e-0000-4000-8000-{number % APPS:012}", "blockOwnerDeletion": True,
    }  # fmt: skip
    variables = [{"name": f"SETTING_{index}", "value": f"value-{index}-of-{app}"} for index in range(6)]
    variables.append({"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}})  # type: ignore[dict-item]
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10, "failureThreshold": 3}
    container = {
        "name": "web", "image": f"registry.example.com/team/{app}:v1.4.2", "args": ["--listen=:8080", "--log=json"],
        "ports": [{"name": "http", "containerPort": 8080}], "env": variables,
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "readinessProbe": probe, "livenessProbe": {**probe, "initialDelaySeconds": 15},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/web"}, {"name": "scratch", "mountPath": "/tmp"}],
        "securityContext": {"runAsNonRoot": True, "allowPrivilegeEscalation": False},
    }  # fmt: skip
    spec = {
        "containers": [container], "terminationGracePeriodSeconds": 30, "nodeSelector": {"kubernetes.io/os": "linux"},
        "volumes": [{"name": "config", "configMap": {"name": f"{app}-config"}}, {"name": "scratch", "emptyDir": {}}],
        "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "web", "effect": "NoSchedule"}],
        "affinity": {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "weight": 100,
                        "podAffinityTerm": {
                            "labelSelector": {"matchLabels": {"app": app}}, "topologyKey": "kubernetes.io/hostname",
                        },
                    }
                ]
            }
        },
    }  # fmt: skip
    labels = {"app": app, "pod-template-hash": "5d9c7b8f6d", "tier": "front", "version": "v1.4.2"}
    metadata = {
        "name": pod_name(number), "namespace": namespace, "labels": labels, "ownerReferences": [owner],
        "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"},
    }  # fmt: skip
    return _encode("Pod", metadata=metadata, spec=spec)


def pod_in_protobuf(namespace: str, number: int) -> bytes:
    """The same pod as Go's clients send it."""
    return protobuf.encode_unknown(codec.decode(Pod, pod(namespace, number)))


def pod_name(number: int) -> str:
    return f"web-{number % APPS}-5d9c7b8f6d-{number:06}"


def config_map(namespace: str, name: str) -> bytes:
    """A file of settings."""
    lines = "".join(f"setting.{index} = some value of {name}\n" for index in range(60))
    return _encode("ConfigMap", metadata={"name": name, "namespace": namespace}, data={"settings.ini": lines})


def named(kind: str, name: str) -> bytes:
    """An object of which only the name matters."""
    return _encode(kind, metadata={"name": name})


def _encode(kind: str, **fields: Any) -> bytes:
    return msgspec.json.encode({"apiVersion": "v1", "kind": kind, **fields})
