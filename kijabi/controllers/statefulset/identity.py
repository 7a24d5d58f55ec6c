"""Who a StatefulSet's pod is: its name and number, its labels, its claims. Pure.

`plan.py` and `controller.py` ask here. Source: apps/v1 StatefulSet; k8s.io/kubernetes `pkg/controller/statefulset`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from kijabi.api import codec
from kijabi.api.apps.statefulset import StatefulSet
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.api.core.podtemplate import PodTemplateSpec
from kijabi.api.core.volume import PersistentVolumeClaimVolumeSource, Volume
from kijabi.api.meta import ObjectMeta, OwnerReference
from kijabi.controllers.replicaset import pod_of
from kijabi.controllers.revisions import HASH_LABEL

NAME_LABEL = "statefulset.kubernetes.io/pod-name"
INDEX_LABEL = "apps.kubernetes.io/pod-index"
_MAX_ORDINAL = 2**31 - 1


def start_of(ss: StatefulSet) -> int:
    """The first ordinal."""
    return ss.spec.ordinals.start if ss.spec.ordinals is not None else 0


def replicas_of(ss: StatefulSet) -> int:
    """`spec.replicas`, 1 where it is absent."""
    return 1 if ss.spec.replicas is None else ss.spec.replicas


def name_of(ss: StatefulSet, ordinal: int) -> str:
    """`web-0`."""
    return f"{ss.metadata.name}-{ordinal}"


def ordinal_of(pod: Pod) -> int:
    """The number at the end of a pod's name; -1 if there is none."""
    parent, dash, number = pod.metadata.name.rpartition("-")
    if not (parent and dash and number.isascii() and number.isdigit()):
        return -1
    return int(number) if len(number) <= 10 and int(number) <= _MAX_ORDINAL else -1


def is_member(ss: StatefulSet, pod: Pod) -> bool:
    """Whether the pod's name is one that the set might give: its own, a dash, and digits."""
    parent, _, number = pod.metadata.name.rpartition("-")
    return parent == ss.metadata.name and number.isascii() and number.isdigit()


def revision_of(pod: Pod) -> str:
    """The name of the revision that the pod was made from."""
    return pod.metadata.labels.get(HASH_LABEL, "")


def claims_of(ss: StatefulSet, ordinal: int) -> dict[str, PersistentVolumeClaim]:
    """The claims of one pod by the name of their template, as they are to be created."""
    labels = ss.spec.selector.matchLabels if ss.spec.selector is not None else {}
    found: dict[str, PersistentVolumeClaim] = {}
    for template in ss.spec.volumeClaimTemplates:
        own = template.metadata
        found[own.name] = PersistentVolumeClaim(
            metadata=ObjectMeta(
                name=f"{own.name}-{ss.metadata.name}-{ordinal}",
                namespace=ss.metadata.namespace,
                labels={**own.labels, **labels},
                annotations=own.annotations,
                finalizers=own.finalizers,
            ),
            spec=codec.clone(template.spec),
        )
    return found


def may_have(claim: PersistentVolumeClaim) -> Iterator[str]:
    """The names of the sets that a claim may be of, by its own: `data-my-web-0` is of my-web or of web."""
    parts = claim.metadata.name.split("-")
    if parts[-1].isascii() and parts[-1].isdigit():
        for first in range(1, len(parts) - 1):
            yield "-".join(parts[first:-1])


def volumes(ss: StatefulSet, ordinal: int, given: tuple[Volume, ...]) -> tuple[Volume, ...]:
    """A pod's volumes with its claims in place of whatever has their names."""
    own = {name: claim.metadata.name for name, claim in claims_of(ss, ordinal).items()}
    made = [
        Volume(name=name, persistentVolumeClaim=PersistentVolumeClaimVolumeSource(claimName=claim))
        for name, claim in own.items()
    ]
    return (*made, *(one for one in given if one.name not in own))


def labels(ss: StatefulSet, ordinal: int, given: Mapping[str, str]) -> dict[str, str]:
    """A pod's labels with those that name it."""
    return {**given, NAME_LABEL: name_of(ss, ordinal), INDEX_LABEL: str(ordinal)}


def matches(ss: StatefulSet, pod: Pod) -> bool:
    """Whether the pod is labelled with its name and has its claims mounted."""
    return pod.metadata.labels.get(NAME_LABEL) == pod.metadata.name and mounted(ss, pod)


def mounted(ss: StatefulSet, pod: Pod) -> bool:
    """Whether the pod has its claims mounted."""
    found = {
        one.name: one.persistentVolumeClaim.claimName
        for one in pod.spec.volumes
        if one.persistentVolumeClaim is not None
    }
    wanted = {name: claim.metadata.name for name, claim in claims_of(ss, ordinal_of(pod)).items()}
    return wanted.items() <= found.items()


def repaired(ss: StatefulSet, pod: Pod) -> Pod:
    """The pod with its labels and claims put right."""
    ordinal = ordinal_of(pod)
    fixed = codec.clone(pod)
    fixed.metadata.labels = labels(ss, ordinal, fixed.metadata.labels)
    fixed.spec.volumes = volumes(ss, ordinal, fixed.spec.volumes)
    return fixed


def make_pod(ss: StatefulSet, owner: OwnerReference, template: PodTemplateSpec, ordinal: int, revision: str) -> Pod:
    """The pod with this number, from a revision's template."""
    name = name_of(ss, ordinal)
    pod = pod_of(template, owner, ss.metadata.namespace, name)
    pod.metadata = replace(pod.metadata, labels={**labels(ss, ordinal, pod.metadata.labels), HASH_LABEL: revision})
    pod.spec.volumes = volumes(ss, ordinal, pod.spec.volumes)
    pod.spec.hostname, pod.spec.subdomain = name, ss.spec.serviceName
    return pod
