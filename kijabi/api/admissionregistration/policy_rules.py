"""Validation of ValidatingAdmissionPolicy and MutatingAdmissionPolicy, and of their bindings.

Their modules name these in their RESOURCE. Every expression is compiled as it will be when it runs, variables first.
Texts and paths are those of k8s.io/kubernetes `pkg/apis/admissionregistration/validation`.
"""

from __future__ import annotations

import re

from kijabi.api.admissionregistration.expressions import (
    APPLY_RESULT,
    NULL,
    PATCH_RESULT,
    STRING,
    Compiler,
    ExpressionError,
)
from kijabi.api.admissionregistration.matching_rules import (
    FAILURE_POLICIES,
    REINVOCATION,
    check_expression,
    one_of_optional,
    validate_conditions,
    validate_mutated,
    validate_name,
    validate_param_kind,
    validate_param_ref,
    validate_resources,
)
from kijabi.api.admissionregistration.mutatingadmissionpolicy import MutatingAdmissionPolicy, Mutation
from kijabi.api.admissionregistration.mutatingadmissionpolicybinding import MutatingAdmissionPolicyBinding
from kijabi.api.admissionregistration.policyrules import MatchResources, ParamKind, Variable
from kijabi.api.admissionregistration.validatingadmissionpolicy import (
    AuditAnnotation,
    ValidatingAdmissionPolicy,
    Validation,
)
from kijabi.api.admissionregistration.validatingadmissionpolicybinding import ValidatingAdmissionPolicyBinding
from kijabi.api.conditions import validate_conditions as validate_status_conditions
from kijabi.api.formats import dns_subdomain, qualified_name
from kijabi.api.resource import FieldError
from kijabi.api.validation import duplicate, each, invalid, not_supported, required

MAX_ANNOTATIONS = 20
MAX_ANNOTATION_EXPRESSION = 5 * 1024  # bytes
REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge")
ACTIONS = ("Audit", "Deny", "Warn")
PATCH_TYPES = ("ApplyConfiguration", "JSONPatch")
_IDENTIFIER = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*", re.ASCII)
_RESERVED = frozenset((
    "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import",
    "let", "loop", "package", "namespace", "return", "var", "void", "while",
))  # fmt: skip


def validate_validating(obj: ValidatingAdmissionPolicy) -> list[FieldError]:
    """Errors of a validating policy."""
    spec, path = obj.spec, "spec"
    errors = validate_name(obj.metadata.name)
    errors += _validate_failure(f"{path}.failurePolicy", spec.failurePolicy)
    errors += validate_param_kind(f"{path}.paramKind", spec.paramKind)
    errors += _validate_constraints(f"{path}.matchConstraints", spec.matchConstraints)
    params = spec.paramKind is not None
    errors += validate_conditions(f"{path}.matchConditions", spec.matchConditions, params=params)
    composed = bool(spec.variables)
    compiler, found = _declare(f"{path}.variables", spec.variables, spec.paramKind, composed=composed)
    errors += found
    if not spec.validations and not spec.auditAnnotations:
        text = "validations or auditAnnotations must contain at least one item"
        return [*errors, required(f"{path}.validations", text), required(f"{path}.auditAnnotations", text)]
    for index, validation in enumerate(spec.validations):
        errors += _validate_validation(f"{path}.validations[{index}]", compiler, validation)
    here = f"{path}.auditAnnotations"
    if len(spec.auditAnnotations) > MAX_ANNOTATIONS:
        text = f"must not have more than {MAX_ANNOTATIONS} auditAnnotations"
        return [*errors, invalid(here, spec.auditAnnotations, text)]
    keys: set[str] = set()
    for index, annotation in enumerate(spec.auditAnnotations):
        errors += _validate_annotation(f"{here}[{index}]", compiler, obj.metadata.name, annotation)
        if annotation.key in keys:
            errors.append(duplicate(f"{here}[{index}].key", annotation.key))
        keys.add(annotation.key)
    return errors


