"""From the claims of a token to a user: names of claims or CEL expressions, and rules that both must meet.

`config.py` has the rules compiled to check them, `jwts.py` applies them to each token. Source: k8s.io/apiserver
`pkg/authentication/cel` and `plugin/pkg/authenticator/token/oidc`, with their texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec

from kijabi.api.cel.ast import Call, Ident, Literal, Node, Select
from kijabi.api.cel.environment import Environment, Program
from kijabi.api.cel.types import ANY, BOOL, STRING, declare, list_of, map_of
from kijabi.api.cel.values import MISSING, Mapper, is_list
from kijabi.api.resource import FieldError
from kijabi.api.validation import domain_prefixed, duplicate, invalid, required
from kijabi.apiserver.attributes import UserInfo
from kijabi.apiserver.authn import config
from kijabi.apiserver.authn.names import CREDENTIAL_ID
from kijabi.apiserver.expressions import EvaluationError, evaluate, wrong_result
from kijabi.apiserver.expressions import compiled as compiled_in
from kijabi.base.errors import Unauthorized

Claims = dict[str, Any]
_RESERVED = ("kubernetes.io", "k8s.io")
_BOTH = "claim and expression can't both be set"
_NEITHER = "claim or expression is required"
_LIST = "expression must return a string or a list of strings"
_EMAIL = (
    "claims.email_verified must be used in claimMappings.username.expression or "
    "claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email is used in "
    "claimMappings.username.expression"
)


class Condition(NamedTuple):
    """An expression that must be true, and what is said otherwise."""

    program: Program
    message: str


class Rules(NamedTuple):
    """The compiled expressions of one issuer."""

    username: Program | None
    groups: Program | None
    uid: Program | None
    extra: tuple[tuple[str, Program], ...]
    claims: tuple[Condition, ...]
    users: tuple[Condition, ...]


@cache
def _claims_environment() -> Environment:
    return Environment({"claims": map_of(STRING, ANY)})


@cache
def _user_environment() -> Environment:
    texts = list_of(STRING)
    user = {"username": STRING, "uid": STRING, "groups": texts, "extra": map_of(STRING, texts)}
    return Environment({"user": declare("kubernetes.UserInfo", user)})


def compiled(authenticator: config.JWTAuthenticator, path: str) -> tuple[Rules, list[FieldError]]:
    """The expressions of an issuer, and what is wrong with them."""
    maker = _Maker(path)
    conditions = maker.claim_rules(authenticator.claimValidationRules)
    mappings = authenticator.claimMappings
    username = maker.prefixed("claimMappings.username", mappings.username, needed=True)
    groups = maker.prefixed("claimMappings.groups", mappings.groups, needed=False)
    uid = None
    if mappings.uid.claim and mappings.uid.expression:
        maker.problems.append(invalid(f"{path}.claimMappings.uid", "", _BOTH))
    elif mappings.uid.expression:
        uid = maker.over_claims("claimMappings.uid.expression", mappings.uid.expression)
    extra = maker.extra(mappings.extra)
    if username is not None and _selects(username.tree, "email"):
        others = (username, *(program for _, program in extra), *(each.program for each in conditions))
        if not any(_selects(program.tree, "email_verified") for program in others):
            where = f"{path}.claimMappings.username.expression"
            maker.problems.append(invalid(where, mappings.username.expression, _EMAIL))
    users = maker.user_rules(authenticator.userValidationRules)
    return Rules(username, groups, uid, extra, conditions, users), maker.problems


class _Maker:
    """Compiles, and collects what is wrong."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.problems: list[FieldError] = []

    def over_claims(self, where: str, expression: str) -> Program | None:
        program, problems = compiled_in(_claims_environment(), expression, f"{self._path}.{where}")
        self.problems += problems
        return program

    def _condition(self, environment: Environment, where: str, expression: str, message: str) -> Iterator[Condition]:
        program, problems = compiled_in(environment, expression, where)
        if program is not None:
            problems = wrong_result(program, BOOL, where)
            if not problems:
                yield Condition(program, message)
        self.problems += problems

    def claim_rules(self, rules: Sequence[config.ClaimValidationRule]) -> tuple[Condition, ...]:
        found: list[Condition] = []
        claims: set[str] = set()
        expressions: set[str] = set()
        for index, rule in enumerate(rules):
            path = f"{self._path}.claimValidationRules[{index}]"
            if rule.claim and rule.expression:
                self.problems.append(invalid(path, rule.claim, _BOTH))
            elif rule.claim:
                if rule.message:
                    detail = "may not be specified when claim is set"
                    self.problems.append(invalid(f"{path}.message", rule.message, detail))
                if rule.claim in claims:
                    self.problems.append(duplicate(f"{path}.claim", rule.claim))
                claims.add(rule.claim)
            elif not rule.expression:
                self.problems.append(required(path, _NEITHER))
            else:
                if rule.requiredValue:
                    detail = "may not be specified when expression is set"
                    self.problems.append(invalid(f"{path}.requiredValue", rule.requiredValue, detail))
                if rule.expression in expressions:
                    self.problems.append(duplicate(f"{path}.expression", rule.expression))
                    continue
                expressions.add(rule.expression)
                where = f"{path}.expression"
                found += self._condition(_claims_environment(), where, rule.expression, rule.message)
        return tuple(found)

    def prefixed(self, where: str, rule: config.PrefixedClaimOrExpression, *, needed: bool) -> Program | None:
        path = f"{self._path}.{where}"
        if rule.expression and rule.claim:
            self.problems.append(invalid(path, "", _BOTH))
        elif rule.expression:
            if rule.prefix is not None:
                detail = "may not be specified when expression is set"
                self.problems.append(invalid(f"{path}.prefix", rule.prefix, detail))
            return self.over_claims(f"{where}.expression", rule.expression)
        elif rule.claim:
            if rule.prefix is None:
                detail = "prefix is required when claim is set. It can be set to an empty string to disable prefixing"
                self.problems.append(required(f"{path}.prefix", detail))
        elif needed:
            self.problems.append(required(path, _NEITHER))
        return None

    def extra(self, mappings: Sequence[config.ExtraMapping]) -> tuple[tuple[str, Program], ...]:
        found: list[tuple[str, Program]] = []
        seen: set[str] = set()
        for index, mapping in enumerate(mappings):
            where, key = f"claimMappings.extra[{index}]", mapping.key
            path = f"{self._path}.{where}.key"
            self.problems += domain_prefixed(path, key)
            if key != key.lower():
                self.problems.append(invalid(path, key, "must be lowercase"))
            domain, slash, _ = key.partition("/")
            if slash and any(domain == own or domain.endswith(f".{own}") for own in _RESERVED):
                detail = "k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use"
                self.problems.append(invalid(path, key, detail))
            if key in seen:
                self.problems.append(duplicate(path, key))
                continue
            seen.add(key)
            if not mapping.valueExpression:
                self.problems.append(required(f"{self._path}.{where}.valueExpression"))
                continue
            program = self.over_claims(f"{where}.valueExpression", mapping.valueExpression)
            if program is not None:
                found.append((key, program))
        return tuple(found)

    def user_rules(self, rules: Sequence[config.UserValidationRule]) -> tuple[Condition, ...]:
        found: list[Condition] = []
        seen: set[str] = set()
        for index, rule in enumerate(rules):
            where = f"{self._path}.userValidationRules[{index}].expression"
            if not rule.expression:
                self.problems.append(required(where))
            elif rule.expression in seen:
                self.problems.append(duplicate(where, rule.expression))
            else:
                found += self._condition(_user_environment(), where, rule.expression, rule.message)
            seen.add(rule.expression)
        return tuple(found)


