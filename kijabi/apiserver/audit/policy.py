"""How fully a request is recorded: the first rule of the policy that matches it decides.

`setup.py` loads the file, `record.py` asks `Policies.decide` once for each request. Pure but for reading the file.
Rules: k8s.io/apiserver `pkg/audit/policy`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from kijabi.api import codec, yamltext
from kijabi.api.audit.event import API_VERSION
from kijabi.api.audit.policy import GroupResources, Policy, PolicyRule, validate
from kijabi.api.gotext import quote
from kijabi.api.validation import aggregate
from kijabi.apiserver.attributes import RequestInfo, UserInfo
from kijabi.base.errors import BadRequest, ConfigError

log = logging.getLogger(__name__)

MAX_FILE = 3 * 1024 * 1024  # bytes of a policy
_OTHERS = ("PolicyList", "Event", "EventList")  # kinds of the group that are no policies
_SCHEME = 'in scheme "pkg/runtime/scheme.go:111"'


class Decided(NamedTuple):
    """What is recorded of a request. omitted: the stages that are not."""

    level: str
    omitted: frozenset[str] = frozenset()
    omit_managed_fields: bool = False


Matches = Callable[[UserInfo | None, RequestInfo], bool]


class Policies:
    """A policy, made ready to be asked about every request."""

    def __init__(self, policy: Policy) -> None:
        general = frozenset(policy.omitStages)
        self._otherwise = Decided("None", general, policy.omitManagedFields)
        self._rules = tuple((_matcher(rule), _decided(rule, policy)) for rule in policy.rules)

    def decide(self, user: UserInfo | None, info: RequestInfo) -> Decided:
        """What the first matching rule says; nothing is recorded where none matches. user None: nobody knows."""
        for matches, decided in self._rules:
            if matches(user, info):
                return decided
        return self._otherwise


def _decided(rule: PolicyRule, policy: Policy) -> Decided:
    own = rule.omitManagedFields
    stages = frozenset((*policy.omitStages, *rule.omitStages))
    return Decided(rule.level, stages, policy.omitManagedFields if own is None else own)


def _matcher(rule: PolicyRule) -> Matches:
    """A rule as one test of all that it fills in."""
    tests: list[Matches] = []
    users, groups, verbs = frozenset(rule.users), frozenset(rule.userGroups), frozenset(rule.verbs)
    if users:
        tests.append(lambda user, _: user is not None and user.name in users)
    if groups:
        tests.append(lambda user, _: user is not None and not groups.isdisjoint(user.groups))
    if verbs:
        tests.append(lambda _, info: info.verb in verbs)
    if rule.namespaces or rule.resources:
        namespaces = frozenset(rule.namespaces)
        tests.append(lambda _, info: info.is_resource and (not namespaces or info.namespace in namespaces))
        if rule.resources:
            tests.append(lambda _, info: any(_of_group(each, info) for each in rule.resources))
    elif rule.nonResourceURLs:
        tests.append(lambda _, info: not info.is_resource and any(_path(info.path, u) for u in rule.nonResourceURLs))
    return lambda user, info: all(test(user, info) for test in tests)


def _path(path: str, spec: str) -> bool:
    """`*` for all, a path itself, or what begins with the text before a last `*`."""
    return spec in ("*", path) or (spec.endswith("*") and path.startswith(spec.rstrip("*")))


def _of_group(wanted: GroupResources, info: RequestInfo) -> bool:
    """Whether a request is about one of these resources: `pods`, `pods/log`, `pods/*`, `*/scale` or `*`."""
    if wanted.group not in ("*", info.group):
        return False
    if not wanted.resources:
        return True
    if wanted.resourceNames and info.name not in wanted.resourceNames:
        return False
    sub = info.subresource
    whole = f"{info.resource}/{sub}" if sub else info.resource
    fitting = {"*", whole, f"{info.resource}/*"} | ({f"*/{sub}"} if sub else set())
    return not fitting.isdisjoint(wanted.resources)


def load(path: Path) -> Policies:
    """The policy of a file in YAML or JSON. Raises ConfigError that says what is wrong with it."""
    lead = "loading audit policy file: "
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise ConfigError(f'{lead}failed to read file path "{path}": {error}') from error
    if len(data) > MAX_FILE:
        raise ConfigError(f"{lead}more than {MAX_FILE} bytes: from file {path}")
    try:
        return Policies(parse(data))
    except ValueError as problem:
        raise ConfigError(f"{lead}{problem}: from file {path}") from None


def parse(data: bytes) -> Policy:
    """A policy in YAML or JSON. Unknown and repeated members are warned of. Raises ValueError."""
    try:
        text, repeated = yamltext.to_json(data)
        named = msgspec.json.decode(text)
        _check_kind(named if isinstance(named, dict) else {})
        policy, unknown = codec.decode_strict(Policy, text)
    except BadRequest as problem:
        raise ValueError(f"failed decoding: {problem.message}") from None
    for minor in (*repeated, *unknown):
        log.warning("audit policy contains errors, they are ignored", extra={"problem": minor})
    errors = validate(policy)
    if errors:
        raise ValueError(aggregate(errors))
    if not policy.rules:
        raise ValueError("loaded illegal policy with 0 rules")
    return policy


def _check_kind(found: dict[str, object]) -> None:
    """Raises ValueError unless it says that it is a Policy of a version that there is."""
    kind, version = found.get("kind"), found.get("apiVersion")
    if not kind or not version:
        raise ValueError("unknown group version field audit.k8s.io/__internal, Kind=Policy in policy")
    if version == API_VERSION and kind in _OTHERS:
        raise ValueError(f"failed decoding: converting (v1.{kind}) to (audit.Policy): unknown conversion")
    if (kind, version) != ("Policy", API_VERSION):
        raise ValueError(f'failed decoding: no kind {quote(str(kind))} is registered for version "{version}" {_SCHEME}')
