"""The door to CEL: what a program tells about itself, bindings, results, budgets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kijabi.api.cel.environment import MUTATION, Budget, Environment
from kijabi.api.cel.errors import CelError, CelSyntaxError, CelTypeError, CostExceeded
from kijabi.api.cel.functions import NAMED
from kijabi.api.cel.overloads.authorizer import Authorizer, Decision, Question
from kijabi.api.cel.overloads.mutations import JsonPatch, check_names, to_json
from kijabi.api.cel.types import BOOL, DYN, INT, STRING, declare, from_schema, list_of, optional_of, struct
from kijabi.api.cel.values import MISSING, NONE, Mapper, Optional

REPLICAS = from_schema({"type": "object", "properties": {"replicas": {"type": "integer"}}})
assert REPLICAS is not None


def run(environment: Environment, expression: str, **bindings: Any) -> Any:
    return environment.compile(expression).evaluate(bindings, Budget())


def test_a_program_says_what_it_refers_to() -> None:
    environment = Environment({"self": REPLICAS, "oldSelf": REPLICAS})
    program = environment.compile("self.replicas >= oldSelf.replicas", result=BOOL)
    assert program.result == BOOL
    assert program.variables == {"self", "oldSelf"}
    assert program.uses_old_self
    assert not environment.compile("[1].all(oldSelf, oldSelf > 0)").uses_old_self


def test_a_wrong_result_is_refused_as_kubernetes_words_it() -> None:
    environment = Environment({})
    with pytest.raises(CelTypeError, match=r"^must evaluate to bool but got string$"):
        environment.compile("'a'", result=BOOL)
    with pytest.raises(CelTypeError, match=r"^must evaluate to one of \[bool int\] but got string$"):
        environment.compile("'a'", result=(BOOL, INT))


def test_errors_are_of_one_tree() -> None:
    environment = Environment({"self": REPLICAS})
    with pytest.raises(CelSyntaxError):
        environment.compile("1 +")
    with pytest.raises(CelTypeError, match=r"undefined field 'x'"):
        environment.compile("self.x")
    with pytest.raises(CelError, match=r"^no such key: replicas$"):
        run(environment, "self.replicas > 1", self={})
    with pytest.raises(CelError, match=r"no such attribute"):
        run(environment, "self.replicas > 1")


def test_the_old_value_may_be_optional() -> None:
    environment = Environment({"self": REPLICAS, "oldSelf": optional_of(REPLICAS)})
    rule = "!oldSelf.hasValue() || self.replicas >= oldSelf.value().replicas"
    assert run(environment, rule, self={"replicas": 1}, oldSelf=NONE) is True
    assert run(environment, rule, self={"replicas": 1}, oldSelf=Optional({"replicas": 2})) is False


def test_a_budget_is_shared_and_ends() -> None:
    program = Environment({"self": REPLICAS}).compile("self.replicas == 1")
    budget = Budget(7)
    for _ in range(2):
        program.evaluate({"self": {"replicas": 1}}, budget)
    assert budget.remaining == 1
    with pytest.raises(CostExceeded) as caught:
        program.evaluate({"self": {"replicas": 1}}, budget)
    assert caught.value.budget


def test_one_evaluation_has_its_own_limit() -> None:
    program = Environment({"self": DYN}).compile("self.all(a, self.all(b, self.all(c, a + b + c >= 0)))")
    with pytest.raises(CostExceeded, match=r"^operation cancelled: actual cost limit exceeded$") as caught:
        program.evaluate({"self": list(range(200))}, Budget(10**9))
    assert not caught.value.budget


class Lazy(Mapper):
    """Variables of a policy, computed when they are asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def keys(self) -> Iterator[Any]:
        return iter(("big",))

    def find(self, key: Any) -> Any:
        self.asked.append(key)
        return 3 if key == "big" else MISSING


