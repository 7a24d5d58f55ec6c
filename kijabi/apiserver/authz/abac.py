"""Attribute-based access control: a file with one policy a line, each of which allows something to somebody.

`modes.py` reads the file when `--authorization-mode` has ABAC. Source: documentation "Using ABAC Authorization",
k8s.io/kubernetes `pkg/auth/authorizer/abac`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from kijabi.api.rbac.role import PolicyRule
from kijabi.apiserver.attributes import Decision, RequestInfo, UserInfo
from kijabi.apiserver.authz.rules import ALL, Resolved
from kijabi.base.errors import ConfigError

VERSION = "abac.authorization.kubernetes.io/v1beta1"
_READS = ("get", "list", "watch")
_ALLOWED, _NO = Decision(True), Decision(False, "No policy matched.")


class PolicySpec(msgspec.Struct, frozen=True):
    """Whom a policy is about (a user, a group or both) and what it allows; `*` is everything."""

    user: str = ""
    group: str = ""
    readonly: bool = False
    apiGroup: str = ""
    resource: str = ""
    namespace: str = ""
    nonResourcePath: str = ""


class Policy(msgspec.Struct, frozen=True):
    """One line."""

    apiVersion: str = ""
    kind: str = ""
    spec: PolicySpec = PolicySpec()


class Policies:
    """All policies of a file; whoever none allows is somebody else's to decide."""

    def __init__(self, policies: tuple[PolicySpec, ...]) -> None:
        self._policies = policies

    @classmethod
    def from_file(cls, path: Path) -> Policies:
        """Comments begin with #. Raises ConfigError that names the line."""
        try:
            lines = path.read_bytes().splitlines()
        except OSError as error:
            raise ConfigError(f"cannot read the authorization policies {path}: {error}") from error
        return cls(tuple(_policies(path, lines)))

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        """See Authorizer."""
        reads = info.verb in _READS
        for policy in self._policies:
            if _about(policy, user) and (reads or not policy.readonly) and _allows(policy, info):
                return _ALLOWED
        return _NO

    def rules_of(self, user: UserInfo, namespace: str) -> Resolved:
        """See Resolver."""
        rules: list[PolicyRule] = []
        for policy in self._policies:
            if not _about(policy, user) or policy.namespace not in (ALL, namespace):
                continue
            verbs = _READS if policy.readonly else (ALL,)
            if policy.resource:
                rules.append(PolicyRule(verbs=verbs, apiGroups=(policy.apiGroup,), resources=(policy.resource,)))
            if policy.nonResourcePath:
                rules.append(PolicyRule(verbs=verbs, nonResourceURLs=(policy.nonResourcePath,)))
        return Resolved(tuple(rules))


def _policies(path: Path, lines: list[bytes]) -> Iterator[PolicySpec]:
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith(b"#"):
            continue
        try:
            policy = msgspec.json.decode(text, type=Policy)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise ConfigError(f"error reading policy file {path}, line {number}: {error}") from error
        if (policy.apiVersion, policy.kind) != (VERSION, "Policy"):
            raise ConfigError(f"error reading policy file {path}, line {number}: no Policy of {VERSION}")
        yield policy.spec


def _about(policy: PolicySpec, user: UserInfo) -> bool:
    if policy.user and policy.user not in (ALL, user.name):
        return False
    if policy.group and policy.group != ALL and policy.group not in user.groups:
        return False
    return bool(policy.user or policy.group)


def _allows(policy: PolicySpec, info: RequestInfo) -> bool:
    if info.is_resource:
        return (
            policy.namespace in (ALL, info.namespace)
            and policy.resource in (ALL, info.resource)
            and policy.apiGroup in (ALL, info.group)
        )
    path = policy.nonResourcePath
    return path in (ALL, info.path) or (path.endswith(ALL) and info.path.startswith(path.rstrip(ALL)))
