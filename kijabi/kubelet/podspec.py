"""Questions about a pod's spec that several parts ask: which containers, which restart rule, which QoS class.

Pure functions on API objects, used by `plan.py`, `status.py` and the makers of runtime configs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from kijabi.api.core.container import Container
from kijabi.api.core.pod import Pod, PodSpec
from kijabi.api.core.resources import ResourceRequirements
from kijabi.api.quantity import Quantity

Kind = Literal["init", "container", "ephemeral"]
RESTART_ALL = "RestartAllContainers"


def full_name(pod: Pod) -> str:
    """`name_namespace(uid)`, as messages name a pod."""
    return f"{pod.metadata.name}_{pod.metadata.namespace}({pod.metadata.uid})"


def is_sidecar(container: Container) -> bool:
    """Whether an init container keeps running beside the pod (KEP-753)."""
    return container.restartPolicy == "Always"


def containers(spec: PodSpec) -> Iterator[tuple[Kind, Container]]:
    """Every container of the pod with what it is, in start order."""
    for each in spec.initContainers:
        yield "init", each
    for each in spec.containers:
        yield "container", each
    for extra in spec.ephemeralContainers:
        yield "ephemeral", extra  # type: ignore[misc]


def find(spec: PodSpec, name: str) -> tuple[Kind, Container] | None:
    """The container of that name and its kind."""
    return next(((kind, each) for kind, each in containers(spec) if each.name == name), None)


def field_path(spec: PodSpec, name: str) -> str:
    """The path of a container as events carry it: `spec.containers{web}`."""
    found = find(spec, name)
    if found is None:
        return ""
    plural = {"init": "initContainers", "container": "containers", "ephemeral": "ephemeralContainers"}
    return f"spec.{plural[found[0]]}{{{name}}}"


def rule_for(container: Container, exit_code: int) -> str:
    """The action of the first restart rule that matches an exit code (KEP-5307), or ""."""
    for rule in container.restartPolicyRules:
        if rule.exitCodes is None:
            continue
        inside = exit_code in rule.exitCodes.values
        if inside if rule.exitCodes.operator == "In" else not inside:
            return rule.action
    return ""


def restarts(container: Container, spec: PodSpec, exit_code: int) -> bool:
    """Whether a container that ended with this code is started again, by its own policy or the pod's."""
    policy = spec.restartPolicy
    if container.restartPolicy is not None:
        if rule_for(container, exit_code) in ("Restart", RESTART_ALL):
            return True
        policy = container.restartPolicy
    if policy == "Never":
        return False
    return exit_code != 0 if policy == "OnFailure" else True


def restarts_on_probe(container: Container, spec: PodSpec) -> bool:
    """Whether a container killed for a failed probe is started again; exit-code rules do not count."""
    return (container.restartPolicy or spec.restartPolicy) != "Never"


def is_terminal(pod: Pod) -> bool:
    """Whether the API already shows a phase that nothing follows."""
    return pod.status.phase in ("Succeeded", "Failed")


def grace_period(pod: Pod) -> int:
    """Seconds that containers get to end: what the deletion says, else the spec, else 30."""
    if pod.metadata.deletionGracePeriodSeconds is not None:
        return pod.metadata.deletionGracePeriodSeconds
    given = pod.spec.terminationGracePeriodSeconds
    return 30 if given is None else given


def qos_class(pod: Pod) -> str:
    """Guaranteed, Burstable or BestEffort, by cpu and memory of all but ephemeral containers.

    Pod-level resources decide alone where they are set (KEP-2837).
    """
    whole = pod.spec.resources
    if whole is not None and {"cpu", "memory"} & {*(whole.requests or {}), *(whole.limits or {})}:
        return _shape(whole)
    shapes = {_shape(c.resources) for kind, c in containers(pod.spec) if kind != "ephemeral"}
    if not shapes:
        return "BestEffort"
    return shapes.pop() if len(shapes) == 1 else "Burstable"


def _shape(part: ResourceRequirements) -> str:
    """The class of one set of requests and limits: equal and set, both absent, or anything else."""
    shapes = set()
    for name in ("cpu", "memory"):
        request = _milli((part.requests or {}).get(name))
        limit = _milli((part.limits or {}).get(name))
        shapes.add("Burstable" if request != limit else "Guaranteed" if limit else "BestEffort")
    return shapes.pop() if len(shapes) == 1 else "Burstable"


def _milli(amount: Quantity | None) -> int:
    return 0 if amount is None else amount.milli()