def _selects(part: Any, field: str) -> bool:
    """Does an expression read this claim?"""
    if isinstance(part, Select) and part.field == field and _is_claims(part.operand):
        return True
    if isinstance(part, Call) and part.function == "_?._" and len(part.args) == 2:
        name = part.args[1]
        if _is_claims(part.args[0]) and isinstance(name, Literal) and name.value == field:
            return True
    if isinstance(part, list | tuple):
        return any(_selects(each, field) for each in part)
    if isinstance(part, msgspec.Struct):
        return any(_selects(getattr(part, name), field) for name in part.__struct_fields__)
    return False


def _is_claims(node: Node) -> bool:
    return isinstance(node, Ident) and node.name == "claims"


# Values as expressions see them

_ESCAPED = re.compile(r"__([^_]+)__")
_SIGNS = {"underscores": "__", "dot": ".", "dash": "-", "slash": "/"}


def _unescaped(name: str) -> str | None:
    """The property that an identifier stands for (`a__dot__b` is `a.b`), None for a malformed one."""
    found: list[str] = []
    at = 0
    for match in _ESCAPED.finditer(name):
        sign = _SIGNS.get(match[1])
        if sign is None and match[0] != name:
            return None
        found += (name[at : match.start()], match[1] if sign is None else sign)
        at = match.end()
    return "".join((*found, name[at:]))


