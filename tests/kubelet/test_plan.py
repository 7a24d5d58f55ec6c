"""What to do next, case by case.

A plan reads as a line: K kills the pod, S0 makes sandbox 0, -c kills, +c starts, ~c waits.
"""

from __future__ import annotations

from typing import Any

import pytest

from kijabi.api.core.pod import Pod
from kijabi.api.core.probe import Probe
from kijabi.kubelet.backoff import Backoff
from kijabi.kubelet.plan import Plan, Probed, plan
from kijabi.kubelet.view import PodView
from tests.kubelet.things import DELETED, NOW, box, c, info, pod, view


def line(decided: Plan) -> str:
    words = ["K"] if decided.kill_pod else []
    words += [f"S{decided.attempt}"] if decided.create_sandbox else []
    words += [f"-{kill.name}" for kill in decided.kill]
    words += [f"+{start.name}" for start in decided.start]
    words += [f"~{wait.name}" for wait in decided.waiting]
    return " ".join(words)


ONE = pod()
TWO = pod(c("a"), c("b"))
INIT = pod(initContainers=(c("i"), c("j")))
SIDE = pod(initContainers=(c("i"), c("s", restartPolicy="Always"), c("j")))
PROBED_SIDE = pod(initContainers=(c("s", restartPolicy="Always", startupProbe=Probe()), c("j")))
NEVER = pod(restartPolicy="Never")
ON_FAILURE = pod(c("a"), c("b"), restartPolicy="OnFailure")
UP = box()

