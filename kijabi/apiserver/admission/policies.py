"""What validating and mutating admission policies share: policies with their bindings, whom they match, parameters.

`validatingpolicy.py` and `mutatingpolicy.py` say how a policy is compiled and what its result does. Policies and
bindings come from the watch caches, and so do parameters, of whatever kind. Source: k8s.io/apiserver
`pkg/admission/plugin/policy/generic`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from kijabi.api import codec
from kijabi.api.admissionregistration.policyrules import MatchResources, ParamKind, ParamRef
from kijabi.api.core.namespace import Namespace
from kijabi.api.meta import ObjectMeta
from kijabi.api.selector import from_label_selector
from kijabi.api.status import not_found
from kijabi.apiserver.admission.kinds import Kinds, Target
from kijabi.apiserver.admission.matching import Candidates, Lazy, Selectors, resources_match
from kijabi.apiserver.attributes import Attributes, Reader
from kijabi.apiserver.routes import Served
from kijabi.base.errors import ApiError

E = TypeVar("E")


class PolicySpec(Protocol):
    """What the specs of both sorts of policies have."""

    paramKind: ParamKind | None
    matchConstraints: MatchResources | None
    failurePolicy: str | None


class Policy(Protocol):
    """A policy of either sort."""

    metadata: ObjectMeta

    @property
    def spec(self) -> PolicySpec: ...


class BindingSpec(Protocol):
    """What the specs of both sorts of bindings have."""

    policyName: str
    paramRef: ParamRef | None
    matchResources: MatchResources | None


class Binding(Protocol):
    """A binding of either sort."""

    metadata: ObjectMeta

    @property
    def spec(self) -> BindingSpec: ...


class Misconfigured(Exception):
    """A policy or binding cannot be put to use: its failurePolicy says what becomes of the write."""


class Bound(msgspec.Struct, frozen=True, eq=False):
    """A binding, with its selectors compiled."""

    object: Any
    selectors: Selectors

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.object.metadata.name)


class Rule(msgspec.Struct, Generic[E], frozen=True, eq=False):
    """A policy that is bound; its bindings by name."""

    object: Any
    constraints: MatchResources
    selectors: Selectors
    lazy: Lazy[E]
    bindings: tuple[Bound, ...]

    @property
    def evaluator(self) -> E:
        """What judges or changes, compiled when the policy is first asked."""
        return self.lazy.value

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.object.metadata.name)

    @property
    def ignores(self) -> bool:
        """Whether what goes wrong with it lets writes pass."""
        return bool(self.object.spec.failurePolicy == "Ignore")


class Policies(Generic[E]):
    """The policies of one sort that are bound, kept level with their objects. compile: makes what evaluates one."""

    def __init__(
        self, policy: type[Any], binding: type[Any], reader: Reader, kinds: Kinds, compile: Callable[[Any], E]
    ) -> None:
        self._reader = reader
        self._kinds = kinds
        self._compile = compile
        self._policies: dict[str, Any] = {}
        self._evaluators: dict[str, Lazy[E]] = {}
        self._bindings: dict[str, dict[str, Bound]] = {}
        self._candidates: Candidates[Rule[E]] = Candidates(
            kinds, lambda rule: (rule.constraints.resourceRules, rule.constraints.matchPolicy)
        )
        kinds.routes.listen(lambda group, version: self._candidates.clear())
        reader.subscribe(policy, self._policy)
        reader.subscribe(binding, self._binding)

    def _policy(self, old: Any, new: Any) -> None:
        name = (new or old).metadata.name
        self._evaluators.pop(name, None)
        if new is not None:
            self._policies[name] = new
        else:
            self._policies.pop(name, None)
        self._arrange()

    def _binding(self, old: Any, new: Any) -> None:
        if old is not None:
            bound = self._bindings.get(old.spec.policyName, {})
            bound.pop(old.metadata.name, None)
            if not bound:
                self._bindings.pop(old.spec.policyName, None)
        if new is not None:
            wanted = new.spec.matchResources
            selectors = Selectors()
            if wanted is not None:
                selectors = Selectors.of(wanted.namespaceSelector, wanted.objectSelector)
            self._bindings.setdefault(new.spec.policyName, {})[new.metadata.name] = Bound(new, selectors)
        self._arrange()

    def _arrange(self) -> None:
        """Policies are asked in the order of their names, and so are the bindings of one."""
        self._candidates.replace(
            self._rule(self._policies[name], self._bindings[name])
            for name in sorted(self._policies.keys() & self._bindings.keys())
        )

    def _rule(self, policy: Any, bindings: dict[str, Bound]) -> Rule[E]:
        name = policy.metadata.name
        evaluator = self._evaluators.get(name)
        if evaluator is None:
            evaluator = self._evaluators[name] = Lazy(lambda: self._compile(policy))
        wanted = policy.spec.matchConstraints or MatchResources()
        selectors = Selectors.of(wanted.namespaceSelector, wanted.objectSelector)
        return Rule(policy, wanted, selectors, evaluator, tuple(bindings[each] for each in sorted(bindings)))

    def any(self, attrs: Attributes) -> bool:
        """Whether a policy is about such writes; nearly always none is."""
        return bool(self._candidates.of(attrs))

    async def matching(
        self, attrs: Attributes, problem: Callable[[Rule[E], Bound | None, str], None]
    ) -> AsyncIterator[tuple[Rule[E], Bound, Target, list[dict[str, Any] | None]]]:
        """Policy, binding, form and parameters (None where there are none) of all that are about this very write.

        problem: told what cannot be put to use.
        """
        for _, rule, _ in self._candidates.of(attrs):
            try:
                target = self._match(rule.constraints, rule.selectors, attrs)
                if target is None:
                    continue
                served = self._served(rule.object.spec.paramKind)
            except (Misconfigured, ApiError) as error:
                problem(rule, None, f"failed to configure policy: {error}")
                continue
            for bound in rule.bindings:
                try:
                    wanted = bound.object.spec.matchResources
                    if wanted is not None and self._match(wanted, bound.selectors, attrs) is None:
                        continue
                    params = await self._params(served, bound.object.spec.paramRef, attrs.namespace)
                except (Misconfigured, ApiError) as error:
                    problem(rule, bound, f"failed to configure binding: {error}")
                    continue
                yield rule, bound, target, params

    def _match(self, wanted: MatchResources, selectors: Selectors, attrs: Attributes) -> Target | None:
        target = resources_match(self._kinds, wanted, attrs)
        return target if target is not None and selectors.match(self._reader, attrs) else None

    def _served(self, kind: ParamKind | None) -> Served | None:
        if kind is None:
            return None
        served = self._kinds.by_kind(kind.apiVersion, kind.kind)
        if served is None:
            version = kind.apiVersion if "/" in kind.apiVersion else f"/{kind.apiVersion}"
            named = f"{version}, Kind={kind.kind}"
            raise Misconfigured(f"failed to find resource referenced by paramKind: '{named}'")
        return served

    async def _params(self, served: Served | None, ref: ParamRef | None, namespace: str) -> list[dict[str, Any] | None]:
        """The parameter objects of a binding as JSON values. Raises Misconfigured."""
        if served is None or ref is None:
            return [None]
        if not served.resource.namespaced:
            if ref.namespace:
                raise Misconfigured("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
            space = ""
        else:
            space = ref.namespace or namespace
            if not space:
                text = "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
                raise Misconfigured(text)
        found = [_document(served, obj) for obj in await self._find(served, ref, space)]
        if not found and ref.parameterNotFoundAction == "Deny":
            raise Misconfigured("no params found for policy binding with `Deny` parameterNotFoundAction")
        return [*found]

    async def _find(self, served: Served, ref: ParamRef, space: str) -> Iterable[Any]:
        cache = served.cache
        assert cache is not None
        if ref.name:
            item = cache.get(f"{space}/{ref.name}" if space else ref.name)
            return await self._kinds.read(served, [item] if item is not None else [])
        if ref.selector is None:
            raise Misconfigured("one of name or selector must be provided")
        chosen = from_label_selector(ref.selector)
        items = [item for item in cache.range(space) if chosen.matches(item.obj.metadata.labels)]
        return await self._kinds.read(served, items)

    def namespace(self, attrs: Attributes) -> Namespace | None:
        """The namespace of a write as expressions see it. Raises NotFound."""
        if not attrs.namespace or attrs.resource.qualified == "namespaces":
            return None
        found = self._reader.get(Namespace, attrs.namespace)
        if found is None:
            raise not_found("namespaces", attrs.namespace)
        return found


def _document(served: Served, obj: Any) -> dict[str, Any]:
    resource = served.resource
    return {**codec.to_builtins(obj), "apiVersion": resource.api_version, "kind": resource.kind}
