"""Validation of what webhooks and policies share: rules, selected resources, match conditions, parameters.

`webhook_rules.py` and `policy_rules.py` call these for their kinds. Texts and paths are those of k8s.io/kubernetes
`pkg/apis/admissionregistration/validation`.
"""

from __future__ import annotations

from collections.abc import Sequence

from kijabi.api.admissionregistration.expressions import BOOL, Compiler, ExpressionError
from kijabi.api.admissionregistration.policyrules import (
    MatchCondition,
    MatchResources,
    NamedRuleWithOperations,
    ParamKind,
    ParamRef,
    Rule,
    RuleWithOperations,
)
from kijabi.api.cel.types import Type
from kijabi.api.formats import dns1035_label, dns_subdomain, path_segment_name, qualified_name
from kijabi.api.gotext import quote
from kijabi.api.resource import FieldError
from kijabi.api.validation import (
    duplicate,
    each,
    forbidden,
    invalid,
    not_supported,
    required,
    too_many,
    validate_label_selector,
)

MAX_CONDITIONS = 64
FAILURE_POLICIES = ("Fail", "Ignore")
MATCH_POLICIES = ("Equivalent", "Exact")
REINVOCATION = ("IfNeeded", "Never")
OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
MUTATED = ("*", "CONNECT", "CREATE", "UPDATE")  # a deletion has no object to change
_SCOPES = ("*", "Cluster", "Namespaced")
_STATIC = ".static.k8s.io"


def one_of_optional(path: str, value: str | None, supported: Sequence[str]) -> list[FieldError]:
    """An error if a value is there that is none of the enumeration."""
    return [] if value is None or value in supported else [not_supported(path, value, supported)]


def static_text(name: str) -> str:
    """Why a name cannot be taken, an empty text if it can: some are for configuration that lies in files."""
    if not name.endswith(_STATIC):
        return ""
    return (
        f"names ending with {quote(_STATIC)} are reserved for static manifest-based configurations and cannot be "
        "managed via the API"
    )


def validate_name(name: str) -> list[FieldError]:
    """Errors of the name of a new configuration."""
    text = static_text(name)
    return [invalid("metadata.name", name, text)] if text else []


def static_warning(name: str) -> list[str]:
    """What the writer of such a name is told."""
    text = static_text(name)
    return [f"metadata.name: {text}"] if text else []


def validate_rule(path: str, rule: RuleWithOperations) -> list[FieldError]:
    """Errors of a rule and its operations."""
    errors: list[FieldError] = []
    operations = rule.operations
    if not operations:
        errors.append(required(f"{path}.operations"))
    if len(operations) > 1 and "*" in operations:
        text = "if '*' is present, must not specify other operations"
        errors.append(invalid(f"{path}.operations", operations, text))
    for index, operation in enumerate(operations):
        if operation not in OPERATIONS:
            errors.append(not_supported(f"{path}.operations[{index}]", operation, OPERATIONS))
    return errors + _validate_names(path, rule)


def _validate_names(path: str, rule: Rule) -> list[FieldError]:
    errors: list[FieldError] = []
    for name, values, what in (
        ("apiGroups", rule.apiGroups, "API groups"),
        ("apiVersions", rule.apiVersions, "API versions"),
    ):
        here = f"{path}.{name}"
        if not values:
            errors.append(required(here))
        if len(values) > 1 and "*" in values:
            errors.append(invalid(here, values, f"if '*' is present, must not specify other {what}"))
    errors += [required(f"{path}.apiVersions[{i}]") for i, version in enumerate(rule.apiVersions) if not version]
    errors += _validate_resources(f"{path}.resources", rule.resources)
    return errors + one_of_optional(f"{path}.scope", rule.scope, _SCOPES)


def _validate_resources(path: str, resources: Sequence[str]) -> list[FieldError]:
    """Errors of `pods`, `pods/*`, `*/scale` and their like, which must not overlap."""
    errors = [] if resources else [required(path)]
    whole: set[str] = set()  # resources of which all subresources are named
    everywhere: set[str] = set()  # subresources that are named of all resources
    plain = False
    for index, pattern in enumerate(resources):
        here = f"{path}[{index}]"
        name, slash, sub = pattern.partition("/")
        if not pattern:
            errors.append(required(here))
            continue
        if not slash:
            plain = pattern != "*"
            continue
        if name in whole:
            errors.append(invalid(here, pattern, f"if '{name}/*' is present, must not specify {pattern}"))
        if sub in everywhere:
            errors.append(invalid(here, pattern, f"if '*/{sub}' is present, must not specify {pattern}"))
        if sub == "*":
            whole.add(name)
        if name == "*":
            everywhere.add(sub)
    if len(resources) > 1 and "*/*" in resources:
        errors.append(invalid(path, resources, "if '*/*' is present, must not specify other resources"))
    if plain and "*" in resources:
        text = "if '*' is present, must not specify other resources without subresources"
        errors.append(invalid(path, resources, text))
    return errors


