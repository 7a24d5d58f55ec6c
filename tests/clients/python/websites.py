"""A small operator with kopf: for each Website a Deployment of its own, its state in the status, a farewell at its end.

The same as the one in `go/operator`, and it needs the same rights, and those that kopf itself asks for.
"""

from __future__ import annotations

from typing import Any

import kopf
from kubernetes import client, config

config.load_config()


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    settings.persistence.finalizer = "kijabi.example/farewell"
    settings.posting.enabled = True


def shape(name: str, spec: Any) -> dict[str, Any]:
    """The Deployment that a Website wants."""
    labels = {"website": name}
    container = {
        "name": "site",
        "image": "busybox:1.35",
        "command": ["sh", "-c", 'echo "$TEXT"; sleep infinity'],
        "env": [{"name": "TEXT", "value": spec["text"]}],
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {"replicas": spec["replicas"], "selector": {"matchLabels": labels}, "template": template},
    }


@kopf.on.create("kijabi.example", "v1", "websites")
def make(name: str, namespace: str, spec: Any, body: Any, **_: Any) -> None:
    deployment = shape(name, spec)
    kopf.adopt(deployment)
    client.AppsV1Api().create_namespaced_deployment(namespace, deployment)
    kopf.info(body, reason="Created", message=f"made deployment {name}")


@kopf.on.update("kijabi.example", "v1", "websites", field="spec")
def change(name: str, namespace: str, spec: Any, **_: Any) -> None:
    client.AppsV1Api().patch_namespaced_deployment(name, namespace, {"spec": shape(name, spec)["spec"]})


@kopf.on.event("apps", "v1", "deployments", labels={"website": kopf.PRESENT})
def tell(name: str, namespace: str, status: Any, **_: Any) -> None:
    """The number of ready replicas goes into the Website's status; it may be gone before its Deployment is."""
    websites = client.CustomObjectsApi()
    body = {"status": {"ready": status.get("readyReplicas", 0)}}
    try:
        websites.patch_namespaced_custom_object_status("kijabi.example", "v1", namespace, "websites", name, body)
    except client.ApiException as error:
        if error.status != 404:
            raise


@kopf.on.delete("kijabi.example", "v1", "websites")
def farewell(name: str, namespace: str, spec: Any, **_: Any) -> None:
    note = {"metadata": {"name": f"{name}-farewell"}, "data": {"text": spec["text"]}}
    client.CoreV1Api().create_namespaced_config_map(namespace, note)