def validate_mutating(obj: MutatingAdmissionPolicy) -> list[FieldError]:
    """Errors of a mutating policy."""
    spec, path = obj.spec, "spec"
    errors = validate_name(obj.metadata.name)
    errors += _validate_failure(f"{path}.failurePolicy", spec.failurePolicy)
    errors += validate_param_kind(f"{path}.paramKind", spec.paramKind)
    errors += _validate_constraints(f"{path}.matchConstraints", spec.matchConstraints)
    errors += validate_mutated(f"{path}.matchConstraints", spec.matchConstraints)
    params = spec.paramKind is not None
    errors += validate_conditions(f"{path}.matchConditions", spec.matchConditions, params=params)
    compiler, found = _declare(f"{path}.variables", spec.variables, spec.paramKind)
    errors += found
    if not spec.mutations:
        errors.append(required(f"{path}.mutations", "mutations must contain at least one item"))
    for index, mutation in enumerate(spec.mutations):
        errors += _validate_mutation(f"{path}.mutations[{index}]", compiler, mutation)
    if not spec.reinvocationPolicy:
        errors.append(required(f"{path}.reinvocationPolicy"))
    else:
        errors += one_of_optional(f"{path}.reinvocationPolicy", spec.reinvocationPolicy, REINVOCATION)
    return errors


def _validate_failure(path: str, policy: str | None) -> list[FieldError]:
    return [required(path)] if policy is None else one_of_optional(path, policy, FAILURE_POLICIES)


def _validate_constraints(path: str, wanted: MatchResources | None) -> list[FieldError]:
    if wanted is None:
        return [required(path)]
    errors = validate_resources(path, wanted)
    return errors if wanted.resourceRules else [*errors, required(f"{path}.resourceRules")]


def _declare(
    path: str, variables: tuple[Variable, ...], kind: ParamKind | None, *, composed: bool = True
) -> tuple[Compiler, list[FieldError]]:
    """A compiler that knows the variables, and what is wrong with them."""
    compiler = Compiler(params=kind is not None, composed=composed)
    errors: list[FieldError] = []
    for index, variable in enumerate(variables):
        here = f"{path}[{index}]"
        if not variable.name.strip():
            errors.append(required(f"{here}.name", "name is not specified"))
        elif not _IDENTIFIER.fullmatch(variable.name) or variable.name in _RESERVED:
            errors.append(invalid(f"{here}.name", variable.name, "must be a valid CEL identifier"))
        if not variable.expression.strip():
            errors.append(required(f"{here}.expression", "expression is not specified"))
            continue
        try:
            compiler.declare(variable.name, variable.expression)
        except ExpressionError as problem:
            errors.append(invalid(f"{here}.expression", variable.expression, str(problem)))
    return compiler, errors


def _validate_validation(path: str, compiler: Compiler, validation: Validation) -> list[FieldError]:
    errors: list[FieldError] = []
    expression, message, dynamic = validation.expression, validation.message, validation.messageExpression
    if not expression.strip():
        errors.append(required(f"{path}.expression", "expression is not specified"))
    else:
        errors += check_expression(f"{path}.expression", compiler, expression)
    if dynamic and not dynamic.strip():
        errors.append(invalid(f"{path}.messageExpression", dynamic, "must be non-empty if specified"))
    elif dynamic:
        errors += check_expression(f"{path}.messageExpression", compiler, dynamic, (STRING,), authorizer=False)
    if message and not message.strip():
        errors.append(invalid(f"{path}.message", message, "must be non-empty if specified"))
    elif "\n" in message.strip() or "\r" in message.strip():
        errors.append(invalid(f"{path}.message", message, "must not contain line breaks"))
    return errors + one_of_optional(f"{path}.reason", validation.reason, REASONS)


