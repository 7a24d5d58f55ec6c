"""Whether the expressions of a ValidatingAdmissionPolicy fit the types of what it is about: doubts, never errors.

The controller of policies' status finds the types and writes what this says; admission does not care. Pure. Source:
k8s.io/apiserver `pkg/admission/plugin/policy/validating/typechecking.go`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from kijabi.api.admissionregistration.expressions import Compiler, ExpressionError
from kijabi.api.admissionregistration.validatingadmissionpolicy import ExpressionWarning, ValidatingAdmissionPolicy
from kijabi.api.cel.types import DYN, Type

MAX_TYPES = 10  # of one policy that are checked
_LEAD = "compilation failed: "


def resources_of(policy: ValidatingAdmissionPolicy) -> list[tuple[str, str, str]]:
    """Group, version and resource of all that the policy's rules name without wildcards, subresources aside."""
    constraints = policy.spec.matchConstraints
    found: dict[tuple[str, str, str], None] = {}
    for rule in constraints.resourceRules if constraints is not None else ():
        if any("*" in name for name in (*rule.apiGroups, *rule.apiVersions)):
            continue
        for group in sorted(rule.apiGroups):
            for version in sorted(rule.apiVersions):
                for resource in sorted(rule.resources):
                    if not {"*", "/"} & set(resource):
                        found[group, version, resource] = None
    return list(found)


def check(
    policy: ValidatingAdmissionPolicy, types: Mapping[tuple[str, str, str], Type], params: Type | None
) -> tuple[ExpressionWarning, ...]:
    """The doubts about a policy's validations and their messages.

    types: of the objects that it is about, by group, version and kind. params: of its parameters, None if nobody knows.
    """
    compilers = [(kind, _compiler(policy, types[kind], params)) for kind in sorted(types)[:MAX_TYPES]]
    warnings = []
    for index, validation in enumerate(policy.spec.validations):
        for name in ("expression", "messageExpression"):
            text = _doubts(compilers, getattr(validation, name))
            if text:
                warnings.append(ExpressionWarning(fieldRef=f"spec.validations[{index}].{name}", warning=text))
    return tuple(warnings)


def _compiler(policy: ValidatingAdmissionPolicy, seen: Type, params: Type | None) -> Compiler:
    spec = policy.spec
    known = {"object": seen, "oldObject": seen}
    if spec.paramKind is not None:
        known["params"] = params or DYN
    compiler = Compiler(params=spec.paramKind is not None, composed=True, seen=known)
    for variable in spec.variables:
        with suppress(ExpressionError):  # a doubt about who reads it
            compiler.declare(variable.name, variable.expression)
    return compiler


def _doubts(compilers: Sequence[tuple[tuple[str, str, str], Compiler]], expression: str) -> str:
    """What is wrong with an expression, for each kind of object."""
    found = []
    for (group, version, kind), compiler in compilers if expression else ():
        try:
            compiler.compile(expression, ())
        except ExpressionError as problem:
            api_version = f"{group}/{version}" if group else f"/{version}"
            found.append(f"{api_version}, Kind={kind}: {str(problem).removeprefix(_LEAD)}\n")
    return "\n".join(found)