CASES: list[tuple[str, Pod, PodView, dict[str, Any], str]] = [
    ("new", ONE, view(), {}, "S0 +c"),
    ("new with init containers", INIT, view(), {}, "S0 +i"),
    ("sandbox without containers", TWO, view(UP), {}, "+a +b"),
    ("all run", TWO, view(UP, info("a"), info("b")), {}, ""),
    ("one is missing", TWO, view(UP, info("a")), {}, "+b"),
    ("one was created and not started", TWO, view(UP, info("a"), info("b", "created")), {}, "+b"),
    ("one is in an unknown state", TWO, view(UP, info("a"), info("b", "unknown")), {}, "-b +b"),
    ("one ended well, always", TWO, view(UP, info("a"), info("b", "exited")), {}, "+b"),
    ("one ended well, on failure", ON_FAILURE, view(UP, info("a"), info("b", "exited")), {}, ""),
    ("one failed, on failure", ON_FAILURE, view(UP, info("a"), info("b", "exited", code=1)), {}, "+b"),
    ("all ended well, on failure", ON_FAILURE, view(UP, info("a", "exited"), info("b", "exited")), {}, "K"),
    ("ended, never", NEVER, view(UP, info("c", "exited", code=1)), {}, "K"),
    ("ended, deleted", pod(meta=DELETED), view(UP, info("c", "exited", code=1)), {}, "K"),
    ("own policy beats the pod's", pod(c(restartPolicy="Never")), view(UP, info("c", "exited", code=1)), {}, "K"),
    # Sandboxes
    ("sandbox is down", ONE, view(box(ready=False), info("c", "exited", code=137)), {}, "K S1 +c"),
    ("sandbox is down, containers run", ONE, view(box(ready=False), info()), {}, "K S1 +c"),
    ("sandbox is down, init again", INIT, view(box(ready=False), info("c", "exited")), {}, "K S1 +i"),
    ("sandbox is down, never", NEVER, view(box(ready=False), info("c", "exited")), {}, "K"),
    ("sandbox never held anything, never", NEVER, view(box(ready=False)), {}, "K S1 +c"),
    (
        "sandbox is down, all succeeded on failure",
        ON_FAILURE,
        view(box(ready=False), info("a", "exited"), info("b", "exited")),
        {},
        "K",
    ),
    ("two sandboxes are up", ONE, view(box(0), box(1), info()), {}, "K S2 +c"),
    ("no address", ONE, view(box(ips=())), {}, "K S1 +c"),
    ("host network has no address", pod(hostNetwork=True), view(box(ips=(), host_network=True)), {}, "+c"),
    ("containers of the sandbox before", ONE, view(box(1), info("c", "exited", sandbox=0)), {}, "+c"),
    # Init containers
    ("first init container runs", INIT, view(UP, info("i")), {}, ""),
    ("first is done", INIT, view(UP, info("i", "exited")), {}, "+j"),
    ("first failed", INIT, view(UP, info("i", "exited", code=1)), {}, "+i"),
    ("all are done", INIT, view(UP, info("i", "exited", ago=50), info("j", "exited")), {}, "+c"),
    ("first was removed, last is done", INIT, view(UP, info("j", "exited")), {}, "+c"),
    ("all were removed, the pod runs", INIT, view(UP, info("c")), {}, ""),
    (
        "first failed, never",
        pod(initContainers=(c("i"),), restartPolicy="Never"),
        view(UP, info("i", "exited", code=1)),
        {},
        "K",
    ),
    ("first was created and not started", INIT, view(UP, info("i", "created")), {}, "+i"),
    ("the main container ended, init is not run again", INIT, view(UP, info("c", "exited")), {}, "+c"),
    # Sidecars
    ("sidecar after init", SIDE, view(UP, info("i", "exited")), {}, "+s"),
    ("sidecar runs, next init", SIDE, view(UP, info("i", "exited", ago=9), info("s")), {}, "+j"),
    ("sidecar and init done", SIDE, view(UP, info("s", ago=9), info("j", "exited")), {}, "+c"),
    ("sidecar died while the next init runs", SIDE, view(UP, info("s", "exited", ago=9), info("j")), {}, "+s"),
    ("sidecar died, main runs", SIDE, view(UP, info("s", "exited", ago=9), info("c")), {}, "+s"),
    ("sidecar was removed, main runs", SIDE, view(UP, info("c")), {}, "+s"),
    ("sidecar not started yet", PROBED_SIDE, view(UP, info("s")), {}, ""),
    ("sidecar started", PROBED_SIDE, view(UP, info("s")), {"probed": Probed(startup={"s0": True})}, "+j"),
    ("sidecar did not start", PROBED_SIDE, view(UP, info("s")), {"probed": Probed(startup={"s0": False})}, "-s +s"),
    (
        "sidecars do not keep a pod alive",
        pod(initContainers=(c("s", restartPolicy="Always"),), restartPolicy="Never"),
        view(UP, info("s"), info("c", "exited")),
        {},
        "K",
    ),
    # Probes and changes
    ("not alive", ONE, view(UP, info()), {"probed": Probed(liveness={"c0": False})}, "-c +c"),
    ("not alive, never", NEVER, view(UP, info()), {"probed": Probed(liveness={"c0": False})}, "K -c"),
    ("did not start", ONE, view(UP, info()), {"probed": Probed(startup={"c0": False})}, "-c +c"),
    ("another image", ONE, view(UP, info(image="app:0")), {}, "-c +c"),
    ("another image, never", NEVER, view(UP, info(image="app:0")), {}, "-c +c"),
    ("not ready", ONE, view(UP, info()), {"probed": Probed(readiness={"c0": False})}, ""),
    # Ephemeral containers
    ("debug", pod(ephemeralContainers=(c("d"),)), view(UP, info()), {}, "+d"),
    ("debug ended", pod(ephemeralContainers=(c("d"),)), view(UP, info(), info("d", "exited")), {}, ""),
    ("debug during init", pod(initContainers=(c("i"),), ephemeralContainers=(c("d"),)), view(UP, info("i")), {}, "+d"),
    # Back-off
    ("waits", ONE, view(UP, info("c", "exited", code=1, ago=3)), {"backoffs": {"c": Backoff(10, NOW - 90)}}, "~c"),
    ("waited", ONE, view(UP, info("c", "exited", code=1, ago=11)), {"backoffs": {"c": Backoff(10, NOW - 90)}}, "+c"),
    ("stale", ONE, view(UP, info("c", "exited", code=1, ago=3)), {"backoffs": {"c": Backoff(300, NOW - 900)}}, "+c"),
    (
        "the others start",
        TWO,
        view(UP, info("a", "exited", code=1, ago=3)),
        {"backoffs": {"a": Backoff(10, NOW - 90)}},
        "+b ~a",
    ),
    (
        "an init container that waits",
        INIT,
        view(UP, info("i", "exited", code=1, ago=3)),
        {"backoffs": {"i": Backoff(10, NOW - 90)}},
        "~i",
    ),
]


@pytest.mark.parametrize(("given", "seen", "more", "expected"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_plan(given: Pod, seen: PodView, more: dict[str, Any], expected: str) -> None:
    backoffs = more.get("backoffs", {})
    assert line(plan(given, seen, NOW, backoffs, more.get("probed"))) == expected


def test_the_wait_says_until_when_and_why() -> None:
    seen = view(UP, info("c", "exited", code=1, ago=3))
    wait = plan(ONE, seen, NOW, {"c": Backoff(80, NOW - 90)}).waiting[0]
    assert wait.until == NOW + 77
    assert wait.message == "back-off 1m20s restarting failed container=c pod=web_ns(u1)"


def test_restart_rules_look_at_the_exit_code() -> None:
    from kijabi.api.core.container import ContainerRestartRule, ContainerRestartRuleOnExitCodes

    rule = ContainerRestartRule(
        action="Restart", exitCodes=ContainerRestartRuleOnExitCodes(operator="In", values=(42,))
    )
    given = pod(c(restartPolicy="Never", restartPolicyRules=(rule,)))
    assert line(plan(given, view(UP, info("c", "exited", code=42)), NOW, {})) == "+c"
    assert line(plan(given, view(UP, info("c", "exited", code=41)), NOW, {})) == "K"
