"""Whether a webhook or policy is about a write, and in which version it wants to see it.

Rules are compared once for each kind of write and remembered (`Candidates`); what depends on the single write, the
selectors of namespaces and objects, is asked every time (`Selectors`). Source: k8s.io/apiserver
`pkg/admission/plugin/webhook/generic` (ShouldCallHook) and `…/policy/matching`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Generic, NamedTuple, TypeVar

from kijabi.api.admissionregistration.policyrules import MatchResources, RuleWithOperations
from kijabi.api.core.namespace import Namespace
from kijabi.api.meta import LabelSelector
from kijabi.api.selector import EVERYTHING, Selector, from_label_selector
from kijabi.api.status import not_found
from kijabi.apiserver.admission.kinds import Kinds, Target
from kijabi.apiserver.admission.rules import matches
from kijabi.apiserver.attributes import Attributes, Reader

H = TypeVar("H")
Key = tuple[str, str, str, str, str]
Rules = Callable[[H], tuple[Sequence[RuleWithOperations], str | None]]


class Lazy(Generic[H]):
    """What is made when it is first asked for: nothing is compiled while the watch cache tells of a configuration."""

    def __init__(self, make: Callable[[], H]) -> None:
        self._make = make

    @cached_property
    def value(self) -> H:
        """The thing."""
        return self._make()


class Selectors(NamedTuple):
    """Which namespaces and objects are meant."""

    namespaces: Selector = EVERYTHING
    objects: Selector = EVERYTHING

    @classmethod
    def of(cls, namespaces: LabelSelector | None, objects: LabelSelector | None) -> Selectors:
        """From what a configuration says; absent, which defaults forbid, means all. Raises BadRequest."""
        return cls(*(EVERYTHING if each is None else from_label_selector(each) for each in (namespaces, objects)))

    def match(self, reader: Reader, attrs: Attributes) -> bool:
        """Whether the write's namespace and object are meant. Raises NotFound for a namespace that is gone."""
        if not self.objects.everything and not any(_labelled(each, self.objects) for each in (attrs.object, attrs.old)):
            return False
        return self.namespaces.everything or _namespace(reader, attrs, self.namespaces)


def _labelled(obj: object, selector: Selector) -> bool:
    """Whether an object's labels match; what has no metadata, such as the options of exec, never does."""
    metadata = getattr(obj, "metadata", None)
    return metadata is not None and selector.matches(metadata.labels)


def _namespace(reader: Reader, attrs: Attributes, selector: Selector) -> bool:
    itself = attrs.resource.plural == "namespaces"
    if itself and not attrs.subresource and attrs.operation in ("CREATE", "UPDATE"):
        return _labelled(attrs.object, selector)  # as it will be, and not as it is
    if not attrs.namespace:
        return not itself  # nothing exempts cluster-scoped objects
    found = reader.get(Namespace, attrs.namespace)
    if found is None:
        raise not_found("namespaces", attrs.namespace)
    return selector.matches(found.metadata.labels)


class Candidates(Generic[H]):
    """The hooks whose rules are about a kind of write, each with the form in which it wants to see it.

    rules: gives a hook's rules and matchPolicy. `replace` the hooks when configuration changes; `clear` when what is
    served changes.
    """

    def __init__(self, kinds: Kinds, rules: Rules[H]) -> None:
        self._kinds = kinds
        self._rules = rules
        self._hooks: tuple[H, ...] = ()
        self._found: dict[Key, tuple[tuple[int, H, Target], ...]] = {}

    def replace(self, hooks: Iterable[H]) -> None:
        """These are the hooks from now on, in the order in which they are asked."""
        self._hooks = tuple(hooks)
        self._found.clear()

    def clear(self) -> None:
        """Compare the rules anew."""
        self._found.clear()

    def of(self, attrs: Attributes) -> tuple[tuple[int, H, Target], ...]:
        """Position, hook and form of those that are about this kind of write."""
        if not self._hooks:
            return ()
        resource = attrs.resource
        key = (resource.group, resource.version, resource.plural, attrs.subresource, attrs.operation)
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = tuple(self._compare(attrs))
        return found

    def _compare(self, attrs: Attributes) -> Iterable[tuple[int, H, Target]]:
        for position, hook in enumerate(self._hooks):
            rules, policy = self._rules(hook)
            target = target_of(self._kinds, rules, policy, attrs)
            if target is not None:
                yield position, hook, target


def target_of(
    kinds: Kinds, rules: Sequence[RuleWithOperations], policy: str | None, attrs: Attributes
) -> Target | None:
    """The form of the write that rules name: as requested, else (Equivalent) the first under another version."""
    sub, operation = attrs.subresource, attrs.operation
    if any(matches(rule, attrs.resource, sub, operation) for rule in rules):
        return kinds.own(attrs)
    if policy != "Equivalent" or not rules:
        return None
    others = kinds.others(attrs)
    return next((other for rule in rules for other in others if matches(rule, other.resource, sub, operation)), None)


def resources_match(kinds: Kinds, wanted: MatchResources, attrs: Attributes) -> Target | None:
    """The form of the write that a policy's or binding's resources name, excluded ones left out; None if none."""
    named = [rule for rule in wanted.excludeResourceRules if not rule.resourceNames or attrs.name in rule.resourceNames]
    if target_of(kinds, named, wanted.matchPolicy, attrs) is not None:
        return None
    if not wanted.resourceRules:
        return kinds.own(attrs)
    named = [rule for rule in wanted.resourceRules if not rule.resourceNames or attrs.name in rule.resourceNames]
    return target_of(kinds, named, wanted.matchPolicy, attrs)
