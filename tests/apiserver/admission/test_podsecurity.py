"""Pod Security: every check against answers of Kubernetes, and what labels of a namespace do to requests."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from kijabi.api import codec
from kijabi.api.core.pod import Pod
from kijabi.apiserver.admission.podsecurity import Policy, Standard, policy_of
from kijabi.apiserver.admission.podsecurity_checks import evaluate
from tests.apiserver.world import World, deployment, pod

GOLDEN = Path(__file__).parents[2] / "golden" / "podsecurity" / "answers.jsonl"


def test_every_check_says_what_kubernetes_says() -> None:
    """The answers were given by k8s.io/pod-security-admission v0.37.0."""
    for line in GOLDEN.read_text().splitlines():
        case = msgspec.json.decode(line)
        subject = codec.from_builtins(Pod, case["pod"])
        found = evaluate(case["level"], case["minor"], subject.metadata.annotations, subject.spec)
        assert ", ".join(map(str, found)) == case["answer"], line


@pytest.mark.parametrize(
    ("labels", "policy", "wrong"),
    [
        ({"a": "b"}, Policy(), 0),
        ({"enforce": "baseline"}, Policy(Standard("baseline"), Standard(), Standard("baseline")), 0),
        (
            {"enforce": "restricted", "enforce-version": "v1.25", "warn": "baseline"},
            Policy(Standard("restricted", 25), Standard(), Standard("baseline")),
            0,
        ),
        (
            {"enforce": "restricted", "warn-version": "v1.3"},
            Policy(Standard("restricted"), Standard(), Standard("restricted", 3)),
            0,
        ),
        ({"enforce": "x", "audit": "y", "warn": "z"}, Policy(Standard("restricted"), Standard(), Standard()), 3),
        ({"audit-version": "v1.01"}, Policy(), 1),
    ],
)
def test_a_namespace_states_its_policy(labels: dict[str, str], policy: Policy, wrong: int) -> None:
    found, errors = policy_of({f"pod-security.kubernetes.io/{key}": value for key, value in labels.items()})
    assert found == policy
    assert len(errors) == wrong


def _labelled(**labels: str) -> dict[str, object]:
    return {f"pod-security.kubernetes.io/{key.replace('_', '-')}": value for key, value in labels.items()}


async def _namespace(world: World, name: str, **labels: str) -> None:
    made = await world.post("/api/v1/namespaces", {"metadata": {"name": name, "labels": _labelled(**labels)}})
    assert made.status == 201, made
    account = {"metadata": {"name": "default"}}
    assert (await world.post(f"/api/v1/namespaces/{name}/serviceaccounts", account)).status == 201


async def test_enforcement_refuses_pods_and_warns_of_workloads(world: World) -> None:
    await _namespace(world, "safe", enforce="restricted", audit="baseline")
    answer = await world.post("/api/v1/namespaces/safe/pods", pod())
    assert answer.status == 403
    assert answer.reason == "Forbidden"
    assert answer.message == (
        'pods "p" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container '
        '"c" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "c" must '
        'set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "c" must set '
        'securityContext.runAsNonRoot=true), seccompProfile (pod or container "c" must set '
        'securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'
    )
    answer = await world.post("/apis/apps/v1/namespaces/safe/deployments", deployment())
    assert answer.status == 201
    warning = answer.headers["Warning"]
    assert 'would violate PodSecurity \\"restricted:latest\\": allowPrivilegeEscalation != false' in warning
    assert len(warning) > 400  # whole, for it is the only one


async def test_labels_that_say_nothing_are_refused_but_may_stay(world: World) -> None:
    bad = {"metadata": {"name": "odd", "labels": _labelled(enforce="strict", warn_version="1.2")}}
    answer = await world.post("/api/v1/namespaces", bad)
    assert answer.status == 422
    causes = {cause["field"]: cause["message"] for cause in answer.body["details"]["causes"]}
    assert causes == {
        "metadata.labels[pod-security.kubernetes.io/enforce]": (
            'Invalid value: "strict": must be one of privileged, baseline, restricted'
        ),
        "metadata.labels[pod-security.kubernetes.io/warn-version]": (
            'Invalid value: "1.2": must be "latest" or "v1.x"'
        ),
    }


async def test_a_stricter_label_warns_of_the_pods_that_are_there(world: World) -> None:
    await _namespace(world, "old")
    for name in ("a", "b", "c"):
        assert (await world.post("/api/v1/namespaces/old/pods", pod(name, hostNetwork=True))).status == 201
    stricter = {"metadata": {"labels": _labelled(enforce="baseline")}}
    answer = await world.patch("/api/v1/namespaces/old", stricter)
    assert answer.status == 200
    assert answer.headers["Warning"] == (
        '299 - "existing pods in namespace \\"old\\" violate the new PodSecurity enforce level \\"baseline:latest\\"", '
        '299 - "a (and 2 other pods): host namespaces"'
    )
    laxer = {"metadata": {"labels": _labelled(enforce="privileged")}}
    assert "Warning" not in (await world.patch("/api/v1/namespaces/old", laxer)).headers


async def test_only_other_images_are_looked_at_again(world: World) -> None:
    await _namespace(world, "late")
    assert (await world.post("/api/v1/namespaces/late/pods", pod(hostNetwork=True))).status == 201
    await world.patch("/api/v1/namespaces/late", {"metadata": {"labels": _labelled(enforce="baseline")}})
    url = "/api/v1/namespaces/late/pods/p"
    assert (await world.patch(url, {"metadata": {"labels": {"x": "y"}}})).status == 200
    image = {"spec": {"containers": [{"name": "c", "image": "other"}]}}
    answer = await world.patch(url, image, {"content-type": "application/strategic-merge-patch+json"})
    assert answer.status == 403
    assert "host namespaces (hostNetwork=true)" in answer.message
