"""The JavaScript client (`javascript/client.mjs`), on the Node of PyPI's wheel."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.clients.conftest import Node
from tests.clients.world import HERE, Running, elects, follows, outlives, output, served, told
from tests.e2e.test_pods import one
from tests.e2e.world import Namespace

pytestmark = pytest.mark.clients

Make = Callable[..., str]


class Program:
    """client.mjs for a namespace."""

    def __init__(self, node: Node, namespace: Namespace) -> None:
        source = HERE / "javascript" / "client.mjs"
        self.command = [node.program, node.script(source.name, source.read_text())]
        self.namespace = namespace

    def __call__(self, verb: str, *arguments: str) -> list[str]:
        line = [*self.command, verb, self.namespace.name, *arguments]
        return output(line, self.namespace.cluster.environment).splitlines()

    def start(self, verb: str, *arguments: str) -> Running:
        return Running([*self.command, verb, self.namespace.name, *arguments], self.namespace.cluster.environment)


@pytest.fixture
def program(node: Node, namespace: Namespace) -> Program:
    return Program(node, namespace)


def test_objects_are_made_read_changed_watched_and_deleted(program: Program) -> None:
    assert program("objects") == [
        "ADDED a",
        "MODIFIED a,merge",
        "MODIFIED a,merge,strategic",
        "MODIFIED a,json,merge,strategic",
        "MODIFIED replaced",
        "DELETED replaced",
        "refused 404 NotFound",
    ]


def test_server_side_apply_meets_the_owner_of_a_field(program: Program) -> None:
    assert program("apply") == [
        'refused 409 Apply failed with 1 conflict: conflict with "first": .spec.replicas',
        "replicas 1",
    ]


def test_an_informer_outlives_the_server(program: Program, namespace: Namespace) -> None:
    outlives(namespace, lambda: program.start("informer"))


def test_commands_run_in_pods(program: Program, pod: Make) -> None:
    name = pod("exec", one("sleep infinity"))

    def run(*arguments: str) -> Any:
        return json.loads(program("exec", name, *arguments)[0])

    assert run("", "sh", "-c", "echo out; echo wrong >&2") == ["out\n", "wrong\n", "Success", ""]
    assert run("", "sh", "-c", "exit 7") == ["", "", "Failure", "7"]
    assert run("in and out", "cat") == ["in and out", "", "Success", ""]


def test_logs_are_followed_to_their_end(program: Program, namespace: Namespace, pod: Make) -> None:
    follows(namespace, pod("logs", told("echo first", "echo last")), lambda name: program.start("logs", name))


def test_ports_are_forwarded(program: Program, pod: Make) -> None:
    name = pod("forward", served("forwarded"))
    assert json.loads(program("forward", name, "8000")[0]) == ["forwarded\n", ""]


def test_one_of_two_candidates_leads(program: Program) -> None:
    elects(lambda identity: program.start("lead", identity))