class _Object(Mapper):
    """A JSON object whose members can also be named by escaped identifiers."""

    __slots__ = ("_members",)

    def __init__(self, members: dict[str, Any]) -> None:
        self._members = members

    def keys(self) -> Iterator[Any]:
        """See Mapper."""
        return iter(self._members)

    def find(self, key: Any) -> Any:
        """See Mapper."""
        if not isinstance(key, str):
            return MISSING
        plain = _unescaped(key)
        return self._members.get(key if plain is None else plain, MISSING)


def seen(value: Any) -> Any:
    """A JSON value as expressions see it: numbers are doubles."""
    if isinstance(value, dict):
        return _Object({key: seen(each) for key, each in value.items()})
    if isinstance(value, list | tuple):
        return [seen(each) for each in value]
    return float(value) if type(value) is int else value


# Users

_KINDS = {bool: "bool", int: "number", float: "number", list: "array", dict: "object", str: "string"}


def text_claim(claims: Claims, name: str) -> str:
    """A claim that is a text. Raises ValueError."""
    if name not in claims:
        raise ValueError("claim not present")
    value = claims[name]
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"json: cannot unmarshal {_KINDS[type(value)]} into Go value of type string")
    return value


async def user_of(claims: Claims, authenticator: config.JWTAuthenticator, rules: Rules) -> UserInfo:
    """The user that a token's claims describe. Raises Unauthorized where a rule is not met."""
    mappings = authenticator.claimMappings
    bindings = {"claims": seen(claims)}
    try:
        name = await _username(claims, bindings, mappings.username, rules)
        groups = await _groups(claims, bindings, mappings.groups, rules)
        uid = await _uid(claims, bindings, mappings.uid, rules)
        extra = await _extra(claims, bindings, rules)
        user = UserInfo(name, uid=uid, groups=groups, extra=extra)
        for rule in authenticator.claimValidationRules:
            if rule.claim:
                _require(claims, rule)
        await _meet(rules.claims, bindings, "error evaluating claim validation expression")
        if rules.users:
            shown = {"username": name, "uid": uid, "groups": list(groups), "extra": seen(dict(extra))}
            await _meet(rules.users, {"user": shown}, "error evaluating user info validation rule")
    except ValueError as error:
        raise Unauthorized(f"oidc: {error}") from None
    return user


async def _value(program: Program, bindings: dict[str, Any], what: str) -> Any:
    try:
        return await evaluate(program, bindings)
    except EvaluationError as error:
        raise ValueError(f"{what}: {error}") from None


