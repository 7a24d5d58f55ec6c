"""The expressions of webhooks and policies: what they may read, and how they are compiled.

`matching_rules.py` and `policy_rules.py` compile them to tell a writer what is wrong; the API server's admission
compiles the same way what it evaluates. Source: k8s.io/apiserver `pkg/admission/plugin/cel`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from kijabi.api.cel import types
from kijabi.api.cel.environment import KUBERNETES, MUTATION, Environment, Program
from kijabi.api.cel.errors import CelCompileError
from kijabi.api.cel.functions import NAMED
from kijabi.api.cel.types import BOOL, DYN, INT, NULL, STRING, TIMESTAMP, Declared, Type, declare, list_of, map_of

APPLY_RESULT = types.struct("Object")
PATCH_RESULT = list_of(types.struct("JSONPatch"))
_SCALARS = frozenset(("any", "bool", "bytes", "double", "duration", "int", "null", "string", "timestamp", "uint"))


class ExpressionError(ValueError):
    """An expression that does not compile, in upstream's words."""


class Compiler:
    """Compiles the expressions of one webhook or policy: `object`, `oldObject`, `request`, `namespaceObject` are known.

    params: whether `params` is too. composed: whether `variables` is, to which `declare` adds. seen: variables of known
    types in place of these, for the check of types. programs: what computes the variables, or why nothing can.
    """

    def __init__(self, *, params: bool = False, composed: bool = False, seen: Mapping[str, Type] | None = None) -> None:
        self._params = params
        self._composed = composed
        self._seen = dict(seen or {})
        self._declared: dict[str, Type] = {}
        self._environments: dict[tuple[bool, bool], Environment] = {}
        self.programs: dict[str, Program | ExpressionError] = {}

    def declare(self, name: str, expression: str) -> None:
        """Add a variable, which those after it may read. Raises ExpressionError, and declares it nonetheless."""
        found = DYN
        try:
            program = self.compile(expression, ())
            self.programs[name], found = program, _known(program.result)
        except ExpressionError as problem:
            self.programs[name] = problem
            raise
        finally:
            self._declared[name] = found
            self._environments.clear()

    def compile(
        self, expression: str, returns: tuple[Type, ...], *, authorizer: bool = True, patches: bool = False
    ) -> Program:
        """The program of an expression. returns: what it may give; nothing means anything. Raises ExpressionError.

        authorizer, patches: whether it may ask for permissions, and make patches.
        """
        environment = self._environment(authorizer, patches)
        try:
            program = environment.compile(expression)
        except CelCompileError as problem:
            raise ExpressionError(f"compilation failed: {problem.message}") from None
        if returns and program.result not in returns:
            wanted = str(returns[0]) if len(returns) == 1 else f"one of [{' '.join(map(str, returns))}]"
            raise ExpressionError(f"must evaluate to {wanted} but got {program.result}")
        return program

    def _environment(self, authorizer: bool, patches: bool) -> Environment:
        if not self._composed and not self._seen:
            return _environment(self._params, authorizer, patches)
        found = self._environments.get((authorizer, patches))
        if found is None:
            more: dict[str, Type] = dict(self._seen)
            if self._composed:
                more["variables"] = declare("kubernetes.variables", self._declared)
            found = self._environments[authorizer, patches] = _make(self._params, authorizer, patches, more)
        return found


@cache
def _environment(params: bool, authorizer: bool, patches: bool) -> Environment:
    return _make(params, authorizer, patches, {})


def _make(params: bool, authorizer: bool, patches: bool, more: Mapping[str, Type]) -> Environment:
    variables: dict[str, Type] = {
        "object": DYN, "oldObject": DYN, "namespaceObject": namespace_type(), "request": request_type(),
    }  # fmt: skip
    if params:
        variables["params"] = DYN
    if authorizer:
        variables["authorizer"] = NAMED["Authorizer"]
        variables["authorizer.requestResource"] = NAMED["ResourceCheck"]
    variables.update(more)
    return Environment(variables, libraries=MUTATION if patches else KUBERNETES)


def _known(found: Type) -> Type:
    """The type of a variable as others see it: what is neither a scalar nor a container of them is anything."""
    if found.kind in _SCALARS:
        return found
    if found.kind == "list":
        return list_of(_known(found.parameters[0]))
    if found.kind == "map":
        return map_of(_known(found.parameters[0]), _known(found.parameters[1]))
    return DYN


_TEXTS = list_of(STRING)
_LABELS = map_of(STRING, STRING)


@cache
def request_type() -> Declared:
    """The variable `request`: an AdmissionRequest without its objects, which are variables of their own."""
    version = {"group": STRING, "version": STRING}
    kind = declare("kubernetes.GroupVersionKind", {**version, "kind": STRING})
    resource = declare("kubernetes.GroupVersionResource", {**version, "resource": STRING})
    user = {"username": STRING, "uid": STRING, "groups": _TEXTS, "extra": map_of(STRING, _TEXTS)}
    return declare(
        "kubernetes.AdmissionRequest",
        {
            "kind": kind, "resource": resource, "subResource": STRING, "requestKind": kind, "requestResource": resource,
            "requestSubResource": STRING, "name": STRING, "namespace": STRING, "operation": STRING,
            "userInfo": declare("kubernetes.UserInfo", user), "dryRun": BOOL, "options": DYN,
        },
    )  # fmt: skip


@cache
def namespace_type() -> Declared:
    """The variable `namespaceObject`: a Namespace without what is nobody's business."""
    metadata = {
        "name": STRING, "generateName": STRING, "namespace": STRING, "labels": _LABELS, "annotations": _LABELS,
        "UID": STRING, "creationTimestamp": TIMESTAMP, "deletionGracePeriodSeconds": INT,
        "deletionTimestamp": TIMESTAMP, "generation": INT, "resourceVersion": STRING, "finalizers": _TEXTS,
    }  # fmt: skip
    condition = {
        "status": STRING, "type": STRING, "lastTransitionTime": TIMESTAMP, "message": STRING, "reason": STRING,
    }  # fmt: skip
    status = {"conditions": list_of(declare("kubernetes.NamespaceCondition", condition)), "phase": STRING}
    return declare(
        "kubernetes.Namespace",
        {
            "metadata": declare("kubernetes.NamespaceMetadata", metadata),
            "spec": declare("kubernetes.NamespaceSpec", {"finalizers": _TEXTS}),
            "status": declare("kubernetes.NamespaceStatus", status),
        },
    )


__all__ = ("APPLY_RESULT", "BOOL", "NULL", "PATCH_RESULT", "STRING", "Compiler", "ExpressionError")