def validate_resources(path: str, wanted: MatchResources | None) -> list[FieldError]:
    """Errors of the resources that a policy or binding is about; None is good."""
    if wanted is None:
        return []
    errors: list[FieldError] = []
    if wanted.matchPolicy is None:
        errors.append(required(f"{path}.matchPolicy"))
    errors += one_of_optional(f"{path}.matchPolicy", wanted.matchPolicy, MATCH_POLICIES)
    for name in ("namespaceSelector", "objectSelector"):
        selector = getattr(wanted, name)
        if selector is None:
            errors.append(required(f"{path}.{name}"))
        errors += validate_label_selector(selector, f"{path}.{name}")
    for name in ("resourceRules", "excludeResourceRules"):
        for index, rule in enumerate(getattr(wanted, name)):
            errors += _validate_named(f"{path}.{name}[{index}]", rule)
    return errors


def _validate_named(path: str, rule: NamedRuleWithOperations) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, name in enumerate(rule.resourceNames):
        here = f"{path}.resourceNames[{index}]"
        errors += each(here, name, path_segment_name(name))
        if name in rule.resourceNames[:index]:
            errors.append(duplicate(here, name))
    return errors + validate_rule(path, rule)


def validate_mutated(path: str, wanted: MatchResources | None) -> list[FieldError]:
    """Errors of the operations that a mutating policy is about."""
    rules = wanted.resourceRules if wanted is not None else ()
    return [
        not_supported(f"{path}.resourceRules.operations", operation, MUTATED)
        for rule in rules
        for operation in rule.operations
        if operation not in MUTATED
    ]


def validate_conditions(path: str, conditions: Sequence[MatchCondition], *, params: bool = False) -> list[FieldError]:
    """Errors of match conditions. params: whether their expressions may read parameters."""
    errors = [too_many(path, len(conditions), MAX_CONDITIONS)] if len(conditions) > MAX_CONDITIONS else []
    compiler = Compiler(params=params)
    seen: set[str] = set()
    for index, condition in enumerate(conditions):
        here = f"{path}[{index}]"
        expression = condition.expression.strip()
        if not expression:
            errors.append(required(f"{here}.expression"))
        elif index < MAX_CONDITIONS:
            errors += check_expression(f"{here}.expression", compiler, expression)
        if not condition.name:
            errors.append(required(f"{here}.name"))
            continue
        errors += each(f"{here}.name", condition.name, qualified_name(condition.name))
        if condition.name in seen:
            errors.append(duplicate(f"{here}.name", condition.name))
        seen.add(condition.name)
    return errors


def check_expression(
    path: str,
    compiler: Compiler,
    expression: str,
    returns: tuple[Type, ...] = (BOOL,),
    *,
    authorizer: bool = True,
    patches: bool = False,
) -> list[FieldError]:
    """An error if an expression does not compile, or gives something else than one of `returns`."""
    try:
        compiler.compile(expression, returns, authorizer=authorizer, patches=patches)
    except ExpressionError as problem:
        return [invalid(path, expression, str(problem))]
    return []


def validate_param_kind(path: str, kind: ParamKind | None) -> list[FieldError]:
    """Errors of the kind of parameters; None is good."""
    if kind is None:
        return []
    errors = _validate_version(f"{path}.apiVersion", kind.apiVersion)
    if not kind.kind:
        errors.append(required(f"{path}.kind"))
    else:
        problems = dns1035_label(kind.kind.lower())
        if problems:
            text = f"may have mixed case, but should otherwise match: {','.join(problems)}"
            errors.append(invalid(f"{path}.kind", kind.kind, text))
    return errors


def _validate_version(path: str, api_version: str) -> list[FieldError]:
    if not api_version:
        return [required(path)]
    if api_version.count("/") > 1:
        return [invalid(path, api_version, f"unexpected GroupVersion string: {api_version}")]
    group, _, version = api_version.rpartition("/")
    errors: list[FieldError] = []
    problems = dns_subdomain(group) if group else []
    if problems:
        errors.append(invalid(path, group, ",".join(problems)))
    if not version:
        errors.append(invalid(path, api_version, "version must be specified"))
    else:
        problems = dns1035_label(version)
        if problems:
            errors.append(invalid(path, version, ",".join(problems)))
    return errors


def validate_param_ref(path: str, ref: ParamRef | None) -> list[FieldError]:
    """Errors of how a binding names its parameters; None is good."""
    if ref is None:
        return []
    errors: list[FieldError] = []
    exclusive = "name and selector are mutually exclusive"
    if ref.name:
        errors += each(f"{path}.name", ref.name, path_segment_name(ref.name))
        if ref.selector is not None:
            errors.append(forbidden(f"{path}.name", exclusive))
    if ref.selector is not None:
        errors += validate_label_selector(ref.selector, f"{path}.selector")
        if ref.name:
            errors.append(forbidden(f"{path}.selector", exclusive))
    if not ref.name and ref.selector is None:
        errors.append(required(path, "one of name or selector must be specified"))
    here = f"{path}.parameterNotFoundAction"
    if not ref.parameterNotFoundAction:
        errors.append(required(here))
    elif ref.parameterNotFoundAction not in ("Deny", "Allow"):
        errors.append(not_supported(here, ref.parameterNotFoundAction, ("Deny", "Allow")))
    return errors