async def _username(
    claims: Claims, bindings: dict[str, Any], mapping: config.PrefixedClaimOrExpression, rules: Rules
) -> str:
    if rules.username is not None:
        what = "error evaluating username claim expression"
        found = await _value(rules.username, bindings, what)
        if not isinstance(found, str):
            raise ValueError(f"{what}: username claim expression must return a string")
        if not found:
            raise ValueError("empty username via CEL expression is not allowed")
        return found
    try:
        name = text_claim(claims, mapping.claim)
    except ValueError as error:
        raise ValueError(f'parse username claims "{mapping.claim}": {error}') from None
    if mapping.claim == "email" and "email_verified" in claims:
        verified = claims["email_verified"]
        if verified is not None and not isinstance(verified, bool):
            kind = _KINDS[type(verified)]
            raise ValueError(f"parse 'email_verified' claim: json: cannot unmarshal {kind} into Go value of type bool")
        if not verified:
            raise ValueError("email not verified")
    return (mapping.prefix or "") + name


async def _groups(
    claims: Claims, bindings: dict[str, Any], mapping: config.PrefixedClaimOrExpression, rules: Rules
) -> tuple[str, ...]:
    if mapping.claim and mapping.claim in claims:
        value = claims[mapping.claim]
        found = value if isinstance(value, list) else () if value is None else [value]
        for each in found:
            if not isinstance(each, str) and each is not None:
                text = f"json: cannot unmarshal {_KINDS[type(value)]} into Go value of type string"
                raise ValueError(f'parse groups claim "{mapping.claim}": {text}')
        return tuple((mapping.prefix or "") + (each or "") for each in found)
    if rules.groups is None:
        return ()
    what = "error evaluating group claim expression"
    return _texts(await _value(rules.groups, bindings, what), what)


async def _uid(claims: Claims, bindings: dict[str, Any], mapping: config.ClaimOrExpression, rules: Rules) -> str:
    if mapping.claim:
        try:
            return text_claim(claims, mapping.claim)
        except ValueError as error:
            raise ValueError(f'parse uid claim "{mapping.claim}": {error}') from None
    if rules.uid is None:
        return ""
    what = "error evaluating uid claim expression"
    found = await _value(rules.uid, bindings, what)
    if not isinstance(found, str):
        raise ValueError(f"{what}: uid claim expression must return a string")
    return found


async def _extra(claims: Claims, bindings: dict[str, Any], rules: Rules) -> dict[str, tuple[str, ...]]:
    extra: dict[str, tuple[str, ...]] = {}
    if isinstance(claims.get("jti"), str) and claims["jti"]:
        extra[CREDENTIAL_ID] = (f"JTI={claims['jti']}",)
    for key, program in rules.extra:
        found = await _value(program, bindings, "error evaluating extra claim expression")
        values = _texts(found, f"error evaluating extra claim expression: {program.text}")
        if values:
            extra[key] = values
    return extra


def _texts(value: Any, what: str) -> tuple[str, ...]:
    """A text or a list of them; empty ones count as absent. Raises ValueError."""
    if value is None:
        return ()
    found = [value] if isinstance(value, str) else list(value) if is_list(value) else None
    if found is None or not all(isinstance(each, str) for each in found):
        raise ValueError(f"{what}: {_LIST}")
    return tuple(each for each in found if each)


def _require(claims: Claims, rule: config.ClaimValidationRule) -> None:
    name, wanted = rule.claim, rule.requiredValue
    if name not in claims:
        raise ValueError(f"required claim {name} not present in ID token")
    try:
        value = text_claim(claims, name)
    except ValueError as error:
        raise ValueError(f"parse claim {name}: {error}") from None
    if value != wanted:
        raise ValueError(f"required claim {name} value does not match. Got = {value}, want = {wanted}")


async def _meet(conditions: Sequence[Condition], bindings: dict[str, Any], what: str) -> None:
    for condition in conditions:
        if await _value(condition.program, bindings, what) is not True:
            text = condition.program.text
            raise ValueError(f"{what}: validation expression '{text}' failed: {condition.message}")
