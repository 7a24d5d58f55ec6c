"""What a failed pod means (podFailurePolicy, KEP-3329) and when enough has succeeded (successPolicy, KEP-3998). Pure.

`plan.py` asks. Source: batch/v1 Job.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from kijabi.api.batch.job import Job, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule
from kijabi.api.core.pod import Pod
from kijabi.api.core.podstatus import ContainerStatus
from kijabi.controllers.job.indexes import Indexes


class Failure(NamedTuple):
    """What a failed pod means. counted: it counts against the limits. message: why the whole job fails of it.

    fails_index: its index fails of it.
    """

    counted: bool = True
    message: str = ""
    fails_index: bool = False


def judge(job: Job, pod: Pod) -> Failure:
    """What the first rule that matches a failed pod makes of it."""
    policy = job.spec.podFailurePolicy
    for number, rule in enumerate(policy.rules if policy is not None else ()):
        why = _matches(rule, pod)
        if not why:
            continue
        match rule.action:
            case "Ignore":
                return Failure(counted=False)
            case "FailIndex":
                return Failure(fails_index=True)
            case "FailJob":
                return Failure(message=f"{why} matching {rule.action} rule at index {number}")
            case "Count":
                return Failure()
    return Failure()


def _matches(rule: PodFailurePolicyRule, pod: Pod) -> str:
    """What of the pod the rule matches, in words; empty if nothing."""
    where = f"{pod.metadata.namespace}/{pod.metadata.name}"
    if rule.onExitCodes is not None:
        status = _exit(pod.status.containerStatuses, rule.onExitCodes) or _exit(
            pod.status.initContainerStatuses, rule.onExitCodes
        )
        if status is None or status.state.terminated is None:
            return ""
        return f"Container {status.name} for pod {where} failed with exit code {status.state.terminated.exitCode}"
    for condition in pod.status.conditions:
        if any((one.type, one.status or "True") == (condition.type, condition.status) for one in rule.onPodConditions):
            return f"Pod {where} has condition {condition.type}"
    return ""


def _exit(
    statuses: Iterable[ContainerStatus], wanted: PodFailurePolicyOnExitCodesRequirement
) -> ContainerStatus | None:
    """The first container that ended with a failure that the requirement names."""
    for status in statuses:
        ended = status.state.terminated if status.state is not None else None
        if ended is None or ended.exitCode == 0 or wanted.containerName not in (None, status.name):
            continue
        if (ended.exitCode in wanted.values) == (wanted.operator == "In"):
            return status
    return None


def enough(job: Job, succeeded: Indexes) -> str:
    """Which rule of the success policy holds, in words; empty if none does."""
    policy = job.spec.successPolicy
    if policy is None or not succeeded.ranges:
        return ""
    for number, rule in enumerate(policy.rules):
        if rule.succeededIndexes is not None:
            wanted = Indexes.parse(rule.succeededIndexes, job.spec.completions or 0)
            done = wanted.common(succeeded)
            met = bool(wanted.ranges) and (
                done == wanted.total or (rule.succeededCount is not None and done >= rule.succeededCount)
            )
        else:
            met = rule.succeededCount is not None and succeeded.total >= rule.succeededCount
        if met:
            return f"Matched rules at index {number}"
    return ""
