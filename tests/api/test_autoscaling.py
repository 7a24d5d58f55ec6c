"""Autoscalers: the two versions of one stored object, and what is refused."""

import json

import pytest

from kijabi.api import codec
from kijabi.api.autoscaling import horizontalpodautoscaler as v2
from kijabi.api.autoscaling import horizontalpodautoscaler_v1 as v1
from kijabi.api.validation import aggregate

PREFIX = "autoscaling.alpha.kubernetes.io/"
TARGET = {"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"}
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
MEMORY = {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}}


def scaler(**spec: object) -> v2.HorizontalPodAutoscaler:
    """Valid but for what is given."""
    whole = {"scaleTargetRef": TARGET, "minReplicas": 1, "maxReplicas": 3, "metrics": [CPU]} | spec
    return codec.from_builtins(v2.HorizontalPodAutoscaler, {"metadata": {"name": "web"}, "spec": whole})


def test_the_share_of_cpu_is_a_field_in_v1() -> None:
    shown = codec.to_builtins(v1.down(scaler()))
    assert shown["spec"] == {
        "scaleTargetRef": TARGET,
        "minReplicas": 1,
        "maxReplicas": 3,
        "targetCPUUtilizationPercentage": 50,
    }
    assert "annotations" not in shown["metadata"]


METRICS = [
    (
        MEMORY,
        {"type": "Resource", "resource": {"name": "memory", "targetAverageValue": "1Gi"}},
    ),
    (
        {
            "type": "ContainerResource",
            "containerResource": {
                "name": "cpu",
                "container": "app",
                "target": {"type": "Utilization", "averageUtilization": 7},
            },
        },
        {
            "type": "ContainerResource",
            "containerResource": {"name": "cpu", "container": "app", "targetAverageUtilization": 7},
        },
    ),
    (
        {
            "type": "Pods",
            "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "100"}},
        },
        {"type": "Pods", "pods": {"metricName": "rps", "targetAverageValue": "100"}},
    ),
    (
        {
            "type": "Object",
            "object": {
                "describedObject": TARGET,
                "metric": {"name": "rps", "selector": {"matchLabels": {"a": "b"}}},
                "target": {"type": "Value", "value": "2k"},
            },
        },
        {
            "type": "Object",
            "object": {
                "target": TARGET,
                "metricName": "rps",
                "selector": {"matchLabels": {"a": "b"}},
                "targetValue": "2k",
            },
        },
    ),
    (
        {
            "type": "Object",
            "object": {
                "describedObject": TARGET,
                "metric": {"name": "rps"},
                "target": {"type": "AverageValue", "averageValue": "2"},
            },
        },
        {
            "type": "Object",
            "object": {"target": TARGET, "metricName": "rps", "targetValue": "0", "averageValue": "2"},
        },
    ),
    (
        {
            "type": "External",
            "external": {"metric": {"name": "queue"}, "target": {"type": "Value", "value": "30"}},
        },
        {"type": "External", "external": {"metricName": "queue", "targetValue": "30"}},
    ),
]


@pytest.mark.parametrize(("metric", "annotation"), METRICS)
def test_other_metrics_are_an_annotation_in_v1(metric: dict[str, object], annotation: dict[str, object]) -> None:
    stored = scaler(metrics=[metric, CPU])
    shown = v1.down(stored)
    assert json.loads(shown.metadata.annotations[f"{PREFIX}metrics"]) == [annotation]
    assert shown.spec.targetCPUUtilizationPercentage == 50
    assert v1.up(shown) == stored


