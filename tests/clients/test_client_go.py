"""A program written with client-go (`go/clientgo`), in JSON and in protobuf."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.world import Running, elects, follows, outlives, output, served, told
from tests.e2e.test_pods import one
from tests.e2e.world import Namespace

pytestmark = [pytest.mark.clients, pytest.mark.built]

Make = Callable[..., str]
PROTOBUF = "application/vnd.kubernetes.protobuf"


class Program:
    """The program for a namespace, with what it is told each time."""

    def __init__(self, path: Path, namespace: Namespace, *always: str) -> None:
        self.command = [path, "-namespace", namespace.name, *always]
        self.environment = namespace.cluster.environment

    def __call__(self, *arguments: str, text: str | None = None) -> list[str]:
        return output([*self.command, *arguments], self.environment, text=text).splitlines()

    def start(self, *arguments: str) -> Running:
        return Running([*self.command, *arguments], self.environment)


@pytest.fixture(params=["json", "protobuf"])
def program(request: pytest.FixtureRequest, clientgo: Path, namespace: Namespace) -> Program:
    return Program(clientgo, namespace, *(["-protobuf"] if request.param == "protobuf" else []))


def test_objects_are_made_read_changed_watched_and_deleted(program: Program) -> None:
    assert program("objects") == [
        "stale update is a conflict: true",
        "data map[a:1 json:yes merge:yes strategic:yes update:yes] raw map[raw:[0 255]]",
        "another object's uid is a conflict: true",
        "gone: true",
        "ADDED true",
        *["MODIFIED true"] * 4,
        "DELETED true",
    ]


def test_what_is_asked_for_in_protobuf_is_answered_so(clientgo: Path, namespace: Namespace) -> None:
    said = Program(clientgo, namespace, "-protobuf", "-show")("objects")
    forms = {line.rpartition(" ")[2] for line in said if line.startswith("# ")}
    assert forms == {PROTOBUF, f"{PROTOBUF};stream=watch"}


def test_server_side_apply_tells_whose_fields_are_whose(program: Program) -> None:
    conflict, *rest = program("apply")
    assert conflict == ('conflict: true: Apply failed with 1 conflict: conflict with "first": .spec.replicas')
    assert rest == ["replicas 2", "first owns replicas: false", "second owns replicas: true"]


def test_lists_come_in_pages(program: Program) -> None:
    assert program("pages", "25") == ["25 items in 3 pages"]


def test_an_informer_streams_its_list_and_outlives_the_server(program: Program, namespace: Namespace) -> None:
    started: list[Running] = []

    def informer() -> Running:
        started.append(program.start("-show", "informer"))
        return started[-1]

    outlives(namespace, informer)
    asked = [line for line in started[0].lines if "configmaps" in line and line.startswith("# GET")]
    assert "sendInitialEvents=true" in asked[0]
    assert "watch=true" in asked[0]


@pytest.mark.parametrize("protocol", ["spdy", "websocket"])
def test_commands_run_in_pods(clientgo: Path, namespace: Namespace, pod: Make, protocol: str) -> None:
    program = Program(clientgo, namespace)
    name = pod(f"exec-{protocol}", one("sleep infinity"))
    assert program("exec", protocol, name, "cat", text="in and out") == ['out "in and out" err ""']
    line = "echo out; echo wrong >&2; exit 7"
    assert program("exec", protocol, name, "sh", "-c", line) == ['out "out\\n" err "wrong\\n"', "exit code 7"]


def test_logs_are_followed_to_their_end(program: Program, namespace: Namespace, pod: Make) -> None:
    follows(namespace, pod("logs", told("echo first", "echo last")), lambda name: program.start("logs", name))


@pytest.mark.parametrize("protocol", ["spdy", "websocket"])
def test_ports_are_forwarded(clientgo: Path, namespace: Namespace, pod: Make, protocol: str) -> None:
    name = pod(f"forward-{protocol}", served("forwarded"))
    assert Program(clientgo, namespace)("forward", protocol, name, "8000") == ['200 "forwarded\\n"']


def test_one_of_two_candidates_leads(program: Program) -> None:
    elects(lambda identity: program.start("lead", identity))


def test_evictions_beyond_the_budget_are_refused(program: Program, namespace: Namespace, pod: Make) -> None:
    name = pod("guarded", one("sleep infinity"), labels={"app": "guarded"})
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "guarded"}}}
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "guard"}, "spec": spec}
    namespace.apply(budget)
    namespace.kubectl("wait", "pdb/guard", "--for=jsonpath={.status.currentHealthy}=1")
    assert program("evict", name) == ["refused: Cannot evict pod as it would violate the pod's disruption budget."]
    namespace.kubectl("delete", "pdb", "guard")
    assert program("evict", name) == ["evicted"]


def test_custom_resources_are_found_by_discovery(program: Program, websites: None) -> None:
    said = program("custom", "Website.kijabi.example")
    assert said == ["websites dynamic, status 1, true"]


def test_deployments_are_scaled(program: Program, namespace: Namespace) -> None:
    namespace.kubectl("create", "deployment", "scaled", "--image=busybox:1.35", "--", "sleep", "infinity")
    assert program("scale", "scaled") == ["scaled to 2, selector app=scaled"]
    namespace.kubectl("delete", "deployment", "scaled")
