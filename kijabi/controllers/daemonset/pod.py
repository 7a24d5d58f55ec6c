"""The pod that a DaemonSet has on one node. Pure; `controller.py` creates it, `plan.py` asks where one belongs.

Source: apps/v1 DaemonSet; k8s.io/kubernetes `pkg/controller/daemon/util`.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from kijabi.api import codec
from kijabi.api.apps.daemonset import TEMPLATE_GENERATION, DaemonSet
from kijabi.api.core.affinity import Affinity, NodeAffinity, Toleration
from kijabi.api.core.nodeselector import NodeSelector, NodeSelectorRequirement, NodeSelectorTerm
from kijabi.api.core.pod import Pod, PodSpec
from kijabi.api.core.podtemplate import PodTemplateSpec
from kijabi.api.gotext import read_int
from kijabi.api.meta import OwnerReference
from kijabi.controllers.replicaset import pod_of
from kijabi.controllers.revisions import HASH_LABEL

GENERATION_LABEL = "pod-template-generation"
_NODE = "node.kubernetes.io/"
# A daemon stays on a node in trouble: that is often what it is for.
_ALWAYS = (
    ("not-ready", "NoExecute"),
    ("unreachable", "NoExecute"),
    ("disk-pressure", "NoSchedule"),
    ("memory-pressure", "NoSchedule"),
    ("pid-pressure", "NoSchedule"),
    ("unschedulable", "NoSchedule"),
)
_HOST_NETWORK = ("network-unavailable", "NoSchedule")


def tolerations(spec: PodSpec) -> tuple[Toleration, ...]:
    """The template's own, and those that every daemon pod has, in place of its own that differ in seconds only."""
    found = list(spec.tolerations)
    for key, effect in (*_ALWAYS, _HOST_NETWORK) if spec.hostNetwork else _ALWAYS:
        wanted = Toleration(key=_NODE + key, operator="Exists", effect=effect)
        same = [place for place, one in enumerate(found) if replace(one, tolerationSeconds=None) == wanted]
        for place in same:
            found[place] = wanted
        if not same:
            found.append(wanted)
    return tuple(found)


def generation_of(ds: DaemonSet) -> str:
    """How often the template changed, as the deprecated annotation says; empty if it says nothing."""
    count = read_int(ds.metadata.annotations.get(TEMPLATE_GENERATION))
    return "" if count is None else str(count)


def is_of(pod: Pod, code: str) -> bool:
    """Whether a pod is labelled as of the revision with this hash."""
    return pod.metadata.labels.get(HASH_LABEL) == code


def is_updated(pod: Pod, code: str, generation: str) -> bool:
    """Whether a pod is of the present template: by its revision's hash or, older still, by the generation."""
    return is_of(pod, code) or bool(generation and pod.metadata.labels.get(GENERATION_LABEL) == generation)


def target(pod: Pod) -> str:
    """The node that a pod is on or meant for; empty if it does not say."""
    if pod.spec.nodeName:
        return pod.spec.nodeName
    for term in _required(pod.spec.affinity):
        for one in term.matchFields:
            if one.key == "metadata.name" and one.operator == "In":
                return one.values[0] if len(one.values) == 1 else ""
    return ""


def _required(affinity: Affinity | None) -> Iterable[NodeSelectorTerm]:
    node = affinity.nodeAffinity if affinity is not None else None
    required = node.requiredDuringSchedulingIgnoredDuringExecution if node is not None else None
    return required.nodeSelectorTerms if required is not None else ()


def for_node(affinity: Affinity | None, node: str) -> Affinity:
    """The affinity with its required terms replaced by one: this node."""
    only = NodeSelectorRequirement(key="metadata.name", operator="In", values=(node,))
    required = NodeSelector(nodeSelectorTerms=(NodeSelectorTerm(matchFields=(only,)),))
    own = affinity or Affinity()
    return replace(
        own,
        nodeAffinity=replace(
            own.nodeAffinity or NodeAffinity(), requiredDuringSchedulingIgnoredDuringExecution=required
        ),
    )


def make_pod(ds: DaemonSet, owner: OwnerReference, node: str, code: str, name: str) -> Pod:
    """A daemon pod for a node: bound there by the scheduler, labelled with its revision."""
    template: PodTemplateSpec = codec.clone(ds.spec.template)
    labels = {**template.metadata.labels, HASH_LABEL: code}
    generation = generation_of(ds)
    if generation:
        labels[GENERATION_LABEL] = generation
    template.metadata = replace(template.metadata, labels=labels)
    template.spec.tolerations = tolerations(template.spec)
    template.spec.affinity = for_node(template.spec.affinity, node)
    return pod_of(template, owner, ds.metadata.namespace, name)
