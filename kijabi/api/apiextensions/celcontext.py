"""The CEL rules of a schema while a CustomResourceDefinition is written: they must compile, and cost little at worst.

`schemarules.py` walks down a schema with a `Context` for each node. A rule counts as often as its value can occur: the
product of the limits of the lists and maps around it, or, if one of them has none, as often as the smallest such value
fits into a request. Limits and texts are those of k8s.io/apiextensions-apiserver `pkg/apis/apiextensions/validation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kijabi.api import validation
from kijabi.api.apiextensions import goschema, structural
from kijabi.api.apiextensions.celrules import SELF_TYPE, CompiledRule, Compiler
from kijabi.api.cel import types
from kijabi.api.cel.environment import Program
from kijabi.api.cel.estimates import estimate_cost
from kijabi.api.cel.types import Declared
from kijabi.api.resource import FieldError

Props = Mapping[str, Any]

RULE_LIMIT = 10_000_000  # of the estimated cost of one rule, as often as it may run
SCHEMA_LIMIT = 100_000_000  # of all rules of a schema together
_MOST = 2**64 - 1
_SHOWN = 4  # of the most expensive rules are named, each of at least a hundredth of the limit


class Total:
    """The estimated cost of all rules of one schema."""

    def __init__(self) -> None:
        self.cost = 0
        self._expensive: list[tuple[int, str]] = []

    def add(self, path: str, cost: int) -> None:
        """Count a rule's cost."""
        self.cost = min(self.cost + cost, _MOST)
        if cost >= SCHEMA_LIMIT // 100:
            self._expensive.append((cost, path))
            self._expensive.sort(key=lambda each: -each[0])
            del self._expensive[_SHOWN:]

    def errors(self, path: str) -> list[FieldError]:
        """Errors if all rules together are too expensive."""
        if self.cost <= SCHEMA_LIMIT:
            return []
        detail = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
        what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema"
        return [
            *(validation.forbidden(at, detail) for _, at in self._expensive),
            validation.forbidden(path, _too_expensive(what, self.cost, SCHEMA_LIMIT)),
        ]


class Context:
    """One node of a schema. declared: what expressions see of it, made when first needed. times: how often its value
    can occur at most, None if nothing limits it. total: of the whole schema."""

    def __init__(self, props: Props, parent: Context | None, name: str | None, times: int | None, total: Total) -> None:
        self._props = props
        self._parent = parent
        self._name = name
        self._times = times
        self.total = total
        self._declared: Declared | None = None
        self._known = False
        # Whether this node or one around it has rules.
        self._ruled: bool = bool(props.get("x-kubernetes-validations")) or (parent is not None and parent._ruled)

    def member(self, name: str, props: Props) -> Context:
        """The node of a property."""
        return Context(props, self, name, self._below(), self.total)

    def item(self, props: Props) -> Context:
        """The node of a list's items."""
        return Context(props, self, None, self._below(), self.total)

    def additional(self, props: Props) -> Context:
        """The node of a map's values."""
        return Context(props, self, None, self._below(), self.total)

    def _below(self) -> int | None:
        if self._times is None:
            return None
        limit: int | None = 1
        kind = self._props.get("type")
        if kind == "object" and "additionalProperties" in self._props:
            limit = self._props.get("maxProperties")
        elif kind == "array":
            limit = self._props.get("maxItems")
        return None if limit is None else min(self._times * max(limit, 0), _MOST)

    @property
    def declared(self) -> Declared | None:
        """The type of the node's values; None where expressions cannot see them."""
        if not self._known:
            self._known = True
            self._declared = self._from_parent()
            if self._declared is None:
                root = self._parent is None or bool(self._props.get("x-kubernetes-embedded-resource"))
                self._declared = types.from_schema(self._props, name=SELF_TYPE, root=root)
        return self._declared

    def _from_parent(self) -> Declared | None:
        if self._parent is None or not self._parent._ruled:
            return None  # converting this node alone is less work than all that is around it
        around = self._parent.declared
        if around is None:
            return None
        if self._name is None:
            return around.element
        field = around.fields.get(types.escape(self._name) or "") if around.fields is not None else None
        return None if field is None else field.type

    def check(self, path: str, uncorrelated: str, *, suppress_cost: bool) -> list[FieldError]:
        """Errors of the rules of this node, at path.

        uncorrelated: the path of what keeps old values from being found, if something does. suppress_cost: a single
        rule may cost what it will, because it is stored already.
        """
        at = f"{path}.x-kubernetes-validations"
        declared = self.declared
        if declared is None:
            cause = "failed to construct type information for x-kubernetes-validations rules"
            detail = f"internal error: {cause}: unable to convert structural schema to CEL declarations"
            return [validation.internal(at, detail)]
        schema = structural.compile(self._props)
        compiler = Compiler(schema, declared)
        errors: list[FieldError] = []
        for index, rule in enumerate(schema.rules):
            compiled = compiler.compile(rule)
            errors += self._check(compiled, declared, f"{at}[{index}]", uncorrelated, suppress_cost)
        return errors

    def _check(
        self, compiled: CompiledRule, declared: Declared, path: str, uncorrelated: str, suppress_cost: bool
    ) -> list[FieldError]:
        errors = []
        cost = self._cost(compiled.program, declared)
        if cost > RULE_LIMIT and not suppress_cost:
            detail = _too_expensive("estimated rule cost", cost, RULE_LIMIT)
            errors.append(validation.forbidden(f"{path}.rule", detail))
        self.total.add(f"{path}.rule", cost)
        shown = goschema.rule(structural.rule_props(compiled.rule))
        if compiled.error:
            errors.append(validation.invalid(f"{path}.rule", shown, compiled.error))
        if compiled.message_error:
            errors.append(validation.invalid(f"{path}.messageExpression", shown, compiled.message_error))
        elif compiled.message is not None:
            cost = estimate_cost(compiled.message, declared).max
            if cost > RULE_LIMIT and not suppress_cost:
                detail = _too_expensive("estimated messageExpression cost", cost, RULE_LIMIT)
                errors.append(validation.forbidden(f"{path}.messageExpression", detail))
            self.total.add(f"{path}.messageExpression", cost)
        if compiled.uses_old_self:
            if uncorrelated:
                detail = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {uncorrelated}"
                errors.append(validation.invalid(f"{path}.rule", compiled.rule.rule, detail))
        elif compiled.rule.optionalOldSelf is not None:
            detail = "may not be set if oldSelf is not used in rule"
            errors.append(validation.invalid(f"{path}.optionalOldSelf", compiled.rule.optionalOldSelf, detail))
        return errors

    def _cost(self, program: Program | None, declared: Declared) -> int:
        """What a rule costs at most, as often as it may run."""
        if program is None:
            return 0
        times = types.MAX_REQUEST // (declared.min_size + 1) if self._times is None else self._times
        return min(estimate_cost(program, declared).max * times, _MOST)


def root(props: Props) -> Context:
    """The context of a whole resource's schema."""
    return Context(props, None, None, 1, Total())


def _too_expensive(what: str, cost: int, limit: int) -> str:
    excess = cost / limit
    if excess > 100:
        factor = "more than 100x"
    else:
        factor = f"{excess:f}x" if excess < 1.5 else f"{excess:.1f}x"
    advice = (
        "try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings "
        "are declared"
    )
    return f"{what} exceeds budget by factor of {factor} ({advice})"