def test_status_and_behavior_go_through_v1() -> None:
    stored = scaler(behavior={"scaleDown": {"policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}]}})
    found = {
        "currentReplicas": 2,
        "desiredReplicas": 3,
        "conditions": [{"type": "AbleToScale", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        "currentMetrics": [
            {"type": "Resource", "resource": {"name": "cpu", "current": {"averageValue": "2", "averageUtilization": 9}}}
        ],
    }
    stored.status = codec.from_builtins(v2.HorizontalPodAutoscalerStatus, found)
    shown = v1.down(stored)
    assert shown.status.currentCPUUtilizationPercentage == 9
    behavior = json.loads(shown.metadata.annotations[f"{PREFIX}behavior"])
    assert behavior == {
        "ScaleUp": None,
        "ScaleDown": {
            "StabilizationWindowSeconds": None,
            "SelectPolicy": None,
            "Policies": [{"Type": "Pods", "Value": 4, "PeriodSeconds": 15}],
            "Tolerance": None,
        },
    }
    assert v1.up(shown) == stored


def test_v1_without_a_share_means_eighty() -> None:
    spec = {"scaleTargetRef": TARGET, "maxReplicas": 3}
    stored = v1.up(codec.from_builtins(v1.HorizontalPodAutoscaler, {"spec": spec}))
    assert stored.spec.metrics[0].resource is not None
    assert stored.spec.metrics[0].resource.target.averageUtilization == 80


def test_nonsense_in_annotations_is_ignored() -> None:
    for text in ("", "{", "7", "[1]", '[{"type": 5}]'):
        shown = v1.down(scaler())
        shown.metadata.annotations[f"{PREFIX}metrics"] = text
        shown.metadata.annotations["own"] = "x"
        stored = v1.up(shown)
        assert stored.metadata.annotations == {"own": "x"}
        assert len(stored.spec.metrics) == 1


WRONG = [
    ({"maxReplicas": 0, "minReplicas": None}, "spec.maxReplicas: Required value"),
    (
        {"minReplicas": 5},
        "spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`",
    ),
    (
        {"minReplicas": 0},
        "spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero "
        "replicas",
    ),
    (
        {"scaleTargetRef": {"kind": "Deployment", "name": "web"}},
        'spec.scaleTargetRef.apiVersion: Invalid value: "": apiVersion must specify API group',
    ),
    ({"scaleTargetRef": TARGET | {"name": ""}}, "spec.scaleTargetRef.name: Required value"),
    (
        {"metrics": [CPU | {"pods": METRICS[2][0]["pods"]}]},
        "spec.metrics[0].pods: Forbidden: must populate the given metric source only",
    ),
    (
        {"metrics": [{"type": "Pods"}]},
        "spec.metrics[0].pods: Required value: must populate information for the given metric source",
    ),
    (
        {"metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}}]},
        "spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or a "
        "target utilization",
    ),
    (
        {"behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 0, "periodSeconds": 1801}]}}},
        "[spec.behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero, "
        "spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800]",
    ),
]


@pytest.mark.parametrize(("spec", "text"), WRONG)
def test_what_is_refused(spec: dict[str, object], text: str) -> None:
    assert aggregate(v2.RESOURCE.validate(scaler(**spec))) == text


def test_a_good_one_is_good() -> None:
    assert not v2.RESOURCE.validate(scaler(metrics=[CPU, MEMORY]))
    assert not v1.RESOURCE.validate(v1.down(scaler()))


def test_the_version_of_an_object_with_a_metric() -> None:
    def measured(version: str) -> v2.HorizontalPodAutoscaler:
        about = {"kind": "Ingress", "name": "front", "apiVersion": version}
        target = {"type": "Value", "value": "1"}
        return scaler(metrics=[{"type": "Object", "object": {"metric": {"name": "m"}, "describedObject": about,
                                                             "target": target}}])  # fmt: skip

    good, bad = measured("v1"), measured("a/b/c")
    path = "spec.metrics[0].object.describedObject.apiVersion"
    text = f'{path}: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c'
    assert not v2.RESOURCE.validate(good)
    assert aggregate(v2.RESOURCE.validate(bad)) == text
    assert aggregate(v2.RESOURCE.validate_update(bad, good)) == text
    assert not v2.RESOURCE.validate_update(bad, bad)
