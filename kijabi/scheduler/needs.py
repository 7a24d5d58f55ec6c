"""What a pod's spec says about other pods: affinity terms and spread constraints, read once and made comparable.

`podinfo` reads a pod with `of`; the plugins `interpodaffinity` and `podtopologyspread` ask `matchers` how many pods are
meant where. Rules: core/v1 PodAffinityTerm and TopologySpreadConstraint, KEP-895, KEP-2249, KEP-3243, KEP-3633.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from kijabi.api.core.affinity import PodAffinityTerm, TopologySpreadConstraint
from kijabi.api.core.pod import Pod
from kijabi.api.selector import NOTHING, Requirement, Selector, from_label_selector

# Labels of a namespace by its name.
Namespaces = Mapping[str, Mapping[str, str]]


class Meant(msgspec.Struct, frozen=True):
    """Pods by their labels, in the namespaces named and in those whose labels match `within`."""

    names: frozenset[str]
    within: Selector
    selector: Selector

    def has(self, namespace: str, labels: Mapping[str, str], namespaces: Namespaces) -> bool:
        """Whether a pod with these labels in this namespace is meant."""
        if namespace not in self.names and not self.within.matches(namespaces.get(namespace, {})):
            return False
        return self.selector.matches(labels)


class Term(msgspec.Struct, frozen=True):
    """Pods, and the label of nodes that says what is near to them."""

    meant: Meant
    key: str


class Spread(msgspec.Struct, frozen=True):
    """One topology spread constraint."""

    key: str
    skew: int
    meant: Meant
    least: int = 1
    affinity: bool = True  # nodes that the pod's node affinity excludes do not count
    taints: bool = False  # nor do nodes with taints that it does not tolerate


class Needs(msgspec.Struct, frozen=True):
    """Required and preferred terms (weights of anti-affinity are negative), and constraints hard and soft."""

    near: tuple[Term, ...] = ()
    away: tuple[Term, ...] = ()
    wishes: tuple[tuple[int, Term], ...] = ()
    hard: tuple[Spread, ...] = ()
    soft: tuple[Spread, ...] = ()
    spreads: bool = False  # the pod has constraints of its own, so the defaults do not apply


NO_NEEDS = Needs()


def of(pod: Pod) -> Needs:
    """What a pod's spec says about others."""
    affinity, constraints = pod.spec.affinity, pod.spec.topologySpreadConstraints
    together = affinity.podAffinity if affinity is not None else None
    apart = affinity.podAntiAffinity if affinity is not None else None
    if together is None and apart is None and not constraints:
        return NO_NEEDS
    near = together.requiredDuringSchedulingIgnoredDuringExecution if together is not None else ()
    away = apart.requiredDuringSchedulingIgnoredDuringExecution if apart is not None else ()
    liked = together.preferredDuringSchedulingIgnoredDuringExecution if together is not None else ()
    disliked = apart.preferredDuringSchedulingIgnoredDuringExecution if apart is not None else ()
    return Needs(
        near=tuple(_term(term, pod) for term in near),
        away=tuple(_term(term, pod) for term in away),
        wishes=(
            *((wish.weight, _term(wish.podAffinityTerm, pod)) for wish in liked),
            *((-wish.weight, _term(wish.podAffinityTerm, pod)) for wish in disliked),
        ),
        hard=tuple(spreads(constraints, pod, "DoNotSchedule")),
        soft=tuple(spreads(constraints, pod, "ScheduleAnyway")),
        spreads=bool(constraints),
    )


def _term(term: PodAffinityTerm, pod: Pod) -> Term:
    here = not term.namespaces and term.namespaceSelector is None
    names = frozenset((pod.metadata.namespace,) if here else term.namespaces)
    within = from_label_selector(term.namespaceSelector)
    return Term(Meant(names, within, from_label_selector(term.labelSelector)), term.topologyKey)


def spreads(constraints: Iterable[TopologySpreadConstraint], pod: Pod, action: str) -> Iterable[Spread]:
    """Those constraints that ask for this action. The pod's own values of `matchLabelKeys` join the selector."""
    labels = pod.metadata.labels
    for one in constraints:
        if one.whenUnsatisfiable != action:
            continue
        selector = from_label_selector(one.labelSelector)
        same = tuple(Requirement(key, "in", frozenset((labels[key],))) for key in one.matchLabelKeys if key in labels)
        if same and not selector.nothing:
            selector = Selector((*same, *selector.requirements))
        yield Spread(
            key=one.topologyKey,
            skew=one.maxSkew,
            meant=Meant(frozenset((pod.metadata.namespace,)), NOTHING, selector),
            least=1 if one.minDomains is None else one.minDomains,
            affinity=one.nodeAffinityPolicy != "Ignore",
            taints=one.nodeTaintsPolicy == "Honor",
        )