def _validate_annotation(path: str, compiler: Compiler, name: str, annotation: AuditAnnotation) -> list[FieldError]:
    key = f"{name}/{annotation.key}"
    if name:
        errors = each(f"{path}.key", key, qualified_name(key))
    else:
        errors = [invalid(f"{path}.key", annotation.key, "requires metadata.name be non-empty")]
    here, expression = f"{path}.valueExpression", annotation.valueExpression.strip()
    if not expression:
        return [*errors, required(here, "valueExpression is not specified")]
    if len(expression.encode()) > MAX_ANNOTATION_EXPRESSION:
        return [*errors, required(here, f"must not exceed {MAX_ANNOTATION_EXPRESSION} bytes in length")]
    try:
        compiler.compile(expression, (STRING, NULL))
    except ExpressionError as problem:
        errors.append(invalid(here, annotation.valueExpression, str(problem)))
    return errors


def _validate_mutation(path: str, compiler: Compiler, mutation: Mutation) -> list[FieldError]:
    kind = mutation.patchType
    if not kind:
        return [required(f"{path}.patchType")]
    if kind not in PATCH_TYPES:
        return [not_supported(f"{path}.patchType", kind, PATCH_TYPES)]
    apply = kind == "ApplyConfiguration"
    chosen, other = ("applyConfiguration", "jsonPatch") if apply else ("jsonPatch", "applyConfiguration")
    found = getattr(mutation, chosen)
    if found is None:
        errors = [required(f"{path}.{chosen}", f"must be specified when patchType is {kind}")]
    else:
        here, expression = f"{path}.{chosen}.expression", found.expression.strip()
        result = APPLY_RESULT if apply else PATCH_RESULT
        errors = (
            check_expression(here, compiler, expression, (result,), patches=True) if expression else [required(here)]
        )
    if getattr(mutation, other) is not None:
        text = f"must not be specified when patchType is {kind}"
        errors.append(invalid(f"{path}.{other}", f"{{{other}}}", text))
    return errors


def validate_validating_binding(obj: ValidatingAdmissionPolicyBinding) -> list[FieldError]:
    """Errors of a binding of a validating policy."""
    errors = validate_name(obj.metadata.name) + _validate_binding(obj)
    actions, path = obj.spec.validationActions, "spec.validationActions"
    for index, action in enumerate(actions):
        if action not in ACTIONS:
            errors.append(not_supported(f"{path}[{index}]", action, ACTIONS))
        if action in actions[:index]:
            errors.append(duplicate(f"{path}[{index}]", action))
    if "Deny" in actions and "Warn" in actions:
        text = (
            "must not contain both Deny and Warn (repeating the same validation failure information in the API "
            "response and headers serves no purpose)"
        )
        errors.append(invalid(path, actions, text))
    if not actions:
        errors.append(required(path, "at least one validation action is required"))
    return errors


def validate_mutating_binding(obj: MutatingAdmissionPolicyBinding) -> list[FieldError]:
    """Errors of a binding of a mutating policy."""
    errors = validate_name(obj.metadata.name) + _validate_binding(obj)
    return errors + validate_mutated("spec.matchResources", obj.spec.matchResources)


def _validate_binding(obj: ValidatingAdmissionPolicyBinding | MutatingAdmissionPolicyBinding) -> list[FieldError]:
    spec = obj.spec
    path = "spec.policyName"
    errors = each(path, spec.policyName, dns_subdomain(spec.policyName)) if spec.policyName else [required(path)]
    errors += validate_param_ref("spec.paramRef", spec.paramRef)
    return errors + validate_resources("spec.matchResources", spec.matchResources)


def validate_status(new: ValidatingAdmissionPolicy, old: ValidatingAdmissionPolicy) -> list[FieldError]:
    """Errors of a new status."""
    status, path = new.status, "status.typeChecking.expressionWarnings"
    errors: list[FieldError] = []
    warnings = status.typeChecking.expressionWarnings if status.typeChecking is not None else ()
    for index, warning in enumerate(warnings):
        if not warning.warning:
            errors.append(required(f"{path}[{index}].warning"))
        if not warning.fieldRef.strip():
            errors.append(required(f"{path}[{index}].fieldRef"))
    return errors + validate_status_conditions("status.conditions", status.conditions)