def test_variables_may_be_lazy() -> None:
    environment = Environment({"variables": declare("variables", {"big": INT}), "object": DYN})
    lazy = Lazy()
    assert run(environment, "object.a > 1 || variables.big > 2", variables=lazy, object={"a": 2}) is True
    assert lazy.asked == []
    assert run(environment, "object.a > 1 || variables.big > 2", variables=lazy, object={"a": 0}) is True
    assert lazy.asked == ["big"]
    with pytest.raises(CelTypeError, match=r"undefined field 'small'"):
        environment.compile("variables.small")


def test_permissions_are_asked_for() -> None:
    asked: list[Question] = []

    def ask(question: Question) -> Decision:
        asked.append(question)
        return Decision(question.verb == "get", "because")

    environment = Environment({"authorizer": NAMED["Authorizer"]})
    resource = "authorizer.group('apps').resource('deployments').subresource('scale').namespace('a').name('b')"
    assert run(environment, f"{resource}.check('get').allowed()", authorizer=Authorizer(ask)) is True
    path = "authorizer.path('/healthz').check('post').reason()"
    assert run(environment, path, authorizer=Authorizer(ask)) == "because"
    account = "authorizer.serviceAccount('kube-system', 'x').group('').resource('pods').check('list').errored()"
    assert run(environment, account, authorizer=Authorizer(ask)) is False
    assert asked == [
        Question(verb="get", group="apps", resource="deployments", subresource="scale", namespace="a", name="b"),
        Question(verb="post", path="/healthz"),
        Question(verb="list", resource="pods", account=("kube-system", "x")),
    ]
    with pytest.raises(CelError, match=r"^Invalid service account namespace$"):
        run(environment, "authorizer.serviceAccount('A', 'x').path('/a')", authorizer=Authorizer(ask))


def test_two_checks_fit_into_one_evaluation_and_three_do_not() -> None:
    environment = Environment({"authorizer": NAMED["Authorizer"]})
    check = "authorizer.path('/a').check('get').allowed()"
    bindings = {"authorizer": Authorizer(lambda _: Decision(True))}
    assert environment.compile(" && ".join([check] * 2)).evaluate(bindings, Budget()) is True
    with pytest.raises(CostExceeded):
        environment.compile(" && ".join([check] * 3)).evaluate(bindings, Budget())


def test_policies_make_objects() -> None:
    environment = Environment({"object": DYN}, libraries=MUTATION)
    spec = "Object.spec{replicas: object.n + 1, ?paused: optional.none(), tags: ['a', string(object.name)]}"
    program = environment.compile(f"Object{{spec: {spec}}}", result=struct("Object"))
    made = program.evaluate({"object": {"n": 1, "name": "b"}}, Budget())
    assert to_json(made) == {"spec": {"replicas": 2, "tags": ["a", "b"]}}
    assert check_names(made) == []
    wrong = environment.compile("Object{spec: Object.status{a: 1}}").evaluate({}, Budget())
    assert check_names(wrong) == [
        'unexpected type name "Object.status", expected "Object.spec", '
        "which matches field name path from root Object type"
    ]


def test_policies_make_patches() -> None:
    environment = Environment({"object": DYN}, libraries=MUTATION)
    expression = "[JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('a/b~c'), value: {'x': 1}}]"
    program = environment.compile(expression, result=list_of(struct("JSONPatch")))
    (patch,) = program.evaluate({}, Budget())
    assert isinstance(patch, JsonPatch)
    assert (patch.op, patch.path, to_json(patch.value)) == ("add", "/metadata/labels/a~1b~0c", {"x": 1})
    with pytest.raises(CelTypeError, match=r"expected type of field 'op' is 'string' but provided type is 'int'"):
        environment.compile("JSONPatch{op: 1}")
    with pytest.raises(CelTypeError, match=r"undeclared reference to 'Object'"):
        Environment({}).compile("Object{a: 1}")
    assert environment.compile("'a'").result == STRING
