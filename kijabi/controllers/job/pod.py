"""A job's pod: the template with the tracking finalizer and, of an indexed job, its index. Pure.

`controller.py` creates it. Source: batch/v1 Job; KEP-2307 (tracking), KEP-3850 (failures by index).
"""

from __future__ import annotations

from msgspec.structs import replace

from kijabi.api import codec
from kijabi.api.batch.job import Job
from kijabi.api.core.container import Container
from kijabi.api.core.env import EnvVar, EnvVarSource, ObjectFieldSelector
from kijabi.api.core.pod import Pod
from kijabi.api.core.podtemplate import PodTemplateSpec
from kijabi.api.meta import OwnerReference
from kijabi.controllers.job.indexes import INDEX
from kijabi.controllers.job.policy import judge
from kijabi.controllers.replicaset import pod_of

TRACKING = "batch.kubernetes.io/job-tracking"
"""The finalizer that keeps a pod until it has been counted."""
FAILURES = "batch.kubernetes.io/job-index-failure-count"
IGNORED = "batch.kubernetes.io/job-index-ignored-failure-count"
_VARIABLE = "JOB_COMPLETION_INDEX"
_NAME_BASE = 58


def tracked(pod: Pod) -> bool:
    """It has not been counted, or not for certain."""
    return TRACKING in pod.metadata.finalizers


def count_in(pod: Pod, key: str) -> int:
    """A count in a pod's annotations; 0 if there is none."""
    text = pod.metadata.annotations.get(key, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 10 else 0


def failures_of(pod: Pod) -> int:
    """How often the pod's index had failed before it, ignored failures included."""
    return count_in(pod, FAILURES) + count_in(pod, IGNORED)


def base_name(job: Job, index: int | None) -> str:
    """What a pod's name begins with, without the last dash."""
    if index is None:
        return job.metadata.name
    tail = f"-{index}"
    return job.metadata.name[: _NAME_BASE - len(tail) - 1] + tail


def make_pod(job: Job, owner: OwnerReference, name: str, index: int | None, replaced: Pod | None) -> Pod:
    """A pod of the job. replaced: the failed pod of the same index that it comes after, if failures are counted."""
    template: PodTemplateSpec = codec.clone(job.spec.template)
    own = template.metadata
    own = replace(own, finalizers=tuple(dict.fromkeys((*own.finalizers, TRACKING))))
    if index is not None:
        extra = {INDEX: str(index)}
        if job.spec.backoffLimitPerIndex is not None:
            extra |= _failures(job, replaced)
        own = replace(own, annotations={**own.annotations, **extra}, labels={**own.labels, INDEX: str(index)})
        spec = template.spec
        spec.hostname = f"{job.metadata.name}-{index}"
        spec.containers = tuple(map(_with_index, spec.containers))
        spec.initContainers = tuple(map(_with_index, spec.initContainers))
    template.metadata = own
    pod = pod_of(template, owner, job.metadata.namespace, name)
    pod.metadata.generateName = f"{base_name(job, index)}-"
    return pod


def _failures(job: Job, replaced: Pod | None) -> dict[str, str]:
    """The counts of failures of an index, as its next pod carries them."""
    if replaced is None:
        return {FAILURES: "0"}
    counted = judge(job, replaced).counted
    failures, ignored = count_in(replaced, FAILURES) + counted, count_in(replaced, IGNORED) + (not counted)
    return {FAILURES: str(failures), **({IGNORED: str(ignored)} if ignored else {})}


def _with_index(container: Container) -> Container:
    """The container with its index in the environment, unless it has such a variable of its own."""
    if any(one.name == _VARIABLE for one in container.env):
        return container
    path = f"metadata.labels['{INDEX}']"
    variable = EnvVar(name=_VARIABLE, valueFrom=EnvVarSource(fieldRef=ObjectFieldSelector(fieldPath=path)))
    return replace(container, env=(*container.env, variable))
